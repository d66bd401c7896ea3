//! What a plan has done.

use std::{
    array, fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// A kind of fault, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultKind {
    /// Kept back for a time: frames, chunks of bytes, heads.
    Delay,
    /// Not ready at first, or passed in part: frames, chunks of bytes.
    Pieces,
    /// Let through at the speed of a slow reader: frames, chunks of bytes.
    Slow,
    /// Nothing passed, for a time or for ever.
    Stall,
    /// Cut short: frames.
    Truncate,
    /// A direction, or a body, was ended.
    Cut,
    /// Taken, and thrown away, and nobody was told: frames, chunks of bytes.
    HalfOpen,
    /// Changed on the way: frames, bytes.
    Corrupt,
    /// Given twice: frames, requests.
    Duplicate,
    /// Overtaken by another exchange: frames, requests.
    Reorder,
    /// A request that was not sent, or not taken.
    LoseRequest,
    /// An answer that was thrown away.
    LoseAnswer,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 12] = [
        FaultKind::Delay,
        FaultKind::Pieces,
        FaultKind::Slow,
        FaultKind::Stall,
        FaultKind::Truncate,
        FaultKind::Cut,
        FaultKind::HalfOpen,
        FaultKind::Corrupt,
        FaultKind::Duplicate,
        FaultKind::Reorder,
        FaultKind::LoseRequest,
        FaultKind::LoseAnswer,
    ];
}

/// How often each kind of fault has happened, in all that one plan and its clones wrap: for a test to assert that what
/// it is about did happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultStats {
    counts: [u64; FaultKind::ALL.len()],
}

impl FaultStats {
    /// How often this kind has happened.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    /// How often anything has.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl fmt::Display for FaultStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total() == 0 {
            return f.write_str("nothing");
        }
        let happened = FaultKind::ALL.iter().filter(|kind| self.of(**kind) > 0);
        for (index, kind) in happened.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind:?} {}", self.of(*kind))?;
        }
        Ok(())
    }
}

/// The counters that a plan shares with what it wraps.
#[derive(Debug, Default)]
pub(super) struct Counters {
    counts: [AtomicU64; FaultKind::ALL.len()],
}

impl Counters {
    pub(super) fn count(&self, kind: FaultKind) {
        self.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> FaultStats {
        FaultStats { counts: array::from_fn(|index| self.counts[index].load(Ordering::Relaxed)) }
    }
}
