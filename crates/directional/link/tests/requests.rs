//! Requests of the peer: handlers, cancellation, panics, what is no message, and what runs at the end.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use support::{SECOND, bench, bench_with, error_code, reason, two_links, until};
use towpath_jsonrpc::{Message, RawJson};
use towpath_link::{CallOptions, CancelReason, LinkEnd, LinkLimits, LinkTimeouts, NotifyError, Phase};
use towpath_raw::{LaneLimits, Operation, Timeout};
use towpath_testkit::within;

#[tokio::test]
async fn a_panicking_handler_answers_its_own_request_and_harms_nothing_else() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench.far.request(1, "wait").await;
    for method in ["panic", "panic_at_once"] {
        bench.far.request(2, method).await;
        let answer = bench.far.hear().await.expect("an answer");
        assert_eq!((answer.id().expect("id").as_u64(), error_code(&answer)), (Some(2), -32603));
    }
    bench.far.request(3, "late_panic").await;
    until("both wait", || bench.seen.running.load(SeqCst) == 2).await;
    bench.seen.release.notify_waiters();
    let (one, other) =
        (bench.far.hear().await.expect("an answer"), bench.far.hear().await.expect("an answer"));
    let (fine, broken) = if one.error().is_none() { (one, other) } else { (other, one) };
    assert_eq!((fine.id().expect("id").as_u64(), broken.id().expect("id").as_u64()), (Some(1), Some(3)));
    assert_eq!(bench.peer.stats().panics, 3);
}

#[tokio::test]
async fn a_cancelled_request_drops_its_handler_says_why_and_is_not_answered() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench.far.request(r#""a""#, "forever").await;
    until("the handler runs", || bench.seen.running.load(SeqCst) == 1).await;
    bench.far.cancel(r#""a""#).await;
    // An answer to the cancelled one could come after that to the first that follows it, not after the second.
    for id in [2, 3] {
        bench.far.request(id, "echo").await;
        let next = bench.far.hear().await.expect("an answer");
        assert_eq!(next.id().expect("id").as_u64(), Some(id), "the cancelled request was answered");
    }
    assert_eq!(*bench.seen.dropped.lock(), [Some(CancelReason::ByPeer(Some("no more".into())))]);
    assert_eq!(bench.peer.requests_in_flight(), 0);
}

#[tokio::test]
async fn a_cancel_that_names_two_requests_or_none_is_ignored_and_counted() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench.far.request(1, "wait").await;
    bench.far.request(1, "wait").await;
    bench.far.request(r#""1""#, "wait").await;
    until("all three run", || bench.seen.running.load(SeqCst) == 3).await;
    bench.far.cancel(1).await;
    bench.far.cancel(9).await;
    until("both are counted", || bench.peer.stats().cancels_ignored == 2).await;
    bench.seen.release.notify_waiters();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.far.hear().await.expect("an answer").id().expect("id").to_string());
    }
    ids.sort();
    assert_eq!(ids, [r#""1""#, "1", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_dropped_and_its_request_answered() {
    let mut timeouts = LinkTimeouts::default();
    timeouts.handler = Some(5 * SECOND);
    let mut bench = bench(LinkLimits::default(), timeouts);
    bench.far.request(1, "forever").await;
    let answer = bench.far.hear().await.expect("an answer");
    assert_eq!((error_code(&answer), reason(&answer)), (-32603, "timed_out".to_owned()));
    let timeout = Timeout { operation: Operation::Handle, after: 5 * SECOND };
    assert_eq!(*bench.seen.dropped.lock(), [Some(CancelReason::Timeout(timeout))]);
}

#[tokio::test]
async fn a_handler_can_ask_the_peer_that_asks_it_with_every_limit_at_one() {
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    limits.max_requests_from_peer = 1;
    let [(one, ..), (other, ..)] = two_links(limits, LinkTimeouts::default());
    let params = RawJson::parse(r#"{"n":1}"#).expect("JSON");
    // `ask` makes the other side call `echo` here, while our own call to it is in flight.
    let asked = one.call("ask", Some(params.clone()), CallOptions::default());
    assert_eq!(within(asked).await.expect("an answer"), params);
    let (a, b) = (
        one.call("ask", Some(params.clone()), CallOptions::default()),
        other.call("ask", Some(params.clone()), CallOptions::default()),
    );
    // Crossed, each side's one permit is taken: whatever becomes of them, both end.
    let (a, b) = within(async { tokio::join!(a, b) }).await;
    drop((a, b));
}

#[tokio::test]
async fn a_handler_has_a_permit_of_its_own_to_ask_its_peer() {
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    let [(one, seen, _one), (other, ..)] = two_links(limits, LinkTimeouts::default());
    // The one permit of the side that is to ask is taken.
    let holds = other.call("wait", None, CallOptions::default()).start();
    until("it is on its way", || seen.running.load(SeqCst) == 1).await;
    let params = RawJson::parse(r#"{"n":1}"#).expect("JSON");
    let asked = one.call("ask", Some(params.clone()), CallOptions::default());
    assert_eq!(within(asked).await.expect("an answer"), params);
    seen.release.notify_waiters();
    within(holds).await.expect("an answer");
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_nothing_after_it() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench
        .far
        .say(r#"{"jsonrpc":"2.0","id":1,"method":"progress","params":{"_meta":{"progressToken":"t"}}}"#)
        .await;
    for step in 1..=3 {
        let note = bench.far.hear_text().await;
        assert!(
            note.contains(r#""progressToken":"t""#) && note.contains(&format!(r#""progress":{step}"#)),
            "{note}"
        );
    }
    assert!(bench.far.hear().await.expect("the answer").result().is_some());
}

#[tokio::test]
async fn nothing_can_be_said_about_a_request_that_has_ended() {
    struct Keeps(tokio::sync::mpsc::Sender<towpath_link::Context>);
    impl towpath_link::Service for Keeps {
        fn request(&mut self, message: Message, context: towpath_link::Context) -> towpath_link::Admission {
            self.0.try_send(context).expect("room");
            towpath_link::Admission::Now(towpath_link::Reply::plain(message.params().expect("params")))
        }
        fn reply_to_fault(&self, _: &towpath_mcp::Fault) -> Option<towpath_jsonrpc::ErrorObject> {
            None
        }
    }
    let (keep, mut kept) = tokio::sync::mpsc::channel(1);
    let (near, far) = towpath_testkit::memory_pair(LaneLimits::default(), Default::default());
    let (link, _peer) =
        towpath_link::Link::new(near, Keeps(keep), LinkLimits::default(), LinkTimeouts::default());
    let link = tokio::spawn(link);
    let (source, sink) = towpath_raw::Lane::split(far);
    let mut far = support::Far { source, sink };
    far.request(1, "any").await;
    far.hear().await.expect("the answer");
    let context = within(kept.recv()).await.expect("a context");
    let late = within(context.notify("notifications/late", None)).await;
    assert!(matches!(late, Err(NotifyError::RequestEnded)), "{late:?}");
    link.abort();
}

#[tokio::test]
async fn garbage_is_answered_with_an_error_and_counted_and_the_link_lives() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    for (garbage, code) in [
        ("{nonsense}", -32700),
        (r#"{"jsonrpc":"2.0","id":null,"method":"echo"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"echo"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"echo"}"#, -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"echo"}]"#, -32600),
    ] {
        bench.far.say(garbage).await;
        assert_eq!(error_code(&bench.far.hear().await.expect("an error")), code, "{garbage}");
    }
    assert_eq!(bench.peer.stats().malformed, 5);
    bench.far.request(1, "echo").await;
    assert!(bench.far.hear().await.expect("an answer").result().is_some());
}

#[tokio::test]
async fn a_malformed_answer_ends_its_call() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let call = bench.peer.call("anything", None, CallOptions::default()).start();
    bench.far.hear().await.expect("the request");
    bench.far.say(r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#).await;
    let error = within(call).await.expect_err("no answer");
    assert!(matches!(error, towpath_link::CallError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_batch_is_answered_in_one_array() {
    let mut bench = bench_with(LinkLimits::default(), LinkTimeouts::default(), LaneLimits::default(), |s| {
        s.batches = true
    });
    bench
        .far
        .say(
            r#"[{"jsonrpc":"2.0","id":1,"method":"echo","params":{}},{"jsonrpc":"2.0","method":"note"},
               {"jsonrpc":"2.0","id":2,"method":"wait","params":{}},{"broken":true}]"#,
        )
        .await;
    until("the second waits", || bench.seen.running.load(SeqCst) == 1).await;
    bench.seen.release.notify_waiters();
    use towpath_raw::FrameSourceExt;
    let towpath_raw::Inbound::Frame(frame) =
        within(bench.far.source.receive()).await.expect("the lane works")
    else {
        panic!("not a frame")
    };
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&frame).expect("an array");
    let mut ids: Vec<_> = answers.iter().map(|answer| answer["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "null"], "{answers:?}");
    until("the notification was seen", || *bench.seen.notes.lock() == ["note"]).await;
}

#[tokio::test]
async fn a_large_message_is_validated_in_slices_and_what_shares_the_lane_goes_on() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench.far.request(1, "wait").await;
    let zeros = vec!["0"; 500_000].join(",");
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":2,"method":"echo","params":[{zeros}]}}"#)).await;
    bench.seen.release.notify_one();
    let (one, other) =
        (bench.far.hear().await.expect("an answer"), bench.far.hear().await.expect("an answer"));
    assert!(one.bytes().len() + other.bytes().len() > 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn what_runs_when_the_peer_closes_may_finish_within_a_bound() {
    let mut timeouts = LinkTimeouts::default();
    timeouts.finish = 7 * SECOND;
    let mut bench = bench(LinkLimits::default(), timeouts);
    bench.far.request(1, "wait").await;
    bench.far.request(2, "forever").await;
    until("both run", || bench.seen.running.load(SeqCst) == 2).await;
    let start = tokio::time::Instant::now();
    let support::Far { source, sink } = bench.far;
    drop(sink);
    until("the end was seen", || bench.peer.ended().is_some()).await;
    bench.seen.release.notify_waiters();
    let mut source = source;
    use towpath_raw::FrameSourceExt;
    let first = within(source.receive()).await.expect("the lane works");
    assert!(matches!(first, towpath_raw::Inbound::Frame(_)), "the running handler's answer is still written");
    let end = within(bench.link).await.expect("no panic");
    assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end}");
    assert_eq!(start.elapsed(), 7 * SECOND);
    assert_eq!(*bench.seen.dropped.lock(), [Some(CancelReason::LinkEnded)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_bytes_have_a_bound_of_their_own() {
    let mut timeouts = LinkTimeouts::default();
    timeouts.close = 3 * SECOND;
    let lane = LaneLimits::default().with_write_queue_bytes(100);
    let bench = bench_with(LinkLimits::default(), timeouts, lane, |_| {});
    let calls: Vec<_> =
        (0..20).map(|_| bench.peer.call("to_nobody", None, CallOptions::default()).start()).collect();
    tokio::task::yield_now().await;
    let start = tokio::time::Instant::now();
    bench.peer.close(std::time::Duration::ZERO);
    within(bench.link).await.expect("no panic");
    assert_eq!(start.elapsed(), 3 * SECOND);
    let mut phases = Vec::new();
    for call in calls {
        phases.push(within(call).await.expect_err("nobody answers").phase());
    }
    assert_eq!(phases.first(), Some(&Phase::OutcomeUnknown), "the lane has taken it");
    assert_eq!(phases.last(), Some(&Phase::NotSent), "there was no room for it");
}
