//! Streamable HTTP from the client's side: a lane that is made of exchanges, and the way from a URI to a client.
//!
//! ```text
//!            frames of the link                        what the link reads
//!                   │                                            ▲
//!   HttpSink ───────┤ requests ──► waiting ──► HttpSource: one stream for each request, and the standalone one
//!                   └ the rest ──► waiting ──► POSTs of its own
//! ```

mod back_off;
mod body;
mod connect;
mod events;
mod exchange;
mod lane;
mod one_way;
mod options;
mod refusal;
mod sink;
mod source;
mod standalone;
mod state;
mod wire;

pub(crate) use connect::connect;
pub use lane::HttpLane;
pub use options::{HttpLimits, HttpOptions, HttpTimeouts};
pub use sink::HttpSink;
pub use source::HttpSource;
