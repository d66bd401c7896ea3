//! The peer's requests, and the answers that we owe it.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use super::{CorrelationLimits, InFlightLimit, table::Table};
use crate::Id;

/// The peer's requests that are being handled, each with a value of the owner's.
///
/// A peer may use one id for two requests at once (some clients send `1` for every call): each is an entry of
/// its own with a [`Key`] of its own, so neither gets the other's answer. Only a cancellation, which knows
/// nothing but the id, can then not be told apart: [`Found::Ambiguous`].
///
/// All operations take constant time, and allocate only when more are in flight than ever before.
///
/// ```
/// use std::time::Instant;
/// use towpath_jsonrpc::{CorrelationLimits, Found, Id, Incoming};
///
/// let mut incoming = Incoming::new(&CorrelationLimits::default());
/// let now = Instant::now();
/// let one = incoming.insert(now, Id::from("a"), None, "the first")?;
/// let other = incoming.insert(now, Id::from("a"), None, "the second")?;
/// assert_eq!(incoming.find(&Id::from("a")), Found::Ambiguous);
/// assert_eq!(incoming.finish(one), Some((Id::from("a"), "the first")));
/// assert_eq!(incoming.find(&Id::from("a")), Found::One(other));
/// # Ok::<(), towpath_jsonrpc::InFlightLimit>(())
/// ```
pub struct Incoming<T> {
    table: Table<Request<T>>,
    by_id: HashMap<Id, SameId>,
}

/// One request in flight in an [`Incoming`]. A key is never used twice, so a stale one finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// What an id stands for among the peer's requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One request.
    One(Key),
    /// Two or more requests, which the peer gave the same id.
    Ambiguous,
    /// No request in flight.
    Unknown,
}

/// A request that has been in flight for as long as it may. It stays in flight until it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overdue {
    /// Which request.
    pub key: Key,
    /// How long it had.
    pub after: Duration,
}

struct Request<T> {
    id: Id,
    total: Option<Duration>,
    value: T,
}

/// The requests in flight with one id. As long as there are several, nobody asks which; when one is left, the
/// sum is its key. So equal ids need no list, and a million of them no search.
struct SameId {
    count: usize,
    sum_of_keys: u64,
}

impl<T> Incoming<T> {
    /// An empty table, which allocates nothing before the first request.
    pub fn new(limits: &CorrelationLimits) -> Self {
        Self { table: Table::new(limits.max_in_flight), by_id: HashMap::new() }
    }

    /// Takes up a request of the peer's, which may take `total` altogether (`None`: for ever; a time too far
    /// for the clock to say is the same).
    ///
    /// # Errors
    ///
    /// [`InFlightLimit`], when [`CorrelationLimits::max_in_flight`] requests are in flight.
    pub fn insert(
        &mut self,
        now: Instant,
        id: Id,
        total: Option<Duration>,
        value: T,
    ) -> Result<Key, InFlightLimit> {
        let deadline = total.and_then(|after| now.checked_add(after));
        let key = self.table.insert(deadline, Request { id: id.clone(), total, value })?;
        let same = self.by_id.entry(id).or_insert(SameId { count: 0, sum_of_keys: 0 });
        same.count += 1;
        same.sum_of_keys = same.sum_of_keys.wrapping_add(key);
        Ok(Key(key))
    }

    /// The value of a request in flight.
    pub fn get(&self, key: Key) -> Option<&T> {
        self.table.get(key.0).map(|request| &request.value)
    }

    /// The value of a request in flight.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.table.get_mut(key.0).map(|request| &mut request.value)
    }

    /// The peer's id of a request in flight.
    pub fn id(&self, key: Key) -> Option<&Id> {
        self.table.get(key.0).map(|request| &request.id)
    }

    /// Which request in flight has this id.
    pub fn find(&self, id: &Id) -> Found {
        match self.by_id.get(id) {
            None => Found::Unknown,
            Some(SameId { count: 1, sum_of_keys }) => Found::One(Key(*sum_of_keys)),
            Some(_) => Found::Ambiguous,
        }
    }

    /// Ends a request, with the id that its answer must have. `None` when it has ended before: there is
    /// nothing to answer any more.
    pub fn finish(&mut self, key: Key) -> Option<(Id, T)> {
        let Request { id, value, .. } = self.table.remove(key.0)?;
        if let Entry::Occupied(mut same) = self.by_id.entry(id.clone()) {
            same.get_mut().count -= 1;
            same.get_mut().sum_of_keys = same.get().sum_of_keys.wrapping_sub(key.0);
            if same.get().count == 0 {
                same.remove();
            }
        }
        // The request's own id, not the map's: equal ones may be spelt differently.
        Some((id, value))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next. It is never after the earliest deadline
    /// and may be before it, so there can be a call for nothing; `None` when no request in flight has a
    /// deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.table.poll_timeout()
    }

    /// The next request whose time is up, the earliest first. It is named once and stays in flight, since its
    /// handler is to be stopped and its answer still to be sent: [`finish`](Self::finish) it then. To be
    /// called until it returns `None`.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Overdue> {
        let (key, _) = self.table.expire(now)?;
        let after = self.table.get(key)?.total.unwrap_or_default();
        Some(Overdue { key: Key(key), after })
    }

    /// Ends all requests, for a lane or session that has ended, in no particular order. What is not taken
    /// from the iterator is dropped with it.
    pub fn drain(&mut self) -> impl Iterator<Item = (Key, Id, T)> + use<T> {
        self.by_id = HashMap::new();
        self.table.drain().map(|(key, request)| (Key(key), request.id, request.value))
    }

    /// How many requests are in flight.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no request is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        (self.table.slots(), self.by_id.capacity())
    }
}

impl<T> std::fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("len", &self.len()).finish_non_exhaustive()
    }
}
