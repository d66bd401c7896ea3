//! The one driver of a lane: calls, contexts, and the ownership of everything that runs on it.
//!
//! A [`Link`] puts a lane to work: it reads, gives requests to a [`Service`], correlates answers with [`Call`]s, and
//! writes. Client and server are links with a service each.
//!
//! # What it does not do
//!
//! No handshake, no sessions, no framing. It spawns nothing: whoever polls the link owns what runs on it.
//!
//! # Example
//!
//! A link that answers nobody, used to call:
//!
//! ```
//! use towpath_link::{CallError, CallOptions, Link, LinkLimits, LinkTimeouts, Service};
//! # use towpath_link::{Admission, Context};
//! use towpath_jsonrpc::RawJson;
//! # use towpath_jsonrpc::{ErrorObject, Message};
//! # use towpath_mcp::Fault;
//! use towpath_raw::Lane;
//!
//! async fn ask<L>(lane: L, nobody: impl Service + Unpin) -> Result<RawJson, CallError>
//! where
//!     L: Lane<Source: Unpin, Sink: Unpin>,
//! {
//!     let (link, peer) = Link::new(lane, nobody, LinkLimits::default(), LinkTimeouts::default());
//!     let call = peer.call("tools/list", None, CallOptions::default());
//!     tokio::select! {
//!         // Both are cancel safe; the call ends when the link does.
//!         answer = call => answer,
//!         _ = link => unreachable!("the call has ended first"),
//!     }
//! }
//! ```
//!
//! # Lanes that are made of exchanges
//!
//! On such a lane the link keeps, for each request of the peer, the exchange that brought it ([`Context::route`]), and
//! all that is said about the request goes there: the handler's notifications, its own calls, and at last the answer,
//! which is marked as the last frame of the exchange. A request that gets none, because the peer has cancelled it, ends
//! its exchange with an empty frame. A call of ours has an exchange of its own, with the number of its id plus one,
//! unless the peer is the one who opens the exchanges; when that fails, the call ends as [`CallError::Exchange`], and
//! the link lives on.
//!
//! # When it is full
//!
//! The answers to our own calls always have room. A peer that asks for more than
//! [`LinkLimits::max_requests_from_peer`] at once, or leaves its answers unread, gets small refusals; when those are
//! unread too, the link stops reading, and a peer that still takes nothing ends the lane with `PeerNotReading`.
//! A handler's notifications wait for room; its answer does not.
//!
//! # Cancel safety
//!
//! A dropped [`Call`] is cancelled on the wire. A dropped [`Link`] ends at once: every call fails with its
//! [`Phase`], every handler is dropped, and so is the lane.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod begin;
mod call;
mod cancel;
mod context;
mod dress;
mod driver;
mod error;
mod limits;
mod notes;
mod outbox;
mod peer;
mod service;
mod state;
mod stats;
mod verbatim;

pub use call::{Call, CallOptions};
pub use cancel::Cancellation;
pub use context::Context;
pub use dress::{CallDress, ModernDress, ModernResult, ResultDress};
pub use driver::Link;
pub use error::{CallError, CancelReason, LinkEnd, NotifyError, Phase};
pub use limits::{LinkLimits, LinkTimeouts};
pub use peer::Peer;
pub use service::{Admission, Errand, Reply, Service};
pub use stats::LinkStats;
