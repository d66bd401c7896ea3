//! How a call fails, and how a link ends.

use std::{error::Error, fmt, sync::Arc};

use towpath_jsonrpc::ErrorObject;
use towpath_raw::{End, ExchangeError, LaneError, MessageTooLarge, Timeout};

/// How far a request got before its call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No byte of it was given to the peer: it is safe to repeat.
    NotSent,
    /// Some of it was given to the peer, and no answer came: the peer may have acted on it.
    OutcomeUnknown,
    /// The peer answered.
    Answered,
}

/// Why a call has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The peer answered with an error.
    #[error("{peer} answered `{method}` with an error: {error}")]
    Answered {
        /// Who answered.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// The error object, as it came.
        #[source]
        error: ErrorObject,
    },
    /// A deadline passed; the peer was told that the request is cancelled.
    #[error("`{method}` to {peer}: {source}{}", phase_text(*phase))]
    Timeout {
        /// Who was asked.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// Which deadline.
        source: Timeout,
        /// How far the request got.
        phase: Phase,
    },
    /// The link ended before the answer came.
    #[error("`{method}` to {peer}: {end}{}", phase_text(*phase))]
    Closed {
        /// Who was asked.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// How the link ended.
        #[source]
        end: LinkEnd,
        /// How far the request got.
        phase: Phase,
    },
    /// The exchange that carried the request ended without an answer; the link lives on.
    #[error("`{method}` to {peer}: {source}{}", phase_text(*phase))]
    Exchange {
        /// Who was asked.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// What happened to the exchange.
        source: ExchangeError,
        /// How far the request got. A refusal, and an answer over a limit, are answers, too.
        phase: Phase,
    },
    /// The peer answered with a message over the limit, which was passed over. Setting: `max_message_bytes` of the
    /// lane and of [`LinkLimits::envelope`](crate::LinkLimits::envelope).
    #[error("{peer} answered `{method}`, and the answer was passed over: {source}")]
    AnswerTooLarge {
        /// Who answered.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// The limit and the size.
        source: MessageTooLarge,
    },
    /// The peer answered with something that is no JSON-RPC message.
    #[error("{peer} answered `{method}` with a malformed message: {reason}")]
    Malformed {
        /// Who answered.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// What is wrong with the answer.
        reason: Arc<str>,
    },
    /// The peer ended a subscription of ours with `notifications/cancelled`.
    #[error("{peer} ended `{method}`")]
    EndedByPeer {
        /// Who was asked.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
    },
    /// More was told about the request than may wait for its caller, who wanted all of it
    /// ([`CallOptions::keep_notes`](crate::CallOptions::keep_notes)); the peer was told that the request is cancelled.
    #[error(
        "{peer} told more about `{method}` than was read: {limit} bytes of notifications may wait (`keep_notes`)"
    )]
    TooManyNotes {
        /// Who was asked.
        peer: Arc<str>,
        /// What was asked.
        method: Arc<str>,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request is larger than the lane carries. Not sent.
    #[error("`{method}` to {peer} was not sent: {source}")]
    TooLarge {
        /// Who should have been asked.
        peer: Arc<str>,
        /// What should have been asked.
        method: Arc<str>,
        /// The limit and the size.
        source: MessageTooLarge,
    },
    /// As many calls of handlers are in flight as may be: one more might wait for ever. Not sent. Setting:
    /// [`LinkLimits::calls`](crate::LinkLimits::calls).
    #[error(
        "`{method}` to {peer} was not sent: {limit} calls of handlers are in flight, which is the limit (`calls.max_in_flight`)"
    )]
    TooManyCalls {
        /// Who should have been asked.
        peer: Arc<str>,
        /// What should have been asked.
        method: Arc<str>,
        /// The limit.
        limit: usize,
    },
    /// The request cannot be made: the caller's doing. Not sent.
    #[error("`{method}` to {peer} was not sent: {reason}")]
    Unsendable {
        /// Who should have been asked.
        peer: Arc<str>,
        /// What should have been asked.
        method: Arc<str>,
        /// What is wrong with it.
        reason: Arc<str>,
    },
}

impl CallError {
    /// How far the request got.
    pub fn phase(&self) -> Phase {
        match self {
            CallError::Answered { .. }
            | CallError::AnswerTooLarge { .. }
            | CallError::Malformed { .. }
            | CallError::EndedByPeer { .. } => Phase::Answered,
            CallError::Timeout { phase, .. }
            | CallError::Closed { phase, .. }
            | CallError::Exchange { phase, .. } => *phase,
            CallError::TooManyNotes { .. } => Phase::OutcomeUnknown,
            CallError::TooLarge { .. } | CallError::TooManyCalls { .. } | CallError::Unsendable { .. } => {
                Phase::NotSent
            }
        }
    }
}

/// How far a request got whose exchange failed.
pub(crate) fn phase_of(error: &ExchangeError) -> Phase {
    match error {
        ExchangeError::Refused { .. } | ExchangeError::TooLarge { .. } => Phase::Answered,
        error if !error.was_sent() => Phase::NotSent,
        _ => Phase::OutcomeUnknown,
    }
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::NotSent => " (the request was not sent)",
        Phase::OutcomeUnknown => " (the request was sent; whether the peer acted on it is unknown)",
        Phase::Answered => "",
    }
}

/// How a link ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkEnd {
    /// Our own side closed it, or dropped it.
    ClosedHere,
    /// The peer closed its direction. Its source is why, if anybody knows: the exit of a child process, say.
    PeerClosed(End),
    /// The lane failed.
    Failed(LaneError),
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkEnd::ClosedHere => f.write_str("the connection was closed on this side"),
            LinkEnd::PeerClosed(end) => write!(f, "the peer has closed the connection{}", explain(end)),
            LinkEnd::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for LinkEnd {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LinkEnd::ClosedHere => None,
            LinkEnd::PeerClosed(end) => end.explanation.as_deref().map(|why| why as &(dyn Error + 'static)),
            LinkEnd::Failed(error) => error.source(),
        }
    }
}

impl From<LaneError> for LinkEnd {
    fn from(error: LaneError) -> Self {
        LinkEnd::Failed(error)
    }
}

fn explain(end: &End) -> String {
    let mut text = String::new();
    if end.truncated_bytes > 0 {
        text.push_str(&format!(" in the middle of a message ({} bytes of it came)", end.truncated_bytes));
    }
    if let Some(explanation) = &end.explanation {
        text.push_str(&format!(": {explanation}"));
    }
    text
}

/// Why a notification was not sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The request that it belongs to has ended: nothing may follow its answer.
    #[error("the request has ended, and nothing may be said about it any more")]
    RequestEnded,
    /// The link has ended.
    #[error("not sent: {0}")]
    Closed(#[source] LinkEnd),
    /// It is larger than the lane carries.
    #[error("not sent: {0}")]
    TooLarge(#[source] MessageTooLarge),
    /// It cannot be sent: the caller's doing.
    #[error("not sent: {0}")]
    Unsendable(Arc<str>),
}

/// Why a request of the peer is no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The peer said so, with its reason if it gave one.
    ByPeer(Option<String>),
    /// The handler took longer than its deadline.
    Timeout(Timeout),
    /// The link has ended.
    LinkEnded,
    /// It has been answered: there is nothing left to cancel.
    RequestEnded,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn why_a_peer_has_closed_is_in_the_text_and_among_the_sources() {
        let why = Some(Arc::new(io::Error::other("exit status 3")) as towpath_raw::Explanation);
        let peer_closed = LinkEnd::PeerClosed(End { truncated_bytes: 7, explanation: why.clone() });
        let failed = LinkEnd::from(LaneError::Closed { peer: "p".into(), explanation: why });
        for end in [peer_closed, failed] {
            let error = NotifyError::Closed(end.clone());
            assert!(error.to_string().ends_with("exit status 3"), "{error}");
            let source = end.source().map(ToString::to_string);
            assert_eq!(source.as_deref(), Some("exit status 3"), "{end:?}");
        }
        assert!(LinkEnd::ClosedHere.source().is_none());
        assert!(LinkEnd::PeerClosed(End::default()).source().is_none());
    }
}
