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
//! Dropping the future of [`Server::serve`] ends that lane at once, and everything that runs on it.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod builder;
mod context;
mod handler;
mod hub;
mod lane;
mod listen;
mod request;

pub use builder::{Execution, Server, ServerBuilder};
pub use context::{Context, RequestError};
pub use handler::Handler;
pub use hub::Publisher;
pub use request::{Notification, Request};
pub use towpath_link::{
    CallError, CancelReason, Cancellation, LinkEnd, LinkLimits, LinkTimeouts, NotifyError,
};
pub use towpath_mcp::{Filter, Implementation, LogLevel, Revision, SessionLimits, SubscriptionLimits};
