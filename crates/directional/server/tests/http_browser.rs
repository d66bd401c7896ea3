//! What a page in a browser can do with an endpoint, as the fetch standard has it.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_support::{Answer, Endpoint, call_request, endpoint, endpoint_with, post_request, request};
use support::{builder, initialize};
use tower_layer::Layer;
use tower_service::Service;
use towpath_mcp::{HostPolicy, HttpGate, OriginPolicy, Revision};
use towpath_server::{Cors, CorsLayer, EndpointSettings, HttpService, ResponseBody, Server};
use towpath_testkit::within;

const PAGE: &str = "https://app.example.com";

fn for_page() -> EndpointSettings {
    let origins = OriginPolicy::none().allow(PAGE).expect("an origin");
    EndpointSettings::new().gate(HttpGate { origins, hosts: HostPolicy::default() })
}

async fn ask<S>(service: &S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    match within(service.clone().call(request)).await {
        Ok(response) => response.into(),
    }
}

/// The names in a list of a header.
fn names(answer: &Answer, header: &str) -> BTreeSet<String> {
    answer.header(header).split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn preflight(origin: &str, method: &str, asks: &str) -> Request<Full<Bytes>> {
    let mut headers = vec![("origin", origin), ("access-control-request-method", method)];
    if !asks.is_empty() {
        headers.push(("access-control-request-headers", asks));
    }
    request("OPTIONS", &headers, "")
}

/// A browser that a page asks for a request. What the page gets; an error is where the browser stops.
async fn fetch<S>(service: &S, origin: &str, request: Request<Full<Bytes>>) -> Result<Seen, String>
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    // The browser sets these itself, and asks before anything else but the simplest is sent.
    let simple = ["host", "accept", "accept-language", "content-language"];
    let asks: BTreeSet<String> = request
        .headers()
        .keys()
        .map(|name| name.to_string())
        .filter(|n| !simple.contains(&n.as_str()))
        .collect();
    let method = request.method().as_str().to_owned();
    let list = asks.iter().cloned().collect::<Vec<_>>().join(",");
    let answer = ask(service, preflight(origin, &method, &list)).await;
    if !answer.status.is_success() || answer.header("access-control-allow-origin") != origin {
        return Err(format!("the preflight got {}", answer.status));
    }
    let simple = matches!(method.as_str(), "GET" | "HEAD" | "POST");
    if !simple && !answer.header("access-control-allow-methods").split(", ").any(|m| m == method) {
        return Err(format!("{method} is not allowed"));
    }
    let allowed = names(&answer, "access-control-allow-headers");
    if let Some(name) = asks.iter().find(|name| !allowed.contains(*name)) {
        return Err(format!("{name} is not allowed"));
    }
    let mut request = request;
    request.headers_mut().insert("origin", origin.parse().expect("an origin"));
    let answer = ask(service, request).await;
    if answer.header("access-control-allow-origin") != origin {
        return Err(format!("the response, {}, is not shown", answer.status));
    }
    let exposed = names(&answer, "access-control-expose-headers");
    Ok(Seen { answer, exposed })
}

/// What a page sees of a response.
struct Seen {
    answer: Answer,
    exposed: BTreeSet<String>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let always = ["cache-control", "content-length", "content-type"];
        if always.contains(&name) || self.exposed.contains(name) { self.answer.header(name) } else { "" }
    }
}

type Layered = Cors<HttpService<Server<support::Script>>>;

fn layered(settings: EndpointSettings) -> (Layered, Endpoint) {
    let endpoint = endpoint_with(builder(), settings);
    (endpoint.service.cors().layer(endpoint.service.clone()), endpoint)
}

fn modern_call() -> Request<Full<Bytes>> {
    let mut request = call_request("x");
    for name in ["authorization", "traceparent", "tracestate", "baggage", "mcp-param-region"] {
        request.headers_mut().insert(name, "x".parse().expect("a value"));
    }
    request
}

#[tokio::test]
async fn a_page_speaks_both_eras_like_any_client() {
    let (service, _endpoint) = layered(for_page());
    let called = fetch(&service, PAGE, modern_call()).await.expect("a modern call");
    assert_eq!((called.answer.status.as_u16(), called.header("content-type")), (200, "application/json"));

    let body = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{{}}}}}"#,
        initialize("2025-11-25")
    );
    let opened = fetch(&service, PAGE, post_request(&[], body)).await.expect("a session");
    let id = opened.header("mcp-session-id").to_owned();
    assert!(!id.is_empty(), "the page cannot read the id of its session");
    let session = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let told = post_request(&session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!(fetch(&service, PAGE, told).await.expect("a notification").answer.status, 202);

    let get: Vec<_> = session.into_iter().chain([("accept", "text/event-stream")]).collect();
    let mut stream = fetch(&service, PAGE, request("GET", &get, "")).await.expect("a stream");
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let event = stream.answer.sse().await.expect("an event to go on from").id.expect("its id");
    let again: Vec<_> = get.into_iter().chain([("last-event-id", event.as_str())]).collect();
    let resumed = fetch(&service, PAGE, request("GET", &again, "")).await.expect("the stream again");
    assert_eq!(resumed.answer.status, 200);
    let ended = fetch(&service, PAGE, request("DELETE", &session, "")).await.expect("the end");
    assert_eq!(ended.answer.status, 204);
}

#[tokio::test]
async fn a_page_reads_what_it_is_refused() {
    let mut limits = towpath_server::EndpointLimits::default();
    limits.max_requests = 0;
    let (service, _endpoint) = layered(for_page().limits(limits));
    let refused = fetch(&service, PAGE, modern_call()).await.expect("a response");
    assert_eq!((refused.answer.status.as_u16(), refused.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing() {
    let (service, endpoint) = layered(for_page());
    for origin in ["https://evil.example.com", "http://app.example.com", "http://localhost", "null"] {
        let refused = fetch(&service, origin, modern_call()).await.err();
        assert_eq!(refused.as_deref(), Some("the preflight got 403 Forbidden"), "{origin}");
        let answer = ask(&service, preflight(origin, "POST", "mcp-method")).await;
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{origin}");
        // One that needs no preflight is refused by the endpoint, and shown to nobody.
        let mut sent = modern_call();
        sent.headers_mut().insert("origin", origin.parse().expect("an origin"));
        let answer = ask(&service, sent).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("access-control-allow-origin")),
            (403, ""),
            "{origin}"
        );
    }
    // Two origins are none.
    let mut twice = preflight(PAGE, "POST", "");
    twice.headers_mut().append("origin", PAGE.parse().expect("an origin"));
    assert_eq!(ask(&service, twice).await.status, 403);
    assert_eq!(endpoint.service.sessions(), 0);
}

#[tokio::test]
async fn a_preflight_is_answered_before_the_host_and_everything_else_is_looked_at() {
    let (service, _endpoint) = layered(for_page().path("/other"));
    let mut asked = preflight(PAGE, "POST", "mcp-method");
    asked.headers_mut().insert("host", "evil.example.com".parse().expect("a host"));
    let answer = ask(&service, asked).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (204, PAGE));
    assert_eq!(answer.text().await, "");
    // OPTIONS that is no preflight is the endpoint's.
    let (service, _endpoint) = layered(for_page());
    for headers in [&[("origin", PAGE)][..], &[("access-control-request-method", "POST")]] {
        let answer = ask(&service, request("OPTIONS", headers, "")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "GET, POST, DELETE"),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a_browser_learns_the_methods_that_the_endpoint_has() {
    for (revisions, methods) in [
        (vec![Revision::V2026_07_28, Revision::V2025_11_25], "GET, POST, DELETE"),
        (vec![Revision::V2026_07_28], "POST"),
    ] {
        let endpoint = endpoint_with(builder().revisions(revisions), EndpointSettings::new());
        let service = endpoint.service.cors().layer(endpoint.service.clone());
        let answer = ask(&service, preflight("http://localhost:5173", "POST", "")).await;
        assert_eq!(answer.header("access-control-allow-methods"), methods);
    }
}

#[tokio::test]
async fn nothing_that_a_cache_keeps_is_shown_to_another_origin() {
    let (service, _endpoint) = layered(for_page());
    let from_page = call_request("x");
    let asked = ask(&service, preflight(PAGE, "POST", "")).await;
    let vary: Vec<_> = asked.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["origin", "access-control-request-method", "access-control-request-headers"]);
    for origin in [None, Some(PAGE), Some("https://evil.example.com")] {
        let mut request = call_request("x");
        origin.and_then(|origin| request.headers_mut().insert("origin", origin.parse().expect("an origin")));
        assert_eq!(ask(&service, request).await.header("vary"), "origin", "{origin:?}");
    }
    let answer = ask(&service, from_page).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn a_browser_is_told_how_long_a_preflight_holds() {
    let endpoint = endpoint();
    for (layer, said) in [
        (CorsLayer::new(OriginPolicy::any()), "600"),
        (CorsLayer::new(OriginPolicy::any()).max_age(Some(Duration::from_millis(7900))), "7"),
        (CorsLayer::new(OriginPolicy::any()).max_age(None), ""),
    ] {
        let answer = ask(&layer.layer(endpoint.service.clone()), preflight(PAGE, "POST", "")).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-max-age")), (204, said));
    }
}
