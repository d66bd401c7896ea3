//! How a server behind HTTP is started, spoken to, and started again.

use std::{sync::Arc, time::Duration};

use towpath_link::LinkEnd;
use towpath_mcp::Implementation;

use crate::RelayOptions;

/// How a [`RelayApp`](crate::RelayApp) works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppOptions {
    /// Limits and timeouts of what is passed on. Its `incoming` limits are those of legacy sessions; modern exchanges have
    /// those of the HTTP service. `outgoing.calls` bounds the modern requests of all clients together.
    ///
    /// Its `explain` says no more by default than that the connection was lost: clients over HTTP are not told what a
    /// program wrote to its stderr.
    pub relay: RelayOptions,
    /// How long the server may take to be started and to say what it speaks. Default: 30 s.
    ///
    /// At the limit a start has failed: whoever waits for it gets an error (−32603, `data.reason` =
    /// `"upstream_not_started"`).
    pub start: Duration,
    /// How many subscriptions of modern clients may be open at the server at once. Default: 4,096.
    ///
    /// At the limit a further one gets 503 with `Retry-After` (−32603, `data.reason` = `"overloaded"`). Each is one of
    /// `relay.limits.outgoing.calls.max_in_flight`, 8,192 here by default: with a bound that leaves none for anything else,
    /// other requests wait. Worst case: the memory of so many calls.
    pub max_subscriptions: usize,
    /// When the shared lane is opened again after it was lost.
    pub restart: RestartPolicy,
    /// Who the server is told is asking, when it is asked what it speaks.
    pub info: Implementation,
}

/// When a server that was lost is started again: at the next request, but not for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartPolicy {
    /// A server that was lost sooner than this after its start has died quickly. Default: 10 s.
    pub quick: Duration,
    /// How long after a quick death the next start waits; each further one doubles it, up to `cool_down`. Default: 100 ms.
    ///
    /// Requests that come meanwhile wait with it.
    pub back_off: Duration,
    /// After how many quick deaths in a row requests are refused. Default: 5.
    ///
    /// At the limit they get 503 (−32603, `data.reason` = `"overloaded"`) with `Retry-After`, until `cool_down` has passed
    /// since the last death; then the next one is another try.
    pub max_quick_deaths: u32,
    /// How long requests are refused after too many quick deaths. Default: 30 s.
    pub cool_down: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            quick: Duration::from_secs(10),
            back_off: Duration::from_millis(100),
            max_quick_deaths: 5,
            cool_down: Duration::from_secs(30),
        }
    }
}

impl RestartPolicy {
    /// How long the start after so many quick deaths in a row waits.
    pub(super) fn delay(&self, deaths: u32) -> Duration {
        let Some(doubled) = deaths.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doubled).unwrap_or(u32::MAX);
        self.back_off.saturating_mul(factor).min(self.cool_down)
    }
}

impl Default for AppOptions {
    fn default() -> Self {
        let mut relay =
            RelayOptions { explain: Arc::new(|end| briefly(end).to_owned()), ..RelayOptions::default() };
        relay.limits.outgoing.calls.max_in_flight = 8192;
        Self {
            relay,
            start: Duration::from_secs(30),
            max_subscriptions: 4096,
            restart: RestartPolicy::default(),
            info: Implementation::new("towpath", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What anybody may know of how a connection ended.
fn briefly(end: &LinkEnd) -> &'static str {
    match end {
        LinkEnd::PeerClosed(_) => "it has closed the connection",
        LinkEnd::Failed(_) => "the connection to it has failed",
        _ => "the connection to it was closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quick_death_doubles_the_delay_up_to_the_cool_down() {
        let policy = RestartPolicy::default();
        let delays: Vec<_> = [0, 1, 2, 3, 9, 10, 99].map(|deaths| policy.delay(deaths).as_millis()).into();
        assert_eq!(delays, [0, 100, 200, 400, 25_600, 30_000, 30_000]);
    }
}
