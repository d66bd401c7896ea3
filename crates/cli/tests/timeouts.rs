//! How long `towpath serve` waits.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{process, time::Duration};

use common::{TOWPATH, processes_with, run, signal, towpath, within};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
};

/// The example server behind a bridge, and where that listens.
async fn serve(name: &str, options: &[&str]) -> (Child, String, String) {
    let mark = format!("TOWPATH_TEST_MARK=timeouts-{name}-{}", process::id());
    let args = [&["serve", "--env", &mark], options, &["--", TOWPATH, "demo-server"]].concat();
    let mut bridge = towpath(&args).spawn().unwrap();
    let mut stderr = BufReader::new(bridge.stderr.take().unwrap()).lines();
    let said = stderr.next_line().await.unwrap().unwrap();
    (bridge, said.split_whitespace().next().unwrap().to_owned(), mark)
}

async fn end(mut bridge: Child) {
    signal(&bridge, Signal::TERM);
    assert_eq!(bridge.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_request_that_takes_too_long_fails_after_the_request_timeout() {
    within(async {
        for to in [["--port", "0"], ["--listen", "tcp:127.0.0.1:0"]] {
            let (bridge, url, _) =
                serve("request", &[&["--request-timeout", "300ms"], &to[..]].concat()).await;
            for era in ["modern", "legacy"] {
                let call = ["call", "-q", "--url", &url, "--era", era, "tools/call", r#"{"name":"wait"}"#];
                let done = run(&call).await;
                done.assert_fails(1, &["timed_out"], "");
            }
            end(bridge).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_idle_ends_after_the_session_timeout_with_its_process() {
    within(async {
        let (bridge, url, mark) = serve("session", &["--port", "0", "--session-timeout", "200ms"]).await;
        let address = url.trim_start_matches("http://").split('/').next().unwrap();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // Only the servers have the mark.
        let before = processes_with(&mark);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while processes_with(&mark) > before {
            look.tick().await;
        }
        end(bridge).await;
    })
    .await;
}
