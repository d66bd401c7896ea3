//! One direction of bytes at work: decides, by the place in it, how many pass in one go, when, and as what.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use fastrand::Rng;

use super::{Cut, FaultKind, StreamFaults, Which, common, common::Corrupted, pace::Pace, stats::Counters};

#[derive(Debug)]
pub(super) struct Tap {
    faults: StreamFaults,
    counters: Arc<Counters>,
    /// The lengths of chunks and their delays, and what is corrupted, have a source of chance each.
    chunks: Rng,
    corruption: Rng,
    passed: u64,
    last: Option<u8>,
    chunk_end: u64,
    corrupt_at: Option<u64>,
    stalled: bool,
    cut: bool,
    pace: Pace,
}

/// Whether anything may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    Cut(Cut),
    /// The other side has vanished.
    Nowhere,
}

impl Tap {
    pub(super) fn new(faults: StreamFaults, seed: u64, place: [u64; 2], counters: Arc<Counters>) -> Self {
        let [what, number] = place;
        let mut corruption = common::rng(seed, [what, number, 1]);
        let corrupt_at = match faults.corrupt {
            Some((Which::Number(at), _)) => Some(at),
            Some((Which::OneIn(many), _)) if many > 0 => Some(gap(many, &mut corruption) - 1),
            _ => None,
        };
        Self {
            faults,
            counters,
            chunks: common::rng(seed, [what, number, 0]),
            corruption,
            passed: 0,
            last: None,
            chunk_end: 0,
            corrupt_at,
            stalled: false,
            cut: false,
            pace: Pace::default(),
        }
    }

    /// How it has ended, if it is cut here.
    pub(super) fn cut(&mut self) -> Option<Cut> {
        let within_a_line = self.last.is_some_and(|last| last != b'\n');
        let here = |after: u64, how| self.passed >= after && (how != Cut::MidFrame || within_a_line);
        let (_, how) = self.faults.cut.filter(|(after, how)| here(*after, *how))?;
        if !std::mem::replace(&mut self.cut, true) {
            self.counters.count(FaultKind::Cut);
        }
        Some(how)
    }

    /// Whether anything may pass; not ready while it stalls.
    pub(super) fn poll_way(&mut self, cx: &mut Context<'_>) -> Poll<Way> {
        if let Some(how) = self.cut() {
            return Poll::Ready(Way::Cut(how));
        }
        if self.faults.half_open.is_some_and(|after| self.passed >= after) {
            return Poll::Ready(Way::Nowhere);
        }
        if let Some((after, duration)) = self.faults.stall
            && self.passed >= after
            && !self.stalled
        {
            self.stalled = true;
            self.pace.add_stall(duration, &self.counters);
        }
        if self.stalled {
            ready!(self.pace.poll(cx));
        }
        Poll::Ready(Way::Open)
    }

    /// How many of these bytes may pass in one go, once [`Tap::poll_pass`] is ready; at least 1 of them.
    pub(super) fn most(&mut self, wanted: usize) -> usize {
        if self.passed >= self.chunk_end {
            let length = match self.faults.chunks {
                Some(up_to) => self.chunks.u64(1..=up_to as u64),
                None => CHUNK_BYTES,
            };
            self.chunk_end = self.passed + length;
            self.pace.add(&self.faults.pacing, 0, &mut self.chunks, &self.counters);
        }
        let faults = &self.faults;
        let places = [
            Some(self.chunk_end),
            faults
                .cut
                .map(|(after, how)| if how == Cut::MidFrame { after.max(self.passed + 1) } else { after }),
            faults.half_open,
            faults.stall.map(|(after, _)| after),
            self.corrupt_at,
        ];
        let next = places.into_iter().flatten().filter(|at| *at > self.passed).min();
        let most = next.map_or(wanted, |at| usize::try_from(at - self.passed).unwrap_or(usize::MAX));
        most.min(wanted)
    }

    /// Ready when those bytes pass.
    pub(super) fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pace.poll(cx)
    }

    /// What becomes of the next byte, if it is one that is corrupted.
    pub(super) fn corrupted(&mut self, byte: u8) -> Option<Corrupted> {
        let (which, how) = self.faults.corrupt.filter(|_| self.corrupt_at == Some(self.passed))?;
        self.corrupt_at = match which {
            Which::OneIn(many) => Some(self.passed + gap(many, &mut self.corruption)),
            Which::Number(_) => None,
        };
        self.counters.count(FaultKind::Corrupt);
        Some(how.of(byte, false, &mut self.corruption))
    }

    /// These bytes have passed, of so many that could have.
    pub(super) fn passed(&mut self, bytes: &[u8], wanted: usize) {
        self.passed += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
        if self.faults.chunks.is_some() && bytes.len() < wanted {
            self.counters.count(FaultKind::Pieces);
        }
        self.pace.add_slow(&self.faults.pacing, bytes.len(), &self.counters);
    }

    /// Something was thrown away.
    pub(super) fn lost(&self) {
        self.counters.count(FaultKind::HalfOpen);
    }
}

/// How far apart two corrupted bytes are: this many on average.
fn gap(many: u64, rng: &mut Rng) -> u64 {
    rng.u64(1..=many.saturating_mul(2).saturating_sub(1).max(1))
}

/// How many bytes pass in one go when nothing is said of it.
const CHUNK_BYTES: u64 = 1024;
