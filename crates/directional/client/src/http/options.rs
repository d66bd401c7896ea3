//! What a lane over HTTP may hold, how long it waits, and what it says in every request.

use std::time::Duration;

use http::HeaderMap;

/// How a client speaks HTTP.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Headers of every request: `Authorization`, say. Those of the protocol take precedence over them.
    pub headers: HeaderMap,
    /// What may be held.
    pub limits: HttpLimits,
    /// How long is waited.
    pub timeouts: HttpTimeouts,
}

impl HttpOptions {
    /// The same options with other [`HttpOptions::headers`].
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The same options with other [`HttpOptions::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: HttpLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same options with other [`HttpOptions::timeouts`].
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: HttpTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }
}

/// What a lane over HTTP may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpLimits {
    /// The largest message, in bytes, in either direction: the body of a POST, a JSON answer, the data of one event.
    /// Default: 16 MiB.
    ///
    /// It is checked while reading, before a byte over it is held. An answer over it fails its own call with
    /// [`ExchangeError::TooLarge`](towpath_raw::ExchangeError::TooLarge), and closes that exchange alone; an event of
    /// the standalone stream over it is passed over. An outgoing message over it is refused. Worst case: one message of
    /// this size for each request in flight, and one for the standalone stream.
    pub max_message_bytes: usize,
    /// How much of a body is read that is no answer: that of an HTTP error, or of the response to a notification, in
    /// bytes. Default: 64 KiB.
    ///
    /// At the limit reading stops and the exchange is closed: the error is told with its status and its beginning.
    /// Worst case: so many bytes for each POST in flight.
    pub max_error_body_bytes: usize,
    /// How many requests may be in flight, a listening one included; and, apart from them, how many notifications and
    /// answers. Default: 1,024.
    ///
    /// At the limit messages wait in the lane, in order. When as many notifications and answers wait, the lane takes no
    /// more until one has gone, which is by [`HttpTimeouts::post`] at the latest. Requests are always taken: behind one
    /// that waits for a silent server, its own cancellation would wait for ever. Whoever makes them limits how many there
    /// are, a link by its `calls`. Worst case: those, twice as many other messages, and twice as many exchanges with the
    /// peer.
    pub max_posts_in_flight: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { max_message_bytes: 16 << 20, max_error_body_bytes: 64 << 10, max_posts_in_flight: 1024 }
    }
}

impl HttpLimits {
    /// The same limits with another [`HttpLimits::max_message_bytes`].
    #[must_use]
    pub fn with_max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// The same limits with another [`HttpLimits::max_error_body_bytes`].
    #[must_use]
    pub fn with_max_error_body_bytes(mut self, bytes: usize) -> Self {
        self.max_error_body_bytes = bytes;
        self
    }

    /// The same limits with another [`HttpLimits::max_posts_in_flight`]. At least 1.
    #[must_use]
    pub fn with_max_posts_in_flight(mut self, posts: usize) -> Self {
        self.max_posts_in_flight = posts.max(1);
        self
    }
}

/// How long a lane over HTTP waits. An ordinary request has the deadlines of its call instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpTimeouts {
    /// How long a stream that only listens may be without a single byte, comments included: the standalone stream of a
    /// legacy session, whose head may take so long, too, and the one of `subscriptions/listen`. Default: 5 min. `None`: for ever.
    ///
    /// When it passes, the standalone stream is opened again, and a subscription ends with a
    /// [`Timeout`](towpath_raw::Timeout): the peer may be gone without a trace. Servers that keep to the
    /// recommendation send a comment far more often; for one that sends none, raise it. Worst case: so long nobody
    /// notices.
    pub sse_idle: Option<Duration>,
    /// How long the POST of a notification, or of an answer, may take from its first byte to the end of its response.
    /// Default: 30 s.
    ///
    /// When it passes, the POST is given up, and a warning logged. Worst case: requests that have to wait for
    /// `notifications/initialized` are sent so much later.
    pub post: Duration,
    /// How long what is sent after `notifications/initialized` waits for the head of the response that is the standalone
    /// stream of the session: a server that asks its client on that stream would ask nobody before. Default: 500 ms.
    /// Zero: it does not wait.
    ///
    /// When it passes, everything is sent, and the stream is opened whenever its head comes. Worst case: with a server
    /// that sends no head before it has something to say, the first request of a session is sent so much later.
    pub listen_first: Duration,
    /// How long the DELETE may take that ends a legacy session. Default: 2 s.
    ///
    /// When it passes, closing goes on, and the session is left to the server's own expiry. Zero: no DELETE is sent.
    pub delete: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self {
            sse_idle: Some(Duration::from_secs(300)),
            post: Duration::from_secs(30),
            listen_first: Duration::from_millis(500),
            delete: Duration::from_secs(2),
        }
    }
}

impl HttpTimeouts {
    /// The same timeouts with another [`HttpTimeouts::sse_idle`].
    #[must_use]
    pub fn with_sse_idle(mut self, after: Option<Duration>) -> Self {
        self.sse_idle = after;
        self
    }

    /// The same timeouts with another [`HttpTimeouts::post`].
    #[must_use]
    pub fn with_post(mut self, after: Duration) -> Self {
        self.post = after;
        self
    }

    /// The same timeouts with another [`HttpTimeouts::listen_first`].
    #[must_use]
    pub fn with_listen_first(mut self, after: Duration) -> Self {
        self.listen_first = after;
        self
    }

    /// The same timeouts with another [`HttpTimeouts::delete`].
    #[must_use]
    pub fn with_delete(mut self, after: Duration) -> Self {
        self.delete = after;
        self
    }
}
