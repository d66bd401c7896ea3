//! What the head of a request says to the server and its handlers: mirrored arguments, who asks, and the trace.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use http_support::{Client, modern_request, post, post_request, send};
use serde_json::{Value, json};
use support::builder;
use tokio::sync::mpsc;
use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_mcp::HeaderParams;
use towpath_server::{
    Context, EndpointSettings, Handler, HttpService, Notification, Principal, Request as McpRequest, Server,
};
use towpath_testkit::within;

/// Says what it knows of whoever asks.
struct Teller {
    heard: mpsc::Sender<Value>,
}

fn known(context: &Context) -> Value {
    let trace = context.trace();
    let trace = [trace.traceparent(), trace.tracestate(), trace.baggage()];
    json!({"user": context.principal().map(Principal::as_str), "trace": trace})
}

impl Handler for Teller {
    async fn request(&self, request: McpRequest, context: Context) -> Result<RawJson, ErrorObject> {
        request.reply(&known(&context))
    }

    async fn notification(&self, _: Notification, context: Context) {
        let _ = self.heard.send(known(&context)).await;
    }
}

type Service = HttpService<Server<Teller>>;

fn service(settings: EndpointSettings) -> (Service, mpsc::Receiver<Value>) {
    let (heard, hears) = mpsc::channel(8);
    (builder().build(Teller { heard }).http_with(settings), hears)
}

fn by_user() -> EndpointSettings {
    EndpointSettings::new()
        .principal(|head| head.headers.get("user").map(|user| Principal::new(user.to_str().expect("text"))))
}

fn with(mut request: Request<Full<Bytes>>, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a value"));
    }
    request
}

/// `query` mirrors its region.
fn mirrors() -> EndpointSettings {
    let schema = r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#;
    let schema = RawJson::parse(schema).expect("JSON");
    let query = Arc::new(HeaderParams::of_schema(&schema).expect("a schema"));
    EndpointSettings::new().header_params(move |tool| (tool == "query").then(|| Arc::clone(&query)))
}

const US: &str = r#""arguments":{"region":"us"}"#;
const TWICE: &str = r#""arguments":{"region":"us"},"arguments":{"region":"eu"}"#;
const KEY_TWICE: &str = r#""arguments":{"region":"us","region":"us"}"#;

#[tokio::test]
async fn a_modern_call_says_in_its_headers_what_its_arguments_say() {
    let (service, _hears) = service(mirrors());
    type Case<'a> = (&'a str, &'a str, &'a [&'a str], u16, Option<i64>);
    let table: [Case<'_>; 10] = [
        ("query", US, &["us"], 200, None),
        ("query", US, &["=?base64?dXM=?="], 200, None),
        ("query", US, &[], 400, Some(-32020)),
        ("query", US, &["eu"], 400, Some(-32020)),
        ("query", US, &["us", "us"], 400, Some(-32020)),
        ("query", r#""arguments":{}"#, &["us"], 400, Some(-32020)),
        ("query", r#""arguments":{}"#, &[], 200, None),
        ("query", TWICE, &["us"], 400, Some(-32600)),
        ("query", KEY_TWICE, &["us"], 400, Some(-32600)),
        // What is not known to mirror anything is not looked at.
        ("other", TWICE, &["eu"], 200, None),
    ];
    for (tool, arguments, region, status, code) in table {
        let request = modern_request(3, "tools/call", &format!(r#""name":"{tool}",{arguments}"#));
        let headers: Vec<_> = region.iter().map(|region| ("mcp-param-region", *region)).collect();
        let answer = within(send(&service, with(request, &headers))).await;
        assert_eq!(answer.status, status, "{tool} {arguments} {region:?}");
        let body = answer.json().await;
        assert_eq!(body["error"]["code"].as_i64(), code, "{tool} {arguments} {region:?}");
        assert_eq!(body["id"], 3);
    }
}

#[tokio::test]
async fn only_modern_calls_mirror_their_arguments() {
    let (service, _hears) = service(mirrors());
    let get = modern_request(1, "prompts/get", &format!(r#""name":"query",{US}"#));
    assert_eq!(within(send(&service, get)).await.status, 200);
    let client = Client::open(&service, "2025-11-25").await;
    let params = format!(r#"{{"name":"query",{US}}}"#);
    let answer =
        client.post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#));
    assert!(answer.await.json().await["result"].is_object());
}

#[tokio::test]
async fn a_handler_knows_who_asks_in_either_era() {
    let (service, mut hears) = service(by_user());
    for user in [None, Some("ann"), Some("bob")] {
        let headers: Vec<_> = user.iter().map(|user| ("user", *user)).collect();
        let call = with(modern_request(1, "tools/call", r#""name":"x""#), &headers);
        let answer = within(send(&service, call)).await.json().await;
        assert_eq!(answer["result"]["user"].as_str(), user);

        let version = [("mcp-protocol-version", "2026-07-28")];
        let told = post_request(&version, r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
        assert_eq!(within(send(&service, with(told, &headers))).await.status, 202);
        assert_eq!(within(hears.recv()).await.expect("it was told")["user"].as_str(), user);

        let body = support::initialize("2025-11-25");
        let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{{body}}}}}"#);
        let opened = within(send(&service, with(post_request(&[], body), &headers))).await;
        let id = opened.header("mcp-session-id").to_owned();
        let session = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
        let call = post_request(&session, http_support::call_text(1, "x"));
        let answer = within(send(&service, with(call, &headers))).await.json().await;
        assert_eq!(answer["result"]["user"].as_str(), user, "{answer}");
        let told = post_request(&session, r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
        assert_eq!(within(send(&service, with(told, &headers))).await.status, 202);
        assert_eq!(within(hears.recv()).await.expect("it was told")["user"].as_str(), user);
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";
const TRACED: [(&str, &str); 3] = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "b=2")];

#[tokio::test]
async fn the_trace_in_the_headers_fills_what_a_modern_message_leaves_open() {
    let (service, mut hears) = service(EndpointSettings::new());
    let bare = modern_request(1, "tools/call", r#""name":"x""#);
    let answer = within(send(&service, bare)).await.json().await;
    assert_eq!(answer["result"]["trace"], json!([null, null, null]));
    let traced = with(modern_request(1, "tools/call", r#""name":"x""#), &TRACED);
    let answer = within(send(&service, traced)).await.json().await;
    assert_eq!(answer["result"]["trace"], json!([PARENT, "a=1", "b=2"]));

    let meta = support::META.replacen("\"_meta\":{", &format!("\"_meta\":{{\"traceparent\":\"{OTHER}\","), 1);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x",{meta}}}}}"#);
    let head = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "x")];
    let answer = within(send(&service, with(post_request(&head, body), &TRACED))).await.json().await;
    assert_eq!(answer["result"]["trace"], json!([OTHER, null, "b=2"]), "the state is that of its own parent");

    let told = post_request(&head[..1], r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
    assert_eq!(within(send(&service, with(told, &TRACED))).await.status, 202);
    assert_eq!(within(hears.recv()).await.expect("it was told")["trace"], json!([PARENT, "a=1", "b=2"]));
}

#[tokio::test]
async fn each_request_of_a_session_has_the_trace_of_its_own_head() {
    let (service, _hears) = service(EndpointSettings::new());
    let client = Client::open(&service, "2025-03-26").await;
    let traced: Vec<_> = client.headers().into_iter().chain(TRACED).collect();
    let call = |id| http_support::call_text(id, "x");
    let answer = post(&service, &traced, call(1)).await.json().await;
    assert_eq!(answer["result"]["trace"], json!([PARENT, "a=1", "b=2"]));
    let answer = client.call(2, "x").await.json().await;
    assert_eq!(answer["result"]["trace"], json!([null, null, null]), "the trace of another request");
    let batch = post(&service, &traced, format!("[{},{}]", call(3), call(4))).await.json().await;
    for answer in batch.as_array().expect("a batch") {
        assert_eq!(answer["result"]["trace"][0], PARENT, "{answer}");
    }
}
