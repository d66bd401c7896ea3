//! Who may ask, and in what form.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use http_support::{call, call_request, endpoint, endpoint_with, request, send};
use support::{SECOND, builder};
use tokio::time::Instant;
use towpath_http::{BodyBudget, BodyLimits};
use towpath_mcp::{HostPolicy, HttpGate, OriginPolicy};
use towpath_server::{EndpointLimits, EndpointSettings, EndpointTimeouts};
use towpath_testkit::within;

#[tokio::test]
async fn a_foreign_origin_alone_and_a_foreign_host_alone_get_403() {
    let endpoint = endpoint();
    for (host, origin, status) in [
        ("localhost:3000", "http://localhost:6274", 200),
        ("localhost", "http://evil.example.com", 403),
        ("evil.example.com", "http://localhost", 403),
    ] {
        let mut request = call_request("x");
        request.headers_mut().insert("host", host.parse().expect("a host"));
        request.headers_mut().insert("origin", origin.parse().expect("an origin"));
        let answer = within(send(&endpoint.service, request)).await;
        assert_eq!(answer.status, status, "{host} {origin}");
        if status == 403 {
            assert_eq!(answer.reason().await, "forbidden");
        }
    }
}

#[tokio::test]
async fn the_gate_can_be_set() {
    let hosts = HostPolicy::none().allow("mcp.example.com").expect("a host");
    let gate = HttpGate { origins: OriginPolicy::any(), hosts };
    let endpoint = endpoint_with(builder(), EndpointSettings::new().gate(gate));
    assert_eq!(call(&endpoint.service, "x").await.status, 403);
    let mut request = call_request("x");
    request.headers_mut().insert("host", "mcp.example.com".parse().expect("a host"));
    request.headers_mut().insert("origin", "http://evil.example.com".parse().expect("an origin"));
    assert_eq!(within(send(&endpoint.service, request)).await.status, 200);
}

#[tokio::test]
async fn other_methods_and_media_types_are_refused() {
    let endpoint = endpoint();
    for method in ["PUT", "PATCH", "HEAD", "OPTIONS"] {
        let answer = within(send(&endpoint.service, request(method, &[], ""))).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, POST, DELETE"), "{method}");
    }
    let text =
        within(send(&endpoint.service, request("POST", &[("content-type", "text/plain")], "{}"))).await;
    assert_eq!(text.status, 415);
    let xml = [("content-type", "application/json"), ("accept", "text/xml")];
    assert_eq!(within(send(&endpoint.service, request("POST", &xml, "{}"))).await.status, 406);
}

#[tokio::test]
async fn what_says_nothing_is_served_unless_the_endpoint_is_strict() {
    for (strict, status) in [(false, 200), (true, 406)] {
        let settings = EndpointSettings::new().strict_media_types(strict);
        let endpoint = endpoint_with(builder(), settings);
        let mut request = call_request("x");
        request.headers_mut().remove("accept");
        assert_eq!(within(send(&endpoint.service, request)).await.status, status);
    }
}

#[tokio::test]
async fn a_path_that_is_set_is_the_only_one() {
    let endpoint = endpoint_with(builder(), EndpointSettings::new().path("/mcp"));
    for (path, status) in [("/mcp", 200), ("/mcp?x=1", 200), ("/", 404), ("/mcp/", 404), ("/other", 404)] {
        let mut request = call_request("x");
        *request.uri_mut() = path.parse().expect("a path");
        assert_eq!(within(send(&endpoint.service, request)).await.status, status, "{path}");
    }
}

type Pieces = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A call whose body stops in its middle.
fn stalled() -> Request<Pieces> {
    let (head, _) = call_request("x").into_parts();
    let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"jsonrpc\":")))]);
    Request::from_parts(head, StreamBody::new(first.chain(stream::pending()).boxed()))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_gets_408_and_the_connection_ends() {
    let mut timeouts = EndpointTimeouts::default();
    timeouts.body_read = Some(4 * SECOND);
    let endpoint = endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts));
    let start = Instant::now();
    let answer = within(send(&endpoint.service, stalled())).await;
    assert_eq!((answer.status.as_u16(), start.elapsed()), (408, 4 * SECOND));
    assert_eq!(answer.header("connection"), "close");
    let answer = answer.json().await;
    assert_eq!(answer["error"]["data"]["setting"], "body_read");
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413() {
    let mut limits = EndpointLimits::default();
    limits.envelope.max_message_bytes = 64;
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits));
    let answer = call(&endpoint.service, "x").await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (413, "too_large"));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_an_error() {
    let mut limits = EndpointLimits::default();
    limits.envelope.max_message_bytes = 32 << 10;
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits));
    let answer = call(&endpoint.service, "large").await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (200, "too_large"));
}

#[tokio::test]
async fn a_budget_that_is_shared_is_kept() {
    let limits =
        BodyLimits::default().with_max_body_bytes(512).with_budget_bytes(512).with_reserved_body_bytes(512);
    let budget = BodyBudget::new(limits).expect("consistent limits");
    let mut timeouts = EndpointTimeouts::default();
    timeouts.retry_after = 7 * SECOND;
    let settings = EndpointSettings::new().body_budget(budget.clone()).timeouts(timeouts);
    let endpoint = endpoint_with(builder(), settings);
    let mut first = Box::pin(send(&endpoint.service, stalled()));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert_eq!(budget.bodies(), 1);
    let second = within(send(&endpoint.service, stalled())).await;
    assert_eq!((second.status.as_u16(), second.header("retry-after")), (503, "7"));
    drop(first);
    assert_eq!(budget.bodies(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_of_the_budget_is_told_that_setting() {
    let limits = BodyLimits::default().with_max_body_bytes(64);
    let budget = BodyBudget::new(limits).expect("consistent limits");
    let endpoint = endpoint_with(builder(), EndpointSettings::new().body_budget(budget));
    let answer = call(&endpoint.service, "x").await;
    assert_eq!(answer.status, 413);
    let text = answer.text().await;
    assert!(text.contains("max_body_bytes") && text.contains("64"), "{text}");
}

#[tokio::test]
async fn a_body_that_breaks_off_gets_400() {
    let endpoint = endpoint();
    let (head, _) = call_request("x").into_parts();
    let pieces: [Result<Frame<Bytes>, std::io::Error>; 2] =
        [Ok(Frame::data(Bytes::from_static(b"{"))), Err(std::io::Error::other("reset"))];
    let request = Request::from_parts(head, StreamBody::new(stream::iter(pieces)));
    let answer = within(send(&endpoint.service, request)).await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (400, "body_broken"));
}
