//! Unix sockets and TCP as lanes.

mod address;
mod error;
mod hangup;
mod lane;
mod listener;
mod opening;
mod options;
mod path;
mod refuse;
mod stream;
mod tcp;

pub use address::{InvalidSocketAddress, SocketAddress};
pub use error::SocketError;
pub use lane::SocketLane;
pub use listener::SocketListener;
pub use options::{SocketLimits, SocketOptions, SocketTimeouts};
pub use stream::{SocketReader, SocketWriter};

/// Of what is traced.
const TARGET: &str = "towpath::socket";
