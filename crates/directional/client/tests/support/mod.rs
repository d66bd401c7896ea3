//! A server of which the test writes every byte, and a real one that tells what it was asked.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use towpath_client::{Client, ClientBuilder, ConnectError, Filter, Implementation, LinkEnd, Preference};
use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
use towpath_server::{Context, Handler, Request, Server, ServerBuilder};
use towpath_testkit::{MemoryLane, MemorySink, MemorySource, memory_pair, within};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The server's end of a lane.
pub(crate) struct Far {
    pub(crate) source: MemorySource,
    pub(crate) sink: MemorySink,
}

pub(crate) fn lanes() -> (MemoryLane, Far) {
    let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let (source, sink) = far.split();
    (near, Far { source, sink })
}

pub(crate) fn builder() -> ClientBuilder {
    Client::builder(&Implementation::new("client under test", "1.0.0"))
}

/// A client that is connecting to a server which the test writes.
pub(crate) fn connecting(builder: ClientBuilder) -> (JoinHandle<Result<Client, ConnectError>>, Far) {
    let (near, far) = lanes();
    (tokio::spawn(builder.connect(near)), far)
}

/// A client of a modern server which the test writes from here on.
pub(crate) async fn modern(builder: ClientBuilder) -> (Client, Far) {
    let (client, mut far) = connecting(builder.preference(Preference::ModernOnly));
    let discover = far.hear().await;
    assert_eq!(discover["method"], "server/discover");
    far.answer(
        &discover,
        r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#,
    )
    .await;
    (within(client).await.expect("no panic").expect("it connects"), far)
}

/// A client of a legacy server which the test writes from here on.
pub(crate) async fn legacy<H: towpath_client::ClientHandler>(builder: ClientBuilder<H>) -> (Client, Far) {
    let (near, mut far) = lanes();
    let client = tokio::spawn(builder.preference(Preference::LegacyOnly).connect(near));
    let initialize = far.hear().await;
    assert_eq!(initialize["method"], "initialize");
    far.answer(&initialize, r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}"#).await;
    assert_eq!(far.hear().await["method"], "notifications/initialized");
    (within(client).await.expect("no panic").expect("it connects"), far)
}

impl Far {
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        let frame = Frame::from(bytes::Bytes::from(text.into()));
        within(self.sink.send(frame)).await.expect("the client reads");
    }

    pub(crate) async fn answer(&mut self, request: &Value, result: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request["id"])).await;
    }

    pub(crate) async fn refuse(&mut self, request: &Value, error: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request["id"])).await;
    }

    /// The next message of the client, as text; `None` at its end.
    pub(crate) async fn hear_text(&mut self) -> Option<String> {
        match within(self.source.receive()).await.expect("the lane works") {
            Inbound::Frame(bytes) => Some(String::from_utf8(bytes.to_vec()).expect("UTF-8")),
            Inbound::End(_) => None,
            other => panic!("not expected here: {other:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let text = self.hear_text().await.expect("a message, not the end");
        serde_json::from_str(&text).expect("clients send JSON")
    }
}

/// Gives the params of any request back, and says in which era it was asked.
pub(crate) struct Mirror;

impl Handler for Mirror {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "era" => request.reply(&json!({"era": format!("{:?}", context.era())})),
            "forever" => std::future::pending().await,
            "no/such" => Err(request.unknown_method()),
            _ => Ok(request.params().unwrap_or_else(RawJson::empty_object)),
        }
    }
}

pub(crate) fn mirror() -> ServerBuilder {
    let capabilities = json!({
        "tools": {"listChanged": true}, "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
    });
    ServerBuilder::new(Implementation::new("mirror", "1.0.0"), capabilities)
}

/// Serves one lane, and gives its other end.
pub(crate) fn serve<H: Handler>(server: &Server<H>) -> (MemoryLane, JoinHandle<LinkEnd>) {
    let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let server = server.clone();
    (near, tokio::spawn(async move { server.serve(far).await }))
}

pub(crate) fn everything(uris: &[&str]) -> Filter {
    let uris = uris.iter().map(|uri| Box::from(*uri)).collect();
    Filter { tools: true, prompts: true, resources: true, uris }
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
