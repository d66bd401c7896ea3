mod incoming;
mod model;
mod outgoing;

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// No deadline at all.
const NONE: Deadlines = Deadlines { idle: None, total: None };

fn total(total: Duration) -> Deadlines {
    Deadlines { idle: None, total: Some(total) }
}

fn limits(max_in_flight: usize, max_tombstones: usize) -> CorrelationLimits {
    CorrelationLimits { max_in_flight, max_tombstones }
}
