//! Our requests, and the answers to them.

use std::time::{Duration, Instant};

use super::{
    CorrelationLimits, Deadlines, InFlightLimit,
    table::{Table, earlier},
    tombstones::Tombstones,
};
use crate::Id;

/// The requests of ours that wait for an answer, each with a value of the owner's.
///
/// It gives out the ids: a counter from 1, never reused, some values passed over. Each request leaves the
/// table exactly once: by [`answer`](Self::answer), [`cancel`](Self::cancel),
/// [`handle_timeout`](Self::handle_timeout) or [`drain`](Self::drain).
///
/// Insert and answer take constant time, and allocate only when more are in flight than ever before.
///
/// ```
/// use std::time::{Duration, Instant};
/// use towpath_jsonrpc::{Answer, CorrelationLimits, Deadlines, Id, Outgoing};
///
/// let mut outgoing = Outgoing::new(&CorrelationLimits::default());
/// let now = Instant::now();
/// let first = outgoing.insert(now, Deadlines::default(), "tools/list")?;
/// let second = outgoing.insert(now, Deadlines::default(), "ping")?;
/// assert_eq!(outgoing.answer(&Id::from(first)), Answer::Matched(first, "tools/list"));
/// assert_eq!(outgoing.answer(&Id::from("1")), Answer::Unknown);
///
/// let late = now + Duration::from_secs(600);
/// let expired = outgoing.handle_timeout(late).map(|expired| expired.value);
/// assert_eq!(expired, Some("ping"));
/// assert_eq!(outgoing.answer(&Id::from(second)), Answer::Late);
/// # Ok::<(), towpath_jsonrpc::InFlightLimit>(())
/// ```
pub struct Outgoing<T> {
    table: Table<Call<T>>,
    tombstones: Tombstones,
    stats: OutgoingStats,
}

struct Call<T> {
    deadlines: Deadlines,
    total_at: Option<Instant>,
    value: T,
}

/// What an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The request with this id, which is no longer in flight.
    Matched(u64, T),
    /// A request that was cancelled or has timed out.
    Late,
    /// A request that was answered before, or was given up so long ago that it is no longer remembered.
    Duplicate,
    /// None of our requests.
    Unknown,
}

/// A request whose deadline has passed before an answer came. It is no longer in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expired<T> {
    /// Its id.
    pub id: u64,
    /// The owner's value.
    pub value: T,
    /// The deadline that passed, the earlier one if both did.
    pub which: Deadline,
    /// How long that deadline was.
    pub after: Duration,
}

/// One of the two [`Deadlines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// [`Deadlines::idle`].
    Idle,
    /// [`Deadlines::total`].
    Total,
}

/// What an [`Outgoing`] has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutgoingStats {
    /// Answers to requests that were cancelled or had timed out.
    pub late: u64,
    /// Answers to requests that had been answered, or were no longer remembered.
    pub duplicate: u64,
    /// Answers to nothing that was asked.
    pub unknown: u64,
    /// Requests that were cancelled.
    pub cancelled: u64,
    /// Requests whose deadline passed.
    pub timed_out: u64,
    /// Requests given up that are no longer remembered as such, by [`CorrelationLimits::max_tombstones`].
    pub tombstones_evicted: u64,
    /// Requests refused, by [`CorrelationLimits::max_in_flight`].
    pub refused: u64,
}

impl<T> Outgoing<T> {
    /// An empty table, which allocates nothing before the first request.
    pub fn new(limits: &CorrelationLimits) -> Self {
        Self {
            table: Table::new(limits.max_in_flight),
            tombstones: Tombstones::new(limits.max_tombstones),
            stats: OutgoingStats::default(),
        }
    }

    /// Takes up a request and gives it its id. A deadline too far for the clock to say is none.
    ///
    /// # Errors
    ///
    /// [`InFlightLimit`], when [`CorrelationLimits::max_in_flight`] requests are in flight.
    pub fn insert(&mut self, now: Instant, deadlines: Deadlines, value: T) -> Result<u64, InFlightLimit> {
        let total_at = deadlines.total.and_then(|after| now.checked_add(after));
        let call = Call { deadlines, total_at, value };
        let deadline = call.deadline(now);
        self.table.insert(deadline, call).inspect_err(|_| self.stats.refused += 1)
    }

    /// The value of a request in flight.
    pub fn get(&self, id: u64) -> Option<&T> {
        self.table.get(id).map(|call| &call.value)
    }

    /// The value of a request in flight.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.table.get_mut(id).map(|call| &mut call.value)
    }

    /// Notes that the peer has shown progress: the idle deadline starts again, the total one never does.
    /// False when the request is not in flight.
    pub fn progress(&mut self, now: Instant, id: u64) -> bool {
        let Some(call) = self.table.get_mut(id) else { return false };
        let deadline = call.deadline(now);
        self.table.set_deadline(id, deadline);
        true
    }

    /// Finds the request that an answer belongs to and ends it.
    pub fn answer(&mut self, id: &Id) -> Answer<T> {
        let Some(id) = id.as_u64() else {
            self.stats.unknown += 1;
            return Answer::Unknown;
        };
        if let Some(call) = self.table.remove(id) {
            Answer::Matched(id, call.value)
        } else if !self.table.is_spent(id) {
            self.stats.unknown += 1;
            Answer::Unknown
        } else if self.tombstones.unearth(id) {
            self.stats.late += 1;
            Answer::Late
        } else {
            self.stats.duplicate += 1;
            Answer::Duplicate
        }
    }

    /// Ends a request of ours that nobody waits for any more, and remembers that. `None` when it was not in
    /// flight. Telling the peer is the caller's part.
    pub fn cancel(&mut self, id: u64) -> Option<T> {
        let call = self.table.remove(id)?;
        self.stats.cancelled += 1;
        self.bury(id);
        Some(call.value)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next. It is never after the earliest deadline
    /// and may be before it, so there can be a call for nothing; `None` when no request in flight has a
    /// deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.table.poll_timeout()
    }

    /// Ends the next request whose deadline has passed, the earliest deadline first, and remembers it as
    /// given up. To be called until it returns `None`.
    ///
    /// All that pass together cost one look at the table; else it costs nothing.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Expired<T>> {
        let (id, at) = self.table.expire(now)?;
        let call = self.table.remove(id)?;
        self.stats.timed_out += 1;
        self.bury(id);
        let Deadlines { idle, total } = call.deadlines;
        let (which, after) =
            if call.total_at == Some(at) { (Deadline::Total, total) } else { (Deadline::Idle, idle) };
        Some(Expired { id, value: call.value, which, after: after.unwrap_or_default() })
    }

    /// Ends all requests, for a lane or session that has ended, in no particular order. No tombstones are
    /// left; what is not taken from the iterator is dropped with it.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, T)> + use<T> {
        self.table.drain().map(|(id, call)| (id, call.value))
    }

    /// How many requests are in flight.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no request is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was counted so far.
    pub fn stats(&self) -> OutgoingStats {
        self.stats
    }

    fn bury(&mut self, id: u64) {
        if !self.tombstones.bury(id) {
            self.stats.tombstones_evicted += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn scans(&self) -> usize {
        self.table.scans
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.table.slots()
    }
}

impl<T> Call<T> {
    /// The earlier deadline of the two, when the peer was last heard of at `now`.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        earlier(self.total_at, self.deadlines.idle.and_then(|after| now.checked_add(after)))
    }
}

impl<T> std::fmt::Debug for Outgoing<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("len", &self.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
