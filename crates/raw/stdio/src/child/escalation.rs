//! How a tree is brought to its end: a pure machine over instants.

use std::time::{Duration, Instant};

use crate::signals::Signal;

/// Where the end of a tree stands.
///
/// ```text
/// Alive ──end──▶ Closing ──grace──▶ Terminating ──grace──▶ Killing
///   │               │                    ▲                    ▲
///   └───terminate, or members outlive ───┘                    │
///       the leader  └──────────────── kill ───────────────────┘
/// ```
#[derive(Debug)]
pub(super) struct Escalation {
    after_stdin_close: Duration,
    after_terminate: Duration,
    polite: Signal,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    /// Its stdin is closed; a deadline too far away to name is none.
    Closing(Option<Instant>),
    Terminating(Option<Instant>),
    Killing,
}

/// What is to be sent to the whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signalled {
    Terminate(Signal),
    Kill,
}

impl Escalation {
    pub(super) fn new(after_stdin_close: Duration, after_terminate: Duration, polite: Signal) -> Self {
        Self { after_stdin_close, after_terminate, polite, state: State::Alive }
    }

    /// Nobody owns the tree any more, so its stdin is closed.
    pub(super) fn end(&mut self, now: Instant) {
        if self.state == State::Alive {
            self.state = State::Closing(now.checked_add(self.after_stdin_close));
        }
    }

    /// It is to end now, politely; also: its leader has gone and others have not.
    pub(super) fn terminate(&mut self, now: Instant) -> Option<Signalled> {
        match self.state {
            State::Alive | State::Closing(_) => {
                self.state = State::Terminating(now.checked_add(self.after_terminate));
                Some(Signalled::Terminate(self.polite))
            }
            State::Terminating(_) | State::Killing => None,
        }
    }

    /// It is to end now; asked again, the group is killed again.
    pub(super) fn kill(&mut self) -> Signalled {
        self.state = State::Killing;
        Signalled::Kill
    }

    /// Whether it was killed, and has not been seen to go.
    pub(super) fn is_killing(&self) -> bool {
        self.state == State::Killing
    }

    /// Whether its end has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.state != State::Alive
    }

    /// When [`Escalation::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Closing(until) | State::Terminating(until) => until,
            State::Alive | State::Killing => None,
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Signalled> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.state {
            State::Closing(_) => self.terminate(now),
            State::Terminating(_) => Some(self.kill()),
            State::Alive | State::Killing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: Duration = Duration::from_secs(3);
    const TERMINATE: Duration = Duration::from_secs(7);
    const JUST_BEFORE: Duration = Duration::from_nanos(1);

    #[test]
    fn each_grace_time_lasts_as_long_as_its_setting() {
        let start = Instant::now();
        let mut tree = Escalation::new(CLOSE, TERMINATE, Signal::HangUp);
        assert_eq!((tree.deadline(), tree.tick(start + CLOSE * 100)), (None, None));
        tree.end(start);
        assert!(tree.has_begun());
        assert_eq!(tree.deadline(), Some(start + CLOSE));
        assert_eq!(tree.tick(start + CLOSE - JUST_BEFORE), None);
        assert_eq!(tree.tick(start + CLOSE), Some(Signalled::Terminate(Signal::HangUp)));
        let terminated = start + CLOSE;
        assert_eq!(tree.deadline(), Some(terminated + TERMINATE));
        assert_eq!(tree.tick(terminated + TERMINATE - JUST_BEFORE), None);
        assert_eq!(tree.tick(terminated + TERMINATE), Some(Signalled::Kill));
        assert!(tree.is_killing());
        assert_eq!((tree.deadline(), tree.tick(start + TERMINATE * 100)), (None, None));
    }

    #[test]
    fn a_second_order_never_restarts_a_grace_time() {
        let start = Instant::now();
        let mut tree = Escalation::new(CLOSE, TERMINATE, Signal::HangUp);
        assert_eq!(tree.terminate(start), Some(Signalled::Terminate(Signal::HangUp)));
        let later = start + Duration::from_secs(1);
        tree.end(later);
        assert_eq!(tree.terminate(later), None);
        assert_eq!(tree.deadline(), Some(start + TERMINATE));
        assert_eq!(tree.kill(), Signalled::Kill);
        tree.end(later);
        assert_eq!((tree.terminate(later), tree.is_killing()), (None, true));
    }

    #[test]
    fn a_grace_time_beyond_the_clock_is_for_ever() {
        let mut tree = Escalation::new(Duration::MAX, TERMINATE, Signal::Terminate);
        tree.end(Instant::now());
        assert_eq!(tree.deadline(), None);
    }
}
