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
    ///
    /// With HTTP/2 it is the size of the list of headers, uncompressed and with 32 bytes more for each, and it is the
    /// exchange alone that ends.
    pub max_head_bytes: usize,
    /// How many exchanges an HTTP/2 connection has at once. Default: 100.
    ///
    /// A peer is told, and waits; one that opens more all the same has them refused, and knows that they were not begun.
    /// Worst case per connection: this many tasks, which belong to it.
    pub max_http2_streams: u32,
    /// How many exchanges of an HTTP/2 connection may be opened and given up by the peer before the server has come
    /// round to them. Default: 20.
    ///
    /// At the limit the connection is closed: it is what the attack "rapid reset" does. Worst case: so many heads.
    pub max_pending_resets: usize,
    /// How much of the body of an HTTP/2 request a peer may send that the service has not read, in bytes. Default:
    /// 64 KiB. At most 2 GiB.
    ///
    /// At the limit the peer waits. All exchanges of a connection have at most 1 MiB together, or this where it is
    /// more, and that is the worst case.
    pub http2_window_bytes: u32,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_head_bytes: 64 << 10,
            max_http2_streams: 100,
            max_pending_resets: 20,
            http2_window_bytes: 64 << 10,
        }
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

    /// The same limits with another [`ListenLimits::max_http2_streams`].
    #[must_use]
    pub fn with_max_http2_streams(mut self, streams: u32) -> Self {
        self.max_http2_streams = streams;
        self
    }

    /// The same limits with another [`ListenLimits::max_pending_resets`].
    #[must_use]
    pub fn with_max_pending_resets(mut self, resets: usize) -> Self {
        self.max_pending_resets = resets;
        self
    }

    /// The same limits with another [`ListenLimits::http2_window_bytes`].
    #[must_use]
    pub fn with_http2_window_bytes(mut self, bytes: u32) -> Self {
        self.http2_window_bytes = bytes;
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
    ///
    /// With HTTP/2 it holds for each exchange as well: one whose peer makes no room for 16 KiB of its body in that time
    /// is reset, and the others go on.
    pub write_stall: Option<Duration>,
    /// TCP only: how long a connection may be silent before the system asks whether the peer's is still there. Default:
    /// 60 s. `None`: it never asks, and a peer that is gone without a word is not noticed while nothing is sent to it.
    ///
    /// It asks three times, spread over what is left of `unacknowledged`; a third of this setting apart where that is
    /// `None` or not longer. At least one second, in whole seconds, and at most nine hours. Worst case: a packet for
    /// each connection in that time, and the place of a peer that is gone held for so long and a third more.
    pub keep_alive: Option<Duration>,
    /// TCP only, and only on systems that have it, such as Linux: how long the peer's system may leave unacknowledged
    /// what was sent to it, questions of `keep_alive` included. Default: 90 s. `None`: as long as the system lets it,
    /// about 15 min.
    ///
    /// At the limit the connection ends, and what was being answered is dropped. Keep it above `keep_alive`: at or below
    /// it, a single question that is lost ends a silent connection.
    pub unacknowledged: Option<Duration>,
    /// HTTP/2 only: how long a connection may be silent before the peer itself is asked (`PING`) whether it is there.
    /// Default: 60 s. `None`: never.
    ///
    /// One that has not answered after the same time again is gone: the connection is closed.
    pub http2_ping: Option<Duration>,
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
            keep_alive: Some(Duration::from_secs(60)),
            unacknowledged: Some(Duration::from_secs(90)),
            http2_ping: Some(Duration::from_secs(60)),
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

    /// The same timeouts with another [`ListenTimeouts::keep_alive`].
    #[must_use]
    pub fn with_keep_alive(mut self, after: Option<Duration>) -> Self {
        self.keep_alive = after;
        self
    }

    /// The same timeouts with another [`ListenTimeouts::unacknowledged`].
    #[must_use]
    pub fn with_unacknowledged(mut self, after: Option<Duration>) -> Self {
        self.unacknowledged = after;
        self
    }

    /// The same timeouts with another [`ListenTimeouts::http2_ping`].
    #[must_use]
    pub fn with_http2_ping(mut self, after: Option<Duration>) -> Self {
        self.http2_ping = after;
        self
    }

    /// The same timeouts with another [`ListenTimeouts::drain`].
    #[must_use]
    pub fn with_drain(mut self, after: Duration) -> Self {
        self.drain = after;
        self
    }
}
