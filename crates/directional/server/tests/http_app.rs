//! Something other than a server behind the endpoint.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use futures_util::FutureExt;
use http_support::{Client, call_text, modern, open};
use serde_json::json;
use support::{SECOND, until};
use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_link::{Admission, CallOptions, Context, Errand, Peer, Reply, Service};
use towpath_mcp::{Fault, Implementation, ServerIdentity, method};
use towpath_raw::{Level, Mutex};
use towpath_server::{EndpointSettings, Exchange, HttpApp, HttpService, OpenedSession};
use towpath_testkit::within;

/// Answers everything with its method, and keeps the peers of its sessions.
struct Relay {
    identity: Arc<ServerIdentity>,
    peers: Mutex<Vec<Peer>>,
    open: Arc<AtomicUsize>,
    refuses: bool,
    /// Whether a session never opens.
    hangs: AtomicBool,
}

struct Upstream;

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn method_of(message: &Message) -> Reply {
    let result = match message.method() {
        method::INITIALIZE => json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}),
        method => json!({"method": method}),
    };
    Reply::plain(RawJson::serialize(&result).expect("an object"))
}

impl Service for Upstream {
    fn request(&mut self, message: Message, _: Context) -> Admission {
        if message.string(towpath_jsonrpc::Member::Name).as_deref() == Some("forever") {
            return Admission::Run(std::future::pending().boxed());
        }
        Admission::Now(method_of(&message))
    }

    fn notification(&mut self, _: Message, _: Context) -> Errand {
        Errand::Nothing
    }

    fn reply_to_fault(&self, fault: &Fault) -> Option<ErrorObject> {
        Some(ErrorObject::new(-32603, fault.to_string()))
    }
}

impl HttpApp for Relay {
    type Session = Upstream;

    fn identity(&self) -> &Arc<ServerIdentity> {
        &self.identity
    }

    fn answers_discover(&self) -> bool {
        false
    }

    fn modern(self: Arc<Self>, exchange: Exchange) -> Result<Admission, Fault> {
        assert!(exchange.request().is_some());
        Ok(Admission::Now(method_of(exchange.message())))
    }

    async fn open(self: Arc<Self>, initialize: Message) -> Result<OpenedSession<Upstream>, Fault> {
        assert_eq!(initialize.method(), method::INITIALIZE);
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.refuses {
            return Err(Fault::Upstream { reason: "not_started" });
        }
        Ok(OpenedSession::new(Upstream).joined(move |peer| {
            self.peers.lock().push(peer);
            self.open.fetch_add(1, SeqCst);
            Guard(Arc::clone(&self.open))
        }))
    }
}

fn relay(refuses: bool) -> (Arc<Relay>, HttpService<Relay>) {
    let info = Implementation::new("relay", "1").to_raw().expect("an object");
    let relay = Arc::new(Relay {
        identity: Arc::new(ServerIdentity::new(info, RawJson::empty_object())),
        peers: Mutex::new(Level::Handler, "Relay::peers", Vec::new()),
        open: Arc::new(AtomicUsize::new(0)),
        refuses,
        hangs: AtomicBool::new(false),
    });
    (Arc::clone(&relay), HttpService::new(relay, EndpointSettings::new()))
}

#[tokio::test]
async fn it_gets_discover_and_answers_are_passed_on_as_they_are() {
    let (_, service) = relay(false);
    let answer = modern(&service, 1, "server/discover", "").await;
    assert_eq!(answer.text().await, r#"{"jsonrpc":"2.0","id":1,"result":{"method":"server/discover"}}"#);
}

#[tokio::test]
async fn what_a_session_holds_is_dropped_when_it_ends_however_it_ends() {
    let (relay, service) = relay(false);
    let client = Client::open(&service, "2025-11-25").await;
    let answer = client.call(1, "x").await.json().await;
    assert_eq!(answer["result"]["method"], "tools/call");
    assert_eq!(relay.open.load(SeqCst), 1);
    client.delete().await;
    until("it is let go", || relay.open.load(SeqCst) == 0).await;
    drop(client);
    let client = Client::open(&service, "2025-11-25").await;
    assert_eq!(relay.open.load(SeqCst), 1);
    drop((client, service));
    assert_eq!(relay.open.load(SeqCst), 0);
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_is_answered_with_its_fault() {
    let (relay, service) = relay(true);
    let answer = open(&service, "2025-11-25").await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (200, "not_started"));
    assert_eq!((service.sessions(), relay.open.load(SeqCst)), (0, 0));
}

#[tokio::test]
async fn a_request_to_the_client_takes_the_get_stream_or_else_the_newest_post_stream() {
    let (relay, service) = relay(false);
    let client = Client::open(&service, "2025-11-25").await;
    let peer = relay.peers.lock()[0].clone();
    let reply =
        |asked: &serde_json::Value| json!({"jsonrpc": "2.0", "id": asked["id"], "result": {}}).to_string();
    // There is a GET stream.
    let mut get = client.get().await;
    let mut call = Box::pin(peer.call("roots/list", None, CallOptions::default()));
    assert!(futures_util::poll!(&mut call).is_pending());
    let asked = get.event().await.expect("a request");
    assert_eq!(
        (&asked["method"], client.post(reply(&asked)).await.status.as_u16()),
        (&json!("roots/list"), 202)
    );
    within(call).await.expect("answered");
    drop(get);
    // There is none, and two POSTs: the newer one.
    let older = tokio::spawn(client.posting(call_text(1, "forever")));
    until("it is in flight", || peer.requests_in_flight() == 1).await;
    let newer = tokio::spawn(client.posting(call_text(2, "forever")));
    until("both are in flight", || peer.requests_in_flight() == 2).await;
    let mut call = Box::pin(peer.call("roots/list", None, CallOptions::default()));
    assert!(futures_util::poll!(&mut call).is_pending());
    let mut stream = within(newer).await.expect("no panic");
    let asked = stream.event().await.expect("a request");
    assert_eq!(client.post(reply(&asked)).await.status, 202);
    within(call).await.expect("answered");
    assert!(!older.is_finished());
    older.abort();
    drop(stream);
}

#[tokio::test]
async fn a_request_to_the_client_that_finds_no_stream_waits_for_one() {
    let (relay, service) = relay(false);
    let client = Client::open(&service, "2025-11-25").await;
    let peer = relay.peers.lock()[0].clone();
    let mut call = Box::pin(peer.call("roots/list", None, CallOptions::default()));
    assert!(futures_util::poll!(&mut call).is_pending());
    // A round trip later it has found none.
    assert_eq!(client.post(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#).await.status, 202);
    until("it waits", || peer.calls_in_flight() == 1).await;
    tokio::task::yield_now().await;
    let mut stream = client.call(1, "forever").await;
    let asked = stream.event().await.expect("a request");
    assert_eq!(asked["method"], "roots/list");
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_the_service_ends_its_sessions() {
    let (relay, service) = relay(false);
    let client = Client::open(&service, "2025-11-25").await;
    let mut get = client.get().await;
    let draining = service.clone();
    let drained = tokio::spawn(async move { draining.drain(20 * SECOND).await });
    assert_eq!(get.events().await.len(), 0);
    drop(get);
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
    assert_eq!((service.sessions(), relay.open.load(SeqCst)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_open_is_cut_at_the_deadline_of_a_drain() {
    let (relay, service) = relay(false);
    relay.hangs.store(true, SeqCst);
    let mut opening = Box::pin(open(&service, "2025-11-25"));
    assert!(futures_util::poll!(&mut opening).is_pending());
    assert!(within(service.drain(5 * SECOND)).await.is_err());
    let answer = opening.await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (503, "shutting_down"));
}
