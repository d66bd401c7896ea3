//! One direction of a lane at work: decides, frame by frame, when it passes and how.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use towpath_raw::Route;

use super::{Corruption, Cut, FaultKind, Faults, Which, common, pace::Pace, stats::Counters};

#[derive(Debug)]
pub(super) struct Gate {
    pub(super) faults: Faults,
    seed: u64,
    direction: u64,
    pub(super) counters: Arc<Counters>,
    passed: u64,
    ordinals: Ordinals,
    pace: Pace,
    /// The stall before the next frame has begun.
    stalled: bool,
    /// What is decided about the frame at the gate.
    decided: Option<Pass>,
}

/// What becomes of a frame.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    Frame(Changes),
    /// The direction ends; so many bytes of the frame come before.
    Cut(Cut, usize),
    /// Taken, and thrown away.
    Lost,
}

/// How a frame passes.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    short: Option<usize>,
    corrupt: Option<Corruption>,
    pub(super) twice: bool,
    pub(super) hold: Option<Duration>,
    rng: Rng,
}

impl Gate {
    pub(super) fn new(faults: Faults, seed: u64, direction: u64, counters: Arc<Counters>) -> Self {
        let (ordinals, pace) = (Ordinals::default(), Pace::default());
        Self { faults, seed, direction, counters, passed: 0, ordinals, pace, stalled: false, decided: None }
    }

    /// The cut that needs no frame to happen.
    pub(super) fn cut_between_frames(&self) -> Option<Cut> {
        match self.faults.cut {
            Some((Which::Number(after), how)) if self.passed >= after && how != Cut::MidFrame => Some(how),
            _ => None,
        }
    }

    /// Whether the other side has vanished.
    pub(super) fn is_half_open(&self) -> bool {
        self.faults.half_open.is_some_and(|after| self.passed >= after)
    }

    /// Ready when nothing is stalled; it can be asked before there is a frame.
    pub(super) fn poll_unstalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((Which::Number(number), duration)) = self.faults.stall
            && self.passed == number
            && !self.stalled
        {
            self.stalled = true;
            self.pace.add_stall(duration, &self.counters);
        }
        self.pace.poll(cx)
    }

    /// Ready when the frame at the gate passes; the next call is about the next frame.
    pub(super) fn poll_pass(&mut self, cx: &mut Context<'_>, route: Route, length: usize) -> Poll<Pass> {
        if self.decided.is_none() {
            if self.is_half_open() {
                self.counters.count(FaultKind::HalfOpen);
                return Poll::Ready(Pass::Lost);
            }
            if self.cut_between_frames().is_none() {
                ready!(self.poll_unstalled(cx));
            }
            self.decided = Some(self.decide(route, length));
        }
        if matches!(self.decided, Some(Pass::Frame(_))) {
            ready!(self.pace.poll(cx));
        }
        match self.decided.take() {
            Some(pass) => {
                self.passed += 1;
                self.stalled = false;
                Poll::Ready(pass)
            }
            None => Poll::Pending,
        }
    }

    /// Whether a slow reader has taken a part of the frame since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        self.pace.has_moved()
    }

    fn decide(&mut self, route: Route, length: usize) -> Pass {
        let exchange = route.number().unwrap_or(0);
        let ordinal = self.ordinals.next(route);
        let mut rng = common::rng(self.seed, [self.direction, exchange, ordinal]);
        let number = self.passed;
        let faults = &self.faults;
        let cut = match faults.cut {
            Some((Which::Number(after), how)) => (number >= after).then_some(how),
            Some((which, how)) => which.is(number, &mut rng).then_some(how),
            None => None,
        };
        if let Some(how) = cut {
            return Pass::Cut(how, shorter(length, &mut rng));
        }
        if let Some((which @ Which::OneIn(_), duration)) = faults.stall
            && which.is(number, &mut rng)
        {
            self.pace.add_stall(duration, &self.counters);
        }
        self.pace.add(&faults.pacing, length, &mut rng, &self.counters);
        let mut meets = |which: Option<Which>| which.is_some_and(|which| which.is(number, &mut rng));
        let truncated = meets(faults.truncate) && length > 0;
        let corrupted = meets(faults.corrupt.map(|(which, _)| which)) && length > 0;
        let twice = meets(faults.duplicate);
        let hold = faults.reorder.filter(|(which, _)| meets(Some(*which))).map(|(_, hold)| hold);
        let happened = [
            (truncated, FaultKind::Truncate),
            (corrupted, FaultKind::Corrupt),
            (twice, FaultKind::Duplicate),
        ];
        happened.iter().filter(|(is, _)| *is).for_each(|(_, kind)| self.counters.count(*kind));
        let short = truncated.then(|| shorter(length, &mut rng));
        let corrupt = faults.corrupt.filter(|_| corrupted).map(|(_, how)| how);
        Pass::Frame(Changes { short, corrupt, twice, hold, rng })
    }
}

impl Changes {
    /// The frame as it comes out.
    pub(super) fn apply(&mut self, frame: Bytes) -> Bytes {
        let frame = match self.short {
            Some(length) => frame.slice(..length.min(frame.len())),
            None => frame,
        };
        let Some(how) = self.corrupt.filter(|_| !frame.is_empty()) else { return frame };
        let at = self.rng.usize(..frame.len());
        let (before, after) = frame.split_at(at);
        let [byte, after @ ..] = after else { return frame };
        let changed = how.of(*byte, true, &mut self.rng);
        [before, changed.bytes(), after].concat().into()
    }

    /// Whether the frame comes out as it went in.
    pub(super) fn keeps_bytes(&self) -> bool {
        self.short.is_none() && self.corrupt.is_none()
    }
}

/// A part of a frame: not all of it, and something if that is possible.
fn shorter(length: usize, rng: &mut Rng) -> usize {
    if length < 2 { 0 } else { rng.usize(1..length) }
}

/// Counts the frames of each exchange, for the latest exchanges.
#[derive(Debug, Default)]
struct Ordinals {
    lane: u64,
    exchanges: BTreeMap<u64, u64>,
}

impl Ordinals {
    fn next(&mut self, route: Route) -> u64 {
        let counter = match route.number() {
            None => &mut self.lane,
            Some(number) => {
                if self.exchanges.len() >= EXCHANGES && !self.exchanges.contains_key(&number) {
                    self.exchanges.pop_first();
                }
                self.exchanges.entry(number).or_default()
            }
        };
        *counter += 1;
        *counter - 1
    }
}

/// How many exchanges are counted at once.
const EXCHANGES: usize = 1024;
