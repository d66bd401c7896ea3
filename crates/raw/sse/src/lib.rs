//! Server-sent events for Towpath: a bounded, linear codec, the events of a body, and HTTP+SSE as a lane.
//!
//! - [`Decoder`] makes events of chunks of bytes, without I/O. It holds at most one event, however the stream is cut, and
//!   takes time linear in its length.
//! - [`write_event`] and its siblings write events, comments and reconnection times into a buffer.
//! - [`EventStream`] gives the events of a body as they arrive, with an idle deadline; dropped, it closes the body.
//! - [`SseLane`] is the client's side of HTTP+SSE, the transport of MCP 2024-11-05, as a
//!   [`Lane`](towpath_raw::Lane) over any [`Connect`](towpath_raw::Connect).
//!
//! An event over a limit is passed over and reported, and the events after it live: see [`SseError`].
//!
//! # What it does not do
//!
//! It does not connect again by itself, nor does it keep events for a peer that does: it gives the id to resume from
//! ([`EventStream::last_event_id`]) and the time to wait before ([`EventStream::retry`]). It opens no sockets; that is
//! `Connect`. It knows no JSON and does not check UTF-8. There is no server's side of HTTP+SSE.
//!
//! # Example
//!
//! ```
//! use towpath_sse::{EventStream, SseLimits, SseTimeouts};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), towpath_sse::EventStreamError> {
//! // Any body will do; this one is a single chunk.
//! let body = Some(bytes::Bytes::from("id: 7\ndata: {\"jsonrpc\":\ndata: \"2.0\"}\n\n: still here\n\n"));
//! let mut events = EventStream::new(body, "example", &SseLimits::default(), &SseTimeouts::default());
//! while let Some(event) = events.event().await? {
//!     assert!(event.is_message());
//!     assert_eq!(event.data, "{\"jsonrpc\":\n\"2.0\"}");
//! }
//! assert_eq!(events.last_event_id(), b"7");
//! assert_eq!(events.comments(), 1);
//! assert!(events.end().is_some_and(|end| end.complete));
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Everything that waits is poll-based and owns what it has read: a dropped wait takes no event, and a message that
//! was handed to the lane is sent whole or not at all. No constructor starts a task: a stream is read, and a POST makes
//! progress, while its owner polls. Dropping neither blocks nor needs a runtime. Deadlines need tokio's time.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod event;
mod lane;
mod limits;
mod stream;

pub use decode::Decoder;
pub use encode::{EVENT_END, write_comment, write_event, write_event_head, write_priming_event, write_retry};
pub use event::{SseError, SseEvent};
pub use lane::{EndpointError, SseConnectError, SseLane, SseSink, SseSource};
pub use limits::{SseLaneTimeouts, SseLimits, SseTimeouts};
pub use stream::{EventStream, EventStreamError, SseEnd};
