//! The server's side, over hyper.

mod connection;
mod frames;
mod http2;
mod io;
mod limits;
mod listen;
mod phase;
mod refuse;

pub use connection::serve_connection;
pub use limits::{ListenLimits, ListenTimeouts};
pub use listen::HttpServer;
