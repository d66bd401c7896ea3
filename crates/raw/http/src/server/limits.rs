//! Limits and timeouts of the server's connections.

use std::time::Duration;

/// What a server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenLimits {
    /// How many connections are open at once. Default: 10,000.
    ///
    /// At the limit a newcomer is answered 503 with `Retry-After`, and closed; of those, 64 at once are given up to a
    /// second to read it. Worst case per connection: one task, one socket, and twice
    /// [`ListenLimits::max_head_bytes`] of buffers.
    pub max_connections: usize,
    /// The largest head of a request, in bytes, its first line included. Default: 64 KiB.
    ///
    /// A larger one is answered 431, and its connection is closed. It bounds the read buffer of a connection too,
    /// from 8 KiB upwards.
    pub max_head_bytes: usize,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { max_connections: 10_000, max_head_bytes: 64 << 10 }
    }
}

impl ListenLimits {
    /// The same limits with another [`ListenLimits::max_connections`].
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// The same limits with another [`ListenLimits::max_head_bytes`].
    #[must_use]
    pub fn with_max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes;
        self
    }
}

/// How long a server waits for its peers.
///
/// How long a body takes is up to whoever reads it (see [`read_body`](crate::read_body)), and how long an answer
/// takes up to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenTimeouts {
    /// How long the head of a request may take: from the first byte of it, and on a new connection from the
    /// beginning. Default: 10 s. `None`: for ever.
    ///
    /// At the limit the connection is closed. The beginning of a head that came together with the request before it
    /// does not count until more of it comes: till then [`ListenTimeouts::keep_alive_idle`] does.
    pub head_read: Option<Duration>,
    /// How long a connection stays open without a request after its first. Default: 75 s. `None`: for ever.
    ///
    /// At the limit the connection is closed, politely.
    pub keep_alive_idle: Option<Duration>,
    /// How long the peer may take no byte while something waits for it. Default: 30 s. `None`: for ever.
    ///
    /// At the limit the connection is closed, and what was being answered is dropped. A peer that takes a single byte
    /// restarts it.
    pub write_stall: Option<Duration>,
    /// How long running exchanges may go on once the server shuts down. Default: 30 s.
    ///
    /// At the limit what still runs is cut.
    pub drain: Duration,
}

impl Default for ListenTimeouts {
    fn default() -> Self {
        Self {
            head_read: Some(Duration::from_secs(10)),
            keep_alive_idle: Some(Duration::from_secs(75)),
            write_stall: Some(Duration::from_secs(30)),
            drain: Duration::from_secs(30),
        }
    }
}

impl ListenTimeouts {
    /// The same timeouts with another [`ListenTimeouts::head_read`].
    #[must_use]
    pub fn with_head_read(mut self, after: Option<Duration>) -> Self {
        self.head_read = after;
        self
    }

    /// The same timeouts with another [`ListenTimeouts::keep_alive_idle`].
    #[must_use]
    pub fn with_keep_alive_idle(mut self, after: Option<Duration>) -> Self {
        self.keep_alive_idle = after;
        self
    }

    /// The same timeouts with another [`ListenTimeouts::write_stall`].
    #[must_use]
    pub fn with_write_stall(mut self, after: Option<Duration>) -> Self {
        self.write_stall = after;
        self
    }

    /// The same timeouts with another [`ListenTimeouts::drain`].
    #[must_use]
    pub fn with_drain(mut self, after: Duration) -> Self {
        self.drain = after;
        self
    }
}
