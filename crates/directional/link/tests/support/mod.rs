//! A service that does as its requests say, and a peer of which the test writes every byte.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::Notify, task::JoinHandle};
use towpath_jsonrpc::{EnvelopeLimits, ErrorObject, Message, RawJson};
use towpath_link::{
    Admission, Call, CallError, CancelReason, Context, Errand, Link, LinkEnd, LinkLimits, LinkTimeouts, Peer,
    Reply, Service,
};
use towpath_mcp::{Fault, Revision, wire_reply};
use towpath_raw::{
    Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts, Level, Mutex,
};
use towpath_testkit::{MemoryLane, MemorySink, MemorySource, memory_pair, memory_pair_uneven, within};

/// What the test can see of its service.
pub(crate) struct Seen {
    /// Handlers that are waiting now, and the most that ever were.
    pub(crate) running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    /// Lets `wait` handlers go on.
    pub(crate) release: Notify,
    /// Why handlers were dropped before they had answered.
    pub(crate) dropped: Mutex<Vec<Option<CancelReason>>>,
    pub(crate) notes: Mutex<Vec<String>>,
    /// A call of a handler that has ended.
    pub(crate) left: Mutex<Option<Call>>,
}

/// Its methods: `echo` gives its params back; `wait` waits for the test; `panic` panics; `late_panic` after a wait;
/// `ask` calls the peer's `echo` and gives what it answers, `relay` asks the peer the same and passes its error on; `leave_a_call` answers before its
/// own call is answered; `progress` reports three times; `forever` never ends. A notification `tell` is told of.
pub(crate) struct Script {
    pub(crate) seen: Arc<Seen>,
    pub(crate) answers: bool,
    pub(crate) batches: bool,
}

pub(crate) fn script() -> (Script, Arc<Seen>) {
    let seen = Arc::new(Seen {
        running: AtomicUsize::new(0),
        most_running: AtomicUsize::new(0),
        release: Notify::new(),
        dropped: Mutex::new(Level::Handler, "Seen::dropped", Vec::new()),
        notes: Mutex::new(Level::Handler, "Seen::notes", Vec::new()),
        left: Mutex::new(Level::Handler, "Seen::left", None),
    });
    (Script { seen: Arc::clone(&seen), answers: true, batches: false }, seen)
}

/// Counts a handler while it runs, and notes why it was dropped if it was.
struct Running {
    seen: Arc<Seen>,
    context: Context,
    done: bool,
}

impl Running {
    fn new(seen: &Arc<Seen>, context: &Context) -> Self {
        let now = seen.running.fetch_add(1, SeqCst) + 1;
        seen.most_running.fetch_max(now, SeqCst);
        Self { seen: Arc::clone(seen), context: context.clone(), done: false }
    }

    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.seen.running.fetch_sub(1, SeqCst);
        if !self.done {
            let reason = self.context.cancel_reason();
            self.seen.dropped.lock().push(reason);
        }
    }
}

impl Service for Script {
    fn answers(&self) -> bool {
        self.answers
    }

    fn takes_batches(&self) -> bool {
        self.batches
    }

    fn request(&mut self, message: Message, context: Context) -> Admission {
        let params = message.params().unwrap_or_else(RawJson::empty_object);
        let running = Running::new(&self.seen, &context);
        let seen = Arc::clone(&self.seen);
        let method = message.method().to_owned();
        assert_ne!(method, "panic_at_once", "as asked");
        Admission::Run(
            async move {
                let reply = match method.as_str() {
                    "echo" => Reply::plain(params),
                    "wait" => {
                        seen.release.notified().await;
                        Reply::plain(params)
                    }
                    "forever" => std::future::pending().await,
                    "large" => {
                        let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(1_500));
                        Reply::plain(RawJson::parse(text).expect("JSON"))
                    }
                    "panic" => panic!("as asked"),
                    "late_panic" => {
                        seen.release.notified().await;
                        panic!("as asked")
                    }
                    "ask" => match context.request("echo", Some(params), Default::default()).await {
                        Ok(answer) => Reply::plain(answer),
                        Err(error) => Reply::Error(ErrorObject::new(1, error.to_string())),
                    },
                    "relay" => match context.forward(&message, Default::default()).await {
                        Err(CallError::Answered { error, .. }) => Reply::Error(error),
                        other => panic!("not an error: {other:?}"),
                    },
                    "leave_a_call" => {
                        let call = context.request("left", None, Default::default()).start();
                        *seen.left.lock() = Some(call);
                        Reply::plain(params)
                    }
                    "progress" => {
                        for step in 1..=3 {
                            context.progress(f64::from(step), Some(3.0), None).await.expect("it is wanted");
                        }
                        Reply::plain(params)
                    }
                    _ => Reply::Error(ErrorObject::new(-32601, "method not found")),
                };
                running.finish();
                reply
            }
            .boxed(),
        )
    }

    fn notification(&mut self, message: Message, context: Context) -> Errand {
        let seen = Arc::clone(&self.seen);
        let method = message.method().to_owned();
        Errand::Run(
            async move {
                match method.as_str() {
                    "wait" => seen.release.notified().await,
                    "tell" => context.notify("told", None).await.expect("the link lives"),
                    _ => {}
                }
                seen.notes.lock().push(method);
            }
            .boxed(),
        )
    }

    fn reply_to_fault(&self, fault: &Fault) -> Option<ErrorObject> {
        Some(wire_reply(fault, Revision::LATEST_LEGACY.rules()).into_error())
    }
}

/// A link at work, and the far end of its lane in the hands of the test.
pub(crate) struct Bench {
    pub(crate) peer: Peer,
    pub(crate) seen: Arc<Seen>,
    pub(crate) far: Far,
    pub(crate) link: JoinHandle<LinkEnd>,
}

/// The far end of a lane.
pub(crate) struct Far {
    pub(crate) source: MemorySource,
    pub(crate) sink: MemorySink,
}

pub(crate) fn bench(limits: LinkLimits, timeouts: LinkTimeouts) -> Bench {
    bench_with(limits, timeouts, LaneLimits::default(), |_| {})
}

pub(crate) fn bench_with(
    limits: LinkLimits,
    timeouts: LinkTimeouts,
    lane: LaneLimits,
    change: impl FnOnce(&mut Script),
) -> Bench {
    // The far end may send more than the near end takes.
    let generous = lane.clone().with_max_message_bytes(64 << 20);
    let (near, far) = memory_pair_uneven(lane, generous, LaneTimeouts::default());
    let (mut script, seen) = script();
    change(&mut script);
    let (link, peer) = Link::new(near, script, limits, timeouts);
    let (source, sink) = far.split();
    Bench { peer, seen, far: Far { source, sink }, link: tokio::spawn(link) }
}

/// Two links that talk to each other.
pub(crate) fn two_links(
    limits: LinkLimits,
    timeouts: LinkTimeouts,
) -> [(Peer, Arc<Seen>, JoinHandle<LinkEnd>); 2] {
    let (one, other) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    [one, other].map(|lane: MemoryLane| {
        let (script, seen) = script();
        let (link, peer) = Link::new(lane, script, limits.clone(), timeouts.clone());
        (peer, seen, tokio::spawn(link))
    })
}

impl Far {
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        let frame = Frame::from(bytes::Bytes::from(text.into()));
        within(self.sink.send(frame)).await.expect("the link reads");
    }

    pub(crate) async fn request(&mut self, id: impl std::fmt::Display, method: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#)).await;
    }

    pub(crate) async fn cancel(&mut self, id: impl std::fmt::Display) {
        self.say(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"no more"}}}}"#
        ))
        .await;
    }

    /// The next message of the link; `None` at its end.
    pub(crate) async fn hear(&mut self) -> Option<Message> {
        match within(self.source.receive()).await.expect("the lane works") {
            Inbound::Frame(bytes) => {
                Some(Message::parse(bytes, &EnvelopeLimits::default()).expect("links send JSON-RPC"))
            }
            Inbound::End(_) => None,
            other => panic!("not expected here: {other:?}"),
        }
    }

    /// The next message, as text.
    pub(crate) async fn hear_text(&mut self) -> String {
        let message = self.hear().await.expect("a message, not the end");
        String::from_utf8(message.bytes().to_vec()).expect("UTF-8")
    }
}

/// Yields until something is so; under a deadline of real or paused time.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never happened: {what}");
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn error_code(message: &Message) -> i64 {
    message.error().expect("an error").code
}

/// The reason that an error of the link gives.
pub(crate) fn reason(message: &Message) -> String {
    let data = message.error().expect("an error").data.expect("data");
    let data: serde_json::Value = data.deserialize().expect("JSON");
    data["reason"].as_str().expect("a reason").to_owned()
}
