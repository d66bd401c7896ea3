//! When something passes: after a stall, a delay, the time that a slow reader takes, and polls that were not ready.

use std::{
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Sleep, sleep};

use super::{FaultKind, common::time_within, stats::Counters};

/// How everything in a direction is slowed down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pacing {
    pub(super) delay: Option<RangeInclusive<Duration>>,
    pub(super) pieces: u32,
    pub(super) slow: Option<(u64, Duration)>,
}

impl Pacing {
    /// How long a reader takes for so many bytes.
    fn time_for(&self, bytes: usize) -> Option<(Duration, Duration)> {
        let (rate, per) = self.slow?;
        let nanos = per.as_nanos().saturating_mul(bytes as u128) / u128::from(rate.max(1));
        Some((Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)), per))
    }
}

/// What is left to wait for until the next thing passes.
#[derive(Debug, Default)]
pub(super) struct Pace {
    timer: Option<Pin<Box<Sleep>>>,
    for_ever: bool,
    stall: Option<Duration>,
    delay: Option<Duration>,
    slow: Option<(Duration, Duration)>,
    polls: u32,
    /// A slow reader has taken something since this was last asked.
    moved: bool,
}

impl Pace {
    pub(super) fn add_stall(&mut self, stall: Option<Duration>, counters: &Counters) {
        counters.count(FaultKind::Stall);
        match stall {
            Some(_) => self.stall = stall,
            None => self.for_ever = true,
        }
    }

    /// Draws what the next thing waits for.
    pub(super) fn add(&mut self, pacing: &Pacing, bytes: usize, rng: &mut Rng, counters: &Counters) {
        self.delay =
            pacing.delay.as_ref().map(|range| time_within(range, rng)).filter(|time| !time.is_zero());
        self.polls = rng.u32(0..=pacing.pieces);
        if self.delay.is_some() {
            counters.count(FaultKind::Delay);
        }
        if self.polls > 0 {
            counters.count(FaultKind::Pieces);
        }
        self.add_slow(pacing, bytes, counters);
    }

    /// So many bytes more are taken slowly.
    pub(super) fn add_slow(&mut self, pacing: &Pacing, bytes: usize, counters: &Counters) {
        let Some((time, per)) = pacing.time_for(bytes).filter(|(time, _)| !time.is_zero()) else { return };
        counters.count(FaultKind::Slow);
        let owed = self.slow.map_or(Duration::ZERO, |(owed, _)| owed);
        self.slow = Some((owed.saturating_add(time), per));
    }

    /// Whether a slow reader has taken something since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.for_ever {
                return Poll::Pending;
            }
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            let wait = match (self.stall.take().or(self.delay.take()), self.slow) {
                (Some(wait), _) => wait,
                (None, Some((left, per))) => {
                    let step = left.min(per);
                    self.slow = Some((left - step, per)).filter(|(left, _)| !left.is_zero());
                    self.moved = true;
                    step
                }
                (None, None) if self.polls > 0 => {
                    self.polls -= 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                (None, None) => return Poll::Ready(()),
            };
            self.timer = Some(Box::pin(sleep(wait)));
        }
    }
}
