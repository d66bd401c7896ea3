//! Subscriptions of both eras, as the client sees them on the wire (2026-07-28, basic/patterns/subscriptions).

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use serde_json::json;
use support::{SECOND, bench, bench_of, bench_with, builder, script, script_with, until};
use towpath_raw::LaneLimits;
use towpath_server::ServerBuilder;
use towpath_testkit::{within, within_for};

const EVERYTHING: &str = r#""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a:","b:"]}"#;

#[tokio::test]
async fn the_acknowledgement_comes_first_and_names_what_is_declared_of_what_is_asked_for() {
    let info = towpath_server::Implementation::new("s", "1");
    let tools_only = ServerBuilder::new(info, json!({"tools": {"listChanged": true}, "resources": {}}));
    let mut bench = bench_with(tools_only);
    let publisher = bench.server.publisher();
    bench.far.modern(1, "subscriptions/listen", EVERYTHING).await;
    let acknowledged = bench.far.hear().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    assert_eq!(acknowledged["params"]["notifications"], json!({"toolsListChanged": true}));
    publisher.prompts_changed();
    publisher.resource_updated("a:");
    publisher.tools_changed();
    assert_eq!(bench.far.hear().await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn nothing_is_told_that_was_not_asked_for() {
    let mut bench = bench();
    let publisher = bench.server.publisher();
    bench.far.modern(1, "subscriptions/listen", r#""notifications":{"resourceSubscriptions":["a:"]}"#).await;
    bench.far.hear().await;
    publisher.tools_changed();
    publisher.resources_changed();
    publisher.resource_updated("b:");
    publisher.resource_updated("A:");
    publisher.resource_updated("a:");
    let told = bench.far.hear().await;
    assert_eq!(
        (&told["method"], &told["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("a:"))
    );
}

#[tokio::test]
async fn two_subscriptions_on_one_lane_are_told_apart_by_their_ids() {
    let mut bench = bench();
    let publisher = bench.server.publisher();
    bench.far.modern(1, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#).await;
    bench.far.modern(2, "subscriptions/listen", r#""notifications":{"promptsListChanged":true}"#).await;
    bench.far.hear().await;
    bench.far.hear().await;
    assert_eq!(publisher.listeners(), 2);
    publisher.prompts_changed();
    let told = bench.far.hear().await;
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 2, "{told}");
    bench.far.cancel(2).await;
    until("one is left", || publisher.listeners() == 1).await;
    publisher.prompts_changed();
    publisher.tools_changed();
    let told = bench.far.hear().await;
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1, "{told}");
}

#[tokio::test]
async fn a_cancelled_subscription_frees_its_place_and_gets_no_further_message() {
    let mut bench = bench_with(builder().max_subscriptions(1));
    let publisher = bench.server.publisher();
    for id in 1..=3 {
        bench.far.modern(id, "subscriptions/listen", EVERYTHING).await;
        assert_eq!(bench.far.hear().await["method"], "notifications/subscriptions/acknowledged");
        bench.far.cancel(id).await;
        until("it is gone", || publisher.listeners() == 0).await;
        publisher.tools_changed();
    }
    bench.far.modern(9, "tools/list", "").await;
    assert_eq!(bench.far.hear().await["id"], 9);
}

#[tokio::test]
async fn the_number_of_subscriptions_is_bounded_over_all_lanes() {
    let (script, seen) = script();
    let server = builder().max_subscriptions(1).build(script);
    let mut one = bench_of(server.clone(), seen.clone(), LaneLimits::default());
    let mut other = bench_of(server, seen, LaneLimits::default());
    one.far.modern(1, "subscriptions/listen", EVERYTHING).await;
    one.far.hear().await;
    other.far.modern(1, "subscriptions/listen", EVERYTHING).await;
    let refused = other.far.hear().await;
    assert_eq!(refused["error"]["code"], -32600);
    assert_eq!(refused["error"]["data"]["reason"], "limit_reached");
    assert_eq!(refused["error"]["data"]["setting"], "max_subscriptions");
    one.far.cancel(1).await;
    until("the place is free", || one.server.publisher().listeners() == 0).await;
    other.far.modern(2, "subscriptions/listen", EVERYTHING).await;
    assert_eq!(other.far.hear().await["method"], "notifications/subscriptions/acknowledged");
}

#[tokio::test]
async fn a_subscription_whose_handler_is_still_thinking_can_be_cancelled() {
    let (script, seen) = script_with(true);
    let mut bench = bench_of(builder().max_subscriptions(1).build(script), seen, LaneLimits::default());
    bench.far.modern(1, "subscriptions/listen", EVERYTHING).await;
    bench.far.modern(2, "tools/list", "").await;
    assert_eq!(bench.far.hear().await["id"], 2, "the handler has begun to think");
    bench.far.cancel(1).await;
    bench.far.modern(2, "tools/list", "").await;
    assert_eq!(bench.far.hear().await["id"], 2);
    // Its place is free again.
    bench.far.modern(3, "subscriptions/listen", EVERYTHING).await;
    bench.far.modern(4, "tools/list", "").await;
    assert_eq!(bench.far.hear().await["id"], 4, "the second one waits for its handler, and is not refused");
    bench.seen.listen.as_ref().expect("it waits").notify_waiters();
    assert_eq!(bench.far.hear().await["method"], "notifications/subscriptions/acknowledged");
}

#[tokio::test]
async fn changes_while_the_client_does_not_read_are_told_once_for_each_kind() {
    let (script, seen) = script();
    let mut limits = towpath_server::LinkLimits::default();
    limits.notification_queue_bytes = 1;
    let server = builder().limits(limits).build(script);
    // A queue of one frame: what does not fit there waits as a mark.
    let lane = LaneLimits::default().with_write_queue_frames(1);
    for legacy in [false, true] {
        let mut bench = bench_of(server.clone(), seen.clone(), lane.clone());
        let publisher = bench.server.publisher();
        if legacy {
            bench.far.initialize("2025-11-25").await;
            bench.far.ask(1, "resources/subscribe", r#""uri":"a:""#).await;
        } else {
            bench.far.modern(1, "subscriptions/listen", EVERYTHING).await;
            bench.far.hear().await;
        }
        for _ in 0..1_000 {
            publisher.tools_changed();
            publisher.prompts_changed();
            publisher.resource_updated("a:");
            publisher.resource_updated("c:");
            tokio::task::yield_now().await;
        }
        let mut told: Vec<String> = Vec::new();
        // What waits as a mark comes when there is room, so an answer may overtake it; the second one does not.
        for id in [2, 3] {
            bench.far.modern(id, "tools/list", "").await;
            let all = |told: &[String]| {
                ["tools", "prompts", "resources"]
                    .iter()
                    .all(|kind| told.iter().any(|told| told.contains(kind)))
            };
            let mut answered = false;
            while !answered || !all(&told) {
                let message = bench.far.hear().await;
                answered |= message["id"] == id;
                told.extend(message["method"].as_str().map(str::to_owned));
            }
        }
        // The few that were already on their way, and one for each kind.
        let of = |kind: &str| told.iter().filter(|method| method.contains(kind)).count();
        for kind in ["tools", "prompts", "resources"] {
            assert!((1..=6).contains(&of(kind)), "legacy: {legacy}: {told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_draining_server_ends_subscriptions_with_a_cancellation_and_then_the_result() {
    let mut bench = bench();
    bench.far.say(r#"{"jsonrpc":"2.0","id":"s\u0031","method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"toolsListChanged":true}}}"#).await;
    bench.far.hear().await;
    let drained = tokio::spawn({
        let server = bench.server.clone();
        async move { server.drain(30 * SECOND).await }
    });
    assert_eq!(
        bench.far.hear_text().await.as_deref(),
        Some(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"s\u0031","reason":"the server is shutting down"}}"#
        )
    );
    assert_eq!(
        bench.far.hear_text().await.as_deref(),
        Some(
            r#"{"jsonrpc":"2.0","id":"s\u0031","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"server under test","version":"1.0.0"},"io.modelcontextprotocol/subscriptionId":"s\u0031"}}}"#
        )
    );
    assert_eq!(bench.far.hear_text().await, None);
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
    assert_eq!(bench.server.publisher().listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_opens_while_the_server_drains_is_acknowledged_and_ended() {
    let (script, seen) = script_with(true);
    let mut bench = bench_of(builder().build(script), seen, LaneLimits::default());
    bench.far.modern(1, "subscriptions/listen", EVERYTHING).await;
    until("the handler thinks", || bench.server.lanes() == 1).await;
    tokio::task::yield_now().await;
    let server = bench.server.clone();
    let drained = tokio::spawn(async move { server.drain(3_600 * SECOND).await });
    tokio::task::yield_now().await;
    bench.seen.listen.as_ref().expect("it waits").notify_one();
    for expected in ["notifications/subscriptions/acknowledged", "notifications/cancelled"] {
        let message = within(bench.far.hear()).await;
        assert_eq!(message["method"], expected, "{message}");
    }
    assert_eq!(bench.far.hear().await["id"], 1);
    let drained = within_for(Duration::from_secs(30), drained).await;
    assert_eq!(drained.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_legacy_session_hears_of_lists_that_are_declared_and_resources_that_it_has_subscribed() {
    let mut bench = bench();
    let publisher = bench.server.publisher();
    bench.far.initialize("2025-11-25").await;
    bench.far.ask(1, "resources/subscribe", r#""uri":"a:""#).await;
    publisher.resource_updated("b:");
    publisher.resource_updated("a:");
    assert_eq!(
        bench.far.hear_text().await.as_deref(),
        Some(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:"}}"#)
    );
    let unsubscribed = bench.far.ask(2, "resources/unsubscribe", r#""uri":"a:""#).await;
    assert_eq!(unsubscribed["id"], 2, "something else was told: {unsubscribed}");
    publisher.resource_updated("a:");
    publisher.tools_changed();
    assert_eq!(bench.far.hear().await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_subscription_that_the_handler_refuses_breaks_or_gives_up_is_taken_back() {
    let mut bench = bench();
    let publisher = bench.server.publisher();
    bench.far.initialize("2025-11-25").await;
    for uri in ["no:", "panic:"] {
        let refused = bench.far.ask(1, "resources/subscribe", &format!(r#""uri":"{uri}""#)).await;
        assert!(refused["error"].is_object(), "{refused}");
    }
    bench.far.request(2, "resources/subscribe", r#""uri":"forever:""#).await;
    until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
    bench.far.cancel(2).await;
    until("both are dropped", || bench.seen.dropped.lock().len() == 2).await;
    for uri in ["no:", "panic:", "forever:"] {
        publisher.resource_updated(uri);
        assert_eq!(bench.far.ask(3, "ping", "").await["id"], 3, "{uri} was told");
    }
}
