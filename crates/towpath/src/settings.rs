//! The limits and timeouts of the layers, side by side.

use towpath_link::{LinkLimits, LinkTimeouts};
use towpath_raw::{LaneLimits, LaneTimeouts};

/// The limits of every layer of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// What the lane may hold.
    pub lane: LaneLimits,
    /// What the link may hold.
    pub link: LinkLimits,
}

/// The timeouts of every layer of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long the lane waits.
    pub lane: LaneTimeouts,
    /// How long the link waits.
    pub link: LinkTimeouts,
}

impl Limits {
    /// The defaults with another largest message, in bytes, on the whole way: both directions of the lane, and the
    /// envelope. 16 MiB by default.
    #[must_use]
    pub fn with_max_message_bytes(mut self, bytes: usize) -> Self {
        self.lane.max_message_bytes = bytes;
        self.link.envelope.max_message_bytes = bytes;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_is_one_setting_on_the_whole_way() {
        let limits = Limits::default();
        assert_eq!(limits.lane.max_message_bytes, limits.link.envelope.max_message_bytes);
        let raised = limits.with_max_message_bytes(64 << 20);
        assert_eq!(raised.lane.max_message_bytes, 64 << 20);
        assert_eq!(raised.link.envelope.max_message_bytes, 64 << 20);
    }
}
