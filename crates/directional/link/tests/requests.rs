//! Requests of the peer: handlers, cancellation, panics, limits, and what happens when it is full.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use support::{SECOND, bench, bench_with, two_links, until};
use towpath_jsonrpc::{Message, RawJson};
use towpath_link::{CallOptions, CancelReason, LinkEnd, LinkLimits, LinkTimeouts, NotifyError, Phase};
use towpath_raw::{LaneError, LaneLimits, Operation, Timeout};
use towpath_testkit::{within, within_for};

fn error_code(message: &Message) -> i64 {
    message.error().expect("an error").code
}

fn reason(message: &Message) -> String {
    let data = message.error().expect("an error").data.expect("data");
    let data: serde_json::Value = data.deserialize().expect("JSON");
    data["reason"].as_str().expect("a reason").to_owned()
}

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
async fn more_requests_than_the_limit_get_a_refusal_built_from_their_id() {
    let mut limits = LinkLimits::default();
    limits.max_requests_from_peer = 2;
    let mut bench = bench(limits, LinkTimeouts::default());
    for id in 1..=3 {
        bench.far.request(id, "wait").await;
    }
    let refusal = bench.far.hear().await.expect("a refusal");
    assert_eq!(refusal.id().expect("id").as_u64(), Some(3));
    assert_eq!((error_code(&refusal), reason(&refusal)), (-32600, "too_many_requests".to_owned()));
    assert_eq!((bench.seen.most_running.load(SeqCst), bench.peer.stats().refused), (2, 1));
    bench.seen.release.notify_waiters();
    for _ in 0..2 {
        assert!(bench.far.hear().await.expect("an answer").error().is_none());
    }
}

/// A peer that asks and never reads: what it may leave unread is bounded, then it gets refusals, then it is not read
/// any more, and then the lane ends.
async fn never_reads(limits: LinkLimits, padding: usize) -> (towpath_link::LinkStats, LinkEnd) {
    let lane = LaneLimits::default().with_write_queue_bytes(2_000);
    let bench = bench_with(limits, LinkTimeouts::default(), lane, |_| {});
    let support::Far { source: _unread, mut sink } = bench.far;
    let asking = tokio::spawn(async move {
        use towpath_raw::FrameSinkExt;
        for id in 0.. {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"echo","params":{{"x":"{}"}}}}"#,
                "x".repeat(padding)
            );
            if sink.send(bytes::Bytes::from(text).into()).await.is_err() {
                return;
            }
        }
    });
    let end = within_for(120 * SECOND, bench.link).await.expect("no panic");
    within(asking).await.expect("no panic");
    (bench.peer.stats(), end)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_ends_typed_after_a_bounded_number_of_answers() {
    let mut limits = LinkLimits::default();
    limits.max_unread_answers = 100;
    limits.max_unread_refusals = 50;
    let (stats, end) = within_for(200 * SECOND, never_reads(limits, 10)).await;
    assert!(matches!(end, LinkEnd::Failed(LaneError::PeerNotReading { .. })), "{end}");
    // What fits into the lane itself comes on top of both limits.
    assert!((100..200).contains(&stats.requests), "{stats:?}");
    assert!((50..150).contains(&stats.refused) && stats.reading_stopped == 1, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_unread_answers_are_bounded_too() {
    let mut limits = LinkLimits::default();
    limits.max_unread_answer_bytes = 20_000;
    limits.max_unread_refusals = 50;
    let (stats, end) = within_for(200 * SECOND, never_reads(limits, 1_000)).await;
    assert!(matches!(end, LinkEnd::Failed(LaneError::PeerNotReading { .. })), "{end}");
    assert!((19..90).contains(&stats.requests), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn two_peers_that_flood_each_other_and_never_read_answers_both_end_typed() {
    let mut limits = LinkLimits::default();
    limits.max_requests_from_peer = 10;
    limits.max_unread_refusals = 20;
    let lane = LaneLimits::default().with_write_queue_bytes(2_000);
    let (one, other) = towpath_testkit::memory_pair(lane, Default::default());
    // Each side only writes: requests from its own flood, and refusals; no side ever takes an answer off the lane,
    // because both have stopped reading.
    let links = [one, other].map(|lane| {
        let (script, _) = support::script();
        let (link, peer) = towpath_link::Link::new(lane, script, limits.clone(), LinkTimeouts::default());
        (tokio::spawn(link), peer)
    });
    let mut floods = Vec::new();
    for (_, peer) in &links {
        for _ in 0..1_000 {
            floods.push(peer.call("forever", None, CallOptions::default()).start());
        }
    }
    for flood in floods {
        // Refused, or ended with the link: each ends exactly once.
        assert!(within_for(120 * SECOND, flood).await.is_err());
    }
    let mut not_reading = 0;
    for (link, peer) in links {
        let end = within(link).await.expect("no panic");
        not_reading += usize::from(matches!(end, LinkEnd::Failed(LaneError::PeerNotReading { .. })));
        assert_eq!(peer.stats().reading_stopped, 1, "the limit was not reached");
    }
    assert!(not_reading >= 1, "the other may see that its peer is gone before its own deadline");
}

#[tokio::test]
async fn a_side_that_answers_nobody_drops_and_counts_requests_and_reads_on() {
    let mut limits = LinkLimits::default();
    limits.max_unread_refusals = 1;
    let mut bench = bench_with(limits, LinkTimeouts::default(), LaneLimits::default(), |s| s.answers = false);
    let call = bench.peer.call("anything", None, CallOptions::default()).start();
    bench.far.hear().await.expect("the request");
    for id in 0..1_000 {
        bench.far.request(id, "echo").await;
    }
    bench.far.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    within(call).await.expect("the answer came through");
    let stats = bench.peer.stats();
    assert_eq!((stats.requests_dropped, stats.requests, stats.reading_stopped), (1_000, 0, 0));
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
async fn notifications_of_handlers_wait_for_room_and_are_all_there() {
    let mut limits = LinkLimits::default();
    limits.notification_queue_bytes = 300;
    let lane = LaneLimits::default().with_write_queue_bytes(300);
    let mut bench = bench_with(limits, LinkTimeouts::default(), lane, |_| {});
    let peer = bench.peer.clone();
    let telling = tokio::spawn(async move {
        for n in 0..200 {
            let params = RawJson::parse(format!(r#"{{"n":{n}}}"#)).expect("JSON");
            peer.notify("tell", Some(params)).await.expect("the link lives");
        }
    });
    // As often as it takes to say everything, if nothing made it wait.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!telling.is_finished(), "200 notifications do not fit into 300 bytes");
    for n in 0..200 {
        let note = bench.far.hear_text().await;
        assert!(note.contains(&format!(r#"{{"n":{n}}}"#)), "{note}");
    }
    within(telling).await.expect("no panic");
}

#[tokio::test]
async fn too_many_notifications_in_handling_are_dropped_and_counted() {
    let mut limits = LinkLimits::default();
    limits.max_notifications_from_peer = 3;
    let mut bench = bench(limits, LinkTimeouts::default());
    for _ in 0..3 {
        bench.far.say(r#"{"jsonrpc":"2.0","method":"wait"}"#).await;
        // One after another, so that each is seen in handling by the next.
        tokio::task::yield_now().await;
    }
    bench.far.request(1, "echo").await;
    bench.far.hear().await.expect("an answer");
    for _ in 0..5 {
        bench.far.say(r#"{"jsonrpc":"2.0","method":"wait"}"#).await;
    }
    bench.far.request(2, "echo").await;
    bench.far.hear().await.expect("an answer");
    assert_eq!(bench.peer.stats().notifications_dropped, 5);
    bench.seen.release.notify_waiters();
    until("the three are done", || bench.seen.notes.lock().len() == 3).await;
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
async fn an_answer_over_the_limit_ends_its_call_and_leaves_the_others() {
    let lane = LaneLimits::default().with_max_message_bytes(300);
    let mut limits = LinkLimits::default();
    limits.envelope.max_message_bytes = 300;
    let mut bench = bench_with(limits, LinkTimeouts::default(), lane, |_| {});
    let padding = "x".repeat(2_000);
    let call = bench.peer.call("large", None, CallOptions::default()).start();
    let other = bench.peer.call("small", None, CallOptions::default()).start();
    bench.far.hear().await.expect("a request");
    bench.far.hear().await.expect("a request");
    let first = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{padding}"}}}}"#);
    bench.far.say(first).await;
    let error = within(call).await.expect_err("it was passed over");
    assert!(matches!(error, towpath_link::CallError::AnswerTooLarge { .. }), "{error}");
    assert!(error.to_string().contains("max_message_bytes"), "{error}");
    // The id may come last, as the official SDKs write it.
    let last = format!(r#"{{"jsonrpc":"2.0","result":{{"text":"{padding}"}},"id":2}}"#);
    bench.far.say(last).await;
    let error = within(other).await.expect_err("it was passed over");
    assert!(matches!(error, towpath_link::CallError::AnswerTooLarge { .. }), "{error}");
    // So small that its beginning is all of it.
    let whole = bench.peer.call("whole", None, CallOptions::default()).start();
    bench.far.hear().await.expect("a request");
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":3,"result":{{"text":"{}"}}}}"#, "x".repeat(300))).await;
    within(whole).await.expect_err("it was passed over");
    // A request that is too large is refused by its id.
    let request = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"echo","params":{{"text":"{padding}"}}}}"#);
    bench.far.say(request).await;
    let refusal = bench.far.hear().await.expect("a refusal");
    assert_eq!((refusal.id().expect("id").as_u64(), reason(&refusal)), (Some(7), "too_large".to_owned()));
    assert_eq!(bench.peer.stats().oversized, 4);
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
async fn an_answer_that_does_not_fit_into_its_batch_is_an_error_among_the_others() {
    let mut limits = LinkLimits::default();
    limits.envelope.max_message_bytes = 2_500;
    let mut bench = bench_with(limits, LinkTimeouts::default(), LaneLimits::default(), |s| s.batches = true);
    let one = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"large","params":{{}}}}"#);
    bench.far.say(format!("[{},{},{}]", one(1), one(2), one(3))).await;
    use towpath_raw::FrameSourceExt;
    let towpath_raw::Inbound::Frame(frame) =
        within(bench.far.source.receive()).await.expect("the lane works")
    else {
        panic!("not a frame")
    };
    assert!(frame.len() <= 2_500, "{} bytes", frame.len());
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&frame).expect("an array");
    let reasons: Vec<_> = answers.iter().map(|answer| &answer["error"]["data"]["reason"]).collect();
    assert_eq!((reasons.len(), answers[0]["error"].is_null()), (3, true), "{answers:?}");
    assert!(reasons[1..].iter().all(|reason| *reason == "too_large"), "{answers:?}");
}

#[tokio::test]
async fn what_is_kept_of_a_message_does_not_keep_the_buffer_that_it_was_read_into() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let call = bench.peer.call("slow", None, CallOptions::default()).start();
    bench.far.hear().await.expect("the request");
    let note =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
    let mut buffer = note.as_bytes().to_vec();
    buffer.resize(1 << 20, b' ');
    let buffer = bytes::Bytes::from(buffer);
    use towpath_raw::FrameSinkExt;
    within(bench.far.sink.send(buffer.slice(..note.len()).into())).await.expect("the link reads");
    // More requests than may be slices of their buffers.
    let requests: Vec<_> = (0..100)
        .map(|id| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"forever","params":{{}}}}"#);
            let mut buffer = text.clone().into_bytes();
            buffer.resize(1 << 20, b' ');
            (bytes::Bytes::from(buffer), text.len())
        })
        .collect();
    for (buffer, length) in &requests {
        within(bench.far.sink.send(buffer.slice(..*length).into())).await.expect("the link reads");
    }
    until("all are in flight", || bench.peer.requests_in_flight() == 100).await;
    assert!(buffer.is_unique(), "the note keeps its buffer");
    let kept = requests.iter().filter(|(buffer, _)| !buffer.is_unique()).count();
    assert!(kept <= 64, "{kept} buffers are kept");
    drop(call);
}

#[tokio::test]
async fn an_answer_over_the_limit_of_the_lane_alone_is_an_error_for_whoever_asked() {
    let lane = LaneLimits::default().with_max_message_bytes(1_000);
    let mut bench = bench_with(LinkLimits::default(), LinkTimeouts::default(), lane, |_| {});
    bench.far.request(1, "large").await;
    let answer = bench.far.hear().await.expect("an answer");
    assert_eq!((error_code(&answer), reason(&answer)), (-32600, "too_large".to_owned()));
}

#[tokio::test]
async fn a_notification_over_the_limit_is_an_error_for_whoever_sends_it() {
    let mut limits = LinkLimits::default();
    limits.envelope.max_message_bytes = 200;
    let bench = bench(limits, LinkTimeouts::default());
    let params = RawJson::parse(format!(r#"{{"text":"{}"}}"#, "x".repeat(200))).expect("JSON");
    let sent = within(bench.peer.notify("notifications/large", Some(params))).await;
    assert!(matches!(sent, Err(NotifyError::TooLarge(_))), "{sent:?}");
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
