//! Two sans-IO machines on a wire, in a time that only moves when it is told to.

mod wire;

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use wire::{Wire, WireStats};

/// A time that only moves by [`VirtualClock::advance`].
#[derive(Clone, Debug)]
pub struct VirtualClock {
    start: Instant,
    now: Instant,
}

impl VirtualClock {
    /// A clock that stands still.
    pub fn new() -> Self {
        // Any instant will do: machines only compare them.
        let start = Instant::now();
        Self { start, now: start }
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How far it was moved since it was made.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Moves it forward.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Moves it forward to an instant; an instant that has passed moves nothing.
    pub fn advance_to(&mut self, instant: Instant) {
        self.now = self.now.max(instant);
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A protocol without input and output, as [`Pair::drive`] drives it.
pub trait Machine {
    /// Takes what the other machine sent.
    fn handle(&mut self, now: Instant, bytes: Bytes);

    /// What is to be sent next. It is asked until it has nothing.
    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes>;

    /// When [`Machine::handle_timeout`] is to be called, if ever.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// The time that [`Machine::poll_timeout`] gave has come.
    fn handle_timeout(&mut self, now: Instant);
}

/// Two wires and a clock between two machines.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use bytes::Bytes;
/// use towpath_testkit::{Machine, Pair, Wire};
///
/// /// Says it again every second until it is answered.
/// #[derive(Default)]
/// struct Asker { asked: u32, due: Option<Instant>, answered: bool }
///
/// impl Machine for Asker {
///     fn handle(&mut self, _: Instant, _: Bytes) {
///         (self.answered, self.due) = (true, None);
///     }
///     fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
///         if self.answered || self.due.is_some() {
///             return None;
///         }
///         (self.asked, self.due) = (self.asked + 1, Some(now + Duration::from_secs(1)));
///         Some(Bytes::from_static(b"?"))
///     }
///     fn poll_timeout(&mut self) -> Option<Instant> { self.due }
///     fn handle_timeout(&mut self, _: Instant) { self.due = None }
/// }
///
/// /// Sends back what it gets.
/// #[derive(Default)]
/// struct Echo(Vec<Bytes>);
///
/// impl Machine for Echo {
///     fn handle(&mut self, _: Instant, bytes: Bytes) { self.0.push(bytes) }
///     fn poll_transmit(&mut self, _: Instant) -> Option<Bytes> { self.0.pop() }
///     fn poll_timeout(&mut self) -> Option<Instant> { None }
///     fn handle_timeout(&mut self, _: Instant) {}
/// }
///
/// let wire = |seed| Wire::new(seed).latency(Duration::from_millis(1)..=Duration::from_millis(9)).loss(0.5);
/// let mut pair = Pair::new(wire(1), wire(2));
/// let mut asker = Asker::default();
/// pair.drive(&mut asker, &mut Echo::default());
/// assert!(asker.answered);
/// ```
#[derive(Debug)]
pub struct Pair {
    clock: VirtualClock,
    there: Wire,
    back: Wire,
}

impl Pair {
    /// A pair with a wire from the first machine to the second, and one back.
    pub fn new(there: Wire, back: Wire) -> Self {
        Self { clock: VirtualClock::new(), there, back }
    }

    /// A pair whose wires lose nothing and take no time.
    pub fn perfect() -> Self {
        Self::new(Wire::new(0), Wire::new(0))
    }

    /// The clock of both machines.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// What happened on the wires so far: from the first machine to the second, and back.
    pub fn stats(&self) -> (WireStats, WireStats) {
        (self.there.stats(), self.back.stats())
    }

    /// Carries and waits, in virtual time, until nothing is on its way and neither machine waits for a time.
    ///
    /// # Panics
    ///
    /// When that is not so after a million steps: two machines that keep each other busy. A machine that never
    /// stops waiting, for a keep-alive, say, needs [`Pair::drive_for`].
    pub fn drive(&mut self, a: &mut impl Machine, b: &mut impl Machine) {
        self.run(None, a, b);
    }

    /// As [`Pair::drive`], and stops when this much virtual time has passed. The clock stands there afterwards.
    ///
    /// # Panics
    ///
    /// As [`Pair::drive`].
    pub fn drive_for(&mut self, time: Duration, a: &mut impl Machine, b: &mut impl Machine) {
        let end = self.clock.now() + time;
        self.run(Some(end), a, b);
        self.clock.advance_to(end);
    }

    fn run(&mut self, end: Option<Instant>, a: &mut impl Machine, b: &mut impl Machine) {
        for _ in 0..MAX_STEPS {
            let now = self.clock.now();
            if carry(now, a, &mut self.there, b) | carry(now, b, &mut self.back, a) {
                continue;
            }
            let (at_a, at_b) = (a.poll_timeout(), b.poll_timeout());
            let events = [self.there.next_arrival(), self.back.next_arrival(), at_a, at_b];
            let Some(next) = events.into_iter().flatten().min() else { return };
            if end.is_some_and(|end| next > end) {
                return;
            }
            self.clock.advance_to(next);
            let now = self.clock.now();
            if at_a.is_some_and(|due| due <= now) {
                a.handle_timeout(now);
            }
            if at_b.is_some_and(|due| due <= now) {
                b.handle_timeout(now);
            }
        }
        panic!("not quiet after {MAX_STEPS} steps and {:?} of virtual time; {self}", self.clock.elapsed());
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there: {}; back: {}", self.there, self.back)
    }
}

/// Puts on the wire what `from` has to send, and takes off it what has arrived for `to`. Whether there was any.
fn carry(now: Instant, from: &mut impl Machine, wire: &mut Wire, to: &mut impl Machine) -> bool {
    // One at a time: a machine that always has something would never let the other one speak.
    let sent = from.poll_transmit(now);
    let busy = sent.is_some();
    if let Some(bytes) = sent {
        wire.send(now, bytes);
    }
    let arrived = wire.receive(now);
    let busy = busy || arrived.is_some();
    if let Some(bytes) = arrived {
        to.handle(now, bytes);
    }
    busy
}

const MAX_STEPS: usize = 1_000_000;

#[cfg(test)]
mod tests;
