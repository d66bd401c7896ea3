//! The transport stack for JSON-RPC peers, Model Context Protocol (MCP) first.
//!
//! Towpath connects MCP servers, clients and gateways, and makes promises about what it carries: nothing is
//! unbounded, nothing waits for ever, nothing outlives its owner, nobody waits on a handler, values pass as the
//! bytes that came in, every request ends exactly once, and both eras of the protocol are one API.
//!
//! # A client
//!
//! ```no_run
//! use serde_json::json;
//! use towpath::{ChildCommand, Client, Implementation};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ChildCommand::new("npx").args(["-y", "@modelcontextprotocol/server-everything"]).spawn()?;
//! let client = Client::connect(server, Implementation::new("example", "1.0.0")).await?;
//! let answer = client.call("tools/call", &json!({"name": "echo", "arguments": {"message": "hi"}})).await?;
//! println!("{answer}");
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # A server
//!
//! ```no_run
//! use serde_json::json;
//! use towpath::{Context, ErrorObject, Handler, Implementation, RawJson, Request, Server, serve_stdio};
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
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new(Implementation::new("greeter", "1.0.0"), json!({"tools": {}}), Greeter);
//! serve_stdio(&server, Default::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! No tools, prompts or resources framework, no authorization server, no model client.
//!
//! # Cancel safety
//!
//! Dropping is always safe, and always says something: a dropped call is cancelled on the wire, a dropped client ends
//! its connection and the process tree behind it, a dropped `serve` or [`serve_stdio`] ends its lane.
//!
//! # Features
//!
//! - `client` (default): [`Client`], and [`Supervised`] for servers that are to be started again.
//! - `server` (default): [`Server`].
//! - `stdio` (default): child processes, own stdio, Unix sockets, TCP, and any byte stream, as lanes.
//! - `http` (default): Streamable HTTP on both sides, and server-sent events.
//! - `gzip`: compressed bodies over HTTP, on both sides, where it is switched on.
//! - `tls`: `https` URLs, with the certificates of the operating system.
//! - `relay`: joins peers across transports.
#![forbid(unsafe_code)]

#[cfg(all(feature = "client", feature = "stdio"))]
mod child_upstream;
#[cfg(all(feature = "server", feature = "stdio"))]
mod serve_stdio;
mod settings;

#[cfg(all(feature = "client", feature = "stdio"))]
pub use child_upstream::ChildUpstream;
#[cfg(all(feature = "server", feature = "stdio"))]
pub use serve_stdio::{ServeStdioOptions, serve_stdio};
pub use settings::{Limits, Timeouts};

pub use towpath_buffer as buffer;
#[cfg(feature = "client")]
pub use towpath_client as client;
#[cfg(feature = "http")]
pub use towpath_http as http;
pub use towpath_jsonrpc as jsonrpc;
pub use towpath_link as link;
pub use towpath_mcp as mcp;
pub use towpath_raw as raw;
#[cfg(feature = "relay")]
pub use towpath_relay as relay;
#[cfg(feature = "server")]
pub use towpath_server as server;
#[cfg(feature = "http")]
pub use towpath_sse as sse;
#[cfg(feature = "stdio")]
pub use towpath_stdio as stdio;

#[cfg(feature = "client")]
pub use towpath_client::{Call, Client, ClientBuilder, ClientHandler, ConnectError, Event, Subscription};
#[cfg(feature = "client")]
pub use towpath_client::{
    RestartPolicy, Supervised, SupervisedEvent, SupervisedSubscription, SupervisionState, Unavailable,
    Upstream,
};
pub use towpath_jsonrpc::{ErrorObject, Id, Message, RawJson};
pub use towpath_link::{CallError, LinkEnd, Phase};
pub use towpath_mcp::{Era, Filter, Implementation, LogLevel, Preference, Revision};
pub use towpath_raw::{SkipReason, Skipped};
#[cfg(feature = "server")]
pub use towpath_server::{
    Context, Execution, Handler, Notification, Publisher, Request, Server, ServerBuilder,
};
#[cfg(feature = "stdio")]
pub use towpath_stdio::{
    ChildCommand, ChildExit, ChildLane, IoLane, OwnStdio, Termination, wait_for_children,
};
#[cfg(feature = "stdio")]
pub use towpath_stdio::{SocketAddress, SocketError, SocketLane, SocketListener, SocketOptions};
