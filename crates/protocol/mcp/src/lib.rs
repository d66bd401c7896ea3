//! The Model Context Protocol without I/O: revisions as data, eras, sessions, metadata.
//!
//! Everything here is a pure function or a state machine: it takes messages (and the time, where it matters)
//! and says what to do. It has no tasks, no clock, no sockets, and it starts nothing.
//!
//! # Where to begin
//!
//! - [`LaneEndpoint`] decides what a message from a client belongs to, in both eras, and answers the protocol's
//!   own requests. [`Session`] is the legacy machine behind it, [`ModernRequest`] the metadata of a modern request.
//! - [`HttpEndpoint`] is the same over HTTP, before and after a request's body is read, and [`HttpGate`] its origins and
//!   hosts. It keeps no sessions: it says which [`SessionId`] a message names.
//! - [`Probe`] and [`Handshake`] are a client's opening moves; [`post_headers`] and [`HttpAnswer`] are what a client over
//!   HTTP writes into its heads, and reads from the server's. [`Recovery`] is what can be done about an error of a modern
//!   server.
//! - [`HeaderParams`] are the arguments of a tool that `Mcp-Param-*` headers mirror: a client writes them, a server
//!   compares them. [`without_bad_tools`] takes out of `tools/list` what a client must leave out.
//! - [`Subscription`] is the server's side of `subscriptions/listen`.
//! - [`encode`] writes outgoing messages; what a caller or a handler gave is spliced in byte for byte.
//! - [`wire_reply`] is the one place that picks code, `data`, HTTP status and fate of the connection for a
//!   [`Fault`].
//! - [`Revision::rules`] says what holds in a revision: a row of [`RULES`], never a comparison of dates.
//!
//! ```
//! use std::sync::Arc;
//!
//! use towpath_jsonrpc::{EnvelopeLimits, Message, RawJson};
//! use towpath_mcp::{Admit, Implementation, LaneEndpoint, ServerIdentity, SessionLimits};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let info = Implementation::new("example", "1.0.0").to_raw()?;
//! let server = ServerIdentity::new(info, RawJson::parse(r#"{"tools":{}}"#)?);
//! let mut endpoint = LaneEndpoint::new(Arc::new(server), SessionLimits::default());
//!
//! let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{
//!     "io.modelcontextprotocol/protocolVersion":"2026-07-28",
//!     "io.modelcontextprotocol/clientCapabilities":{}}}}"#;
//! let message = Message::parse(request.into(), &EnvelopeLimits::default())?;
//! match endpoint.admit(&message) {
//!     Admit::Modern(request) => assert_eq!(request.revision.as_str(), "2026-07-28"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! It knows no tools, prompts or resources, and validates no schema: capabilities, arguments and results are
//! [`RawJson`](towpath_jsonrpc::RawJson), and stay the bytes that they are. Ids and deadlines of requests in
//! flight are `towpath-jsonrpc`'s. Of HTTP it knows methods, statuses and headers, as the types of the `http` crate.
//! [`HttpEndpoint`] does not compare `Mcp-Param-*` headers with the body, since that takes a tool's schema:
//! [`HeaderParams::check`] is there for who has it.
//!
//! # Cancel safety
//!
//! Nothing here is async. A machine may be dropped at any point; it owns memory and nothing else.
//!
//! # Features
//!
//! None.

#![forbid(unsafe_code)]

mod admit;
mod advertised;
pub mod code;
pub mod encode;
mod endpoint;
mod fault;
mod filter;
mod handshake;
mod http;
mod identity;
mod implementation;
mod level;
mod limits;
pub mod meta;
pub mod method;
mod probe;
mod recovery;
mod reply;
mod request;
mod revision;
mod scan;
mod session;
mod subscription;
#[cfg(test)]
mod testing;
mod token;
mod trace;

pub use admit::{Admit, Answer, Answered, Ignored};
pub use encode::{CacheHint, CacheScope, EncodeError, RequestParams, ResultAdditions, WrittenParams};
pub use endpoint::LaneEndpoint;
pub use fault::{Blame, Fault, MAX_ECHO_BYTES, Rejection};
pub use filter::{Acknowledged, Filter};
pub use handshake::{
    Handshake, HandshakeAction, HandshakeError, HandshakeTimeouts, Negotiated, NoLegacyRevision,
};
pub use http::{
    BodyKind, HeadInfo, HeaderParams, HeaderParamsError, HostPolicy, HttpAdmit, HttpAnswer, HttpEndpoint,
    HttpGate, InvalidHeaderValue, InvalidHost, InvalidOrigin, MAX_HEADER_PARAM_NAME_BYTES, MAX_HEADER_PARAMS,
    MAX_OWN_SESSION_ID_BYTES, MAX_SESSION_ID_BYTES, OriginPolicy, SessionHeaders, SessionId, Verb,
    VersionHeader, cors, decode_header_value, encode_header_value, header, modern_headers, post_headers,
    sniff, suggests_http_sse, tool_arguments, without_bad_tools,
};
pub use identity::ServerIdentity;
pub use implementation::Implementation;
pub use level::LogLevel;
pub use limits::{SessionLimits, SubscriptionLimits};
pub use probe::{Detected, Incompatible, LegacyReason, Preference, Probe, ProbeAction, ProbeTimeouts};
pub use recovery::{Recovery, Unsupported};
pub use reply::{WireReply, wire_reply};
pub use request::{ModernRequest, is_modern, trace_context};
pub use revision::{Era, HttpBinding, RULES, Revision, Rules, UnknownRevision, negotiate};
pub use session::{Session, SessionState};
pub use subscription::{Change, Subscription};
pub use token::ProgressToken;
pub use trace::TraceContext;
