//! How a service ends, and what it counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio_util::sync::CancellationToken;

/// How far a service is on its way to its end; shared by everything that it serves.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    /// No new work is taken, and subscriptions are to end politely.
    pub(super) draining: CancellationToken,
    /// What still runs is to end now.
    pub(super) cut: CancellationToken,
    cuts: AtomicU64,
    dropped: AtomicU64,
}

impl Closing {
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(super) fn note_cut(&self) {
        self.cuts.fetch_add(1, Relaxed);
    }

    /// How many requests were cut.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts.load(Relaxed)
    }

    pub(super) fn note_dropped(&self, messages: u64) {
        self.dropped.fetch_add(messages, Relaxed);
    }

    /// How many messages of sessions found nobody to read them.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}
