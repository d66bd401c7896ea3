//! The contract that the two sides of HTTP keep, over real sockets: reqwest on the one side, hyper on the other.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::future::pending;

use tokio::task::JoinHandle;
use towpath_http::{
    Acceptor, ConnectTimeouts, HttpArrival, HttpConnect, HttpServer, ListenLimits, ListenTimeouts, acceptor,
};
use towpath_raw::{Accept, Drained};
use towpath_testkit::{contract::http, http_contract_tests, leak::CountingAllocator, within};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A server whose exchanges are taken one by one. Dropped, it is gone.
struct Served {
    acceptor: Acceptor,
    serving: JoinHandle<Drained>,
}

impl Accept for Served {
    type Arrival = HttpArrival;

    async fn accept(&mut self) -> Option<HttpArrival> {
        self.acceptor.accept().await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A server, and where it is.
async fn served(setup: &http::Setup) -> (Served, ::http::Uri) {
    let mut listen = ListenTimeouts::default();
    if setup.write_stall.is_some() {
        listen = listen.with_write_stall(setup.write_stall);
    }
    let (service, acceptor) = acceptor(64);
    let server = within(HttpServer::bind("127.0.0.1:0", ListenLimits::default(), listen)).await;
    let server = server.expect("a free port");
    let uri = format!("http://{}/", server.local_addr()).parse().expect("a URI");
    (Served { acceptor, serving: tokio::spawn(server.serve(service, pending())) }, uri)
}

async fn ends(setup: http::Setup, is_http2: bool) -> http::Ends<HttpConnect, Served> {
    let (server, uri) = within(served(&setup)).await;
    let timeouts = ConnectTimeouts::default().with_head(setup.head);
    let client = HttpConnect::builder().timeouts(timeouts).http2_prior_knowledge(is_http2).build();
    http::Ends { client: client.expect("a client"), server, uri }
}

// Who reads a body limits it: on the server `read_body`, on the client whoever makes messages of it.
http_contract_tests!(
    http1,
    http::Profile::default().limits_requests(false).limits_responses(false),
    async |setup: http::Setup| ends(setup, false).await
);

http_contract_tests!(
    http2,
    http::Profile::default().limits_requests(false).limits_responses(false),
    async |setup: http::Setup| ends(setup, true).await
);

#[cfg(feature = "hyper-client")]
http_contract_tests!(
    hyper,
    http::Profile::default().limits_requests(false).limits_responses(false),
    async |setup: http::Setup| {
        let (server, uri) = within(served(&setup)).await;
        let timeouts = ConnectTimeouts::default().with_head(setup.head);
        let client = towpath_http::HyperConnect::new(towpath_http::ConnectLimits::default(), timeouts);
        http::Ends { client, server, uri }
    }
);
