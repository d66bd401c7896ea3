//! Limits and timeouts of a link.

use std::time::Duration;

use towpath_jsonrpc::{CorrelationLimits, Deadlines, EnvelopeLimits};

/// What a peer, or our own side, may make a link hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkLimits {
    /// How many calls of ours may be in flight, and how many are remembered after they were given up.
    /// Defaults: 1,024 each.
    ///
    /// At the limit a further call waits, within its total deadline, and is `NotSent` if that passes.
    pub calls: CorrelationLimits,
    /// How many requests of the peer may be in flight. Default: 1,024.
    ///
    /// At the limit each new one gets a small refusal (−32600, `data.reason` = `"too_many_requests"`). Worst
    /// case: so many handlers at once, each with its request.
    pub max_requests_from_peer: usize,
    /// How many answers the peer may leave unread. Default: 1,024.
    ///
    /// At the limit each new request gets a refusal (−32603, `data.reason` = `"overloaded"`) in place of a handler.
    pub max_unread_answers: usize,
    /// How many bytes of answers the peer may leave unread. Default: 16 MiB, as much as the largest message: a client
    /// may ask in a burst before it reads.
    ///
    /// At the limit as with `max_unread_answers`. Requests that were already running still answer, so the worst
    /// case is this plus their answers.
    pub max_unread_answer_bytes: usize,
    /// How many refusals the peer may leave unread. Default: 1,024, of about 200 bytes each.
    ///
    /// At the limit the link stops reading until the peer reads; a peer that does not ends the lane with
    /// `PeerNotReading`. A link that answers nobody never stops reading.
    pub max_unread_refusals: usize,
    /// How many notifications of the peer may be in handling at once. Default: 1,024.
    ///
    /// At the limit further ones are dropped and counted
    /// ([`LinkStats::notifications_dropped`](crate::LinkStats)).
    pub max_notifications_from_peer: usize,
    /// How many notifications a call of ours keeps for its caller. Default: 1,024.
    ///
    /// At the limit the newest progress replaces the one before, and others are dropped and counted
    /// ([`Call::dropped_notifications`](crate::Call)). The answer always has room.
    pub max_call_notifications: usize,
    /// How many bytes of notifications a call of ours keeps for its caller. Default: 1 MiB. At the limit as
    /// with `max_call_notifications`.
    pub max_call_notification_bytes: usize,
    /// How many bytes of notifications from handlers may wait to be written. Default: 256 KiB.
    ///
    /// At the limit [`Context::notify`](crate::Context::notify) waits; one notification may go over it.
    pub notification_queue_bytes: usize,
    /// The limits of one message's envelope. Its `max_message_bytes` holds for what is sent, too; where the lane's
    /// is lower, that one does.
    pub envelope: EnvelopeLimits,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            calls: CorrelationLimits::default(),
            max_requests_from_peer: 1024,
            max_unread_answers: 1024,
            max_unread_answer_bytes: 16 << 20,
            max_unread_refusals: 1024,
            max_notifications_from_peer: 1024,
            max_call_notifications: 1024,
            max_call_notification_bytes: 1 << 20,
            notification_queue_bytes: 256 << 10,
            envelope: EnvelopeLimits::default(),
        }
    }
}

/// How long a link waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkTimeouts {
    /// The deadlines of a call of ours that sets none. Defaults: `idle` `None`, `total` 10 min.
    ///
    /// When one passes, the call ends with [`CallError::Timeout`](crate::CallError), and the peer is told by
    /// `notifications/cancelled`. Progress restarts `idle`, never `total`; a progress token is added whenever
    /// `idle` is set.
    pub call: Deadlines,
    /// How long a handler may take for one request. Default: 10 min. `None`: for ever.
    ///
    /// At the limit the handler is dropped, and its request answered with −32603,
    /// `data.reason` = `"timed_out"`.
    pub handler: Option<Duration>,
    /// How long handlers may go on, and answers be written, after the peer has closed its direction or after
    /// the link was asked to drain. Default: 30 s.
    ///
    /// At the limit what still runs is dropped, and the lane ends.
    pub finish: Duration,
    /// How long the last bytes may take to be written once nothing runs any more. Default: 2 s.
    ///
    /// At the limit they are dropped with the lane.
    pub close: Duration,
}

impl Default for LinkTimeouts {
    fn default() -> Self {
        Self {
            call: Deadlines::default(),
            handler: Some(Duration::from_secs(600)),
            finish: Duration::from_secs(30),
            close: Duration::from_secs(2),
        }
    }
}
