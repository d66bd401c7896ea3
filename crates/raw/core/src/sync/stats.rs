//! How often a lock was taken, and how long that took.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The counters of one lock since it was made.
///
/// How often it was taken without waiting is not counted: the locks are taken for every message, and a shared
/// counter would cost as much as the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockStats {
    /// How often it was taken, or given up, after waiting.
    pub contended: u64,
    /// How long all waits took together.
    pub waited: Duration,
    /// How long the longest took.
    pub longest_wait: Duration,
    /// How often [`Mutex::lock_for`](crate::Mutex::lock_for) gave up.
    pub timed_out: u64,
}

pub(crate) struct Counters {
    contended: AtomicU64,
    waited_nanos: AtomicU64,
    longest_nanos: AtomicU64,
    timed_out: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            contended: AtomicU64::new(0),
            waited_nanos: AtomicU64::new(0),
            longest_nanos: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn contended<R>(&self, wait: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let outcome = wait();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.contended.fetch_add(1, Relaxed);
        self.waited_nanos.fetch_add(nanos, Relaxed);
        self.longest_nanos.fetch_max(nanos, Relaxed);
        outcome
    }

    pub(crate) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> LockStats {
        LockStats {
            contended: self.contended.load(Relaxed),
            waited: Duration::from_nanos(self.waited_nanos.load(Relaxed)),
            longest_wait: Duration::from_nanos(self.longest_nanos.load(Relaxed)),
            timed_out: self.timed_out.load(Relaxed),
        }
    }
}
