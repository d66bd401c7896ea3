//! What happens when it is full, and what becomes of what is too large.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use support::{SECOND, bench, bench_with, error_code, reason, until};
use towpath_jsonrpc::RawJson;
use towpath_link::{CallOptions, LinkEnd, LinkLimits, LinkTimeouts, NotifyError};
use towpath_raw::{LaneError, LaneLimits};
use towpath_testkit::{within, within_for};

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
async fn an_answer_over_the_links_own_limit_ends_its_call_however_large_the_lanes_is() {
    let mut limits = LinkLimits::default();
    limits.envelope.max_message_bytes = 300;
    let mut bench = bench_with(limits, LinkTimeouts::default(), LaneLimits::default(), |_| {});
    let padding = "x".repeat(2_000);
    for id_first in [true, false] {
        let call = bench.peer.call("large", None, CallOptions::default()).start();
        let asked = bench.far.hear().await.expect("a request");
        let id = asked.id().expect("an id").clone();
        bench
            .far
            .say(match id_first {
                true => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"text":"{padding}"}}}}"#),
                false => format!(r#"{{"jsonrpc":"2.0","result":{{"text":"{padding}"}},"id":{id}}}"#),
            })
            .await;
        let error = within(call).await.expect_err("it was passed over");
        assert!(matches!(error, towpath_link::CallError::AnswerTooLarge { .. }), "{error}");
    }
    assert_eq!(bench.peer.stats().oversized, 2);
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
    let error = format!(
        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":1,"message":"m"}}}}"#,
        call.id().expect("in flight")
    );
    let mut buffer = error.as_bytes().to_vec();
    buffer.resize(1 << 20, b' ');
    let buffer = bytes::Bytes::from(buffer);
    within(bench.far.sink.send(buffer.slice(..error.len()).into())).await.expect("the link reads");
    let error = within(call).await.expect_err("an error");
    assert!(buffer.is_unique(), "{error} keeps its buffer");
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
