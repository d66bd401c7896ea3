//! When a server that was lost is started again, and how long is waited for one.

use std::time::Duration;

/// When a server that was lost is started again: soon, but neither in a storm nor for ever in vain.
///
/// A server that comes up and stays is started again at once. One that dies quickly is started again after a pause, which
/// grows with each quick death in a row, and after too many of them it is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartPolicy {
    /// A server that was lost sooner than this after it came up has died quickly, as has one that never came up.
    /// Default: 10 s.
    ///
    /// One that lasts as long is forgiven: its quick deaths are forgotten, and it is started again without a pause.
    /// [`Duration::ZERO`]: only servers that never come up die quickly. One that comes up and dies is then started again
    /// without end and as fast as it can start; the same is so of one that dies after just this time, once in it.
    pub quick: Duration,
    /// How long at most after a quick death the next start waits; each further one doubles it, up to `max_back_off`.
    /// Default: 100 ms.
    ///
    /// Who asks for the server meanwhile waits with it, within a deadline of its own. [`Duration::ZERO`]: no pauses.
    pub back_off: Duration,
    /// The longest pause between two starts. Default: 30 s.
    ///
    /// At the limit pauses grow no more.
    pub max_back_off: Duration,
    /// Whether chance shortens each pause, to anything between nothing and all of it (full jitter). Default: `true`.
    ///
    /// Else many clients that have lost one server come back at the same moment.
    pub jitter: bool,
    /// After how many quick deaths in a row the server is left alone. Default: 5; 0 counts as 1.
    ///
    /// At the limit whoever asks for the server is refused at once, until `cool_down` has passed since the last death;
    /// then there is one more try, and another quick death is another `cool_down`.
    pub max_quick_deaths: u32,
    /// How long a server is left alone after too many quick deaths. Default: 30 s.
    pub cool_down: Duration,
    /// Whether a server that has ended as it should, which a child process does with exit status 0, is started again.
    /// Default: `true`, since a server ends when it is asked to, and nobody has.
    ///
    /// If it is not, who asks for the server from then on is refused at once. See
    /// [`Upstream::is_success`](crate::Upstream::is_success).
    pub restart_on_success: bool,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            quick: Duration::from_secs(10),
            back_off: Duration::from_millis(100),
            max_back_off: Duration::from_secs(30),
            jitter: true,
            max_quick_deaths: 5,
            cool_down: Duration::from_secs(30),
            restart_on_success: true,
        }
    }
}

impl RestartPolicy {
    /// The pause after so many quick deaths in a row.
    pub(super) fn pause(&self, deaths: u32, random: &mut fastrand::Rng) -> Duration {
        let Some(doubled) = deaths.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doubled).unwrap_or(u32::MAX);
        let longest = self.back_off.saturating_mul(factor).min(self.max_back_off);
        if self.jitter { longest.mul_f64(random.f64()) } else { longest }
    }
}

/// How long a supervised server is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisionTimeouts {
    /// How long [`Upstream::open`](crate::Upstream::open) may take. Default: 10 s.
    ///
    /// At the limit it is dropped, and the start has failed: one more quick death. What follows has
    /// [`ClientTimeouts::handshake`](crate::ClientTimeouts::handshake).
    pub open: Duration,
    /// How long [`Supervised::client`](crate::Supervised::client) and
    /// [`Supervised::listen`](crate::Supervised::listen) wait for a server that is not there; calls too if they have no
    /// total deadline. Default: 30 s.
    ///
    /// At the limit they fail with [`Unavailable`](crate::Unavailable).
    pub wait: Duration,
}

impl Default for SupervisionTimeouts {
    fn default() -> Self {
        Self { open: Duration::from_secs(10), wait: Duration::from_secs(30) }
    }
}

impl SupervisionTimeouts {
    /// With another `open`.
    #[must_use]
    pub fn with_open(mut self, after: Duration) -> Self {
        self.open = after;
        self
    }

    /// With another `wait`.
    #[must_use]
    pub fn with_wait(mut self, after: Duration) -> Self {
        self.wait = after;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(policy: &RestartPolicy, deaths: impl IntoIterator<Item = u32>) -> Vec<u128> {
        let mut random = fastrand::Rng::with_seed(7);
        deaths.into_iter().map(|deaths| policy.pause(deaths, &mut random).as_millis()).collect()
    }

    fn exact() -> RestartPolicy {
        RestartPolicy { jitter: false, ..RestartPolicy::default() }
    }

    #[test]
    fn each_quick_death_doubles_the_pause_up_to_the_longest() {
        assert_eq!(pauses(&exact(), [0, 1, 2, 3, 9, 10, 99]), [0, 100, 200, 400, 25_600, 30_000, 30_000]);
        let long = RestartPolicy { back_off: Duration::MAX, max_back_off: Duration::MAX, ..exact() };
        assert_eq!(long.pause(99, &mut fastrand::Rng::with_seed(7)), Duration::MAX);
    }

    #[test]
    fn back_off_is_the_first_pause_and_max_back_off_the_last() {
        let policy = RestartPolicy {
            back_off: Duration::from_millis(30),
            max_back_off: Duration::from_millis(100),
            ..exact()
        };
        assert_eq!(pauses(&policy, 0..=5), [0, 30, 60, 100, 100, 100]);
    }

    #[test]
    fn full_jitter_gives_anything_up_to_the_pause_and_a_seed_gives_the_same_again() {
        let policy = RestartPolicy::default();
        let some = pauses(&policy, [4; 1_000]);
        assert!(some.iter().all(|pause| *pause <= 800));
        assert!(some.iter().any(|pause| *pause < 80) && some.iter().any(|pause| *pause > 720));
        let mean = some.iter().sum::<u128>() / 1_000;
        assert!((360..440).contains(&mean), "{mean}");
        assert_eq!(some, pauses(&policy, [4; 1_000]));
        assert_eq!(pauses(&RestartPolicy { jitter: false, ..policy }, [4; 3]), [800; 3]);
    }
}
