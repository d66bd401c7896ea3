//! Towpath over HTTP: its server alone, driven by the load generator, and its client against it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use towpath::Client;
use towpath::http as towpath_http;
use towpath::http::HttpConnect;

use super::{ClientCaller, implementation, server, share};
use crate::http::{HttpCaller, HttpServer, print_address, until_stdin_ends};
use crate::{Case, Connection, Failure, Medium, Subject};

const SERVED: &str = "towpath-http";

/// Towpath's HTTP server.
pub(super) struct HttpTowpath;

/// Towpath's HTTP client, over reqwest, with its server or the bare one.
pub(super) struct HttpClientTowpath;

impl Subject for HttpTowpath {
    const NAME: &'static str = "towpath";
    const SERVER: &'static str = SERVED;
    type Caller = HttpCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_SERVER.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<HttpCaller>, Failure> {
        let Medium::Http(answers) = medium else { return Err("this subject is for HTTP servers".into()) };
        let server = HttpServer::start(SERVED).await?;
        let callers = HttpCaller::open(server.address, answers, callers).await?;
        Ok(Connection { callers, owner: Box::new(server) })
    }

    async fn serve() -> Result<(), Failure> {
        let listening =
            towpath_http::HttpServer::bind((Ipv4Addr::LOCALHOST, 0), Default::default(), Default::default());
        let listening = listening.await?;
        print_address(listening.local_addr())?;
        listening.serve(server().http(), until_stdin_ends()).await;
        Ok(())
    }
}

impl Subject for HttpClientTowpath {
    const NAME: &'static str = "towpath";
    const SERVER: &'static str = SERVED;
    type Caller = ClientCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_CLIENT.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<ClientCaller>, Failure> {
        let server = HttpServer::start(medium.http_server(SERVED)).await?;
        let connect = Arc::new(HttpConnect::new(Default::default(), Default::default())?);
        let uri = format!("http://{}/mcp", server.address).parse()?;
        let client = Client::connect_http(connect, uri, implementation()).await?;
        Ok(Connection { callers: share(&client, callers), owner: Box::new((client, server)) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::BytesMut;
    use towpath::http::HttpServer;

    use super::super::server;
    use crate::http::HttpCaller;
    use crate::{Answers, Caller};

    #[tokio::test]
    async fn the_floor_answers_with_as_many_bytes_as_towpath() {
        let listening =
            HttpServer::bind("127.0.0.1:0", Default::default(), Default::default()).await.unwrap();
        let address = listening.local_addr();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(listening.serve(server().http(), std::future::pending()));
        let called = tokio::time::timeout(Duration::from_secs(20), async {
            for answers in [Answers::Json, Answers::Events, Answers::Session] {
                let mut callers = HttpCaller::open(address, answers, 1).await.unwrap();
                assert!(callers[0].call("hello").await.unwrap().right, "{answers:?}");
                let mut expected = BytesMut::new();
                answers.answer().write(&mut expected, b"1000000001", b"hello");
                assert_eq!(String::from_utf8_lossy(callers[0].answer()), String::from_utf8_lossy(&expected));
            }
        });
        called.await.unwrap();
    }
}
