//! Newline-framed lanes for Towpath: own stdio, supervised child processes, sockets, any `AsyncRead + AsyncWrite`.
//!
//! A line is a message, as in MCP's stdio transport. There are four ways in, and all give a
//! [`Lane`](towpath_raw::Lane):
//!
//! - [`OwnStdio::lane`] is the stdin and stdout of this process, for a server that a client has started;
//! - [`ChildCommand::spawn`] starts a server as a [`ChildLane`], which owns the whole process tree;
//! - [`SocketListener`] and [`SocketLane::connect`] are the two sides of a Unix socket or of TCP;
//! - [`IoLane::new`] takes any reader and writer: in-memory pairs, say.
//!
//! [`Termination`] hears the signals that ask a process to end.
//!
//! Underneath is the codec, [`LineDecoder`] and [`LineWriter`], which does no I/O. Banners, blank lines, CRLF, a
//! byte order mark and messages over the limit do not end a lane.
//!
//! # What it does not do
//!
//! It parses no JSON: whether a line is a message is decided by its first byte, and the rest by the layer above.
//! It restarts no child, and a socket has no encryption. Own stdio, child processes and sockets need Linux.
//!
//! # Example
//!
//! ```
//! use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
//! use towpath_stdio::ChildCommand;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut source, mut sink) = ChildCommand::new("cat").spawn()?.split();
//! sink.send(Frame::from(bytes::Bytes::from(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))).await?;
//! assert!(matches!(source.receive().await?, Inbound::Frame(_)));
//! // Dropping the halves ends the child, and everything that it has started.
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! The halves are poll-based: a dropped receive loses no byte, and a dropped send tears no frame. No constructor
//! starts a task or needs a runtime, but for sockets, which belong to the runtime in which they are opened; other I/O is
//! registered with the one in which a half is first polled. Dropping neither blocks nor needs a runtime either.
//! [`wait_for_children`] is for the end of a program: it blocks until all trees that were dropped are gone.
//!
//! # Threads
//!
//! Children are owned by one thread of this process, which the first of them starts. What they write to stderr and
//! how they end is traced, with the target `towpath::child`, and passed to callbacks on a second one, which is
//! started when there is somebody to hear it; lines for which a slow listener leaves no room are dropped.
//!
//! # Features
//!
//! None.
#![deny(unsafe_code)]

mod child;
mod io;
mod line;
mod own;
mod pipe;
mod signals;
mod socket;

pub use child::{
    ChildCommand, ChildExit, ChildHandle, ChildLane, ChildSink, ChildSource, ChildStatus, ChildTimeouts,
    Environment, INHERITED_VARIABLES, LeftChild, SpawnError, wait_for_children,
};
pub use io::{IoLane, LineSink, LineSource};
pub use line::{LineDecoder, LineWriter};
pub use own::{OwnLane, OwnReader, OwnStdio, OwnStdioError, OwnWriter};
pub use signals::{Signal, Termination};
pub use socket::{
    InvalidSocketAddress, SocketAddress, SocketError, SocketLane, SocketLimits, SocketListener,
    SocketOptions, SocketReader, SocketTimeouts, SocketWriter,
};
