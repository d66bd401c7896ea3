//! A server over HTTP in memory, of which the test makes every answer.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};
use towpath_client::{
    Client, ClientBuilder, ClientHandler, ConnectError, HttpLimits, HttpOptions, HttpTimeouts,
    Implementation, Preference,
};
use towpath_raw::{Accept, Arrival, Chunks, ChunksExt, ExchangeError};
use towpath_testkit::{MemoryAccept, MemoryArrival, MemoryConnect, memory_http, within, within_for};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const SESSION: &str = "session-1";

pub(crate) fn uri() -> Uri {
    Uri::from_static("http://server.example/mcp")
}

pub(crate) fn builder() -> ClientBuilder {
    Client::builder(&Implementation::new("client under test", "1.0.0"))
}

pub(crate) fn options() -> HttpOptions {
    HttpOptions::default()
}

pub(crate) fn limits(change: impl FnOnce(HttpLimits) -> HttpLimits) -> HttpOptions {
    options().with_limits(change(HttpLimits::default()))
}

pub(crate) fn timeouts(change: impl FnOnce(HttpTimeouts) -> HttpTimeouts) -> HttpOptions {
    options().with_timeouts(change(HttpTimeouts::default()))
}

pub(crate) type Connecting = JoinHandle<Result<Client, ConnectError>>;

/// A client that is connecting to a server which the test writes.
pub(crate) fn connecting<H: ClientHandler>(
    builder: ClientBuilder<H>,
    options: HttpOptions,
) -> (Connecting, Server) {
    let (connect, accept) = memory_http();
    let connect: Arc<MemoryConnect> = Arc::new(connect);
    (tokio::spawn(builder.connect_http(connect, uri(), options)), Server { accept })
}

pub(crate) async fn connected(connecting: Connecting) -> Client {
    within(connecting).await.expect("no panic").expect("it connects")
}

/// A client of a modern server which the test writes from here on.
pub(crate) async fn modern(options: HttpOptions) -> (Client, Server) {
    let (client, mut server) = connecting(builder().preference(Preference::ModernOnly), options);
    let discover = server.post("server/discover").await;
    discover.result(r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#);
    (connected(client).await, server)
}

/// A client of a legacy server without a standalone stream.
pub(crate) async fn legacy(options: HttpOptions) -> (Client, Server) {
    let (client, mut server) = legacy_until_get(builder(), options).await;
    server.get().await.status(405, "");
    (client, server)
}

/// A client of a legacy server, which is about to open the standalone stream.
pub(crate) async fn legacy_until_get<H: ClientHandler>(
    builder: ClientBuilder<H>,
    options: HttpOptions,
) -> (Client, Server) {
    let (client, mut server) = connecting(builder.preference(Preference::LegacyOnly), options);
    server.post("initialize").await.initialized("2025-11-25");
    server.post("notifications/initialized").await.status(202, "");
    (connected(client).await, server)
}

pub(crate) struct Server {
    pub(crate) accept: MemoryAccept,
}

/// A request that came.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    arrival: MemoryArrival,
}

impl Server {
    pub(crate) async fn next(&mut self) -> Asked {
        within(self.take()).await.expect("the client is there")
    }

    async fn take(&mut self) -> Option<Asked> {
        let mut arrival = self.accept.accept().await?;
        let mut body = Vec::new();
        while let Some(chunk) = arrival.body().chunk().await.expect("a whole body") {
            body.extend_from_slice(&chunk);
        }
        let head = arrival.head();
        Some(Asked {
            method: head.method.clone(),
            uri: head.uri.clone(),
            headers: head.headers.clone(),
            text: String::from_utf8(body).expect("UTF-8"),
            arrival,
        })
    }

    /// The next request, which has to be the POST of this method.
    pub(crate) async fn post(&mut self, method: &str) -> Asked {
        let asked = self.next().await;
        assert_eq!(
            (&asked.method, asked.json()["method"].as_str()),
            (&Method::POST, Some(method)),
            "{}",
            asked.text
        );
        asked
    }

    /// The next request, which has to be a GET.
    pub(crate) async fn get(&mut self) -> Asked {
        let asked = self.next().await;
        assert_eq!(asked.method, Method::GET, "{}", asked.text);
        asked
    }

    /// Whatever comes in so much of the paused time.
    pub(crate) async fn all_within(&mut self, time: Duration) -> Vec<Asked> {
        let mut came = Vec::new();
        let _ = tokio::time::timeout(time, async {
            while let Some(asked) = self.take().await {
                came.push(asked);
            }
        })
        .await;
        came
    }

    /// Nothing comes, however often others are let run.
    pub(crate) async fn quiet(&mut self) {
        let next = std::pin::pin!(self.asked());
        let some_turns = async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            asked = next => panic!("not expected: {} {}", asked.method, asked.text),
            () = some_turns => {}
        }
    }

    /// The next request, if one ever comes.
    pub(crate) async fn asked(&mut self) -> Asked {
        match self.take().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn id(&self) -> Value {
        self.json()["id"].clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// All headers, in the order of their names.
    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn answer(self, head: Response<()>, body: impl Chunks + 'static) {
        self.arrival.respond(head.into_parts().0, body);
    }

    pub(crate) fn typed(self, status: u16, content_type: &str, body: impl Into<String>) {
        let head = Response::builder().status(status).header("content-type", content_type);
        self.answer(head.body(()).expect("a head"), Some(Bytes::from(body.into())));
    }

    pub(crate) fn status(self, status: u16, body: impl Into<String>) {
        let body: String = body.into();
        let body = (!body.is_empty()).then(|| Bytes::from(body));
        self.answer(Response::builder().status(status).body(()).expect("a head"), body);
    }

    pub(crate) fn result(self, result: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id());
        self.typed(200, "application/json", text);
    }

    /// Answers `initialize` with a session.
    pub(crate) fn initialized(self, revision: &str) {
        let result = json!({"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}});
        let text = json!({"jsonrpc": "2.0", "id": self.id(), "result": result}).to_string();
        let head =
            Response::builder().header("content-type", "application/json").header("mcp-session-id", SESSION);
        self.answer(head.body(()).expect("a head"), Some(Bytes::from(text)));
    }

    /// Answers with an event stream that the test writes.
    pub(crate) fn stream(self) -> Feed {
        self.stream_as("text/event-stream")
    }

    pub(crate) fn stream_as(self, content_type: &str) -> Feed {
        let (feed, fed) = mpsc::channel(64);
        let head = Response::builder().header("content-type", content_type).body(()).expect("a head");
        self.answer(head, Fed(fed));
        Feed(feed)
    }

    /// Answers with a body that never ends.
    pub(crate) fn endless(self, status: u16, content_type: &str, first: &'static str, more: &'static str) {
        let head = Response::builder().status(status).header("content-type", content_type).body(());
        self.answer(head.expect("a head"), Endless(Some(first), more));
    }

    /// Breaks the exchange off without an answer.
    pub(crate) fn drop_it(self) {}

    /// Waits until the client has closed the exchange.
    pub(crate) async fn abandoned(&mut self) {
        within(self.arrival.abandoned()).await;
    }
}

pub(crate) struct Feed(mpsc::Sender<Result<Bytes, ExchangeError>>);

impl Feed {
    pub(crate) async fn raw(&self, text: impl Into<String>) {
        within(self.0.send(Ok(Bytes::from(text.into())))).await.expect("the client reads");
    }

    pub(crate) async fn event(&self, data: &Value) {
        self.raw(format!("event: message\ndata: {data}\n\n")).await;
    }

    /// Breaks the stream off.
    pub(crate) async fn broken(self) {
        let error = ExchangeError::Broken { peer: "server".into(), reason: "cut".into() };
        within(self.0.send(Err(error))).await.expect("the client reads");
    }

    /// Waits until the client has closed the stream.
    pub(crate) async fn closed(&self) {
        within_for(60 * SECOND, self.0.closed()).await;
    }
}

/// A body that a test feeds.
struct Fed(mpsc::Receiver<Result<Bytes, ExchangeError>>);

impl Chunks for Fed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        Poll::Ready(ready!(self.0.poll_recv(cx)).transpose())
    }
}

struct Endless(Option<&'static str>, &'static str);

impl Chunks for Endless {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let next = self.0.take().unwrap_or(self.1);
        Poll::Ready(Ok(Some(Bytes::from_static(next.as_bytes()))))
    }
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
