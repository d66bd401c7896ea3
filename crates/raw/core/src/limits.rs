//! Limits and timeouts of a lane.

use std::time::Duration;

/// What a lane may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneLimits {
    /// The largest message, in bytes, in either direction, without its delimiter. Default: 16 MiB.
    ///
    /// An incoming message over it is skipped while it is read, never held: the lane reports
    /// [`Rejected::TooLarge`](crate::Rejected::TooLarge), resynchronises at the next delimiter, and its
    /// siblings live. An outgoing one fails with [`LaneError::TooLarge`](crate::LaneError::TooLarge).
    /// Worst case: one message of this size held per direction, plus one read chunk.
    pub max_message_bytes: usize,
    /// How many bytes a sink takes before it says that it is not ready. Default: 256 KiB.
    ///
    /// At the limit [`FrameSink::poll_ready`](crate::FrameSink::poll_ready) waits until the peer has taken
    /// some. One message may go over it, so that a large message can pass at all: worst case this limit plus
    /// `max_message_bytes`.
    pub write_queue_bytes: usize,
    /// How many frames a sink takes before it says that it is not ready. Default: 4,096.
    ///
    /// It bounds the bookkeeping of many tiny frames, as `write_queue_bytes` bounds the bytes.
    pub write_queue_frames: usize,
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self { max_message_bytes: 16 << 20, write_queue_bytes: 256 << 10, write_queue_frames: 4096 }
    }
}

impl LaneLimits {
    /// The same limits with another [`LaneLimits::max_message_bytes`].
    #[must_use]
    pub fn with_max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// The same limits with another [`LaneLimits::write_queue_bytes`].
    #[must_use]
    pub fn with_write_queue_bytes(mut self, bytes: usize) -> Self {
        self.write_queue_bytes = bytes;
        self
    }

    /// The same limits with another [`LaneLimits::write_queue_frames`].
    #[must_use]
    pub fn with_write_queue_frames(mut self, frames: usize) -> Self {
        self.write_queue_frames = frames;
        self
    }
}

/// How long a lane waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneTimeouts {
    /// How long the peer may take no byte while something waits for it. Default: 30 s. `None`: for ever.
    ///
    /// At the limit the lane ends with [`LaneError::PeerNotReading`](crate::LaneError::PeerNotReading). A
    /// peer that takes a single byte restarts it.
    pub write_stall: Option<Duration>,
}

impl Default for LaneTimeouts {
    fn default() -> Self {
        Self { write_stall: Some(Duration::from_secs(30)) }
    }
}

impl LaneTimeouts {
    /// The same timeouts with another [`LaneTimeouts::write_stall`].
    #[must_use]
    pub fn with_write_stall(mut self, after: Option<Duration>) -> Self {
        self.write_stall = after;
        self
    }
}
