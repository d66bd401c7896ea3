//! What goes wrong on the raw layer, and to whom.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

/// Why a peer is gone, told by whoever knows more than the lane does: the exit of a child process, say.
pub type Explanation = Arc<dyn Error + Send + Sync>;

/// A message is larger than the limit of the side that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the message has {more}{seen} bytes, and the limit is {limit} (raise `max_message_bytes` on the whole way)",
    more = if *exact { "" } else { "at least " }
)]
pub struct MessageTooLarge {
    /// The limit in bytes: `max_message_bytes` of the side that refused it.
    pub limit: usize,
    /// How many bytes were seen of it; all of it where `exact` is set.
    pub seen: usize,
    /// Whether `seen` is its full length, or how far it was counted.
    pub exact: bool,
}

/// Something that has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reaching the peer.
    Connect,
    /// Agreeing on the protocol with the peer.
    Handshake,
    /// Giving bytes to the peer.
    Send,
    /// Receiving the head of a request, or of a response.
    Head,
    /// Receiving a body.
    Body,
    /// The time without news of a request.
    ReceiveIdle,
    /// The whole time of a request.
    ReceiveTotal,
    /// A handler's time for one request.
    Handle,
    /// Ending politely.
    Drain,
    /// Taking a lock.
    Lock,
}

impl Operation {
    /// The setting that changes this deadline.
    pub fn setting(self) -> &'static str {
        match self {
            Operation::Connect => "connect",
            Operation::Handshake => "handshake",
            Operation::Send => "write_stall",
            Operation::Head => "head_read",
            Operation::Body => "body_read",
            Operation::ReceiveIdle => "idle",
            Operation::ReceiveTotal => "total",
            Operation::Handle => "handler",
            Operation::Drain => "drain",
            Operation::Lock => "the timeout given to lock_for",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Connect => "connecting to the peer",
            Operation::Handshake => "the handshake",
            Operation::Send => "giving bytes to the peer",
            Operation::Head => "receiving the head",
            Operation::Body => "receiving the body",
            Operation::ReceiveIdle => "waiting for news of the request",
            Operation::ReceiveTotal => "waiting for the answer",
            Operation::Handle => "handling the request",
            Operation::Drain => "draining",
            Operation::Lock => "waiting for a lock",
        })
    }
}

/// An operation did not end within its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} took longer than {after:?} (setting: {})", operation.setting())]
pub struct Timeout {
    /// What took too long.
    pub operation: Operation,
    /// The deadline that passed.
    pub after: Duration,
}

/// Why a lane can carry no more; or, for [`LaneError::TooLarge`] alone, why it did not carry one message.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// That one message was refused before a byte of it was written; the lane lives on. Setting:
    /// [`LaneLimits::max_message_bytes`](crate::LaneLimits::max_message_bytes).
    #[error("to {peer}: {source}")]
    TooLarge {
        /// Who should have got it.
        peer: Arc<str>,
        /// The limit and the size.
        source: MessageTooLarge,
    },
    /// The peer took no byte for [`LaneTimeouts::write_stall`](crate::LaneTimeouts::write_stall) while there
    /// was something to give.
    #[error(
        "{peer} does not read: it took no byte for {after:?} while {unsent_bytes} bytes wait (setting: write_stall)"
    )]
    PeerNotReading {
        /// Who does not read.
        peer: Arc<str>,
        /// The deadline that passed.
        after: Duration,
        /// What waits to be taken.
        unsent_bytes: usize,
    },
    /// The operating system refused to read or write.
    #[error("{operation} {peer} failed: {source}")]
    Io {
        /// The other side.
        peer: Arc<str>,
        /// `reading from` or `writing to`.
        operation: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The peer closed its side, and what was to be sent cannot be.
    #[error("{peer} has closed the connection{}", explained(explanation))]
    Closed {
        /// Who closed.
        peer: Arc<str>,
        /// Why, if anybody knows.
        #[source]
        explanation: Option<Explanation>,
    },
}

impl LaneError {
    /// Whether only one message failed and the lane lives on.
    pub fn is_about_one_message(&self) -> bool {
        matches!(self, LaneError::TooLarge { .. })
    }
}

pub(crate) fn explained(explanation: &Option<Explanation>) -> String {
    explanation.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_whom_with_what_limit_and_setting() {
        let too_large = LaneError::TooLarge {
            peer: "child 7 (cat)".into(),
            source: MessageTooLarge { limit: 10, seen: 11, exact: false },
        };
        let text = too_large.to_string();
        for part in ["child 7 (cat)", "at least 11 bytes", "limit is 10", "max_message_bytes"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert!(too_large.is_about_one_message());
        let stalled =
            LaneError::PeerNotReading { peer: "p".into(), after: Duration::from_secs(30), unsent_bytes: 9 };
        assert!(stalled.to_string().contains("write_stall") && !stalled.is_about_one_message());
        let timeout = Timeout { operation: Operation::Handshake, after: Duration::from_secs(3) };
        assert_eq!(timeout.to_string(), "the handshake took longer than 3s (setting: handshake)");
    }

    #[test]
    fn a_known_cause_is_in_the_text_and_in_the_source_chain() {
        let why: Explanation = Arc::new(io::Error::other("exit status 3"));
        let closed = LaneError::Closed { peer: "p".into(), explanation: Some(why) };
        assert!(closed.to_string().ends_with("closed the connection: exit status 3"));
        assert!(closed.source().is_some());
    }
}
