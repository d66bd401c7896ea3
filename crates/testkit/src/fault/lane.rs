//! The lane around a lane.

use std::sync::Arc;

use towpath_raw::{Lane, LaneError};

use super::FaultPlan;

mod sink;
mod source;

pub use sink::FaultSink;
pub use source::FaultSource;

/// A lane with faults; see [`FaultPlan::wrap`].
#[derive(Debug)]
pub struct FaultLane<L> {
    lane: L,
    plan: FaultPlan,
}

impl<L: Lane> FaultLane<L> {
    pub(super) fn new(lane: L, plan: &FaultPlan) -> Self {
        Self { lane, plan: plan.clone() }
    }
}

impl<L: Lane> Lane for FaultLane<L> {
    type Source = FaultSource<L::Source>;
    type Sink = FaultSink<L::Sink>;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn max_message_bytes(&self) -> usize {
        self.lane.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let peer = self.lane.peer();
        let (inbound, outbound) = self.plan.gates();
        let (source, sink) = self.lane.split();
        let source = FaultSource::new(source, Arc::clone(&peer), inbound, &self.plan.limits);
        (source, FaultSink::new(sink, peer, outbound, &self.plan))
    }
}

fn failed(peer: &Arc<str>, operation: &'static str, kind: std::io::ErrorKind) -> LaneError {
    LaneError::Io { peer: Arc::clone(peer), operation, source: Arc::new(super::common::planned(kind)) }
}
