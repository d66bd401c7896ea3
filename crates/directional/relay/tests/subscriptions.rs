//! Subscriptions of modern clients, by their own names.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{Bench, bench, notification, raw, request, result};
use towpath_jsonrpc::Member;
use towpath_relay::RelayOptions;

const LISTEN: &str = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"toolsListChanged":true}}"#;

fn named(id: &str) -> String {
    format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"n":-0}}"#)
}

/// A subscription that is open: our id of it.
async fn listening(bench: &mut Bench, id: &str) -> String {
    bench.client.say(request(id, "subscriptions/listen", LISTEN)).await;
    let (ours, method, params) = bench.server.hear_request().await;
    assert_eq!((method.as_str(), params.as_str()), ("subscriptions/listen", LISTEN));
    bench.server.say(notification("notifications/subscriptions/acknowledged", &named(&ours))).await;
    let acknowledged = notification("notifications/subscriptions/acknowledged", &named(id));
    assert_eq!(bench.client.hear_text().await, acknowledged);
    ours
}

#[tokio::test]
async fn what_a_subscription_tells_comes_under_the_clients_id() {
    let mut bench = bench(RelayOptions::default());
    let first = listening(&mut bench, r#""\u0061""#).await;
    let second = listening(&mut bench, "9223372036854775808").await;
    for (ours, id) in [(&second, "9223372036854775808"), (&first, r#""\u0061""#)] {
        bench.server.say(notification("notifications/tools/list_changed", &named(ours))).await;
        assert_eq!(
            bench.client.hear_text().await,
            notification("notifications/tools/list_changed", &named(id))
        );
    }
}

#[tokio::test]
async fn the_servers_end_of_a_subscription_passes_as_a_cancellation_then_the_result() {
    let mut bench = bench(RelayOptions::default());
    let ours = listening(&mut bench, "7").await;
    let end = |id: &str| {
        [
            notification("notifications/cancelled", &format!(r#"{{"requestId":{id}, "reason":"shutdown"}}"#)),
            result(id, &named(id)),
        ]
    };
    bench.server.say_all(end(&ours)).await;
    for expected in end("7") {
        assert_eq!(bench.client.hear_text().await, expected);
    }
}

#[tokio::test]
async fn a_client_that_cancels_its_subscription_cancels_ours() {
    let mut bench = bench(RelayOptions::default());
    let ours = listening(&mut bench, "7").await;
    bench.client.say(notification("notifications/cancelled", r#"{"requestId":7}"#)).await;
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
}

#[tokio::test]
async fn what_differs_is_all_told() {
    let mut bench = bench(RelayOptions::default());
    let ours = listening(&mut bench, "7").await;
    let task = |id: &str, n: u32| {
        notification(
            "notifications/tasks",
            &format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"taskId":"{n}"}}"#),
        )
    };
    bench.server.say_all((0..3).map(|n| task(&ours, n))).await;
    bench.server.say(result(&ours, &named(&ours))).await;
    for n in 0..3 {
        assert_eq!(bench.client.hear_text().await, task("7", n));
    }
}
