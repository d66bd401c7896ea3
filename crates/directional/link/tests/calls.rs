//! Calls of ours: answers, deadlines, cancellation, and what they say when the link ends.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{SECOND, bench, two_links, until};
use towpath_jsonrpc::{Deadlines, RawJson};
use towpath_link::{CallError, CallOptions, LinkLimits, LinkTimeouts, Phase};
use towpath_raw::{LaneLimits, Operation};
use towpath_testkit::within;

fn json_of(value: &Value) -> RawJson {
    RawJson::serialize(value).expect("JSON")
}

fn deadlines(idle: Option<Duration>, total: Option<Duration>) -> CallOptions {
    let mut options = CallOptions::default();
    options.deadlines = Some(Deadlines { idle, total });
    options
}

#[tokio::test]
async fn concurrent_calls_get_their_own_answers() {
    let [(peer, ..), _other] = two_links(LinkLimits::default(), LinkTimeouts::default());
    let calls = (0..500).map(|n| {
        let peer = peer.clone();
        tokio::spawn(async move {
            let params = json_of(&json!({"n": n, "text": "x".repeat(n)}));
            (params.clone(), peer.call("echo", Some(params), CallOptions::default()).await)
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (asked, answer) = within(call).await.expect("no panic");
        assert_eq!(answer.expect("an answer"), asked);
    }
    assert_eq!(peer.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_dropped_call_cancels_on_the_wire() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let call = bench.peer.call("anything", None, CallOptions::default()).start();
    let asked = bench.far.hear().await.expect("the request");
    drop(call);
    let cancelled = bench.far.hear_text().await;
    let id = asked.id().expect("an id");
    assert_eq!(
        cancelled,
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
    );
    assert_eq!(bench.peer.calls_in_flight(), 0);
    // The late answer meets a tombstone.
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
    until("the late answer is counted", || bench.peer.stats().late_answers == 1).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_before_it_left_is_taken_back() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    // Nothing is polled in between, so the first request is still queued when its call is dropped.
    drop(bench.peer.call("first", None, CallOptions::default()).start());
    let second = bench.peer.call("second", None, CallOptions::default()).start();
    assert_eq!(bench.far.hear().await.expect("a request").method(), "second");
    drop(second);
    assert_eq!(bench.far.hear().await.expect("its cancellation").method(), "notifications/cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_total_deadline_ends_the_call_and_tells_the_peer() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let options = deadlines(None, Some(3 * SECOND));
    let error = within(bench.peer.call("slow", None, options)).await.expect_err("nobody answers");
    match &error {
        CallError::Timeout { source, phase, .. } => {
            assert_eq!((source.operation, source.after), (Operation::ReceiveTotal, 3 * SECOND));
            assert_eq!(*phase, Phase::OutcomeUnknown);
        }
        other => panic!("{other}"),
    }
    assert_eq!(bench.far.hear().await.expect("the request").method(), "slow");
    assert_eq!(bench.far.hear().await.expect("told").method(), "notifications/cancelled");
}

#[tokio::test(start_paused = true)]
async fn progress_restarts_the_idle_deadline_but_never_the_total_one() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let options = deadlines(Some(2 * SECOND), Some(5 * SECOND));
    let mut call = bench.peer.call("slow", None, options).start();
    let asked = bench.far.hear().await.expect("the request");
    let params: Value = asked.params().expect("params").deserialize().expect("JSON");
    let token = &params["_meta"]["progressToken"];
    assert!(token.is_u64(), "an idle deadline asks for progress: {params}");
    let start = tokio::time::Instant::now();
    for step in 1..=4 {
        tokio::time::advance(SECOND).await;
        bench
            .far
            .say(format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}}}}}"#
            ))
            .await;
        let note = within(call.notification()).await.expect("progress comes through");
        assert_eq!(note.method(), "notifications/progress");
    }
    let error = within(call).await.expect_err("nobody answers");
    assert_eq!(start.elapsed(), 5 * SECOND);
    let CallError::Timeout { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.operation, Operation::ReceiveTotal);
}

#[tokio::test(start_paused = true)]
async fn progress_comes_to_the_call_whose_token_it_names_though_callers_choose_their_own() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let chosen = |token: &str| RawJson::parse(format!(r#"{{"_meta":{{"progressToken":{token}}}}}"#)).ok();
    let first = bench.peer.call("slow", chosen("2"), CallOptions::default()).start();
    let own = bench.peer.call("slow", None, deadlines(Some(2 * SECOND), None)).start();
    let (mut first, mut own) = (first, own);
    bench.far.hear().await.expect("the first");
    let asked = bench.far.hear().await.expect("the second, whose id is 2");
    let params: Value = asked.params().expect("params").deserialize().expect("JSON");
    let token = params["_meta"]["progressToken"].to_string();
    assert_ne!(token, "2", "another call has that one");
    for token in ["2", &token] {
        let say = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        );
        bench.far.say(say).await;
    }
    let note = within(first.notification()).await.expect("its progress");
    assert!(String::from_utf8_lossy(note.bytes()).contains(r#""progressToken":2,"#));
    let note = within(own.notification()).await.expect("its progress");
    assert!(String::from_utf8_lossy(note.bytes()).contains(&token));
    // One that belongs to a call in flight, as its own token or as its id, is refused before anything is sent.
    for token in ["2", "1"] {
        let again = bench.peer.call("slow", chosen(token), CallOptions::default());
        let error = within(again).await.expect_err("the token is in use");
        assert!(matches!(error, CallError::Unsendable { .. }), "{error}");
        assert_eq!(error.phase(), Phase::NotSent);
    }
    drop(first);
    assert_eq!(bench.far.hear().await.expect("told").method(), "notifications/cancelled");
    let free = bench.peer.call("slow", chosen("\"t\""), CallOptions::default()).start();
    assert_eq!(bench.far.hear().await.expect("a free one is sent").method(), "slow");
    drop(free);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_call_at_its_idle_deadline() {
    let mut timeouts = LinkTimeouts::default();
    timeouts.call = Deadlines { idle: Some(2 * SECOND), total: Some(9 * SECOND) };
    let bench = bench(LinkLimits::default(), timeouts);
    let start = tokio::time::Instant::now();
    let error = within(bench.peer.call("slow", None, CallOptions::default())).await.expect_err("silence");
    let CallError::Timeout { source, .. } = error else { panic!("{error}") };
    assert_eq!((source.operation, start.elapsed()), (Operation::ReceiveIdle, 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_a_call_waits_for_a_permit_within_its_deadline() {
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    let mut bench = bench(limits, LinkTimeouts::default());
    let first = bench.peer.call("first", None, CallOptions::default()).start();
    let late = bench.peer.call("late", None, deadlines(None, Some(SECOND)));
    let error = within(late).await.expect_err("there is no permit");
    assert_eq!(error.phase(), Phase::NotSent);
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    let next = tokio::spawn(bench.peer.call("next", None, CallOptions::default()));
    assert_eq!(bench.far.hear().await.expect("a request").method(), "first");
    bench.far.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    within(first).await.expect("an answer");
    let asked = bench.far.hear().await.expect("the next has got the permit");
    assert_eq!(asked.method(), "next");
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked.id().expect("id"))).await;
    within(next).await.expect("no panic").expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_permit_counts_towards_the_total_deadline() {
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    let mut bench = bench(limits, LinkTimeouts::default());
    let first = bench.peer.call("first", None, CallOptions::default()).start();
    bench.far.hear().await.expect("a request");
    let start = tokio::time::Instant::now();
    let next = tokio::spawn(bench.peer.call("next", None, deadlines(None, Some(5 * SECOND))));
    // It waits from its first poll on.
    tokio::task::yield_now().await;
    tokio::time::advance(3 * SECOND).await;
    bench.far.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    within(first).await.expect("an answer");
    assert_eq!(bench.far.hear().await.expect("the next has got the permit").method(), "next");
    let error = within(next).await.expect("no panic").expect_err("nobody answers");
    assert_eq!((error.phase(), start.elapsed()), (Phase::OutcomeUnknown, 5 * SECOND));
}

#[tokio::test]
async fn every_call_ends_when_the_peer_closes_and_says_how_far_it_got() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let call = bench.peer.call("sent", None, CallOptions::default()).start();
    bench.far.hear().await.expect("the request");
    drop(bench.far.sink);
    let error = within(call).await.expect_err("nobody can answer");
    assert_eq!(error.phase(), Phase::OutcomeUnknown);
    assert!(error.to_string().contains("the peer has closed the connection"), "{error}");
    let late = within(bench.peer.call("late", None, CallOptions::default())).await.expect_err("too late");
    assert_eq!(late.phase(), Phase::NotSent);
    within(bench.link).await.expect("no panic");
}

#[tokio::test]
async fn a_dropped_link_ends_its_calls_and_handlers() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench.far.request(7, "forever").await;
    let call = bench.peer.call("sent", None, CallOptions::default()).start();
    bench.far.hear().await.expect("the request");
    until("the handler runs", || bench.peer.requests_in_flight() == 1).await;
    bench.link.abort();
    let error = within(call).await.expect_err("the link is gone");
    assert_eq!(error.phase(), Phase::OutcomeUnknown);
    assert!(bench.far.hear().await.is_none(), "the lane is gone with the link");
    assert_eq!(*bench.seen.dropped.lock(), [Some(towpath_link::CancelReason::LinkEnded)]);
}

#[tokio::test]
async fn a_request_over_the_limit_is_not_sent_and_harms_nothing_else() {
    let mut limits = LinkLimits::default();
    limits.envelope.max_message_bytes = 200;
    let [(peer, ..), _other] = two_links(limits, LinkTimeouts::default());
    let large = json_of(&json!({"text": "x".repeat(200)}));
    let error = within(peer.call("echo", Some(large), CallOptions::default())).await.expect_err("too large");
    assert!(matches!(error, CallError::TooLarge { .. }), "{error}");
    assert_eq!(error.phase(), Phase::NotSent);
    within(peer.call("echo", None, CallOptions::default())).await.expect("the link lives");
}

#[tokio::test]
async fn closing_lets_calls_go_on_for_the_grace_and_refuses_new_ones() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let call = bench.peer.call("sent", None, CallOptions::default()).start();
    let asked = bench.far.hear().await.expect("the request");
    bench.peer.close(30 * SECOND);
    let refused = within(bench.peer.call("new", None, CallOptions::default())).await.expect_err("closing");
    assert_eq!(refused.phase(), Phase::NotSent);
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked.id().expect("id"))).await;
    within(call).await.expect("the answer still comes");
    assert!(bench.far.hear().await.is_none());
    within(bench.link).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_waited_for_a_permit_has_no_deadline_either() {
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    let mut bench = bench(limits, LinkTimeouts::default());
    let first = bench.peer.call("first", None, CallOptions::default()).start();
    let mut options = CallOptions::default();
    options.listen = true;
    let listening = tokio::spawn(bench.peer.call("subscriptions/listen", None, options));
    assert_eq!(bench.far.hear().await.expect("a request").method(), "first");
    tokio::time::advance(SECOND).await;
    bench.far.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    within(first).await.expect("an answer");
    assert_eq!(bench.far.hear().await.expect("it has got the permit").method(), "subscriptions/listen");
    tokio::time::sleep(3_600 * SECOND).await;
    assert!(!listening.is_finished(), "it lives by liveness, not by a deadline");
    listening.abort();
}

#[tokio::test]
async fn requests_of_dropped_calls_do_not_pile_up_before_a_peer_that_takes_nothing() {
    let lane = LaneLimits::default().with_write_queue_bytes(1_000);
    let mut bench = support::bench_with(LinkLimits::default(), LinkTimeouts::default(), lane, |_| {});
    for _ in 0..2_000 {
        drop(bench.peer.call("unwanted", None, CallOptions::default()).start());
        let started = bench.peer.call("unwanted", None, CallOptions::default()).start();
        tokio::task::yield_now().await;
        drop(started);
    }
    let wanted = bench.peer.call("wanted", None, CallOptions::default()).start();
    let mut unwanted = 0;
    while bench.far.hear().await.expect("the request comes").method() != "wanted" {
        unwanted += 1;
    }
    assert!(unwanted < 200, "{unwanted} messages about what nobody wants");
    drop(wanted);
}
