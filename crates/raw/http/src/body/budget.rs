//! The bytes that unfinished bodies hold, all together.
//!
//! Why a small body always fits: with `n` unfinished bodies the fair share is `budget / n`, and there are at most
//! `budget / reserved` places, so the share is never below the reserve. When the budget would be overrun, the average
//! is above the share, so some body is over it; that one goes. A body within its reserve is never that one.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use towpath_raw::{Level, Mutex};

use super::{
    error::{BodyError, BodyLimitsError},
    limits::BodyLimits,
    place::Place,
};

/// Counts the bytes of unfinished bodies, and gives up the right one when they become too many. Clones share the count.
///
/// It counts what a body holds from its first chunk, unless that is all of it, to its end; then the message belongs to
/// whoever reads it, and to that one's limits. Nobody waits for room.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: BodyLimits,
    // Above the places in the order of locks: a body is emptied under it.
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    held_bytes: usize,
    peak_bytes: usize,
    next: u64,
    bodies: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    held_bytes: usize,
    since: Instant,
    place: Arc<Place>,
}

impl BodyBudget {
    /// A budget of which nothing is used.
    ///
    /// # Errors
    ///
    /// [`BodyLimitsError`]: the limits contradict each other.
    pub fn new(limits: BodyLimits) -> Result<Self, BodyLimitsError> {
        let BodyLimits { max_body_bytes, budget_bytes, reserved_body_bytes } = limits;
        if budget_bytes < max_body_bytes {
            return Err(BodyLimitsError::BudgetBelowBody { budget_bytes, max_body_bytes });
        }
        if reserved_body_bytes == 0 || reserved_body_bytes > budget_bytes {
            return Err(BodyLimitsError::Reserved { reserved_body_bytes, budget_bytes });
        }
        let ledger = Mutex::new(Level::SessionRegistry, "BodyBudget::ledger", Ledger::default());
        Ok(Self { shared: Arc::new(Shared { limits, ledger }) })
    }

    /// The limits that it keeps.
    pub fn limits(&self) -> &BodyLimits {
        &self.shared.limits
    }

    /// How many bytes unfinished bodies hold now.
    pub fn held_bytes(&self) -> usize {
        self.shared.ledger.lock().held_bytes
    }

    /// How many bytes they held at most, so far.
    pub fn peak_bytes(&self) -> usize {
        self.shared.ledger.lock().peak_bytes
    }

    /// How many unfinished bodies hold something now.
    pub fn bodies(&self) -> usize {
        self.shared.ledger.lock().bodies.len()
    }

    /// A place for a body whose first chunk is not all of it.
    pub(super) fn open(&self, first: Bytes, declared: Option<usize>) -> Result<Reading, BodyError> {
        let BodyLimits { budget_bytes, reserved_body_bytes, .. } = *self.limits();
        let is_large = declared.unwrap_or(0).max(first.len()) > reserved_body_bytes;
        let place = Arc::new(Place::new());
        let mut evicted = Vec::new();
        let opened = {
            let mut ledger = self.shared.ledger.lock();
            let has_place = ledger.bodies.len() < budget_bytes / reserved_body_bytes;
            let fits = !is_large || ledger.held_bytes + first.len() <= budget_bytes;
            let id = ledger.next;
            ledger.next += 1;
            let charged = has_place && fits && {
                let entry = Entry { held_bytes: 0, since: Instant::now(), place: Arc::clone(&place) };
                ledger.bodies.insert(id, entry);
                ledger.charge(id, first.len(), budget_bytes, &mut evicted)
            };
            if charged {
                Ok(id)
            } else {
                ledger.bodies.remove(&id);
                Err(BodyError::Full {
                    bodies: ledger.bodies.len(),
                    held_bytes: ledger.held_bytes,
                    budget_bytes,
                    retry_after: RETRY_AFTER,
                })
            }
        };
        evicted.into_iter().for_each(Waker::wake);
        let reading = Reading { budget: self.clone(), id: opened?, held_bytes: first.len(), declared, place };
        reading.place.push(first, declared).map_err(|_| reading.evicted())?;
        Ok(reading)
    }
}

impl Ledger {
    /// Counts more bytes for a body, after others have made room if need be. `false`: it is this one that has to go,
    /// or that is gone already.
    fn charge(&mut self, id: u64, more: usize, budget: usize, evicted: &mut Vec<Waker>) -> bool {
        // Nobody makes room for what is gone already.
        if !self.bodies.contains_key(&id) {
            return false;
        }
        let now = Instant::now();
        while self.held_bytes + more > budget {
            match self.slowest_over_share(id, more, budget, now) {
                Some(victim) if victim != id => evicted.extend(self.evict(victim)),
                _ => return false,
            }
        }
        let Some(body) = self.bodies.get_mut(&id) else { return false };
        body.held_bytes += more;
        self.held_bytes += more;
        self.peak_bytes = self.peak_bytes.max(self.held_bytes);
        true
    }

    fn slowest_over_share(&self, asking: u64, more: usize, budget: usize, now: Instant) -> Option<u64> {
        let share = budget / self.bodies.len().max(1);
        let wanted = |id: &u64, body: &Entry| body.held_bytes + if *id == asking { more } else { 0 };
        self.bodies
            .iter()
            .map(|(id, body)| (id, wanted(id, body), now.duration_since(body.since).as_micros()))
            .filter(|(_, wanted, _)| *wanted > share)
            // Bytes per time, without dividing; among those that began just now the largest goes.
            .min_by(|(_, a, a_took), (_, b, b_took)| {
                let (slower, faster) = (*a as u128 * b_took, *b as u128 * a_took);
                slower.cmp(&faster).then(b.cmp(a))
            })
            .map(|(id, ..)| *id)
    }

    /// Drops what a body holds, on the spot: its bytes are not counted any more, so they must not be there either.
    fn evict(&mut self, id: u64) -> Option<Waker> {
        let body = self.bodies.remove(&id)?;
        let waker = body.place.empty();
        self.held_bytes -= body.held_bytes;
        waker
    }
}

/// A body that is being read, and counted. Dropped, it gives back what it holds.
#[derive(Debug)]
pub(super) struct Reading {
    budget: BodyBudget,
    id: u64,
    held_bytes: usize,
    declared: Option<usize>,
    place: Arc<Place>,
}

impl Reading {
    pub(super) fn len(&self) -> usize {
        self.held_bytes
    }

    /// Fails, and has the reader woken, when the body was given up.
    pub(super) fn watch(&self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        self.place.watch(cx).map_err(|_| self.evicted())
    }

    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        let budget_bytes = self.budget.limits().budget_bytes;
        let mut evicted = Vec::new();
        let charged =
            self.budget.shared.ledger.lock().charge(self.id, chunk.len(), budget_bytes, &mut evicted);
        evicted.into_iter().for_each(Waker::wake);
        if !charged {
            return Err(self.evicted());
        }
        let more = chunk.len();
        self.place.push(chunk, self.declared).map_err(|_| self.evicted())?;
        self.held_bytes += more;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Bytes, BodyError> {
        self.place.take().map_err(|_| self.evicted())
    }

    fn evicted(&self) -> BodyError {
        BodyError::Evicted { held_bytes: self.held_bytes, budget_bytes: self.budget.limits().budget_bytes }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // In two statements, so that the waker is dropped after the lock.
        let waker = self.budget.shared.ledger.lock().evict(self.id);
        drop(waker);
    }
}

/// Bodies come and go within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
