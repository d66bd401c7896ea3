//! A side that reads slowly loses nothing within the bound, and harms nobody beyond it.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{Far, bench, bench_with, notification, progress, raw, request, result};
use towpath_jsonrpc::{Member, RawJson};
use towpath_raw::{LaneLimits, LaneTimeouts, TaskScope};
use towpath_relay::{RelayOptions, relay};
use towpath_testkit::memory_pair;

const ASKS_FOR_PROGRESS: &str = r#"{"_meta":{"progressToken":"t"}}"#;

/// A lane that holds one frame: its reader is always too slow.
fn narrow() -> LaneLimits {
    LaneLimits::default().with_write_queue_bytes(1).with_write_queue_frames(1)
}

#[tokio::test]
async fn a_burst_of_progress_reaches_a_slow_reader_in_order_and_before_the_result() {
    let mut options = RelayOptions::default();
    // Less than the burst, so that most of it waits where it is kept for its request.
    options.limits.incoming.notification_queue_bytes = 1 << 10;
    let mut bench = bench_with(options, narrow());
    bench.client.say(request("1", "tools/call", ASKS_FOR_PROGRESS)).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say_all((0..1_000).map(|n| progress(&ours, n))).await;
    bench.server.say(result(&ours, "{}")).await;
    for n in 0..1_000 {
        assert_eq!(bench.client.hear_text().await, progress(r#""t""#, n));
    }
    assert_eq!(bench.client.hear_text().await, result("1", "{}"));
}

#[tokio::test]
async fn a_request_about_which_too_much_is_told_fails_and_its_siblings_live_on() {
    let mut options = RelayOptions::default();
    options.limits.incoming.notification_queue_bytes = 1 << 10;
    options.limits.max_waiting_note_bytes = 8 << 10;
    let mut bench = bench_with(options, narrow());
    bench.client.say(request("1", "tools/call", ASKS_FOR_PROGRESS)).await;
    bench.client.say(request("2", "tools/call", ASKS_FOR_PROGRESS)).await;
    let (first, ..) = bench.server.hear_request().await;
    let (second, ..) = bench.server.hear_request().await;
    bench.server.say_all((0..1_000).map(|n| progress(&first, n))).await;
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", first.clone()));
    bench.server.say_all([result(&first, "{}"), progress(&second, 7), result(&second, "2")]).await;
    let (mut reports, mut sibling, mut failed) = (0, Vec::new(), None);
    while failed.is_none() || sibling.len() < 2 {
        let heard = bench.client.hear().await;
        match raw(&heard, Member::Id).as_str() {
            "1" => failed = heard.error(),
            "2" => sibling.push(heard),
            _ if raw(&heard, Member::Params).ends_with(r#""progress":7}"#) && reports != 7 => {
                sibling.push(heard)
            }
            _ => {
                assert_eq!(support::text(&heard), progress(r#""t""#, reports), "one is missing");
                reports += 1;
            }
        }
    }
    let error = failed.expect("an error");
    let data = error.data.as_ref().map(RawJson::as_str).unwrap_or_default().to_owned();
    assert!(data.contains("limit_reached") && data.contains("max_waiting_note_bytes"), "{data}");
    assert!(reports < 1_000);
}

#[tokio::test]
async fn notifications_about_no_request_wait_in_their_order_and_within_their_bound() {
    let mut options = RelayOptions::default();
    options.limits.incoming.notification_queue_bytes = 256;
    options.limits.max_waiting_note_bytes = 8 << 10;
    let mut bench = bench_with(options, narrow());
    let log = |n: usize| notification("notifications/message", &format!(r#"{{"data":{n}}}"#));
    // What asks after them stands in the same line; the answer does not, and tells that all have come.
    bench.client.say(request("1", "ping", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    let all = (0..1_000).map(log);
    bench.server.say_all(all.chain([request("9", "last", "{}"), result(&ours, "{}")])).await;
    let (mut heard, mut answered) = (0, false);
    loop {
        let message = bench.client.hear().await;
        if message.method() == "last" {
            break;
        }
        if message.id().is_some() {
            answered = true;
            continue;
        }
        assert_eq!(support::text(&message), log(heard), "out of order");
        heard += 1;
    }
    assert!(answered, "it has not waited with them");
    let all = (8 << 10) / log(0).len();
    assert!(heard >= 1 && heard < 2 * all, "{heard} of 1,000 where about {all} may wait");
}

#[tokio::test]
async fn no_more_is_asked_of_the_server_at_once_than_its_limits_say() {
    let mut options = RelayOptions::default();
    options.limits.outgoing.calls.max_in_flight = 1;
    let mut bench = bench(options);
    bench.client.say_all([request("1", "a", "{}"), request("2", "b", "{}")]).await;
    let (first, method, _) = bench.server.hear_request().await;
    assert_eq!(method, "a");
    // What comes after the requests has been passed on, and the second of them has not.
    bench.client.say(notification("notifications/x", "{}")).await;
    assert_eq!(bench.server.hear().await.method(), "notifications/x");
    bench.server.say(result(&first, "{}")).await;
    let (_, method, _) = bench.server.hear_request().await;
    assert_eq!(method, "b");
}

#[tokio::test]
async fn a_request_does_not_overtake_the_notifications_that_wait_before_it() {
    let mut options = RelayOptions::default();
    options.limits.outgoing.notification_queue_bytes = 1;
    let (client, incoming) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let (outgoing, server) = memory_pair(narrow(), LaneTimeouts::default());
    let tasks = TaskScope::new();
    tasks.spawn(async move {
        relay(incoming, outgoing, options).await;
    });
    let (mut client, mut server) = (Far::from(client), Far::from(server));
    let note = |n: u32| notification("notifications/x", &format!(r#"{{"n":{n}}}"#));
    client.say_all((0..20).map(note).chain([request("1", "after", "{}")])).await;
    for n in 0..20 {
        assert_eq!(server.hear_text().await, note(n));
    }
    assert_eq!(server.hear_request().await.1, "after");
}
