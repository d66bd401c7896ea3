//! A client of MCP servers, on any lane, and over HTTP.
//!
//! [`Client::connect`] finds out which era the server speaks, makes the legacy handshake where it must, and from then
//! on both are used in the same way: [`Client::call`] is a future of the answer and a stream of the notifications
//! before it, and [`Client::listen`] tells of changes.
//!
//! [`ClientBuilder::supervise`] does so again whenever the server is lost: a [`Supervised`] has calls wait for the next
//! server, and subscriptions opened at it.
//!
//! # What it does not do
//!
//! No model, no tool registry: params and results are JSON as it came.
//!
//! # Example
//!
//! ```
//! use serde_json::json;
//! use towpath_client::{CallError, Client, ConnectError, Implementation};
//! use towpath_jsonrpc::RawJson;
//!
//! async fn first_tool(
//!     lane: impl towpath_raw::Lane<Source: Unpin, Sink: Unpin>,
//! ) -> Result<RawJson, Box<dyn std::error::Error>> {
//!     let client = Client::connect(lane, Implementation::new("example", "1.0.0")).await?;
//!     let mut call = client.call("tools/call", &json!({"name": "count", "arguments": {}})).with_progress();
//!     while let Some(note) = call.notification().await {
//!         eprintln!("{:?}", note.params());
//!     }
//!     let answer = call.await?;
//!     client.close().await;
//!     Ok(answer)
//! }
//! ```
//!
//! # Cancel safety
//!
//! A dropped call is cancelled on the wire. The last clone of a client that is dropped ends the lane, and with it
//! everything that belongs to it, such as a child process and its tree.
//!
//! # Features
//!
//! - `http`, off by default: `Client::connect_http` and `HttpLane`, over any [`Connect`](towpath_raw::Connect).
#![forbid(unsafe_code)]

mod builder;
mod client;
mod connect;
mod error;
mod handler;
#[cfg(feature = "http")]
mod http;
mod lane;
mod listeners;
mod subscription;
mod supervise;

pub use builder::{ClientBuilder, ClientTimeouts};
pub use client::{Client, ServerInfo};
pub use error::{ConnectError, ListenError};
pub use handler::{ClientHandler, NoHandler};
#[cfg(feature = "http")]
pub use http::{
    EraCache, HttpLane, HttpLimits, HttpOptions, HttpSink, HttpSource, HttpTimeouts, Unauthorized,
};
pub use subscription::{Event, Subscription};
pub use supervise::{
    Death, RestartPolicy, Restarts, States, Supervised, SupervisedCallError, SupervisedEvent,
    SupervisedListenError, SupervisedSubscription, SupervisionState, SupervisionTimeouts, Unavailable,
    Upstream,
};
pub use towpath_link::{
    Call, CallError, CallOptions, Context, LinkEnd, LinkLimits, LinkStats, LinkTimeouts, NotifyError, Phase,
};
pub use towpath_mcp::{
    Era, Filter, Implementation, LogLevel, Preference, ProbeTimeouts, Revision, SubscriptionLimits,
};
pub use towpath_raw::{SkipReason, Skipped};
