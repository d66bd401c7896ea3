//! Limits and timeouts of bodies that are being read.

use std::time::Duration;

/// What bodies that are being read may hold, all together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyLimits {
    /// The largest body, in bytes. Default: 16 MiB. At most [`BodyLimits::budget_bytes`].
    ///
    /// One that declares more is refused before it is read, and one that grows over it while it is read, both with
    /// [`BodyError::TooLarge`](crate::BodyError::TooLarge).
    pub max_body_bytes: usize,
    /// How many bytes unfinished bodies hold, all together. Default: 64 MiB.
    ///
    /// When it is full, the slowest body that holds more than its fair share (the budget divided by the unfinished
    /// bodies) is given up with [`BodyError::Evicted`](crate::BodyError::Evicted), and a new body over
    /// [`BodyLimits::reserved_body_bytes`] with [`BodyError::Full`](crate::BodyError::Full). Worst case: this many
    /// bytes, as much again of reserved and never written memory, and a chunk per body.
    pub budget_bytes: usize,
    /// What each unfinished body can have of the budget whatever the others hold, in bytes. Default: 64 KiB. At
    /// least 1, at most [`BodyLimits::budget_bytes`].
    ///
    /// So there are places for `budget_bytes / reserved_body_bytes` unfinished bodies: 1,024 by default. When they are
    /// taken, a body that does not come in one piece ends with [`BodyError::Full`](crate::BodyError::Full).
    pub reserved_body_bytes: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { max_body_bytes: 16 << 20, budget_bytes: 64 << 20, reserved_body_bytes: 64 << 10 }
    }
}

impl BodyLimits {
    /// The same limits with another [`BodyLimits::max_body_bytes`].
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// The same limits with another [`BodyLimits::budget_bytes`].
    #[must_use]
    pub fn with_budget_bytes(mut self, bytes: usize) -> Self {
        self.budget_bytes = bytes;
        self
    }

    /// The same limits with another [`BodyLimits::reserved_body_bytes`].
    #[must_use]
    pub fn with_reserved_body_bytes(mut self, bytes: usize) -> Self {
        self.reserved_body_bytes = bytes;
        self
    }
}

/// How long reading a body may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyTimeouts {
    /// From the start of reading to the end of the body. Default: 30 s. `None`: for ever.
    ///
    /// At the limit the body ends with [`BodyError::Timeout`](crate::BodyError::Timeout).
    pub body_read: Option<Duration>,
}

impl Default for BodyTimeouts {
    fn default() -> Self {
        Self { body_read: Some(Duration::from_secs(30)) }
    }
}

impl BodyTimeouts {
    /// The same timeouts with another [`BodyTimeouts::body_read`].
    #[must_use]
    pub fn with_body_read(mut self, after: Option<Duration>) -> Self {
        self.body_read = after;
        self
    }
}
