//! How long to wait before a stream is opened again.

use std::time::Duration;

/// The pauses between the openings of one stream: they grow, have a random part so that many clients do not come back at
/// once, and begin anew only after the stream has lasted.
///
/// What the server asks for with `retry` is the least pause, within [`FLOOR`] and [`CEILING`].
#[derive(Debug)]
pub(super) struct BackOff {
    /// How often in a row the stream was opened and has not lasted.
    attempt: u32,
    cap: Duration,
}

impl BackOff {
    pub(super) fn new(cap: Duration) -> Self {
        Self { attempt: 0, cap }
    }

    /// The stream has ended after so long.
    pub(super) fn lasted(&mut self, uptime: Duration) {
        if uptime >= SUSTAINED {
            self.attempt = 0;
        }
    }

    /// The next pause.
    pub(super) fn pause(&mut self, retry: Option<Duration>) -> Duration {
        self.pause_with(retry, fastrand::f64())
    }

    fn pause_with(&mut self, retry: Option<Duration>, random: f64) -> Duration {
        let least = retry.map(|asked| asked.clamp(FLOOR, CEILING));
        let (least, spread) = match (self.attempt, least) {
            // A server that says when to come back is taken at its word, the first time.
            (0, Some(asked)) => (asked, PROMPT_SPREAD),
            (attempt, asked) => {
                let grown = BASE.saturating_mul(1 << attempt.min(16)).min(self.cap);
                (asked.unwrap_or_default().max(grown / 2), grown / 2)
            }
        };
        self.attempt = self.attempt.saturating_add(1);
        least + spread.mul_f64(random)
    }
}

/// The pause after a first failure, before chance has had its say.
const BASE: Duration = Duration::from_secs(1);

/// How long a stream must have lasted for the pauses to begin anew.
const SUSTAINED: Duration = Duration::from_secs(30);

/// No server gets a client to come back sooner.
pub(super) const FLOOR: Duration = Duration::from_millis(100);

/// No server keeps a client away for longer.
const CEILING: Duration = Duration::from_secs(60);

/// The random part of a pause that the server has set.
const PROMPT_SPREAD: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(30);

    fn seconds(pauses: impl IntoIterator<Item = Duration>) -> Vec<f64> {
        pauses.into_iter().map(|pause| pause.as_secs_f64()).collect()
    }

    #[test]
    fn pauses_grow_to_the_cap_and_half_of_each_is_chance() {
        let mut least = BackOff::new(CAP);
        let mut most = BackOff::new(CAP);
        let shortest = seconds((0..7).map(|_| least.pause_with(None, 0.0)));
        let longest = seconds((0..7).map(|_| most.pause_with(None, 1.0)));
        assert_eq!(shortest, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]);
        assert_eq!(longest, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
    }

    #[test]
    fn what_the_server_asks_for_is_the_least_within_bounds() {
        let ask = |millis| Some(Duration::from_millis(millis));
        assert_eq!(BackOff::new(CAP).pause_with(ask(500), 0.0), Duration::from_millis(500));
        assert_eq!(BackOff::new(CAP).pause_with(ask(500), 1.0), Duration::from_millis(550));
        assert_eq!(BackOff::new(CAP).pause_with(ask(0), 0.0), FLOOR);
        assert_eq!(BackOff::new(CAP).pause_with(ask(1 << 40), 0.0), CEILING);
        let mut late = BackOff::new(CAP);
        late.pause_with(None, 0.0);
        assert_eq!(late.pause_with(ask(20_000), 0.0), Duration::from_secs(20));
    }

    #[test]
    fn a_server_that_asks_for_no_pause_is_not_opened_again_and_again() {
        let mut storm = BackOff::new(CAP);
        let pauses = seconds((0..5).map(|_| storm.pause_with(Some(Duration::ZERO), 0.0)));
        assert_eq!(pauses, [0.1, 1.0, 2.0, 4.0, 8.0]);
    }

    #[test]
    fn only_a_stream_that_has_lasted_makes_the_pauses_begin_anew() {
        let mut back_off = BackOff::new(CAP);
        for _ in 0..3 {
            back_off.lasted(SUSTAINED - Duration::from_nanos(1));
            back_off.pause_with(None, 0.0);
        }
        assert_eq!(back_off.pause_with(None, 0.0), Duration::from_secs(4));
        back_off.lasted(SUSTAINED);
        assert_eq!(back_off.pause_with(None, 0.0), Duration::from_millis(500));
    }
}
