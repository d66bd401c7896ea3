//! How a relay ends, and what those who wait are told.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::{sync::Arc, time::Duration};

use support::{Explained, Far, bench, notification, raw, request, result};
use towpath_jsonrpc::{Member, RawJson};
use towpath_raw::{FrameSourceExt, Inbound, LaneLimits, LaneTimeouts};
use towpath_relay::{LinkEnd, RelayOptions, RelaySide, relay};
use towpath_testkit::{memory_pair, within};

#[tokio::test]
async fn a_lost_server_is_explained_to_all_who_wait_at_once() {
    let (client, incoming) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let (outgoing, server) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let relay = tokio::spawn(relay(incoming, Explained(outgoing), RelayOptions::default()));
    let (mut client, mut server) = (Far::from(client), Far::from(server));
    client.say_all([request("1", "a", "{}"), request("\"b\"", "b", "{}")]).await;
    server.hear_request().await;
    server.hear_request().await;
    drop(server);
    for id in ["1", "\"b\""] {
        let answer = client.hear().await;
        assert_eq!(raw(&answer, Member::Id), id);
        let error = answer.error().expect("an error");
        assert_eq!(error.code, -32603);
        assert!(error.message.contains("the child exited with status 3"), "{error}");
        let data = error.data.as_ref().map(RawJson::as_str).unwrap_or_default();
        for part in [r#""reason":"upstream_closed""#, "status 3", r#""request":"outcome_unknown""#] {
            assert!(data.contains(part), "{part} is missing in: {data}");
        }
    }
    assert!(client.hear_if_any().await.is_none(), "the client's lane is closed then");
    let end = within(relay).await.expect("no panic");
    assert_eq!(end.first, RelaySide::Outgoing);
    assert!(matches!(&end.outgoing, LinkEnd::PeerClosed(end) if end.explanation.is_some()), "{end:?}");
    assert!(matches!(&end.incoming, LinkEnd::ClosedHere), "{end:?}");
}

#[tokio::test]
async fn the_explanation_is_the_callers_to_give() {
    let mut options = RelayOptions::default();
    options.explain = Arc::new(|_| "it is gone".to_owned());
    let mut bench = bench(options);
    bench.client.say(request("1", "a", "{}")).await;
    bench.server.hear_request().await;
    drop(bench.server);
    let error = bench.client.hear().await.error().expect("an error");
    assert_eq!(error.message, "the upstream server failed: it is gone");
}

#[tokio::test]
async fn a_client_that_closes_its_direction_still_gets_its_answers() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say_all([request("1", "a", "{}"), request("2", "b", "{}")]).await;
    let Far { mut source, sink } = bench.client;
    drop(sink);
    let (first, ..) = bench.server.hear_request().await;
    let (second, ..) = bench.server.hear_request().await;
    bench.server.say_all([result(&second, "2"), result(&first, "1")]).await;
    let mut heard = Vec::new();
    while let Inbound::Frame(frame) = within(source.receive()).await.expect("the lane works") {
        heard.push(frame);
    }
    assert_eq!(heard, [result("2", "2"), result("1", "1")]);
    assert!(bench.server.hear_if_any().await.is_none(), "the server's lane is closed then");
    let end = within(bench.relay).await.expect("no panic");
    assert_eq!(end.first, RelaySide::Incoming);
    assert!(matches!(end.reason(), LinkEnd::PeerClosed(_)), "{end:?}");
    assert_eq!(end.unanswered, 0);
}

#[tokio::test]
async fn what_the_client_said_last_still_reaches_the_server() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say(notification("notifications/last", "{}")).await;
    drop(bench.client);
    assert_eq!(bench.server.hear().await.method(), "notifications/last");
    assert!(bench.server.hear_if_any().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_runs_when_the_client_has_closed_is_cut_after_the_finish_timeout() {
    let mut options = RelayOptions::default();
    options.timeouts.finish = Duration::from_secs(3);
    let mut bench = bench(options);
    bench.client.say(request("1", "wait", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    let Far { source: _source, sink } = bench.client;
    let closed = tokio::time::Instant::now();
    drop(sink);
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
    assert_eq!(closed.elapsed().as_secs(), 3);
    assert!(bench.server.hear_if_any().await.is_none());
    assert_eq!(within(bench.relay).await.expect("no panic").unanswered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_fails_and_is_cancelled_at_the_server() {
    let mut options = RelayOptions::default();
    options.timeouts.request = Some(Duration::from_secs(5));
    let mut bench = bench(options);
    bench.client.say(request("1", "wait", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    let asked = tokio::time::Instant::now();
    let error = bench.client.hear().await.error().expect("an error");
    let data = error.data.as_ref().map(RawJson::as_str).unwrap_or_default().to_owned();
    assert!(data.contains(r#""reason":"timed_out""#) && data.contains(r#""setting":"request""#), "{data}");
    assert_eq!(asked.elapsed().as_secs(), 5);
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_takes_too_long_fails_and_is_never_cancelled() {
    let mut options = RelayOptions::default();
    options.timeouts.initialize = Some(Duration::from_secs(4));
    let mut bench = bench(options);
    bench.client.say(request("1", "initialize", "{}")).await;
    bench.server.hear_request().await;
    let asked = tokio::time::Instant::now();
    let error = bench.client.hear().await.error().expect("an error");
    let data = error.data.as_ref().map(RawJson::as_str).unwrap_or_default().to_owned();
    assert!(data.contains(r#""reason":"timed_out""#) && data.contains(r#""setting":"initialize""#), "{data}");
    assert_eq!(asked.elapsed().as_secs(), 4);
    bench.client.say(request("2", "ping", "{}")).await;
    assert_eq!(bench.server.hear().await.method(), "ping", "nothing was said about the first");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_its_last_bytes_is_left_after_the_close_timeout() {
    let mut options = RelayOptions::default();
    options.timeouts.close = Duration::from_millis(700);
    let narrow = LaneLimits::default().with_write_queue_bytes(1);
    let (client, incoming) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let (outgoing, _server) = memory_pair(narrow, LaneTimeouts::default());
    let began = tokio::time::Instant::now();
    let relay = tokio::spawn(relay(incoming, outgoing, options));
    let mut client = Far::from(client);
    client.say_all((0..4).map(|_| notification("notifications/x", "{}"))).await;
    drop(client);
    within(relay).await.expect("no panic");
    assert_eq!(began.elapsed().as_millis() / 100, 14, "once for what is queued, once for the close");
}

#[tokio::test]
async fn a_relay_that_is_dropped_ends_both_lanes() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say(request("1", "wait", "{}")).await;
    bench.server.hear_request().await;
    bench.relay.abort();
    assert!(bench.server.hear_if_any().await.is_none());
    assert!(bench.client.hear_if_any().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_is_cut_is_not_cancelled_at_the_server() {
    let mut options = RelayOptions::default();
    options.timeouts.finish = Duration::from_secs(3);
    let mut bench = bench(options);
    bench.client.say(request("1", "initialize", "{}")).await;
    bench.server.hear_request().await;
    drop(bench.client);
    assert!(bench.server.hear_if_any().await.is_none(), "its lane is closed, and nothing is said before");
}

#[tokio::test(start_paused = true)]
async fn a_lost_server_does_not_wait_for_what_it_asked_the_client() {
    let mut bench = bench(RelayOptions::default());
    bench.server.say(request("1", "sampling/createMessage", "{}")).await;
    let (ours, ..) = bench.client.hear_request().await;
    let lost = tokio::time::Instant::now();
    drop(bench.server);
    let told = bench.client.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
    assert!(bench.client.hear_if_any().await.is_none());
    assert_eq!(lost.elapsed(), Duration::ZERO);
}
