//! Bodies that travel compressed.

#![cfg(feature = "gzip")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use http_support::{Answer, Client, endpoint_with, modern_request, send};
use serde_json::Value;
use support::builder;
use towpath_http::{BodyBudget, BodyLimits, decode_body, encode_body};
use towpath_server::EndpointSettings;
use towpath_testkit::within;

fn gzip() -> EndpointSettings {
    EndpointSettings::new().gzip(true)
}

/// A request of which the body is compressed.
async fn compressed(request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let body = within(body.collect()).await.expect("a body").to_bytes();
    let mut asked = HeaderMap::new();
    asked.insert("accept-encoding", HeaderValue::from_static("gzip"));
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = encode_body(&asked, &mut head, body);
    parts.headers.insert("content-encoding", head.headers["content-encoding"].clone());
    parts.headers.insert("content-length", HeaderValue::from(body.len()));
    Request::from_parts(parts, Full::new(body))
}

fn listing(padding: usize) -> Request<Full<Bytes>> {
    modern_request(1, "tools/list", &format!(r#""padding":"{}""#, "x".repeat(padding)))
}

fn accepting(mut request: Request<Full<Bytes>>, accepts: &'static str) -> Request<Full<Bytes>> {
    request.headers_mut().insert("accept-encoding", HeaderValue::from_static(accepts));
    request
}

async fn decoded(answer: Answer) -> Value {
    let body = decode_body(&answer.headers, answer.body).expect("an encoding that is known");
    let whole = within(body.collect()).await.expect("a body").to_bytes();
    serde_json::from_slice(&whole).expect("JSON")
}

#[tokio::test]
async fn a_compressed_request_is_read_and_a_compressed_answer_is_its_bytes() {
    let endpoint = endpoint_with(builder(), gzip());
    let request = accepting(compressed(listing(5000)).await, "gzip");
    let answer = within(send(&endpoint.service, request)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, "gzip"));
    assert_eq!(decoded(answer).await["result"]["padding"].as_str().map(str::len), Some(5000));
    // One of several pieces, too.
    let large = accepting(modern_request(1, "tools/call", r#""name":"large""#), "gzip");
    let answer = within(send(&endpoint.service, large)).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(decoded(answer).await["result"]["text"].as_str().map(str::len), Some(100 << 10));
}

#[tokio::test]
async fn who_does_not_ask_for_it_gets_nothing_compressed() {
    for (settings, accepts) in [(gzip(), "br"), (gzip(), "gzip;q=0"), (EndpointSettings::new(), "gzip")] {
        let endpoint = endpoint_with(builder(), settings);
        let answer = within(send(&endpoint.service, accepting(listing(5000), accepts))).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, ""), "{accepts}");
    }
}

#[tokio::test]
async fn an_event_stream_is_never_compressed() {
    let endpoint = endpoint_with(builder(), gzip());
    let call = accepting(modern_request(1, "tools/call", r#""name":"talk""#), "gzip");
    let mut answer = within(send(&endpoint.service, call)).await;
    assert_eq!((answer.is_stream(), answer.header("content-encoding")), (true, ""));
    assert!(answer.event().await.is_some());
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    assert_eq!(client.get().await.header("content-encoding"), "");
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_gets_413() {
    let limits = BodyLimits::default().with_max_body_bytes(16 << 10);
    let budget = BodyBudget::new(limits).expect("a budget");
    let endpoint = endpoint_with(builder(), gzip().body_budget(budget));
    let request = compressed(listing(1 << 20)).await;
    let answer = within(send(&endpoint.service, request)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json().await["error"]["data"]["setting"], "max_body_bytes");
}

#[tokio::test]
async fn what_cannot_be_unpacked_gets_415_and_what_can_be() {
    for (settings, coding, accepted) in [
        (gzip(), "br", "gzip, identity"),
        (gzip(), "gzip, gzip", "gzip, identity"),
        (EndpointSettings::new(), "gzip", "identity"),
    ] {
        let endpoint = endpoint_with(builder(), settings);
        let mut request = listing(1);
        request.headers_mut().insert("content-encoding", HeaderValue::from_static(coding));
        let answer = within(send(&endpoint.service, request)).await;
        assert_eq!((answer.status.as_u16(), answer.header("accept-encoding")), (415, accepted), "{coding}");
    }
}
