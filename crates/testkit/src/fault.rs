//! What goes wrong between two peers, as a plan says and its seed repeats: on lanes, on byte streams, over HTTP.

mod code;
mod common;
mod frames;
mod gate;
mod http;
mod lane;
mod pace;
mod plan;
mod shelf;
mod stats;
mod stream;
mod stream_plan;
mod tap;

pub use common::{Corruption, Cut, Which};
pub use frames::Faults;
pub use http::{FaultAccept, FaultArrival, FaultBody, FaultConnect, FaultRequestBody, HttpPlan};
pub use lane::{FaultLane, FaultSink, FaultSource};
pub use plan::FaultPlan;
pub use stats::{FaultKind, FaultStats};
pub use stream::FaultStream;
pub use stream_plan::{StreamFaults, StreamPlan};

#[cfg(test)]
mod tests;
