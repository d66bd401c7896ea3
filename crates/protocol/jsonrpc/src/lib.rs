//! JSON-RPC 2.0 without I/O: the envelope, ids, errors, correlation and deadlines.
//!
//! [`Message`] is a message as the bytes that came in, and an index of where its members are. The one pass that
//! builds the index validates all of the text (JSON, UTF-8, the envelope's rules), without recursion and without
//! building a tree; what nobody asks for is never decoded, so 2⁶³, `1e400`, unknown members and escapes pass as
//! they are. Beside the envelope it finds the members that the Model Context Protocol routes by: see [`Member`].
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use towpath_jsonrpc::{EnvelopeLimits, Kind, Member, Message, encode};
//!
//! let text = Bytes::from_static(
//!     br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":1e400}}}"#,
//! );
//! let message = Message::parse(text, &EnvelopeLimits::default())?;
//! assert_eq!(message.kind(), Kind::Request);
//! assert_eq!(message.method(), "tools/call");
//! assert_eq!(message.string(Member::Name).as_deref(), Some("echo"));
//!
//! let mut reply = BytesMut::new();
//! if let Some(id) = message.id() {
//!     encode::result(&mut reply, id, br#"{"content":[]}"#);
//! }
//! assert_eq!(&reply[..], br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
//! # Ok::<(), towpath_jsonrpc::EnvelopeError>(())
//! ```
//!
//! # What is refused
//!
//! Text that is not JSON (−32700), and JSON that is no message (−32600): see [`EnvelopeError`], which knows the
//! message's id where it could be read. So is a key that occurs twice in the message itself, in `params._meta`, or
//! in `params` if it is one of [`Member`]: else a gateway could check one value and a server run the other. Keys
//! are compared as what their escapes decode to. Elsewhere duplicates pass; in `result` the last one is indexed.
//!
//! # Large messages
//!
//! [`EnvelopeLimits`] bounds what a message can cost. [`Scan`] parses in slices, so that a message of many
//! megabytes does not hold up whatever shares its thread.
//!
//! # What it does not do
//!
//! It reads and writes no sockets, looks at no clock (`now` is a parameter), starts no task and knows no protocol
//! revision. Nothing in it is async, so there is nothing to cancel: a value dropped at any time leaves nothing
//! behind.
//!
//! # Features
//!
//! None.

#![forbid(unsafe_code)]

mod batch;
mod correlation;
pub mod encode;
mod error;
mod id;
mod keys;
mod lexer;
mod member;
mod message;
mod nesting;
mod raw;
mod scan;
mod text;
mod violation;

pub use batch::{Parsed, parse_any};
pub use correlation::{
    Answer, CorrelationLimits, Deadline, Deadlines, Expired, Found, InFlightLimit, Incoming, Key, Outgoing,
    OutgoingStats, Overdue,
};
pub use error::{ErrorObject, code};
pub use id::{Id, IdError, MAX_ID_BYTES};
pub use member::Member;
pub use message::{EnvelopeLimits, Kind, MAX_METHOD_BYTES, Message};
pub use raw::RawJson;
pub use scan::Scan;
pub use violation::{About, EnvelopeError, Place, Violation};
