//! What a link has seen.

/// The counters of a link since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Requests of the peer that were taken.
    pub requests: u64,
    /// Requests of the peer that got a refusal instead of a handler.
    pub refused: u64,
    /// How often reading stopped, because too many refusals were unread.
    pub reading_stopped: u64,
    /// Requests of the peer that it cancelled while they ran.
    pub cancelled: u64,
    /// Cancellations that were ignored: of nothing that is in flight, or of two requests with one id.
    pub cancels_ignored: u64,
    /// Handlers that panicked; each request was answered with an internal error.
    pub panics: u64,
    /// Handlers that ran into their deadline.
    pub handler_timeouts: u64,
    /// Requests of the peer that were still running when the link ended, and were dropped with it.
    pub requests_cut: u64,
    /// Messages that were no JSON-RPC message.
    pub malformed: u64,
    /// Lines and bytes between messages that were passed over.
    pub skipped: u64,
    /// Messages over the size limit that were passed over.
    pub oversized: u64,
    /// Calls of ours that ended because the exchange that carried them failed.
    pub failed_exchanges: u64,
    /// Failed exchanges of calls that had ended before, or of none.
    pub stray_failures: u64,
    /// Answers to calls that had been given up.
    pub late_answers: u64,
    /// Answers to nothing that was asked, or a second time.
    pub stray_answers: u64,
    /// Requests that were dropped, because this side answers nobody.
    pub requests_dropped: u64,
    /// Notifications of the peer that were dropped, because too many were in handling.
    pub notifications_dropped: u64,
    /// Progress for no call in flight, and notifications of no subscription of ours.
    pub stray_notifications: u64,
}
