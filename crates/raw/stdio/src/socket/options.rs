//! Limits and timeouts of sockets.

use std::time::Duration;

use towpath_raw::{LaneLimits, LaneTimeouts};

/// How sockets are opened, and what their lanes may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// What each lane may hold.
    pub limits: LaneLimits,
    /// How long each lane waits.
    pub timeouts: LaneTimeouts,
    /// How long sockets wait.
    pub socket: SocketTimeouts,
    /// How many lanes a listener admits; of no meaning to who connects.
    pub listener: SocketLimits,
}

impl SocketOptions {
    /// The same options with other [`SocketOptions::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: LaneLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same options with other [`SocketOptions::timeouts`].
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: LaneTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same options with other [`SocketOptions::socket`].
    #[must_use]
    pub fn with_socket(mut self, timeouts: SocketTimeouts) -> Self {
        self.socket = timeouts;
        self
    }

    /// The same options with another [`SocketOptions::listener`].
    #[must_use]
    pub fn with_listener(mut self, limits: SocketLimits) -> Self {
        self.listener = limits;
        self
    }
}

/// How long a socket waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketTimeouts {
    /// How long connecting may take, the look-up of the host's name included. Default: 10 s. `Duration::MAX`: as long
    /// as the system lets it.
    ///
    /// At the limit it fails with [`SocketError::Timeout`](crate::SocketError::Timeout). Of several addresses each
    /// gets its share of what is left. It holds for the look-up of a listener's name as well.
    pub connect: Duration,
    /// TCP listeners only: how long a newcomer may take until its first message is whole. Default: 30 s. `None`: for
    /// ever, and whoever connects and says nothing holds a place as long as it likes.
    ///
    /// At the limit the lane ends with [`LaneError::Io`](towpath_raw::LaneError::Io). After that message a lane may be
    /// idle, and `keep_alive` finds out whether its peer is still there. Worst case: a descriptor and a place for each
    /// silent newcomer in that time.
    pub first_message: Option<Duration>,
    /// TCP only: how long a connection may be silent before the system asks whether the peer's is still there.
    /// Default: 60 s. `None`: it never asks, and a peer that is gone without a word is not noticed while nothing is
    /// sent to it.
    ///
    /// It asks three times, spread over what is left of `unacknowledged`; a third of this setting apart where that is
    /// `None` or not longer. At least one second, in whole seconds, and at most nine hours. Worst case: a packet for
    /// each connection in that time, and descriptor and place of a peer that is gone held for so long and a third more.
    pub keep_alive: Option<Duration>,
    /// TCP only: how long the peer's system may leave unacknowledged what was sent to it, questions of `keep_alive`
    /// included. Default: 90 s. `None`: as long as the system lets it, about 15 min.
    ///
    /// At the limit the lane ends with [`LaneError::Io`](towpath_raw::LaneError::Io) or
    /// [`LaneError::Closed`](towpath_raw::LaneError::Closed), and what it holds is free. Keep it above `keep_alive`:
    /// at or below it, a single question that is lost ends a silent connection. The time runs, too, while the peer's
    /// system acknowledges and has no room, because its process does not read: so it bounds a longer
    /// [`LaneTimeouts::write_stall`].
    pub unacknowledged: Option<Duration>,
}

impl Default for SocketTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_message: Some(Duration::from_secs(30)),
            keep_alive: Some(Duration::from_secs(60)),
            unacknowledged: Some(Duration::from_secs(90)),
        }
    }
}

impl SocketTimeouts {
    /// The same timeouts with another [`SocketTimeouts::connect`].
    #[must_use]
    pub fn with_connect(mut self, after: Duration) -> Self {
        self.connect = after;
        self
    }

    /// The same timeouts with another [`SocketTimeouts::first_message`].
    #[must_use]
    pub fn with_first_message(mut self, after: Option<Duration>) -> Self {
        self.first_message = after;
        self
    }

    /// The same timeouts with another [`SocketTimeouts::keep_alive`].
    #[must_use]
    pub fn with_keep_alive(mut self, after: Option<Duration>) -> Self {
        self.keep_alive = after;
        self
    }

    /// The same timeouts with another [`SocketTimeouts::unacknowledged`].
    #[must_use]
    pub fn with_unacknowledged(mut self, after: Option<Duration>) -> Self {
        self.unacknowledged = after;
        self
    }
}

/// What a listener admits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketLimits {
    /// How many lanes may be open at once. Default: 1,024.
    ///
    /// At the limit a newcomer gets one line, a JSON-RPC error without an id whose `data.reason` is
    /// `"too_many_connections"`, and is closed. Each lane gives its place back when both of its halves are gone.
    /// Worst case: so many lanes, with one descriptor each and a second one while the peer of a Unix socket has closed
    /// its direction, and up to 64 newcomers that are being refused for a second.
    pub max_connections: usize,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self { max_connections: 1024 }
    }
}

impl SocketLimits {
    /// The same limits with another [`SocketLimits::max_connections`].
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }
}
