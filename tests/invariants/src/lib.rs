//! What the codecs of Towpath keep for any input, as functions that property tests and fuzz targets call.
//!
//! | Module | Of what | For any input |
//! |---|---|---|
//! | [`mod@line`] | the lines of stdio | any chunking gives what the rules say; a dropped receive loses nothing; memory; what is written is read |
//! | [`event`] | server-sent events | any chunking gives the same; a dropped wait loses nothing; limits, memory; what is written is read |
//! | [`envelope`] | JSON-RPC messages, batches, ids | agrees with `serde_json`; slices change nothing; what is encoded is parsed |
//! | [`header`] | encoded values of HTTP headers | every text comes back |
//!
//! Each has a `holds` that takes plain bytes: a fuzz target is one call of it, and so is the replay of `corpus/`, the
//! inputs that have been awkward. What it varies beside the bytes (where they are cut, the limits) it draws from them,
//! so the same input is always the same check.
//!
//! # What it does not do
//!
//! It makes no inputs: `tests/` has the generators, `fuzz/` the fuzzer. It reports by panics, as tests do.
//!
//! # Example
//!
//! ```
//! towpath_invariants::line::holds(b"{\"id\":1}\r\n\nbanner\n{");
//! towpath_invariants::event::holds(b"id: 1\ndata: a\r\ndata: b\n\n");
//! towpath_invariants::envelope::holds(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
//! towpath_invariants::header::holds("=?base64?YQ==?=".as_bytes());
//! ```
//!
//! # Cancel safety
//!
//! Nothing in it is async; that others are cancel safe is among what it checks.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod cut;
pub mod envelope;
pub mod event;
pub mod header;
mod hesitant;
pub mod line;
pub mod memory;
mod reference;

pub use cut::cut;
pub use reference::{MEMBERS, META_PREFIX};
