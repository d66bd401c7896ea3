//! A server whose handler does as its requests say, and a client of which the test writes every byte.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};
use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_raw::{
    Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts, Level, Mutex,
};
use towpath_server::{
    CancelReason, Context, Filter, Handler, Implementation, LinkEnd, LogLevel, Notification, Request, Server,
    ServerBuilder,
};
use towpath_testkit::{MemorySink, MemorySource, memory_pair, within};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What the test can see of the handlers.
pub(crate) struct Seen {
    /// Handlers that have begun and have neither ended nor been dropped.
    pub(crate) running: AtomicUsize,
    /// Lets `wait` handlers go on.
    pub(crate) release: Notify,
    /// Why handlers were dropped before they had answered.
    pub(crate) dropped: Mutex<Vec<Option<CancelReason>>>,
    /// Lets `listen` decide, if it is to wait.
    pub(crate) listen: Option<Notify>,
    /// How often `talk` has said something.
    pub(crate) said: AtomicUsize,
    /// Whether `poll` could close its stream.
    pub(crate) closed: AtomicBool,
    /// Notifications that came.
    pub(crate) heard: AtomicUsize,
    /// How much `large` answers.
    pub(crate) large: usize,
}

fn said(data: &RawJson) -> RawJson {
    RawJson::serialize(&json!({"level": "info", "data": data.as_str()})).expect("an object")
}

/// Its methods: `tools/list` gives the params back; `tools/call` does what `name` says.
pub(crate) struct Script {
    pub(crate) seen: Arc<Seen>,
}

struct Running {
    seen: Arc<Seen>,
    context: Context,
    done: bool,
}

impl Running {
    fn new(seen: &Arc<Seen>, context: &Context) -> Self {
        seen.running.fetch_add(1, SeqCst);
        Self { seen: Arc::clone(seen), context: context.clone(), done: false }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            let reason = self.context.cancel_reason();
            self.seen.dropped.lock().push(reason);
        }
        self.seen.running.fetch_sub(1, SeqCst);
    }
}

impl Script {
    async fn tool(&self, request: &Request, context: &Context) -> Result<RawJson, ErrorObject> {
        match request.name().as_deref() {
            Some("wait") => self.seen.release.notified().await,
            Some("forever") => std::future::pending().await,
            Some("panic") => panic!("as asked"),
            // Never waits for anything, but lets others run.
            Some("spin") => loop {
                tokio::task::consume_budget().await;
            },
            Some("progress") => {
                for step in [1.0, 2.0, 3.0] {
                    context.progress(step, Some(3.0), None).await.expect("the request is in flight");
                }
            }
            // Says one thing, waits, says another, waits, and answers.
            Some("steps") => {
                for step in [1.0, 2.0] {
                    context.progress(step, None, None).await.expect("the request is in flight");
                    self.seen.release.notified().await;
                }
            }
            // Sends the client away; when it may go on it says something, and answers.
            Some("poll") => {
                let retry = request.params().and_then(|params| {
                    let params: Value = params.deserialize().ok()?;
                    params["retry"].as_u64().map(Duration::from_millis)
                });
                self.seen.closed.store(context.close_stream(retry), SeqCst);
                self.seen.release.notified().await;
                context.progress(1.0, None, None).await.expect("the request is in flight");
            }
            // As `poll`, and answers much.
            Some("poll_large") => {
                self.seen.closed.store(context.close_stream(None), SeqCst);
                self.seen.release.notified().await;
                return request.reply(&json!({"text": "y".repeat(self.seen.large)}));
            }
            // Says 4 KiB at a time until nobody may be told any more.
            Some("talk") => {
                let data = RawJson::serialize(&"x".repeat(4096)).expect("a string");
                loop {
                    if context.notify("notifications/message", Some(said(&data))).await.is_err() {
                        break;
                    }
                    self.seen.said.fetch_add(1, SeqCst);
                }
            }
            // Answers with that many bytes.
            Some("large") => return request.reply(&json!({"text": "y".repeat(self.seen.large)})),
            Some("log") => {
                for level in [LogLevel::Debug, LogLevel::Warning, LogLevel::Error] {
                    let data = RawJson::serialize(level.as_str()).expect("a string");
                    context.log(level, None, &data).await.expect("the link lives");
                }
            }
            Some("ask") => {
                let answer = context.request("sampling/createMessage", Some(RawJson::empty_object())).await;
                return answer.map_err(|error| ErrorObject::new(1, error.to_string()));
            }
            _ => {}
        }
        request.reply(&json!({"era": format!("{:?}", context.era())}))
    }
}

impl Handler for Script {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        let mut running = Running::new(&self.seen, &context);
        let outcome = match request.method() {
            "tools/list" => Ok(request.params().unwrap_or_else(RawJson::empty_object)),
            "tools/call" => self.tool(&request, &context).await,
            "resources/subscribe" if request.uri().as_deref() == Some("panic:") => panic!("as asked"),
            "resources/subscribe" if request.uri().as_deref() == Some("forever:") => {
                std::future::pending().await
            }
            "resources/subscribe" if request.uri().is_some_and(|uri| uri.starts_with("no:")) => {
                Err(ErrorObject::new(-32002, "no such resource"))
            }
            "resources/subscribe" | "resources/unsubscribe" => Ok(RawJson::empty_object()),
            _ => Err(request.unknown_method()),
        };
        running.done = true;
        outcome
    }

    async fn notification(&self, notification: Notification, context: Context) {
        self.seen.heard.fetch_add(1, SeqCst);
        if matches!(notification.method(), "notifications/forever" | "notifications/spin") {
            let _running = Running::new(&self.seen, &context);
            while notification.method() == "notifications/spin" {
                tokio::task::consume_budget().await;
            }
            std::future::pending::<()>().await;
        }
        match notification.method() {
            "notifications/wait" => self.seen.release.notified().await,
            "notifications/panic" => panic!("as asked"),
            _ => {}
        }
    }

    async fn listen(&self, offered: Filter, _: Context) -> Result<Filter, ErrorObject> {
        if let Some(listen) = &self.seen.listen {
            listen.notified().await;
        }
        Ok(offered)
    }
}

pub(crate) fn script() -> (Script, Arc<Seen>) {
    script_with(false)
}

pub(crate) fn script_with(listen_waits: bool) -> (Script, Arc<Seen>) {
    let seen = Arc::new(Seen {
        running: AtomicUsize::new(0),
        release: Notify::new(),
        dropped: Mutex::new(Level::Handler, "Seen::dropped", Vec::new()),
        listen: listen_waits.then(Notify::new),
        said: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
        heard: AtomicUsize::new(0),
        large: 100 << 10,
    });
    (Script { seen: Arc::clone(&seen) }, seen)
}

/// Declares everything.
pub(crate) fn builder() -> ServerBuilder {
    let info = Implementation::new("server under test", "1.0.0");
    let capabilities = json!({
        "logging": {}, "tools": {"listChanged": true}, "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
    });
    ServerBuilder::new(info, capabilities)
}

/// A server on one lane, and the far end of it in the hands of the test.
pub(crate) struct Bench {
    pub(crate) server: Server<Script>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) far: Far,
    pub(crate) serving: JoinHandle<LinkEnd>,
}

pub(crate) fn bench() -> Bench {
    bench_with(builder())
}

pub(crate) fn bench_with(builder: ServerBuilder) -> Bench {
    let (script, seen) = script();
    bench_of(builder.build(script), seen, LaneLimits::default())
}

pub(crate) fn bench_of(server: Server<Script>, seen: Arc<Seen>, limits: LaneLimits) -> Bench {
    let (near, far) = memory_pair(limits, LaneTimeouts::default());
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(near).await }
    });
    let (source, sink) = far.split();
    Bench { server, seen, far: Far { source, sink }, serving }
}

/// The client's end of a lane.
pub(crate) struct Far {
    pub(crate) source: MemorySource,
    pub(crate) sink: MemorySink,
}

pub(crate) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

impl Far {
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        let frame = Frame::from(bytes::Bytes::from(text.into()));
        within(self.sink.send(frame)).await.expect("the server reads");
    }

    /// A request with these members of `params`.
    pub(crate) async fn request(&mut self, id: u64, method: &str, params: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#)).await;
    }

    /// A modern request with these members of `params`, beside the metadata.
    pub(crate) async fn modern(&mut self, id: u64, method: &str, params: &str) {
        let comma = if params.is_empty() { "" } else { "," };
        self.request(id, method, &format!("{META}{comma}{params}")).await;
    }

    pub(crate) async fn cancel(&mut self, id: u64) {
        self.say(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"no more"}}}}"#
        ))
        .await;
    }

    /// The next message of the server, as text; `None` at its end.
    pub(crate) async fn hear_text(&mut self) -> Option<String> {
        match within(self.source.receive()).await.expect("the lane works") {
            Inbound::Frame(bytes) => Some(String::from_utf8(bytes.to_vec()).expect("UTF-8")),
            Inbound::End(_) => None,
            other => panic!("not expected here: {other:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let text = self.hear_text().await.expect("a message, not the end");
        serde_json::from_str(&text).expect("servers send JSON")
    }

    /// The answer to a request that was just made.
    pub(crate) async fn ask(&mut self, id: u64, method: &str, params: &str) -> Value {
        self.request(id, method, params).await;
        self.hear().await
    }

    pub(crate) async fn initialize(&mut self, version: &str) -> Value {
        let answer = self.ask(0, "initialize", &initialize(version)).await;
        self.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        answer
    }
}

pub(crate) fn initialize(version: &str) -> String {
    format!(
        r#""protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"far","version":"1"}}"#
    )
}

/// Yields until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never happened: {what}");
}
