//! What each thing that can be wrong with a request gets: the status, the code, and the word for programs.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use http_support::{Client, Endpoint, endpoint, endpoint_with, modern_request, post_request, request, send};
use serde_json::Value;
use support::{META, SECOND, builder, initialize};
use towpath_mcp::Revision;
use towpath_server::{EndpointLimits, EndpointSettings};
use towpath_testkit::within;

const MODERN: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const LEGACY: (&str, &str) = ("mcp-protocol-version", "2025-11-25");
const LIST: [(&str, &str); 2] = [MODERN, ("mcp-method", "tools/list")];
const SESSION: (&str, &str) = ("mcp-session-id", "0123456789abcdef0123456789abcdef");

/// What is sent; the status, the code, the reason, and `Allow`.
type Case = (&'static str, Request<Full<Bytes>>, u16, i64, &'static str, &'static str);

async fn check(endpoint: &Endpoint, cases: Vec<Case>) {
    for (what, request, status, code, reason, allow) in cases {
        let answer = within(send(&endpoint.service, request)).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, allow), "{what}");
        let body: Value = answer.json().await;
        assert_eq!(body["error"]["code"], code, "{what}: {body}");
        assert_eq!(body["error"]["data"]["reason"].as_str().unwrap_or_default(), reason, "{what}: {body}");
    }
}

fn with(name: &'static str, value: &'static str, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    request
}

fn list() -> Request<Full<Bytes>> {
    modern_request(1, "tools/list", "")
}

fn opening() -> Request<Full<Bytes>> {
    let params = initialize("2025-11-25");
    post_request(&[], format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{{params}}}}}"#))
}

fn ping(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    post_request(headers, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
}

fn of_version(version: &str, body_version: &str) -> Request<Full<Bytes>> {
    let meta = META.replace("2026-07-28", body_version);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{meta}}}}}"#);
    post_request(&[("mcp-protocol-version", version), ("mcp-method", "tools/list")], body)
}

#[tokio::test]
async fn what_is_wrong_with_a_request_picks_its_status() {
    let no_meta = || post_request(&LIST, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let no_capabilities = || {
        let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        post_request(&LIST, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{meta}}}"#))
    };
    let batch =
        |headers: &[(&str, &str)]| post_request(headers, r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#);
    let cases: Vec<Case> = vec![
        ("no such verb", request("PUT", &[], ""), 405, -32600, "http", "GET, POST, DELETE"),
        ("a modern GET", request("GET", &[MODERN], ""), 405, -32600, "http", "POST"),
        ("a modern GET with a session", request("GET", &[MODERN, SESSION], ""), 405, -32600, "http", "POST"),
        ("a modern DELETE", request("DELETE", &[MODERN, SESSION], ""), 405, -32600, "http", "POST"),
        ("a GET of no session", request("GET", &[LEGACY], ""), 400, -32600, "session_required", ""),
        ("a DELETE of no session", request("DELETE", &[], ""), 400, -32600, "session_required", ""),
        (
            "a GET of a lost session",
            request("GET", &[LEGACY, SESSION], ""),
            404,
            -32600,
            "session_unknown",
            "",
        ),
        (
            "a DELETE of a lost one",
            request("DELETE", &[LEGACY, SESSION], ""),
            404,
            -32600,
            "session_unknown",
            "",
        ),
        ("a POST of a lost one", ping(&[LEGACY, SESSION]), 404, -32600, "session_unknown", ""),
        ("a POST of no session", ping(&[LEGACY]), 400, -32600, "session_required", ""),
        ("a batch of no session", batch(&[]), 400, -32600, "batch_not_allowed", ""),
        ("a batch of a lost one", batch(&[SESSION]), 404, -32600, "session_unknown", ""),
        (
            "a session and a version that is none",
            ping(&[("mcp-protocol-version", "1999-01-01"), SESSION]),
            400,
            -32600,
            "version_header",
            "",
        ),
        ("an origin", with("origin", "https://evil.example.com", list()), 403, -32600, "forbidden", ""),
        ("a host", with("host", "evil.example.com", list()), 403, -32600, "forbidden", ""),
        ("no form to answer in", with("accept", "text/html", list()), 406, -32600, "http", ""),
        ("no JSON", with("content-type", "text/plain", list()), 415, -32600, "http", ""),
        ("compressed JSON", with("content-encoding", "gzip", list()), 415, -32600, "http", ""),
        ("a method that the handler does not know", modern_request(1, "no/such", ""), 404, -32601, "", ""),
        (
            "a legacy method in a modern request",
            modern_request(1, "ping", ""),
            404,
            -32601,
            "method_not_found",
            "",
        ),
        ("no `_meta`", no_meta(), 400, -32602, "missing_meta", ""),
        ("no capabilities", no_capabilities(), 400, -32602, "missing_meta", ""),
        ("another method", with("mcp-method", "tools/call", list()), 400, -32020, "header_mismatch", ""),
        ("another version", of_version("2025-11-25", "2026-07-28"), 400, -32020, "header_mismatch", ""),
        ("a version to come", of_version("2099-01-01", "2099-01-01"), 400, -32022, "unsupported_version", ""),
        (
            "a modern response",
            post_request(&[MODERN], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            400,
            -32600,
            "unexpected_response",
            "",
        ),
        (
            "a modern notification of a version to come",
            post_request(
                &[("mcp-protocol-version", "2099-01-01")],
                r#"{"jsonrpc":"2.0","method":"notifications/x"}"#,
            ),
            400,
            -32022,
            "unsupported_version",
            "",
        ),
    ];
    check(&endpoint(), cases).await;
}

#[tokio::test]
async fn an_endpoint_of_one_era_refuses_the_other() {
    let modern = endpoint_with(builder().revisions([Revision::V2026_07_28]), EndpointSettings::new());
    let cases: Vec<Case> = vec![
        ("GET", request("GET", &[], ""), 405, -32600, "http", "POST"),
        ("a legacy GET", request("GET", &[LEGACY, SESSION], ""), 405, -32600, "http", "POST"),
        ("DELETE", request("DELETE", &[], ""), 405, -32600, "http", "POST"),
        ("a legacy DELETE", request("DELETE", &[LEGACY, SESSION], ""), 405, -32600, "http", "POST"),
        ("PUT", request("PUT", &[], ""), 405, -32600, "http", "POST"),
        ("initialize", opening(), 400, -32602, "no_handshake", ""),
    ];
    check(&modern, cases).await;
    let legacy = endpoint_with(builder().revisions([Revision::V2025_11_25]), EndpointSettings::new());
    let cases: Vec<Case> = vec![
        ("a modern request", list(), 400, -32600, "era_not_spoken", ""),
        ("a modern GET", request("GET", &[MODERN], ""), 405, -32600, "http", "POST"),
    ];
    check(&legacy, cases).await;
}

#[tokio::test]
async fn what_there_is_no_room_for_gets_a_status_that_says_so() {
    let limited = |set: fn(&mut EndpointLimits)| {
        let mut limits = EndpointLimits::default();
        set(&mut limits);
        endpoint_with(builder(), EndpointSettings::new().limits(limits))
    };
    let listen = || modern_request(1, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#);
    let told = || post_request(&[MODERN], r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
    let busy = limited(|limits| limits.max_requests = 0);
    check(&busy, vec![("a request", list(), 503, -32603, "overloaded", "")]).await;
    check(&busy, vec![("a notification", told(), 503, -32603, "overloaded", "")]).await;
    let busy = limited(|limits| limits.max_streams = 0);
    check(&busy, vec![("a subscription", listen(), 503, -32603, "overloaded", "")]).await;
    let busy = limited(|limits| limits.max_sessions = 0);
    check(&busy, vec![("a session", opening(), 503, -32603, "overloaded", "")]).await;
    let small = limited(|limits| limits.envelope.max_message_bytes = 16);
    check(&small, vec![("a large body", list(), 413, -32600, "too_large", "")]).await;
    let leaving = endpoint();
    within(leaving.service.drain(SECOND)).await.expect("nothing runs");
    let cases = vec![
        ("a request", list(), 503, -32603, "shutting_down", ""),
        ("a session", opening(), 503, -32603, "shutting_down", ""),
    ];
    check(&leaving, cases).await;
}

#[tokio::test]
async fn in_a_session_an_error_is_an_answer_and_what_is_not_answered_gets_202() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let unknown = client.post(r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json().await["error"]["code"].as_i64()),
        (200, Some(-32601))
    );
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/x"}"#,
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":99,"error":{"code":1,"message":"no"}}"#,
    ] {
        let told = client.post(body).await;
        assert_eq!((told.status.as_u16(), told.header("content-type")), (202, ""), "{body}");
        assert_eq!(told.text().await, "", "{body}");
    }
    let told = post_request(&[MODERN], r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
    let told = within(send(&endpoint.service, told)).await;
    assert_eq!((told.status.as_u16(), told.header("content-type")), (202, ""));
    assert_eq!(told.text().await, "");
}
