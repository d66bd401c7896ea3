//! The endpoint behind a real HTTP server, over a socket.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::{net::SocketAddr, sync::atomic::Ordering::SeqCst};

use http_support::{Endpoint, endpoint};
use support::{META, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use towpath_http::{HttpServer, ListenLimits, ListenTimeouts};
use towpath_testkit::within;

/// A listening endpoint; it stops when `stop` is dropped.
struct Listening {
    endpoint: Endpoint,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn listening() -> Listening {
    let endpoint = endpoint();
    let bound = HttpServer::bind("127.0.0.1:0", ListenLimits::default(), ListenTimeouts::default()).await;
    let listener = bound.expect("a free port");
    let address = listener.local_addr();
    let (stop, stopped) = oneshot::channel();
    let service = endpoint.service.clone();
    let served = tokio::spawn(async move {
        listener.serve(service, async { drop(stopped.await) }).await;
    });
    Listening { endpoint, address, stop, served }
}

fn call_bytes(tool: &str) -> String {
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{META},"name":"{tool}"}}}}"#);
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads until something was read that ends so.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.trim_end().ends_with(end) {
        let read = within(stream.read(&mut buffer)).await.expect("the connection works");
        assert!(read > 0, "it ended after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).expect("UTF-8"));
    }
    text
}

#[tokio::test]
async fn an_answer_has_its_length_and_the_connection_goes_on() {
    let listening = listening().await;
    let mut stream = within(TcpStream::connect(listening.address)).await.expect("it listens");
    for _ in 0..2 {
        within(stream.write_all(call_bytes("x").as_bytes())).await.expect("written");
        let text = read_to(&mut stream, "}").await.to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200 ok\r\n") && text.contains("\r\ncontent-length: "), "{text}");
    }
    drop(listening.stop);
    drop(stream);
    within(listening.served).await.expect("no panic");
}

#[tokio::test]
async fn a_client_that_closes_its_connection_cancels_its_modern_request() {
    let listening = listening().await;
    for tool in ["forever", "talk"] {
        let mut stream = within(TcpStream::connect(listening.address)).await.expect("it listens");
        within(stream.write_all(call_bytes(tool).as_bytes())).await.expect("written");
        let seen = &listening.endpoint.seen;
        within(async {
            while seen.running.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(stream);
        within(async {
            while seen.running.load(SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(listening.endpoint.seen.dropped.lock().len(), 2);
    drop(listening.stop);
    within(listening.served).await.expect("no panic");
    until("nothing runs", || listening.endpoint.seen.running.load(SeqCst) == 0).await;
}
