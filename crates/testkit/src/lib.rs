//! Transports in memory and with faults, a virtual clock and leak checks, to test what is built on Towpath.
//!
//! | To test | Take |
//! |---|---|
//! | a driver of a lane, without processes | [`memory_pair`]: two connected lanes, as fast as memory |
//! | what it does on a lane of exchanges | [`scripted_lane`]: the test says what is received, and sees each frame with its route |
//! | what it does when the lane misbehaves | [`FaultPlan`]: delays, pieces, short, corrupted and doubled frames, cuts and stalls, by a seed |
//! | the same of a byte stream, or of HTTP | [`StreamPlan`], [`HttpPlan`] |
//! | a client or a server of HTTP, without sockets | [`memory_http`]: `Connect` and `Accept` that are connected |
//! | a protocol without I/O | [`Pair`]: two [`Machine`]s on a lossy [`Wire`], in virtual time |
//! | a lane of one's own | [`contract_tests!`]: what every lane keeps, check by check; see [`contract`] |
//! | a `Connect` and an `Accept` of one's own | [`http_contract_tests!`]; see [`contract::http`] |
//! | that nothing is left behind | [`leak`]: tasks, descriptors, processes, threads, memory |
//! | that nothing hangs | [`within`], [`run_within`] |
//!
//! # What it does not do
//!
//! Nothing in it opens a socket or a pipe, and nothing pretends to be a peer: what is tested over it is the real
//! thing on both sides. It is for tests and benchmarks: it reports by panics where a test would.
//!
//! # Example
//!
//! ```
//! use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
//! use towpath_testkit::{memory_pair, within};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
//! let (_source, mut sink) = near.split();
//! let (mut source, _sink) = far.split();
//! within(sink.send(Frame::from(bytes::Bytes::from_static(b"{}")))).await.unwrap();
//! assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(frame)) if frame == "{}"));
//! # }
//! ```
//!
//! # Cancel safety
//!
//! The lanes are poll-based, and keep what the traits of `towpath-raw` promise: a dropped receive takes no frame,
//! and a dropped send tears none. [`within`] is as cancel safe as the future in it.
//!
//! # Features
//!
//! None. Descriptors, processes and threads are counted on Linux only; see [`leak`].
#![deny(unsafe_code)]

pub mod contract;
mod exchange;
mod fault;
pub mod leak;
mod memory;
mod pair;
mod scripted;
mod within;

pub use exchange::{
    MemoryAccept, MemoryArrival, MemoryBody, MemoryConnect, MemoryHttpLimits, memory_http, memory_http_with,
};
pub use fault::{
    Corruption, Cut, FaultAccept, FaultArrival, FaultBody, FaultConnect, FaultKind, FaultLane, FaultPlan,
    FaultRequestBody, FaultSink, FaultSource, FaultStats, FaultStream, Faults, HttpPlan, StreamFaults,
    StreamPlan, Which,
};
pub use memory::{MemoryLane, MemorySink, MemorySource, memory_pair, memory_pair_uneven};
pub use pair::{Machine, Pair, VirtualClock, Wire, WireStats};
pub use scripted::{LaneScript, ScriptedLane, ScriptedSink, ScriptedSource, scripted_lane};
pub use within::{DEFAULT_DEADLINE, run_within, within, within_for};
