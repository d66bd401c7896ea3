//! What probes are told.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::{
    borrow::Cow,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_support::{Answer, Client, call_request, call_text, endpoint, post_request, request, send};
use support::{SECOND, until};
use tower_layer::Layer;
use tower_service::Service;
use towpath_server::{HealthLayer, ResponseBody};
use towpath_testkit::within;

async fn ask<S>(service: &S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    match within(service.clone().call(request)).await {
        Ok(response) => response.into(),
    }
}

/// A probe comes by address.
fn probe(method: &str, path: &str) -> Request<Full<Bytes>> {
    let mut request = request(method, &[], "");
    request.headers_mut().insert("host", "10.0.0.7:8080".parse().expect("a host"));
    *request.uri_mut() = path.parse().expect("a path");
    request
}

#[tokio::test]
async fn an_endpoint_is_ready_until_it_drains_and_lives_on() {
    let endpoint = endpoint();
    let service = endpoint.service.health().layer(endpoint.service.clone());
    for method in ["GET", "HEAD"] {
        for path in ["/healthz", "/readyz", "/readyz?verbose"] {
            let answer = ask(&service, probe(method, path)).await;
            assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"), "{path}");
        }
    }
    within(endpoint.service.drain(SECOND)).await.expect("nothing runs");
    assert_eq!(ask(&service, probe("GET", "/healthz")).await.status, 200);
    let answer = ask(&service, probe("GET", "/readyz")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().await.as_str()),
        (503, "the server is shutting down\n")
    );
}

#[tokio::test]
async fn readiness_can_hang_on_something_else() {
    let upstream = Arc::new(AtomicBool::new(false));
    let endpoint = endpoint();
    let answers = Arc::clone(&upstream);
    let layer = HealthLayer::new().ready(move || match answers.load(SeqCst) {
        true => Ok(()),
        false => Err(Cow::Borrowed("the upstream has not answered for 20 s")),
    });
    let service = layer.layer(endpoint.service.clone());
    let answer = ask(&service, probe("GET", "/readyz")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.text().await, "the upstream has not answered for 20 s\n");
    assert_eq!(ask(&service, probe("GET", "/healthz")).await.status, 200);
    upstream.store(true, SeqCst);
    assert_eq!(ask(&service, probe("GET", "/readyz")).await.status, 200);
}

#[tokio::test]
async fn what_is_no_probe_is_passed_on() {
    let endpoint = endpoint();
    let service = endpoint.service.health().layer(endpoint.service.clone());
    assert_eq!(ask(&service, call_request("x")).await.status, 200);
    for path in ["/", "/mcp", "/healthz/", "/readyzz"] {
        assert_eq!(ask(&service, probe("GET", path)).await.status, 403, "{path}: the gate looks at the host");
    }
    for method in ["POST", "DELETE", "OPTIONS"] {
        let answer = ask(&service, probe(method, "/healthz")).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
}

#[tokio::test]
async fn a_health_layer_does_not_keep_its_endpoint() {
    let endpoint = endpoint();
    let layer = endpoint.service.health();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let waiting = post_request(&client.headers(), call_text(1, "forever"));
    let waiting = tokio::spawn(send(&endpoint.service, waiting));
    let seen = Arc::clone(&endpoint.seen);
    until("the call runs", || seen.running.load(SeqCst) == 1).await;
    drop((client, endpoint));
    until("the call is gone", || seen.running.load(SeqCst) == 0).await;
    waiting.abort();
    drop(layer);
}
