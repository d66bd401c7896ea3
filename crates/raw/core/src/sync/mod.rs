//! The one mutex of the workspace: labelled, levelled, counted, timed.
//!
//! Locks are taken in the order Global, SessionRegistry, Session, Handler: a thread that holds a lock of one
//! level may take only locks of a later level. Debug and test builds check that, per thread, at every lock.
//! No guard may live across an await; clippy refuses it (`await-holding-invalid-types`).

mod imp;
mod order;
mod stats;

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

pub use order::Level;
pub use stats::LockStats;

use crate::{Operation, Timeout};

/// A mutual exclusion lock with a label for reports and a level in the lock order.
pub struct Mutex<T> {
    label: &'static str,
    level: Level,
    stats: stats::Counters,
    inner: imp::Mutex<T>,
}

/// The right to the value of a [`Mutex`], until dropped. It must not live across an await.
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct MutexGuard<'a, T> {
    // Before the guard: fields drop in order, and the level must be given back after the lock.
    inner: imp::Guard<'a, T>,
    _held: order::Held,
}

/// A lock was not to be had in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lock `{label}` ({level:?}) is held elsewhere: {timeout}")]
pub struct LockTimeout {
    /// Which lock.
    pub label: &'static str,
    /// Its level.
    pub level: Level,
    /// The deadline that passed.
    pub timeout: Timeout,
}

impl<T> Mutex<T> {
    /// A lock around a value. The label names it in reports: `type::field`.
    pub fn new(level: Level, label: &'static str, value: T) -> Self {
        Self { label, level, stats: stats::Counters::new(), inner: imp::Mutex::new(value) }
    }

    /// Takes the lock, waiting as long as it takes: for locks that are held for a few instructions.
    ///
    /// # Panics
    ///
    /// In debug and test builds, when the lock order is violated; the message names both locks.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = order::enter(self.level, self.label);
        let inner = match self.inner.try_lock() {
            Some(guard) => guard,
            None => self.stats.contended(|| self.inner.lock()),
        };
        MutexGuard { inner, _held: held }
    }

    /// Takes the lock if it is free.
    ///
    /// # Panics
    ///
    /// As [`Mutex::lock`].
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let held = order::enter(self.level, self.label);
        let inner = self.inner.try_lock()?;
        Some(MutexGuard { inner, _held: held })
    }

    /// Takes the lock, waiting at most `after`. It blocks the thread for that long.
    ///
    /// # Errors
    ///
    /// [`LockTimeout`] names the lock.
    ///
    /// # Panics
    ///
    /// As [`Mutex::lock`].
    pub fn lock_for(&self, after: Duration) -> Result<MutexGuard<'_, T>, LockTimeout> {
        let held = order::enter(self.level, self.label);
        let inner = match self.inner.try_lock() {
            Some(guard) => Some(guard),
            None => self.stats.contended(|| self.inner.try_lock_for(after)),
        };
        match inner {
            Some(inner) => Ok(MutexGuard { inner, _held: held }),
            None => {
                self.stats.timed_out();
                let timeout = Timeout { operation: Operation::Lock, after };
                Err(LockTimeout { label: self.label, level: self.level, timeout })
            }
        }
    }

    /// The value, without locking: nobody else can hold it.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// The label that was given to [`Mutex::new`].
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// How often it was taken, and how long that took.
    pub fn stats(&self) -> LockStats {
        self.stats.snapshot()
    }
}

impl<T> std::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutex")
            .field("label", &self.label)
            .field("level", &self.level)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> std::fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MutexGuard").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(towpath_loom)))]
mod tests;
