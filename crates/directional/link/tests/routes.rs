//! A lane that is made of exchanges: what belongs to a request goes where that came from, and a failed exchange ends one
//! call.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::sync::{Arc, atomic::Ordering::SeqCst};

use support::{SECOND, Script, Seen, script, until};
use tokio::task::JoinHandle;
use towpath_jsonrpc::{Deadlines, EnvelopeLimits, Message};
use towpath_link::{CallError, CallOptions, Link, LinkEnd, LinkLimits, LinkTimeouts, Peer, Phase};
use towpath_raw::{ExchangeError, Frame, Inbound, LaneLimits, MessageTooLarge, Operation, Route, Timeout};
use towpath_testkit::{LaneScript, scripted_lane, within};

struct Bench {
    peer: Peer,
    seen: Arc<Seen>,
    far: LaneScript,
    link: JoinHandle<LinkEnd>,
}

fn bench() -> Bench {
    bench_with(LinkLimits::default(), |_| {})
}

fn bench_with(limits: LinkLimits, change: impl FnOnce(&mut Script)) -> Bench {
    let (lane, far) = scripted_lane(LaneLimits::default());
    let (mut script, seen) = script();
    change(&mut script);
    let (link, peer) = Link::new(lane, script, limits, LinkTimeouts::default());
    Bench { peer, seen, far, link: tokio::spawn(link) }
}

impl Bench {
    /// On an exchange of the peer's.
    async fn say_on(&self, route: u64, text: impl Into<String>) {
        let text = bytes::Bytes::from(text.into());
        assert!(within(self.far.give(Inbound::Routed(Route::new(route), text))).await, "the link reads");
    }

    /// On an exchange that the link has opened.
    async fn say(&self, text: impl Into<String>) {
        let text = bytes::Bytes::from(text.into());
        assert!(within(self.far.give(Inbound::Frame(text))).await, "the link reads");
    }

    async fn request_on(&self, route: u64, id: u64, method: &str) {
        self.say_on(route, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#))
            .await;
    }

    async fn fail(&self, route: Route, error: ExchangeError) {
        assert!(within(self.far.give(Inbound::Failed { route, error })).await, "the link reads");
    }

    async fn frame(&mut self) -> Frame {
        within(self.far.take()).await.expect("a frame, not the end")
    }

    /// The next frame: its route's number, whether it is the last one there, and its text.
    async fn hear(&mut self) -> (Option<u64>, bool, String) {
        let frame = self.frame().await;
        let (route, last) = (frame.route().number(), frame.is_last());
        (route, last, String::from_utf8(frame.into_bytes().to_vec()).expect("UTF-8"))
    }

    async fn hear_message(&mut self) -> (Option<u64>, bool, Message) {
        let frame = self.frame().await;
        let (route, last) = (frame.route().number(), frame.is_last());
        (route, last, Message::parse(frame.into_bytes(), &EnvelopeLimits::default()).expect("JSON-RPC"))
    }
}

#[tokio::test]
async fn requests_with_one_id_are_answered_each_on_its_own_exchange() {
    let mut bench = bench();
    for n in 1..=40 {
        bench.say_on(n, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"wait","params":{{"n":{n}}}}}"#)).await;
    }
    until("all are in flight", || bench.seen.running.load(SeqCst) == 40).await;
    bench.seen.release.notify_waiters();
    let mut answered = Vec::new();
    for _ in 1..=40 {
        let (route, last, text) = bench.hear().await;
        let n = route.expect("an exchange");
        assert_eq!((last, text), (true, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"n":{n}}}}}"#)));
        answered.push(n);
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_handler_says_goes_on_the_exchange_of_its_request_before_the_answer() {
    let mut bench = bench();
    bench
        .say_on(5, r#"{"jsonrpc":"2.0","id":1,"method":"progress","params":{"_meta":{"progressToken":"t"}}}"#)
        .await;
    for _ in 1..=3 {
        let (route, last, note) = bench.hear_message().await;
        assert_eq!((route, last, note.method()), (Some(5), false, "notifications/progress"));
    }
    let (route, last, answer) = bench.hear_message().await;
    assert_eq!((route, last, answer.result().is_some()), (Some(5), true, true));
}

#[tokio::test]
async fn what_a_handler_asks_goes_on_the_exchange_of_its_request() {
    let mut bench = bench();
    bench.request_on(6, 1, "ask").await;
    let (route, last, asked) = bench.hear_message().await;
    assert_eq!((route, last, asked.method()), (Some(6), false, "echo"));
    // The answer comes on an exchange of its own.
    let id = asked.id().expect("an id");
    bench.say_on(7, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"mine":true}}}}"#)).await;
    let answer = bench.hear().await;
    assert_eq!(answer, (Some(6), true, r#"{"jsonrpc":"2.0","id":1,"result":{"mine":true}}"#.into()));
}

#[tokio::test]
async fn a_request_that_is_cancelled_ends_its_exchange_without_a_word() {
    let mut bench = bench();
    bench.request_on(6, 1, "ask").await;
    assert_eq!(bench.hear_message().await.2.method(), "echo");
    bench.say_on(7, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    let (route, last, cancelled) = bench.hear_message().await;
    assert_eq!((route, last, cancelled.method()), (Some(6), false, "notifications/cancelled"));
    assert_eq!(bench.hear().await, (Some(6), true, String::new()));
    // Nothing was sent about the exchange that brought the cancellation.
    bench.request_on(8, 2, "echo").await;
    assert_eq!(bench.hear().await.0, Some(8));
}

#[tokio::test]
async fn what_a_notification_leads_to_goes_on_the_lane() {
    let mut bench = bench();
    bench.say_on(3, r#"{"jsonrpc":"2.0","method":"tell"}"#).await;
    let (route, last, note) = bench.hear_message().await;
    assert_eq!((route, last, note.method()), (None, false, "told"));
    bench.request_on(4, 1, "echo").await;
    assert_eq!(bench.hear().await.0, Some(4), "a notification gets nothing back");
}

#[tokio::test]
async fn whatever_answers_a_message_is_the_last_word_on_its_exchange() {
    let mut limits = LinkLimits::default();
    limits.max_requests_from_peer = 1;
    limits.envelope.max_message_bytes = 1_000;
    let mut bench = bench_with(limits, |script| script.batches = true);
    let too_large =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{{"x":"{}"}}}}"#, "x".repeat(1_000));
    for (route, text, id, code) in [
        (1, "{nonsense}", None, -32700),
        (2, r#"{"jsonrpc":"1.0","id":7,"method":"echo"}"#, Some(7), -32600),
        (3, too_large.as_str(), Some(1), -32600),
        (4, r#"{"jsonrpc":"2.0","id":8,"method":"panic"}"#, Some(8), -32603),
        (5, r#"{"jsonrpc":"2.0","id":9,"method":"large"}"#, Some(9), -32600),
        (6, r#"{"jsonrpc":"2.0","id":10,"method":"unknown"}"#, Some(10), -32601),
    ] {
        bench.say_on(route, text).await;
        let (heard, last, answer) = bench.hear_message().await;
        let answered = (answer.id().and_then(|id| id.as_u64()), answer.error().expect("an error").code);
        assert_eq!((heard, last, answered), (Some(route), true, (id, code)), "{text:.60}");
    }
    bench
        .say_on(7, r#"[{"jsonrpc":"2.0","id":1,"method":"wait"},{"jsonrpc":"2.0","id":2,"method":"wait"}]"#)
        .await;
    until("the first waits", || bench.seen.running.load(SeqCst) == 1).await;
    bench.request_on(8, 1, "echo").await;
    let (route, last, refusal) = bench.hear_message().await;
    assert_eq!((route, last, refusal.error().is_some()), (Some(8), true, true));
    bench.seen.release.notify_waiters();
    let (route, last, answers) = bench.hear().await;
    assert_eq!((route, last), (Some(7), true));
    assert!(answers.starts_with('[') && answers.contains(r#""id":1"#) && answers.contains(r#""id":2"#));
}

#[tokio::test]
async fn an_exchange_that_gets_no_answer_is_ended_all_the_same() {
    let mut bench = bench_with(LinkLimits::default(), |script| script.batches = true);
    // An answer that is none to nothing that was asked: nobody is told, and nobody waits.
    bench.say_on(1, r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#).await;
    assert_eq!(bench.hear().await, (Some(1), true, String::new()));
    bench.say_on(2, r#"[{"jsonrpc":"2.0","id":1,"method":"forever"}]"#).await;
    until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
    bench
        .say_on(3, r#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]"#)
        .await;
    assert_eq!(bench.hear().await, (Some(2), true, String::new()));
    let mut silent = bench_with(LinkLimits::default(), |script| script.answers = false);
    silent.request_on(1, 1, "echo").await;
    assert_eq!(silent.hear().await, (Some(1), true, String::new()));
    assert_eq!(silent.peer.stats().requests_dropped, 1);
}

#[tokio::test]
async fn an_exchange_whose_answer_is_large_is_answered_there_though_it_was_read_in_slices() {
    let mut bench = bench();
    let text = "x".repeat(600 << 10);
    bench.say_on(9, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{{"x":"{text}"}}}}"#)).await;
    let (route, last, answer) = bench.hear().await;
    assert_eq!((route, last, answer.len() > 600 << 10), (Some(9), true, true));
}

#[tokio::test(start_paused = true)]
async fn a_call_has_an_exchange_of_its_own_and_its_cancellation_too() {
    let mut bench = bench();
    let mut options = CallOptions::default();
    options.deadlines = Some(Deadlines { idle: None, total: Some(SECOND) });
    let dropped = bench.peer.call("one", None, CallOptions::default()).start();
    let late = bench.peer.call("other", None, options).start();
    let routes = [dropped.id(), late.id()].map(|id| id.map(|id| id + 1));
    for (route, method) in routes.into_iter().zip(["one", "other"]) {
        let (heard, _, asked) = bench.hear_message().await;
        assert_eq!((heard, asked.method()), (route, method));
    }
    drop(dropped);
    assert_eq!(bench.hear_message().await.0, routes[0]);
    within(late).await.expect_err("nobody answers");
    assert_eq!(bench.hear_message().await.0, routes[1]);
}

#[tokio::test]
async fn where_the_peer_opens_the_exchanges_our_own_calls_belong_to_the_lane() {
    let mut bench = bench();
    bench.request_on(2, 1, "echo").await;
    assert_eq!(bench.hear().await.0, Some(2));
    // Its number is that of an exchange of the peer's.
    let call = bench.peer.call("roots/list", None, CallOptions::default()).start();
    assert_eq!(call.id(), Some(1));
    assert_eq!(bench.hear().await.0, None);
    bench.fail(Route::new(2), broken()).await;
    until("it is no call's", || bench.peer.stats().stray_failures == 1).await;
    drop(call);
    assert_eq!(bench.hear().await.0, None, "so does its cancellation");
}

#[tokio::test]
async fn a_call_of_a_handler_that_has_ended_belongs_to_the_lane() {
    let mut bench = bench();
    bench.request_on(2, 1, "leave_a_call").await;
    assert_eq!(bench.hear_message().await.2.method(), "left");
    assert_eq!(bench.hear().await.0, Some(2), "the answer");
    let left = bench.seen.left.lock().take();
    drop(left);
    let (route, _, cancelled) = bench.hear_message().await;
    assert_eq!((route, cancelled.method()), (None, "notifications/cancelled"), "its exchange has ended");
}

fn broken() -> ExchangeError {
    ExchangeError::Broken { peer: "peer".into(), reason: "reset".into() }
}

#[tokio::test]
async fn a_failed_exchange_ends_its_call_and_says_how_far_that_got() {
    let mut bench = bench();
    let peer: Arc<str> = "peer".into();
    let timeout = Timeout { operation: Operation::Connect, after: SECOND };
    let table = [
        (ExchangeError::NotConnected { peer: Arc::clone(&peer), reason: "refused".into() }, Phase::NotSent),
        (ExchangeError::Timeout { peer: Arc::clone(&peer), source: timeout }, Phase::NotSent),
        (broken(), Phase::OutcomeUnknown),
        (
            ExchangeError::TooLarge {
                peer: Arc::clone(&peer),
                source: MessageTooLarge { limit: 10, seen: 11, exact: false },
            },
            Phase::Answered,
        ),
        (
            ExchangeError::Refused { peer, status: 503, body: "later".into(), retry_after: Some(SECOND) },
            Phase::Answered,
        ),
    ];
    let other = bench.peer.call("other", None, CallOptions::default()).start();
    let asked = bench.hear_message().await.2;
    for (error, phase) in table {
        let text = error.to_string();
        let call = bench.peer.call("fails", None, CallOptions::default()).start();
        let route = bench.frame().await.route();
        bench.fail(route, error).await;
        let error = within(call).await.expect_err("its exchange failed");
        assert!(matches!(error, CallError::Exchange { .. }), "{error}");
        assert_eq!(error.phase(), phase, "{error}");
        assert!(error.to_string().contains(&text), "{error}");
    }
    // One that nobody waits for any more.
    let gone = bench.peer.call("gone", None, CallOptions::default()).start();
    let route = bench.frame().await.route();
    drop(gone);
    bench.fail(route, broken()).await;
    bench.fail(Route::LANE, broken()).await;
    until("both are counted", || bench.peer.stats().stray_failures == 2).await;
    let stats = bench.peer.stats();
    assert_eq!((stats.failed_exchanges, stats.late_answers, stats.stray_answers), (5, 0, 0));
    bench.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked.id().expect("an id"))).await;
    within(other).await.expect("the others live on");
    assert!(!bench.link.is_finished());
}
