//! Traits and vocabulary of Towpath's raw layer.
//!
//! The raw layer moves bytes, frames and heads; it knows no JSON. It has two shapes, because a byte pipe
//! cannot describe HTTP and an HTTP exchange cannot describe a pipe:
//!
//! - a [`Lane`] is a duplex of frames in two halves, a [`FrameSource`] and a [`FrameSink`], so that a pending
//!   receive never blocks a send: stdio, child processes, sockets, in-memory pairs.
//!   A [`Listen`] is where they come from when peers open them;
//! - [`Connect`] and [`Accept`] are the two sides of HTTP: a head and a body out, a head and a stream of
//!   chunks back.
//!
//! Beside them stand the words that every layer above uses: [`LaneLimits`], [`LaneTimeouts`], [`LaneError`],
//! [`Timeout`], the owned [`TaskScope`], and the one [`Mutex`] of the workspace.
//!
//! # What it does not do
//!
//! No transport lives here (see `towpath-stdio`), nothing is parsed, and no constructor spawns a task.
//!
//! # Example
//!
//! Any transport is driven in the same way:
//!
//! ```
//! use towpath_raw::{Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, LaneError};
//!
//! async fn echo_one(
//!     source: &mut impl FrameSource,
//!     sink: &mut impl FrameSink,
//! ) -> Result<bool, LaneError> {
//!     match source.receive().await? {
//!         Inbound::Frame(bytes) => {
//!             sink.send(Frame::from(bytes)).await?;
//!             Ok(true)
//!         }
//!         Inbound::Skipped(_) | Inbound::Rejected(_) => Ok(true),
//!         // Only a lane that is made of exchanges gives these.
//!         Inbound::Routed(..) | Inbound::Failed { .. } => Ok(true),
//!         Inbound::End(_) => Ok(false),
//!     }
//! }
//! ```
//!
//! # Cancel safety
//!
//! The halves are poll-based, so cancel safety is by construction: the decoder owns the bytes that it has
//! read, and a frame that was handed to [`FrameSink::start_send`] is written whole or not at all.
//!
//! # Features
//!
//! None. Under `--cfg towpath_loom` the mutex is loom's, for model checking.
#![forbid(unsafe_code)]

mod error;
mod exchange;
mod frame;
mod lane;
mod limits;
mod listen;
mod scope;
mod stall;
mod sync;

pub use error::{Explanation, LaneError, MessageTooLarge, Operation, Timeout};
pub use exchange::{Accept, Arrival, Chunks, ChunksExt, Connect, ExchangeError};
pub use frame::{Frame, Route};
pub use lane::{
    End, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, Rejected, SkipReason, Skipped,
};
pub use limits::{LaneLimits, LaneTimeouts};
pub use listen::{ConnectionLimit, Listen};
pub use scope::{Drained, TaskScope};
pub use stall::StallWatch;
pub use sync::{Level, LockStats, LockTimeout, Mutex, MutexGuard};
