//! A lane that misbehaves, as its plan says and its seed repeats.

mod lane;
mod plan;

pub use lane::{FaultLane, FaultSink, FaultSource};
pub use plan::{Cut, FaultPlan, Faults};

#[cfg(test)]
mod tests;
