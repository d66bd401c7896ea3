//! When to start a server again: a machine without clock and without I/O.
//!
//! ```text
//! Due ── poll_start ──► Starting ── handle_up ──► Up ── lost after long ──► Due
//!                          │ failed                │ lost quickly
//!                          └───────────┬───────────┘
//!            BackingOff ◄── too few ───┴─── too many ──► CrashLoop
//!                └───────── poll_start, when it is time ─────┘
//! ```

use std::time::{Duration, Instant};

use super::{Death, RestartPolicy, SupervisionState};

/// Decides when a server is started, from when its forerunners came up and were lost.
///
/// ```
/// use std::time::Instant;
/// use towpath_client::{Death, LinkEnd, RestartPolicy, Restarts};
///
/// let mut restarts = Restarts::new(RestartPolicy::default());
/// let now = Instant::now();
/// assert!(restarts.poll_start(now), "the first start waits for nothing");
/// restarts.handle_up(now);
/// restarts.handle_death(now, Death::Ended(LinkEnd::ClosedHere), false);
/// let again = restarts.poll_timeout().expect("it is started again");
/// assert!(again <= now + RestartPolicy::default().back_off);
/// assert!(restarts.poll_start(again));
/// ```
#[derive(Clone, Debug)]
pub struct Restarts {
    policy: RestartPolicy,
    random: fastrand::Rng,
    stage: Stage,
    starts: u64,
    /// In a row.
    quick_deaths: u32,
    last_death: Option<Death>,
}

#[derive(Clone, Debug)]
enum Stage {
    Due,
    Starting,
    Up { since: Instant },
    Pausing { until: Instant, reason: Death },
    LeftAlone { until: Instant, reason: Death },
    Finished { reason: Death },
}

impl Restarts {
    /// A server that was never started; a start is due.
    pub fn new(policy: RestartPolicy) -> Self {
        Self::with_random(policy, fastrand::Rng::new())
    }

    /// The same, whose pauses are always the same.
    pub fn with_seed(policy: RestartPolicy, seed: u64) -> Self {
        Self::with_random(policy, fastrand::Rng::with_seed(seed))
    }

    fn with_random(policy: RestartPolicy, random: fastrand::Rng) -> Self {
        Self { policy, random, stage: Stage::Due, starts: 0, quick_deaths: 0, last_death: None }
    }

    /// Whether a server is to be started now. If so, a start counts as begun: [`Restarts::handle_up`] or
    /// [`Restarts::handle_death`] follows.
    pub fn poll_start(&mut self, now: Instant) -> bool {
        let due = match &self.stage {
            Stage::Due => true,
            Stage::Pausing { until, .. } | Stage::LeftAlone { until, .. } => now >= *until,
            Stage::Starting | Stage::Up { .. } | Stage::Finished { .. } => false,
        };
        if due {
            self.starts += 1;
            self.stage = Stage::Starting;
        }
        due
    }

    /// When to ask [`Restarts::poll_start`] again; `None`: not before something has happened.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Pausing { until, .. } | Stage::LeftAlone { until, .. } => Some(*until),
            Stage::Due | Stage::Starting | Stage::Up { .. } | Stage::Finished { .. } => None,
        }
    }

    /// The server is up: something was agreed on with it.
    pub fn handle_up(&mut self, now: Instant) {
        if let Stage::Starting = self.stage {
            self.stage = Stage::Up { since: now };
        }
    }

    /// The server was lost, or did not come up. `succeeded`: it has ended as it should.
    pub fn handle_death(&mut self, now: Instant, reason: Death, succeeded: bool) {
        let lasted = match self.stage {
            Stage::Up { since } => now.saturating_duration_since(since) >= self.policy.quick,
            Stage::Starting => false,
            _ => return,
        };
        self.last_death = Some(reason.clone());
        self.quick_deaths = if lasted { 0 } else { self.quick_deaths.saturating_add(1) };
        self.stage = if succeeded && !self.policy.restart_on_success {
            Stage::Finished { reason }
        } else if self.quick_deaths > 0 && self.quick_deaths >= self.policy.max_quick_deaths {
            Stage::LeftAlone { until: later(now, self.policy.cool_down), reason }
        } else {
            let pause = self.policy.pause(self.quick_deaths, &mut self.random);
            Stage::Pausing { until: later(now, pause), reason }
        };
    }

    /// Where it stands.
    pub fn state(&self) -> SupervisionState {
        match self.stage.clone() {
            Stage::Due | Stage::Starting => {
                SupervisionState::Starting { attempt: self.quick_deaths.saturating_add(1) }
            }
            Stage::Up { since } => SupervisionState::Up { since, starts: self.starts },
            Stage::Pausing { until, reason } => SupervisionState::BackingOff { until, reason },
            Stage::LeftAlone { until, reason } => SupervisionState::CrashLoop { until, reason },
            Stage::Finished { reason } => SupervisionState::Finished { reason },
        }
    }

    /// How many starts have begun.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// How many servers in a row have died quickly.
    pub fn quick_deaths(&self) -> u32 {
        self.quick_deaths
    }

    /// Why there was no server any more, the last time.
    pub fn last_death(&self) -> Option<&Death> {
        self.last_death.as_ref()
    }
}

/// Instants beyond what the clock can tell are about 30 years away.
fn later(now: Instant, after: Duration) -> Instant {
    now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use towpath_link::LinkEnd;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn death() -> Death {
        Death::Ended(LinkEnd::ClosedHere)
    }

    fn exact() -> RestartPolicy {
        RestartPolicy { jitter: false, ..RestartPolicy::default() }
    }

    /// One server that lives for so long; gives the pause after it.
    fn life(restarts: &mut Restarts, now: &mut Instant, lives: Duration) -> Duration {
        assert!(restarts.poll_start(*now), "a start is due");
        restarts.handle_up(*now);
        *now += lives;
        restarts.handle_death(*now, death(), false);
        let until = restarts.poll_timeout().expect("it is tried again");
        let pause = until - *now;
        if !pause.is_zero() {
            assert!(!restarts.poll_start(until - Duration::from_nanos(1)), "not before its time");
        }
        *now = until;
        pause
    }

    fn is_crash_loop(restarts: &Restarts) -> bool {
        matches!(restarts.state(), SupervisionState::CrashLoop { .. })
    }

    #[test]
    fn the_first_start_is_due_at_once_and_only_once() {
        let mut restarts = Restarts::new(exact());
        let now = Instant::now();
        assert!(restarts.poll_start(now) && !restarts.poll_start(now + 1_000 * SECOND));
        restarts.handle_up(now);
        assert!(!restarts.poll_start(now + 1_000 * SECOND) && restarts.poll_timeout().is_none());
        assert_eq!(restarts.starts(), 1);
    }

    #[test]
    fn quick_only_a_server_that_has_lasted_makes_the_pauses_begin_anew() {
        let policy = RestartPolicy { quick: 3 * SECOND, max_quick_deaths: 99, ..exact() };
        let mut restarts = Restarts::new(policy);
        let mut now = Instant::now();
        let almost = 3 * SECOND - Duration::from_nanos(1);
        let pauses: Vec<_> = (0..3).map(|_| life(&mut restarts, &mut now, almost).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400]);
        assert_eq!(restarts.quick_deaths(), 3);
        assert_eq!(life(&mut restarts, &mut now, 3 * SECOND), Duration::ZERO);
        assert_eq!((restarts.quick_deaths(), restarts.starts()), (0, 4));
        assert_eq!(life(&mut restarts, &mut now, SECOND).as_millis(), 100);
    }

    #[test]
    fn max_quick_deaths_are_a_crash_loop_and_cool_down_is_its_length() {
        let policy = RestartPolicy { max_quick_deaths: 3, cool_down: 7 * SECOND, ..exact() };
        let mut restarts = Restarts::new(policy);
        let mut now = Instant::now();
        for _ in 0..2 {
            life(&mut restarts, &mut now, SECOND);
            assert!(!is_crash_loop(&restarts));
        }
        assert_eq!(life(&mut restarts, &mut now, SECOND), 7 * SECOND);
        assert!(is_crash_loop(&restarts));
        // One more try, and one more cool-down.
        assert_eq!(life(&mut restarts, &mut now, SECOND), 7 * SECOND);
        assert!(is_crash_loop(&restarts));
        assert_eq!(life(&mut restarts, &mut now, 60 * SECOND), Duration::ZERO);
        assert!(!is_crash_loop(&restarts));
    }

    #[test]
    fn no_quick_death_allowed_is_one() {
        let mut restarts = Restarts::new(RestartPolicy { max_quick_deaths: 0, ..exact() });
        let mut now = Instant::now();
        assert_eq!(life(&mut restarts, &mut now, 60 * SECOND), Duration::ZERO);
        assert!(!is_crash_loop(&restarts));
        life(&mut restarts, &mut now, SECOND);
        assert!(is_crash_loop(&restarts));
    }

    #[test]
    fn a_start_that_fails_is_a_quick_death_however_long_it_took() {
        let mut restarts = Restarts::new(exact());
        let mut now = Instant::now();
        for attempt in 1..=4 {
            assert!(restarts.poll_start(now));
            let SupervisionState::Starting { attempt: told } = restarts.state() else {
                panic!("{restarts:?}")
            };
            assert_eq!(told, attempt);
            now += 1_000 * SECOND;
            restarts.handle_death(now, death(), false);
            now = restarts.poll_timeout().expect("it is tried again");
        }
        assert_eq!(restarts.quick_deaths(), 4);
    }

    #[test]
    fn restart_on_success_decides_about_a_server_that_has_ended_as_it_should() {
        for again in [true, false] {
            let mut restarts = Restarts::new(RestartPolicy { restart_on_success: again, ..exact() });
            let now = Instant::now();
            restarts.poll_start(now);
            restarts.handle_up(now);
            restarts.handle_death(now, death(), true);
            assert_eq!(restarts.poll_timeout().is_some(), again);
            assert_eq!(restarts.poll_start(now + 1_000 * SECOND), again);
            assert_eq!(matches!(restarts.state(), SupervisionState::Finished { .. }), !again);
        }
    }

    #[test]
    fn what_comes_out_of_order_changes_nothing() {
        let mut restarts = Restarts::new(exact());
        let now = Instant::now();
        restarts.handle_up(now);
        restarts.handle_death(now, death(), false);
        assert!(restarts.last_death().is_none() && restarts.poll_start(now));
        restarts.handle_death(now, death(), false);
        let until = restarts.poll_timeout();
        restarts.handle_death(now + SECOND, death(), false);
        restarts.handle_up(now + SECOND);
        assert_eq!((restarts.poll_timeout(), restarts.quick_deaths()), (until, 1));
    }

    #[test]
    fn a_cool_down_beyond_all_time_is_a_very_long_one() {
        let policy = RestartPolicy { max_quick_deaths: 1, cool_down: Duration::MAX, ..exact() };
        let mut restarts = Restarts::new(policy);
        let now = Instant::now();
        restarts.poll_start(now);
        restarts.handle_death(now, death(), false);
        assert!(restarts.poll_timeout().expect("some day") > now + 1_000_000 * SECOND);
    }

    #[test]
    fn a_seed_gives_the_same_pauses_again() {
        let run = |seed| {
            let mut restarts = Restarts::with_seed(RestartPolicy::default(), seed);
            let mut now = Instant::now();
            (0..4).map(|_| life(&mut restarts, &mut now, SECOND)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
