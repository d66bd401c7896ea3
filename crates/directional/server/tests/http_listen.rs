//! `subscriptions/listen` over HTTP (2026-07-28, basic/patterns/subscriptions).

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use http_support::{Answer, Endpoint, endpoint, endpoint_with, modern};
use serde_json::json;
use support::{SECOND, builder, until};
use towpath_server::{EndpointLimits, EndpointSettings};
use towpath_testkit::within;

const TOOLS: &str = r#""notifications":{"toolsListChanged":true}"#;
const ID: &str = "io.modelcontextprotocol/subscriptionId";

async fn listen(endpoint: &Endpoint, id: u64) -> Answer {
    let mut answer = modern(&endpoint.service, id, "subscriptions/listen", TOOLS).await;
    assert!(answer.is_stream(), "{}", answer.status);
    let first = answer.event().await.expect("an event");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(first["params"]["_meta"][ID], id);
    answer
}

#[tokio::test]
async fn it_is_acknowledged_first_and_told_what_it_asked_for() {
    let endpoint = endpoint();
    let mut answer = listen(&endpoint, 1 << 53).await;
    endpoint.server.publisher().prompts_changed();
    endpoint.server.publisher().tools_changed();
    let event = answer.event().await.expect("news");
    assert_eq!(event["method"], "notifications/tools/list_changed");
    assert_eq!(event["params"]["_meta"][ID], 1_u64 << 53);
    drop(answer);
    assert_eq!(endpoint.server.publisher().listeners(), 0);
}

#[tokio::test]
async fn a_malformed_one_is_refused_before_any_stream() {
    let endpoint = endpoint();
    let answer = modern(&endpoint.service, 3, "subscriptions/listen", r#""notifications":7"#).await;
    assert_eq!(answer.status, 400);
    let answer = answer.json().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(3), &json!(-32602)));
}

#[tokio::test]
async fn a_drain_ends_it_with_a_cancellation_and_then_the_result() {
    let endpoint = endpoint();
    let mut answer = listen(&endpoint, 5).await;
    let server = endpoint.server.clone();
    let drained = tokio::spawn(async move { server.drain(30 * SECOND).await });
    let events = answer.events().await;
    assert_eq!(events[0]["method"], "notifications/cancelled");
    assert_eq!((&events[1]["id"], &events[1]["result"]["_meta"][ID]), (&json!(5), &json!(5)));
    assert_eq!(events.len(), 2);
    drop(answer);
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_drain_of_the_service_alone_ends_it_too() {
    let endpoint = endpoint();
    let mut answer = listen(&endpoint, 5).await;
    let service = endpoint.service.clone();
    let drained = tokio::spawn(async move { service.drain(30 * SECOND).await });
    assert_eq!(answer.events().await.len(), 2);
    drop(answer);
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn streams_have_permits_of_their_own() {
    let mut limits = EndpointLimits::default();
    (limits.max_streams, limits.max_requests) = (1, 1);
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits));
    let first = listen(&endpoint, 1).await;
    let second = modern(&endpoint.service, 2, "subscriptions/listen", TOOLS).await;
    assert_eq!((second.status.as_u16(), second.header("retry-after")), (503, "1"));
    let second = second.json().await;
    assert_eq!(second["error"]["data"]["setting"], "max_streams");
    // Requests do not wait for streams.
    assert_eq!(modern(&endpoint.service, 3, "tools/list", "").await.status, 200);
    drop(first);
    until("it was forgotten", || endpoint.server.publisher().listeners() == 0).await;
    listen(&endpoint, 4).await;
}

#[tokio::test]
async fn the_servers_own_limit_of_subscriptions_holds_here_too() {
    let endpoint = endpoint_with(builder().max_subscriptions(1), EndpointSettings::new());
    let _first = listen(&endpoint, 1).await;
    let second = modern(&endpoint.service, 2, "subscriptions/listen", TOOLS).await;
    assert_eq!((second.status.as_u16(), second.reason().await.as_str()), (400, "limit_reached"));
}
