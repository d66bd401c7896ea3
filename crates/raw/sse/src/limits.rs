//! Limits and timeouts of a stream of events.

use std::time::Duration;

/// What a stream of events may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseLimits {
    /// The most data of one event, in bytes, line breaks between its data lines included. Default: 16 MiB.
    ///
    /// It is checked before a byte is copied. An event over it is passed over while it is read, never held, and
    /// reported as [`SseError::EventTooLarge`](crate::SseError::EventTooLarge); the events after it live.
    /// Worst case: one event of this size, plus one chunk; and, for the moment in which its buffer grows, as much again.
    pub max_event_bytes: usize,
    /// The longest `id`, in bytes. Default: 1 KiB.
    ///
    /// An event whose id is longer is passed over and reported as
    /// [`SseError::FieldTooLarge`](crate::SseError::FieldTooLarge); the id before it stays the last one. Worst case:
    /// three ids of this size.
    pub max_id_bytes: usize,
    /// The longest name of an event (its `event` field), in bytes. Default: 256.
    ///
    /// An event whose name is longer is passed over and reported as
    /// [`SseError::FieldTooLarge`](crate::SseError::FieldTooLarge). Worst case: two names of this size.
    pub max_name_bytes: usize,
    /// Whether an event that the end of the stream cuts off, before the blank line that completes it, is dropped, as
    /// the standard has it. Default: `false`, it is given, because servers forget that line.
    ///
    /// What was really cut in its middle is for the layer above to notice: half a JSON object is none.
    pub strict_end: bool,
}

impl Default for SseLimits {
    fn default() -> Self {
        Self { max_event_bytes: 16 << 20, max_id_bytes: 1 << 10, max_name_bytes: 256, strict_end: false }
    }
}

impl SseLimits {
    /// The same limits with another [`SseLimits::max_event_bytes`].
    #[must_use]
    pub fn with_max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// The same limits with another [`SseLimits::max_id_bytes`].
    #[must_use]
    pub fn with_max_id_bytes(mut self, bytes: usize) -> Self {
        self.max_id_bytes = bytes;
        self
    }

    /// The same limits with another [`SseLimits::max_name_bytes`].
    #[must_use]
    pub fn with_max_name_bytes(mut self, bytes: usize) -> Self {
        self.max_name_bytes = bytes;
        self
    }

    /// The same limits with another [`SseLimits::strict_end`].
    #[must_use]
    pub fn with_strict_end(mut self, strict: bool) -> Self {
        self.strict_end = strict;
        self
    }
}

/// How long a stream of events waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseTimeouts {
    /// How long the peer may send no byte while somebody waits for an event. Default: `None`, for ever: a stream may
    /// have nothing to say for hours, and not every server sends comments.
    ///
    /// Any byte restarts it, so a comment is liveness. When it passes, the stream ends with a
    /// [`Timeout`](towpath_raw::Timeout) of [`Operation::ReceiveIdle`](towpath_raw::Operation::ReceiveIdle), and the
    /// body is closed.
    pub idle: Option<Duration>,
}

impl SseTimeouts {
    /// The same timeouts with another [`SseTimeouts::idle`].
    #[must_use]
    pub fn with_idle(mut self, after: Option<Duration>) -> Self {
        self.idle = after;
        self
    }
}

/// How long a lane over HTTP+SSE waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseLaneTimeouts {
    /// From the GET to the `endpoint` event. Default: 30 s. `None`: for ever.
    ///
    /// When it passes, connecting fails with [`SseConnectError::Exchange`](crate::SseConnectError::Exchange), and the
    /// stream is closed.
    pub handshake: Option<Duration>,
    /// From the beginning of a POST to the head of its answer. Default: 30 s. `None`: for ever.
    ///
    /// When it passes, the POST is abandoned and counts as failed: see [`SseSink`](crate::SseSink). Messages are sent
    /// one after the other, so this is also the longest that one message holds up the next.
    pub write_stall: Option<Duration>,
    /// As [`SseTimeouts::idle`], for the stream that the server sends on. Default: `None`, for ever.
    ///
    /// When it passes, the lane ends with an error.
    pub idle: Option<Duration>,
}

impl Default for SseLaneTimeouts {
    fn default() -> Self {
        let half_a_minute = Some(Duration::from_secs(30));
        Self { handshake: half_a_minute, write_stall: half_a_minute, idle: None }
    }
}

impl SseLaneTimeouts {
    /// The same timeouts with another [`SseLaneTimeouts::handshake`].
    #[must_use]
    pub fn with_handshake(mut self, after: Option<Duration>) -> Self {
        self.handshake = after;
        self
    }

    /// The same timeouts with another [`SseLaneTimeouts::write_stall`].
    #[must_use]
    pub fn with_write_stall(mut self, after: Option<Duration>) -> Self {
        self.write_stall = after;
        self
    }

    /// The same timeouts with another [`SseLaneTimeouts::idle`].
    #[must_use]
    pub fn with_idle(mut self, after: Option<Duration>) -> Self {
        self.idle = after;
        self
    }
}
