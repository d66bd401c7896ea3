//! Every limit of the HTTP face, at its limit.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::sync::atomic::Ordering::SeqCst;

use futures_util::poll;
use http_support::{Client, Endpoint, call, call_request, call_text, endpoint_with, open, send};
use serde_json::json;
use support::{SECOND, builder, until};
use tokio::time::{Instant, sleep};
use towpath_server::{EndpointLimits, EndpointSettings, EndpointTimeouts, LinkLimits, LinkTimeouts};
use towpath_testkit::{within, within_for};

fn limited(set: impl FnOnce(&mut EndpointLimits)) -> Endpoint {
    let mut limits = EndpointLimits::default();
    set(&mut limits);
    endpoint_with(builder(), EndpointSettings::new().limits(limits))
}

fn timed(set: impl FnOnce(&mut EndpointTimeouts)) -> Endpoint {
    let mut timeouts = EndpointTimeouts::default();
    set(&mut timeouts);
    endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts))
}

#[tokio::test]
async fn no_more_requests_than_max_requests_in_both_eras_together() {
    let mut limits = EndpointLimits::default();
    limits.max_requests = 2;
    let mut timeouts = EndpointTimeouts::default();
    timeouts.retry_after = SECOND * 5 / 2;
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits).timeouts(timeouts));
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let mut modern = Box::pin(send(&endpoint.service, call_request("forever")));
    assert!(poll!(&mut modern).is_pending());
    let legacy = tokio::spawn(client.posting(call_text(1, "forever")));
    until("both run", || endpoint.seen.running.load(SeqCst) == 2).await;
    for answer in [call(&endpoint.service, "x").await, client.call(2, "x").await] {
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "3"));
        let answer = answer.json().await;
        assert_eq!(answer["error"]["data"], json!({"reason": "overloaded", "setting": "max_requests"}));
    }
    // A place is given back with what held it; that a legacy client went away gives nothing back.
    drop(modern);
    assert_eq!(call(&endpoint.service, "x").await.status, 200);
    legacy.abort();
    assert!(within(legacy).await.is_err());
    let mut modern = Box::pin(send(&endpoint.service, call_request("forever")));
    assert!(poll!(&mut modern).is_pending());
    assert_eq!(call(&endpoint.service, "x").await.status, 503);
}

#[tokio::test]
async fn the_requests_of_a_batch_are_counted_one_by_one_in_all() {
    let endpoint = limited(|limits| limits.max_requests = 2);
    let client = Client::open(&endpoint.service, "2025-03-26").await;
    let batch = |count: usize| format!("[{}]", vec![call_text(1, "wait"); count].join(","));
    let two = tokio::spawn(client.posting(batch(2)));
    until("both run", || endpoint.seen.running.load(SeqCst) == 2).await;
    let refused = call(&endpoint.service, "x").await;
    assert_eq!((refused.status.as_u16(), refused.reason().await.as_str()), (503, "overloaded"));
    endpoint.seen.release.notify_waiters();
    assert_eq!(within(two).await.expect("no panic").status, 200);
    assert_eq!(client.post(batch(3)).await.status, 503);
}

#[tokio::test]
async fn a_session_that_has_ended_keeps_no_request_though_its_stream_is_not_read() {
    let endpoint = limited(|limits| limits.max_requests = 1);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let unread = client.get().await;
    let talk = client.call(1, "talk").await;
    client.delete().await;
    until("its task has ended", || endpoint.server.lanes() == 0).await;
    drop(talk);
    assert_eq!(call(&endpoint.service, "x").await.status, 200);
    drop(unread);
}

#[tokio::test]
async fn without_room_for_events_they_go_one_at_a_time() {
    let endpoint = limited(|limits| limits.max_unread_event_bytes = 0);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    for mut talk in [call(&endpoint.service, "talk").await, client.call(1, "talk").await] {
        for _ in 0..3 {
            assert!(within(talk.event()).await.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_that_no_clock_reaches_waits_for_the_reader() {
    let endpoint = timed(|timeouts| timeouts.reader_stall = std::time::Duration::MAX);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let talk = client.call(1, "talk").await;
    let other = tokio::spawn(client.posting(call_text(2, "x")));
    sleep(SECOND).await;
    assert!(!other.is_finished());
    drop(talk);
    assert_eq!(within(other).await.expect("no panic").status, 200);
}

#[tokio::test]
async fn a_get_stream_takes_a_stream_permit() {
    let endpoint = limited(|limits| limits.max_streams = 1);
    let one = Client::open(&endpoint.service, "2025-11-25").await;
    let other = Client::open(&endpoint.service, "2025-11-25").await;
    let stream = one.get().await;
    let refused = other.get().await;
    assert_eq!((refused.status.as_u16(), refused.reason().await.as_str()), (503, "overloaded"));
    drop(stream);
    assert_eq!(other.get().await.status, 200);
}

#[tokio::test]
async fn no_more_sessions_than_max_sessions() {
    let endpoint = limited(|limits| limits.max_sessions = 1);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let refused = open(&endpoint.service, "2025-11-25").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.json().await["error"]["data"]["setting"], "max_sessions");
    client.delete().await;
    until("its task has ended", || endpoint.server.lanes() == 0).await;
    Client::open(&endpoint.service, "2025-11-25").await;
}

#[tokio::test]
async fn no_more_requests_in_a_session_than_its_share() {
    let endpoint = limited(|limits| limits.max_requests_per_session = 2);
    let client = Client::open(&endpoint.service, "2025-03-26").await;
    let first = tokio::spawn(client.posting(call_text(1, "wait")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    // The requests of a batch are counted one by one.
    let batch = client.post(format!("[{},{}]", call_text(2, "x"), call_text(3, "x"))).await;
    assert_eq!(batch.status, 429);
    let second = tokio::spawn(client.posting(call_text(4, "wait")));
    until("both run", || endpoint.seen.running.load(SeqCst) == 2).await;
    let refused = client.call(5, "x").await;
    assert_eq!(refused.status, 429);
    let refused = refused.json().await;
    assert_eq!(
        (&refused["id"], &refused["error"]["data"]["reason"]),
        (&json!(5), &json!("too_many_requests"))
    );
    // Another session has its own share.
    let other = Client::open(&endpoint.service, "2025-11-25").await;
    assert_eq!(other.call(1, "x").await.status, 200);
    for _ in 0..2 {
        endpoint.seen.release.notify_one();
    }
    assert_eq!(within(first).await.expect("no panic").status, 200);
    assert_eq!(within(second).await.expect("no panic").status, 200);
    assert_eq!(client.call(6, "x").await.status, 200);
}

#[tokio::test]
async fn what_a_session_has_not_taken_in_is_bounded_in_bytes() {
    let endpoint = limited(|limits| limits.max_session_inbox_bytes = 100);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    until("all of the handshake is taken in", || endpoint.server.publisher().listeners() == 1).await;
    // Nothing is taken in between the two: the session's task has no turn.
    let mut first = Box::pin(client.posting(call_text(1, "x")));
    assert!(poll!(&mut first).is_pending());
    let refused = client.call(2, "x").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json().await["error"]["data"]["setting"], "max_session_inbox_bytes");
    assert_eq!(within(first).await.status, 200);
}

#[tokio::test]
async fn what_waits_for_a_get_stream_is_bounded_in_bytes_and_the_oldest_goes() {
    let endpoint = limited(|limits| limits.max_session_queue_bytes = 300);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    for n in 0..8 {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"resources/subscribe","params":{{"uri":"test:{n}"}}}}"#
        );
        assert_eq!(client.post(body).await.status, 200);
        endpoint.server.publisher().resource_updated(&format!("test:{n}"));
        // A round trip: what was published has been sent.
        assert_eq!(client.call(100, "x").await.status, 200);
    }
    let mut stream = client.get().await;
    let mut kept = Vec::new();
    while kept.last().is_none_or(|uri| uri != "test:7") {
        let event = stream.event().await.expect("the newest is kept");
        kept.push(event["params"]["uri"].as_str().expect("a URI").to_owned());
    }
    assert!((1..=4).contains(&kept.len()), "{kept:?}");
    assert_eq!(endpoint.service.dropped_messages(), 8 - kept.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_its_session_up_no_longer_than_the_stall() {
    let mut limits = EndpointLimits::default();
    limits.max_unread_event_bytes = 40 << 10;
    let mut timeouts = EndpointTimeouts::default();
    timeouts.reader_stall = 2 * SECOND;
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits).timeouts(timeouts));
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let mut talk = client.call(1, "talk").await;
    // As long as it is read, the talk waits for the reader.
    for _ in 0..100 {
        assert!(talk.event().await.is_some());
    }
    let said = endpoint.seen.said.load(SeqCst);
    assert!(said < 100 + 64 + 16 + 16, "it waits for its reader, and has said {said}");
    let start = Instant::now();
    assert_eq!(client.call(2, "x").await.status, 200);
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_expires_and_a_busy_one_does_not() {
    let endpoint = timed(|timeouts| {
        timeouts.session_idle = Some(60 * SECOND);
        timeouts.stream_after = None;
    });
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    // Traffic is no idleness.
    for _ in 0..5 {
        sleep(50 * SECOND).await;
        assert_eq!(client.call(1, "x").await.status, 200);
    }
    // An open stream is none, and neither is a request in flight whose client has gone.
    let stream = client.get().await;
    sleep(500 * SECOND).await;
    drop(stream);
    let waiting = tokio::spawn(client.posting(call_text(2, "wait")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    waiting.abort();
    assert!(within(waiting).await.is_err());
    sleep(500 * SECOND).await;
    assert_eq!(endpoint.service.sessions(), 1);
    endpoint.seen.release.notify_one();
    until("it has ended", || endpoint.seen.running.load(SeqCst) == 0).await;
    sleep(55 * SECOND).await;
    assert_eq!(endpoint.service.sessions(), 1);
    sleep(10 * SECOND).await;
    assert_eq!((endpoint.service.sessions(), endpoint.server.lanes()), (0, 0));
    let gone = client.call(3, "x").await;
    assert_eq!((gone.status.as_u16(), gone.reason().await.as_str()), (404, "session_unknown"));
    // The next one expires, too, after a time without any.
    sleep(500 * SECOND).await;
    Client::open(&endpoint.service, "2025-11-25").await;
    sleep(65 * SECOND).await;
    assert_eq!(endpoint.service.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_time_sessions_stay() {
    let endpoint = timed(|timeouts| timeouts.session_idle = None);
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    within_for(SECOND * 1_000_000, sleep(SECOND * 100_000)).await;
    assert_eq!(client.call(1, "x").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_gives_its_own_message_limit_and_handler_deadline_to_its_http_face() {
    let mut limits = LinkLimits::default();
    limits.envelope.max_message_bytes = 64;
    let (script, _) = support::script();
    assert_eq!(call(&builder().limits(limits).build(script).http(), "x").await.status, 413);
    let mut timeouts = LinkTimeouts::default();
    timeouts.handler = Some(5 * SECOND);
    let (script, _) = support::script();
    let start = Instant::now();
    let answer = call(&builder().timeouts(timeouts).build(script).http(), "forever").await;
    assert_eq!((start.elapsed(), answer.reason().await.as_str()), (5 * SECOND, "timed_out"));
}
