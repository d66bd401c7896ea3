//! Which answer belongs to which request, and until when: the requests in flight, in both directions.
//!
//! Both tables are pure: they read no clock (`now` is a parameter) and they own no task. The scope of an id
//! is whoever owns the table: a lane, a session or one exchange. Their memory is bounded by
//! [`CorrelationLimits`], whatever the peer sends.

mod incoming;
mod outgoing;
mod table;
mod tombstones;

use std::time::Duration;

pub use incoming::{Found, Incoming, Key, Overdue};
pub use outgoing::{Answer, Deadline, Expired, Outgoing, OutgoingStats};

/// How many requests may be in flight, and how many of those that were given up are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationLimits {
    /// How many requests may be in flight at once, in one direction, in requests; 1,024 by default.
    ///
    /// At the limit the next `insert` fails with [`InFlightLimit`], and those in flight live on. The worst
    /// case for each is four times the size of the owner's value and 72 bytes, half as much again while the
    /// table grows; in [`Incoming`] 100 bytes more, and the peer's id of at most 1 KiB. 0 refuses every
    /// request.
    pub max_in_flight: usize,
    /// How many cancelled and timed-out requests are remembered, so that their late answers can be told from
    /// answers to nothing, in requests; 1,024 by default.
    ///
    /// At the limit the oldest is forgotten: its late answer is then a [`Answer::Duplicate`]. The worst case
    /// is 16 bytes each, and a search of all of them for every answer that matches nothing. 0 remembers none.
    pub max_tombstones: usize,
}

/// Until when a request of ours waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// How long the peer may be silent about the request; restarted by [`Outgoing::progress`]. `None`, the
    /// default, means as long as `total` allows. When it passes, the request ends as [`Expired`] by
    /// [`Deadline::Idle`]. It costs nothing more than `total` does.
    pub idle: Option<Duration>,
    /// How long the request may take altogether, progress or not; 10 minutes by default. `None` means for
    /// ever, unless `idle` is set. When it passes, the request ends as [`Expired`] by [`Deadline::Total`].
    /// The worst case is a place in the table for that long.
    pub total: Option<Duration>,
}

/// A request was refused, because as many as the limit allows are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("the request was refused: {limit} requests are in flight, which is the limit (`max_in_flight`)")]
pub struct InFlightLimit {
    /// The limit that was reached: [`CorrelationLimits::max_in_flight`].
    pub limit: usize,
}

impl Default for CorrelationLimits {
    fn default() -> Self {
        Self { max_in_flight: 1024, max_tombstones: 1024 }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { idle: None, total: Some(Duration::from_secs(600)) }
    }
}

#[cfg(test)]
mod tests;
