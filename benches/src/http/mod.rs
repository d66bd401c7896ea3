//! What the subjects over HTTP share: one load generator, the messages that it sends, the comparison of what comes back,
//! and the processes that answer.

mod caller;
mod exchange;
mod expect;
mod pattern;
mod server;
mod wire;

pub use caller::HttpCaller;
pub use server::{HttpServer, serve_hyper, serve_tower, until_stdin_ends};

pub(crate) use expect::{Expected, cut};
pub(crate) use pattern::Pattern;
#[cfg(feature = "towpath")]
pub(crate) use server::print_address;
pub(crate) use wire::{HttpIds, echo_path, modern_headers};
