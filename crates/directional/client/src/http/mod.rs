//! Streamable HTTP from the client's side: a lane that is made of exchanges, and the way from a URI to a client.
//!
//! ```text
//!            frames of the link                        what the link reads
//!                   │                                            ▲
//!   HttpSink ───────┤ requests ──► waiting ──► HttpSource: one stream for each request, and the standalone one
//!                   └ the rest ──► waiting ──► POSTs of its own
//! ```

mod again;
mod back_off;
mod body;
mod connect;
mod credentials;
mod era;
mod events;
mod exchange;
mod inputs;
mod lane;
mod one_way;
mod options;
mod outcome;
mod refetch;
mod refusal;
mod renewal;
mod sink;
mod source;
mod standalone;
mod state;
mod tools;
mod wire;

pub(crate) use connect::connect;
pub use credentials::Unauthorized;
pub use era::EraCache;
pub use lane::HttpLane;
pub use options::{HttpLimits, HttpOptions, HttpTimeouts};
pub use sink::HttpSink;
pub use source::HttpSource;
