//! Limits and timeouts of the client's side.

use std::time::Duration;

/// What a client holds, and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectLimits {
    /// How often an exchange follows a redirect. Default: 3.
    ///
    /// Only 307 and 308 to the same scheme, host and port are followed, with the same method, headers and body. At
    /// the limit, and for every other redirect, the response is given as it is. Worst case: the body is sent once
    /// more per redirect.
    pub max_redirects: usize,
    /// How many idle connections to one host are kept for later exchanges. Default: 256.
    ///
    /// At the limit a connection is closed after its exchange. Worst case: this many sockets per host, for
    /// [`ConnectTimeouts::pool_idle`].
    pub max_idle_connections_per_host: usize,
    /// The largest head of a response, in bytes: the names and the values of its headers. Default: 64 KiB.
    ///
    /// A larger one fails its exchange with [`ExchangeError::TooLarge`](towpath_raw::ExchangeError::TooLarge), and
    /// closes the connection, or with HTTP/2 the exchange. Worst case: while it is read, a head takes up to 400 KiB; it
    /// counts as too large as well when it has more than 100 headers.
    pub max_head_bytes: usize,
}

impl Default for ConnectLimits {
    fn default() -> Self {
        Self { max_redirects: 3, max_idle_connections_per_host: 256, max_head_bytes: 64 << 10 }
    }
}

impl ConnectLimits {
    /// The same limits with another [`ConnectLimits::max_redirects`].
    #[must_use]
    pub fn with_max_redirects(mut self, redirects: usize) -> Self {
        self.max_redirects = redirects;
        self
    }

    /// The same limits with another [`ConnectLimits::max_idle_connections_per_host`].
    #[must_use]
    pub fn with_max_idle_connections_per_host(mut self, connections: usize) -> Self {
        self.max_idle_connections_per_host = connections;
        self
    }

    /// The same limits with another [`ConnectLimits::max_head_bytes`].
    #[must_use]
    pub fn with_max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes;
        self
    }
}

/// How long a client waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectTimeouts {
    /// How long reaching the peer may take, name lookup and TLS included. Default: 10 s.
    ///
    /// At the limit the exchange fails with a [`Timeout`](towpath_raw::Timeout) of
    /// [`Operation::Connect`](towpath_raw::Operation::Connect), and nothing was sent.
    pub connect: Duration,
    /// How long the head of the response may take, from the start of the exchange, connecting and redirects
    /// included. Default: `None`, no deadline of its own: those of the caller rule.
    ///
    /// At the limit the exchange fails with a [`Timeout`](towpath_raw::Timeout) of
    /// [`Operation::Head`](towpath_raw::Operation::Head), and its connection is closed.
    pub head: Option<Duration>,
    /// How long an idle connection is kept for later exchanges. Default: 4 s, because common servers close theirs
    /// after 5 s. `None`: until the peer closes it.
    ///
    /// An exchange that meets a connection which the peer has closed meanwhile is repeated on another one, if none of
    /// it was written.
    pub pool_idle: Option<Duration>,
    /// How long a connection may be silent before the system asks whether the peer's is still there. Default: 60 s.
    /// `None`: it never asks, and a peer that is gone without a word is not noticed while nothing is sent to it.
    ///
    /// It asks three times, spread over what is left of `unacknowledged`; a third of this setting apart where that is
    /// `None` or not longer. At least one second, in whole seconds, and at most nine hours. Worst case: a packet for
    /// each connection in that time.
    pub keep_alive: Option<Duration>,
    /// Only on systems that have it, such as Linux: how long the peer's system may leave unacknowledged what was sent
    /// to it, questions of `keep_alive` included. Default: 90 s. `None`: as long as the system lets it, about 15 min.
    ///
    /// At the limit the connection ends, and its exchanges with
    /// [`ExchangeError::Broken`](towpath_raw::ExchangeError::Broken). Keep it above `keep_alive`: at or below it, a
    /// single question that is lost ends a silent connection.
    pub unacknowledged: Option<Duration>,
}

impl Default for ConnectTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: None,
            pool_idle: Some(Duration::from_secs(4)),
            keep_alive: Some(Duration::from_secs(60)),
            unacknowledged: Some(Duration::from_secs(90)),
        }
    }
}

impl ConnectTimeouts {
    /// The same timeouts with another [`ConnectTimeouts::connect`].
    #[must_use]
    pub fn with_connect(mut self, after: Duration) -> Self {
        self.connect = after;
        self
    }

    /// The same timeouts with another [`ConnectTimeouts::head`].
    #[must_use]
    pub fn with_head(mut self, after: Option<Duration>) -> Self {
        self.head = after;
        self
    }

    /// The same timeouts with another [`ConnectTimeouts::pool_idle`].
    #[must_use]
    pub fn with_pool_idle(mut self, after: Option<Duration>) -> Self {
        self.pool_idle = after;
        self
    }

    /// The same timeouts with another [`ConnectTimeouts::keep_alive`].
    #[must_use]
    pub fn with_keep_alive(mut self, after: Option<Duration>) -> Self {
        self.keep_alive = after;
        self
    }

    /// The same timeouts with another [`ConnectTimeouts::unacknowledged`].
    #[must_use]
    pub fn with_unacknowledged(mut self, after: Option<Duration>) -> Self {
        self.unacknowledged = after;
        self
    }
}
