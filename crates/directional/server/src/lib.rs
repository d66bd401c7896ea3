//! A server of MCP peers: give it a [`Handler`], then lanes to serve.
//!
//! One server serves both eras on every lane: requests that carry their own metadata (2026-07-28) statelessly, and
//! the session that `initialize` opens (2024-11-05 to 2025-11-25). It answers itself what is the protocol's own:
//! `initialize`, `server/discover`, `ping`, `logging/setLevel`, and the subscriptions of both eras, which
//! [`Publisher`] feeds.
//!
//! # What it does not do
//!
//! No tools, prompts or resources framework: what `tools/call` means is the handler's to know.
//!
//! # Example
//!
//! ```
//! use serde_json::json;
//! use towpath_jsonrpc::{ErrorObject, RawJson};
//! use towpath_server::{Context, Handler, Implementation, LinkEnd, Request, Server};
//!
//! struct Greeter;
//!
//! impl Handler for Greeter {
//!     async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
//!         match request.method() {
//!             "tools/list" => request.reply(&json!({"tools": [{"name": "greet", "inputSchema": {"type": "object"}}]})),
//!             "tools/call" => request.reply(&json!({"content": [{"type": "text", "text": "hello"}]})),
//!             _ => Err(request.unknown_method()),
//!         }
//!     }
//! }
//!
//! async fn serve(lane: impl towpath_raw::Lane<Source: Unpin, Sink: Unpin>) -> LinkEnd {
//!     let server = Server::new(Implementation::new("greeter", "1.0.0"), json!({"tools": {}}), Greeter);
//!     server.serve(lane).await
//! }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future of [`Server::serve`] ends that lane at once, and everything that runs on it; dropping that of
//! [`Server::serve_listener`], all its lanes.
//!
//! Over HTTP a modern request belongs to its response: whoever drops that (a client that goes away does) cancels the
//! request. A request of a legacy session belongs to the session, and runs on.
//!
//! # Features
//!
//! - `http`: `Server::http`, the endpoint for Streamable HTTP in both eras, as a `tower` service: one JSON body where the
//!   answer comes at once, else an event stream. `HttpApp` puts something else than a server behind it. Event streams of
//!   legacy sessions can be gone on with after a lost connection, for as long as `ReplayLimits` say; what is missing then is
//!   told by an event of type `gap`, and a `Last-Event-ID` that is not known gets 400 (`event_unknown`).
//! - `gzip`: `http`, and `EndpointSettings::gzip`: compressed requests are read, and answers compressed.
//!
#![cfg_attr(
    feature = "http",
    doc = r#"
```
use towpath_http::{ListenLimits, HttpServer, ListenTimeouts};
use towpath_server::{Handler, Server};

async fn listen<H: Handler>(server: Server<H>, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
    let listener = HttpServer::bind("127.0.0.1:8080", ListenLimits::default(), ListenTimeouts::default()).await?;
    listener.serve(server.http(), shutdown).await;
    Ok(())
}
```
"#
)]
#![forbid(unsafe_code)]

mod builder;
mod cancellation;
mod context;
mod handler;
#[cfg(feature = "http")]
mod http;
mod hub;
mod lane;
mod listen;
mod listener;
mod request;

pub use builder::{Execution, Server, ServerBuilder};
pub use cancellation::Cancellation;
pub use context::{Context, RequestError};
pub use handler::Handler;
#[cfg(feature = "http")]
pub use http::{
    Cors, CorsLayer, EndpointLimits, EndpointSettings, EndpointTimeouts, EventStore, Exchange, Health,
    HealthLayer, HttpApp, HttpService, OpenedSession, Principal, ReplayLimits, ReplayRing, ResponseBody,
    SessionStreams, StoredEvent, StreamId,
};
pub use hub::Publisher;
pub use lane::LaneService;
pub use request::{Notification, Request};
pub use towpath_link::{CallError, CancelReason, LinkEnd, LinkLimits, LinkTimeouts, NotifyError};
pub use towpath_mcp::{Filter, Implementation, LogLevel, Revision, SessionLimits, SubscriptionLimits};
pub use towpath_raw::{SkipReason, Skipped};
