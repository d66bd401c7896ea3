//! Why there is no server, and where its supervision stands.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use towpath_link::{CallError, LinkEnd, Phase};
use towpath_raw::{Explanation, Timeout};

use crate::{ConnectError, ListenError};

/// Why there is no server any more, or never was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Death {
    /// It could not be started, or reached.
    #[error("it could not be started: {0}")]
    NotOpened(#[source] Explanation),
    /// That took too long. Setting: [`SupervisionTimeouts::open`](crate::SupervisionTimeouts::open).
    #[error("it could not be started: {0}")]
    Timeout(#[source] Timeout),
    /// It was started, and nothing could be agreed on with it.
    #[error("it was started, and could not be spoken to: {0}")]
    NotConnected(#[source] Arc<ConnectError>),
    /// It was up, and its lane has ended.
    #[error("{0}")]
    Ended(#[source] LinkEnd),
}

/// Where a supervised server stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisionState {
    /// It is being started; asked for what it speaks, too.
    Starting {
        /// Which try in a row this is; the first is 1.
        attempt: u32,
    },
    /// It can be used.
    Up {
        /// Since when.
        since: Instant,
        /// How often a server was started, this one counted.
        starts: u64,
    },
    /// It was lost, and will be started again.
    BackingOff {
        /// When.
        until: Instant,
        /// Why it was lost.
        reason: Death,
    },
    /// It died quickly too often, and is left alone.
    CrashLoop {
        /// When it is tried again.
        until: Instant,
        /// Why it was lost, the last time.
        reason: Death,
    },
    /// It has ended as it should, and is not started again. Setting:
    /// [`RestartPolicy::restart_on_success`](crate::RestartPolicy::restart_on_success).
    Finished {
        /// How it ended.
        reason: Death,
    },
    /// Its supervision was closed.
    Closed,
}

impl SupervisionState {
    /// Whether no other follows.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, SupervisionState::Finished { .. } | SupervisionState::Closed)
    }
}

/// There is no server, and there was none within the time that was given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unavailable {
    /// Which server.
    pub peer: Arc<str>,
    /// Where it stood.
    pub state: SupervisionState,
    /// Why there was none any more, the last time; `None`: the first start has not failed yet.
    pub reason: Option<Death>,
    /// How long it was waited for.
    pub waited: Duration,
    /// When the next start will be, reckoned from then; `None`: none is to come, or one has begun.
    pub again_in: Option<Duration>,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, waited, .. } = self;
        let again = self.again_in.unwrap_or_default();
        write!(f, "{peer} is not available: ")?;
        match &self.state {
            SupervisionState::Starting { attempt } => write!(
                f,
                "it did not come up within {waited:?} (attempt {attempt}); give it longer (settings: `wait`, or the \
                 total deadline of the call)"
            )?,
            SupervisionState::Up { .. } => write!(f, "it has just been lost, {waited:?} were not enough")?,
            SupervisionState::BackingOff { .. } => write!(
                f,
                "it was lost, and {waited:?} were not enough: it is started again in {again:?} (settings: `back_off`, \
                 `max_back_off`)"
            )?,
            SupervisionState::CrashLoop { .. } => write!(
                f,
                "it was lost quickly again and again (settings: `max_quick_deaths`, `quick`), and is left alone for \
                 another {again:?} (setting: `cool_down`); find out why it ends"
            )?,
            SupervisionState::Finished { .. } => {
                f.write_str(
                    "it has ended as it should, and is not started again (setting: `restart_on_success`)",
                )?;
            }
            SupervisionState::Closed => f.write_str("it was closed on this side")?,
        }
        match &self.reason {
            Some(reason) => write!(f, ". The last time: {reason}"),
            None => Ok(()),
        }
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.as_ref().map(|reason| reason as &(dyn Error + 'static))
    }
}

/// Why a call to a supervised server has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisedCallError {
    /// There was no server to send it to. Not sent.
    #[error("`{method}` was not sent: {source}")]
    Unavailable {
        /// What should have been asked.
        method: Arc<str>,
        /// Why there is none, and what to do.
        source: Unavailable,
    },
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl SupervisedCallError {
    /// How far the request got.
    pub fn phase(&self) -> Phase {
        match self {
            SupervisedCallError::Unavailable { .. } => Phase::NotSent,
            SupervisedCallError::Call(error) => error.phase(),
        }
    }
}

/// Why a supervised server cannot be listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisedListenError {
    /// There was no server.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It refused.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_it_stands_why_and_what_to_do() {
        let now = Instant::now();
        let explanation: Explanation = Arc::new(std::io::Error::other("exit status 3"));
        let reason = Death::NotOpened(explanation);
        let cases = [
            (SupervisionState::Starting { attempt: 2 }, vec!["within 2s", "attempt 2", "`wait`"]),
            (
                SupervisionState::BackingOff { until: now, reason: reason.clone() },
                vec!["started again in 5s", "`back_off`", "2s"],
            ),
            (
                SupervisionState::CrashLoop { until: now, reason: reason.clone() },
                vec!["another 5s", "`cool_down`", "`max_quick_deaths`", "find out why"],
            ),
            (SupervisionState::Finished { reason: reason.clone() }, vec!["`restart_on_success`"]),
            (SupervisionState::Closed, vec!["closed on this side"]),
        ];
        for (state, parts) in cases {
            let error = Unavailable {
                peer: Arc::from("the far one"),
                state,
                reason: Some(reason.clone()),
                waited: Duration::from_secs(2),
                again_in: Some(Duration::from_secs(5)),
            };
            let text = error.to_string();
            for part in parts.into_iter().chain(["the far one", "exit status 3"]) {
                assert!(text.contains(part), "{part:?} is missing in: {text}");
            }
            let source = error.source().and_then(Error::source).expect("a chain");
            assert_eq!(source.to_string(), "exit status 3");
        }
    }
}
