//! One direction between two machines.

use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fastrand::Rng;

/// A wire in virtual time: latency, loss and duplicates, drawn by a seed.
#[derive(Clone, Debug)]
pub struct Wire {
    seed: u64,
    rng: Rng,
    latency: RangeInclusive<Duration>,
    loss: f64,
    duplicate: f64,
    reorders: bool,
    /// By arrival, and what arrives at one time in the order of sending.
    under_way: BTreeMap<(Instant, u64), Bytes>,
    latest: Option<Instant>,
    numbered: u64,
    stats: WireStats,
}

/// What happened on a [`Wire`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireStats {
    /// How many messages were sent.
    pub sent: u64,
    /// How many arrived, duplicates among them.
    pub delivered: u64,
    /// How many were lost.
    pub lost: u64,
    /// How many were sent on twice.
    pub duplicated: u64,
}

impl Wire {
    /// A wire that loses nothing, keeps the order and takes no time.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: Rng::with_seed(seed),
            latency: Duration::ZERO..=Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorders: false,
            under_way: BTreeMap::new(),
            latest: None,
            numbered: 0,
            stats: WireStats::default(),
        }
    }

    /// How long a message takes; what was sent later still arrives later.
    #[must_use]
    pub fn latency(mut self, range: RangeInclusive<Duration>) -> Self {
        self.latency = range;
        self
    }

    /// How likely a message is lost, from 0 to 1.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }

    /// How likely a message arrives twice, from 0 to 1.
    #[must_use]
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }

    /// Lets a message that takes less time overtake another one.
    #[must_use]
    pub fn reordering(mut self) -> Self {
        self.reorders = true;
        self
    }

    /// What happened so far.
    pub fn stats(&self) -> WireStats {
        self.stats
    }

    /// Puts a message on the wire.
    pub fn send(&mut self, now: Instant, bytes: Bytes) {
        self.stats.sent += 1;
        if self.rng.f64() < self.loss {
            self.stats.lost += 1;
            return;
        }
        let twice = self.rng.f64() < self.duplicate;
        if twice {
            self.stats.duplicated += 1;
            self.put(now, bytes.clone());
        }
        self.put(now, bytes);
    }

    /// When the next message arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((arrival, _), _)| *arrival)
    }

    /// Takes the next message that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Bytes> {
        let first = self.under_way.first_entry().filter(|first| first.key().0 <= now)?;
        self.stats.delivered += 1;
        Some(first.remove())
    }

    fn put(&mut self, now: Instant, bytes: Bytes) {
        let spread = self.latency.end().saturating_sub(*self.latency.start());
        let nanos = self.rng.u64(0..=u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX));
        let mut arrival = now + *self.latency.start() + Duration::from_nanos(nanos);
        if !self.reorders {
            arrival = self.latest.map_or(arrival, |latest| latest.max(arrival));
            self.latest = Some(arrival);
        }
        self.under_way.insert((arrival, self.numbered), bytes);
        self.numbered += 1;
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wire by seed {} with {} messages on it, {:?}", self.seed, self.under_way.len(), self.stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn numbers(wire: &mut Wire, now: Instant) -> Vec<u8> {
        (0..100).for_each(|number| wire.send(now, vec![number].into()));
        let mut numbers = Vec::new();
        while let Some(next) = wire.next_arrival() {
            assert!(wire.receive(next - millis(1)).is_none(), "it came too early");
            numbers.extend(wire.receive(next).iter().map(|bytes| bytes[0]));
        }
        numbers
    }

    #[test]
    fn order_is_kept_unless_told_otherwise() {
        let now = Instant::now();
        let mut wire = Wire::new(1).latency(millis(5)..=millis(50));
        assert!(numbers(&mut wire, now).is_sorted());
        let mut wire = Wire::new(1).latency(millis(5)..=millis(50)).reordering();
        let mut reordered = numbers(&mut wire, now);
        assert!(!reordered.is_sorted());
        reordered.sort_unstable();
        assert_eq!(reordered, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_loses_and_doubles_the_same() {
        let now = Instant::now();
        let run = |seed| {
            let mut wire = Wire::new(seed).latency(millis(1)..=millis(9)).loss(0.3).duplicate(0.2);
            (numbers(&mut wire, now), wire.stats())
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5).0, run(6).0);
        let (numbers, stats) = run(5);
        assert!(stats.lost > 10 && stats.duplicated > 5, "{stats:?}");
        assert_eq!(stats.delivered, stats.sent - stats.lost + stats.duplicated);
        assert_eq!(stats.delivered, numbers.len() as u64);
    }
}
