//! Compressed bodies over sockets.
#![cfg(feature = "gzip")]
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod support;

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use support::{Running, accept, all, listen, post, read_request, service};
use tokio::io::AsyncWriteExt;
use towpath_http::{
    BodyBudget, BodyLimits, BodyTimeouts, ChunksBody, HttpConnect, ListenLimits, ListenTimeouts, decode_body,
    encode_body, read_body,
};
use towpath_raw::{ChunksExt, Connect, ExchangeError};
use towpath_testkit::within;

fn client(is_gzip: bool) -> HttpConnect {
    HttpConnect::builder().gzip(is_gzip).build().expect("a client")
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory").into()
}

#[tokio::test]
async fn bodies_are_compressed_both_ways_and_come_out_as_they_were() {
    let budget = BodyBudget::new(BodyLimits::default()).expect("limits that agree");
    let echo = service(move |request: http::Request<hyper::body::Incoming>| {
        let budget = budget.clone();
        async move {
            let (asked, body) = request.into_parts();
            let body = decode_body(&asked.headers, body).expect("gzip");
            let body = read_body(body, None, &budget, &BodyTimeouts::default()).await.expect("a whole body");
            let (mut head, ()) = http::Response::new(()).into_parts();
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = encode_body(&asked.headers, &mut head, body);
            head.headers.insert("x-length", body.len().into());
            http::Response::from_parts(head, ChunksBody::new(Some(body)))
        }
    });
    let server = Running::start(echo, ListenLimits::default(), ListenTimeouts::default()).await;
    let text = format!("[{}0]", "0,".repeat(50_000));
    for is_gzip in [true, false] {
        let mut head = post(&server.url("/"));
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let client = client(is_gzip);
        let exchange = client.exchange(head, gzip(text.as_bytes()));
        let (head, mut body) = within(exchange).await.expect("an answer");
        assert_eq!(within(all(&mut body)).await.expect("whole"), text);
        let length: usize = head.headers["x-length"].to_str().expect("text").parse().expect("a number");
        assert_eq!(length < text.len() / 10, is_gzip, "{length} bytes came");
        assert!(!head.headers.contains_key(CONTENT_ENCODING));
    }
}

/// Answers one request with a compressed body of some type, and gives what was asked.
async fn answered(
    client: HttpConnect,
    headers: &str,
    body: Bytes,
) -> (String, Result<(http::response::Parts, towpath_http::ConnectBody), ExchangeError>) {
    let (listener, url) = listen().await;
    let exchange = tokio::spawn(async move { client.exchange(post(&url), "{}".into()).await });
    let mut stream = accept(&listener).await;
    let asked = read_request(&mut stream).await;
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len());
    within(stream.write_all(head.as_bytes())).await.expect("it is read");
    // As much of it as is taken.
    let _ = within(stream.write_all(&body)).await;
    (asked, within(exchange).await.expect("no panic"))
}

#[tokio::test]
async fn who_asks_gets_it_decoded_and_who_does_not_gets_what_came() {
    let headers = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    for is_gzip in [true, false] {
        let body = gzip(b"{}");
        let (asked, answer) = within(answered(client(is_gzip), headers, body.clone())).await;
        let name = ACCEPT_ENCODING.as_str();
        assert_eq!(asked.contains(&format!("{name}: gzip\r\n")), is_gzip, "{asked}");
        let (head, mut chunks) = answer.expect("an answer");
        assert_eq!(head.headers.contains_key(CONTENT_LENGTH), !is_gzip);
        let mut whole = Vec::new();
        while let Some(chunk) = within(chunks.chunk()).await.expect("whole") {
            whole.extend_from_slice(&chunk);
        }
        assert_eq!(whole, if is_gzip { &b"{}"[..] } else { &body });
    }
}

#[tokio::test]
async fn a_compressed_event_stream_and_other_encodings_are_errors() {
    for (headers, is_gzip, says) in [
        ("content-type: text/event-stream\r\ncontent-encoding: gzip\r\n", true, "event stream"),
        ("content-type: Text/Event-Stream; charset=utf-8\r\ncontent-encoding: br\r\n", false, "event stream"),
        ("content-type: application/json\r\ncontent-encoding: br\r\n", true, "not asked for"),
    ] {
        let (_, answer) = within(answered(client(is_gzip), headers, gzip(b"data: 1\n\n"))).await;
        let error = answer.expect_err("it cannot be read");
        assert!(matches!(error, ExchangeError::Broken { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_bomb_comes_in_small_pieces_and_a_damaged_answer_breaks_off() {
    let headers = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    let bomb = gzip(&vec![b' '; 16 << 20]);
    let (_, answer) = within(answered(client(true), headers, bomb.clone())).await;
    let (_, mut body) = answer.expect("an answer");
    let mut seen = 0;
    while seen < 1 << 20 {
        let piece = within(body.chunk()).await.expect("whole").expect("more").len();
        assert!(piece <= 64 << 10, "{piece} bytes at once");
        seen += piece;
    }
    drop(body);
    let (_, answer) = within(answered(client(true), headers, bomb.slice(..100))).await;
    let (_, mut body) = answer.expect("an answer");
    let error = loop {
        match within(body.chunk()).await {
            Ok(chunk) => assert!(chunk.is_some(), "half a body is no whole one"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, ExchangeError::Broken { reason, .. } if reason.contains("gzip")), "{error}");
}
