//! What a lane over HTTP may hold, how long it waits, and what it says in every request.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};
use towpath_mcp::HeaderParamsError;

use super::{
    EraCache,
    credentials::{HeaderProvider, OnUnauthorized, Unauthorized, callback, provider},
};

/// How a client speaks HTTP.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Headers of every request: `Authorization`, say. Those of the protocol take precedence over them. The values of
    /// `Authorization`, `Proxy-Authorization` and `Cookie` are marked as sensitive.
    pub headers: HeaderMap,
    /// Whether the arguments that a modern server's tools want in `Mcp-Param-*` headers are mirrored there, and tools
    /// whose annotations break the rules are left out of the answers to `tools/list`. On by default.
    pub tool_headers: bool,
    /// What is known of the servers that were spoken to; nothing by default. Clones share it.
    pub era_cache: Option<EraCache>,
    pub(super) header_provider: Option<Arc<HeaderProvider>>,
    pub(super) on_unauthorized: Option<Arc<OnUnauthorized>>,
    pub(super) on_bad_tool: Option<Arc<OnBadTool>>,
    /// Whether a client is in front of the lane, whose handler is asked.
    pub(super) answers_inputs: bool,
    /// What may be held.
    pub limits: HttpLimits,
    /// How long is waited.
    pub timeouts: HttpTimeouts,
}

/// Who is told of a tool that was left out.
pub(super) type OnBadTool = dyn Fn(&str, &HeaderParamsError) + Send + Sync;

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            tool_headers: true,
            era_cache: None,
            header_provider: None,
            on_unauthorized: None,
            on_bad_tool: None,
            answers_inputs: false,
            limits: HttpLimits::default(),
            timeouts: HttpTimeouts::default(),
        }
    }
}

impl HttpOptions {
    /// The same options with other [`HttpOptions::headers`].
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Headers that are asked for before each request, over [`HttpOptions::headers`] and under those of the protocol: a
    /// token that is fetched anew from time to time, say. All of them are marked as sensitive. Until they are there the
    /// request waits, within the deadline of its call; what it takes to get them quickly is the provider's to keep.
    #[must_use]
    pub fn with_header_provider<F, R>(mut self, provide: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = HeaderMap> + Send + 'static,
    {
        self.header_provider = Some(provider(provide));
        self
    }

    /// Who is told that a request was refused because of who sent it (401, 403). True sends the request once more, with
    /// what the header provider gives then. However many requests of a lane meet the refusal, it is called once, and all
    /// of them wait for it within the deadlines of their calls.
    #[must_use]
    pub fn with_on_unauthorized<F, R>(mut self, told: F) -> Self
    where
        F: Fn(Unauthorized) -> R + Send + Sync + 'static,
        R: Future<Output = bool> + Send + 'static,
    {
        self.on_unauthorized = Some(callback(told));
        self
    }

    /// Who is told of a tool that was left out of an answer, by its name and with the reason. It is called in the task
    /// of the connection and must not block; the server decides how often.
    #[must_use]
    pub fn with_on_bad_tool(
        mut self,
        told: impl Fn(&str, &HeaderParamsError) + Send + Sync + 'static,
    ) -> Self {
        self.on_bad_tool = Some(Arc::new(told));
        self
    }

    /// The same options with another [`HttpOptions::tool_headers`].
    #[must_use]
    pub fn with_tool_headers(mut self, on: bool) -> Self {
        self.tool_headers = on;
        self
    }

    /// The same options with another [`HttpOptions::era_cache`].
    #[must_use]
    pub fn with_era_cache(mut self, cache: EraCache) -> Self {
        self.era_cache = Some(cache);
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

impl fmt::Debug for HttpOptions {
    /// Of the headers only the names: they may hold what must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("headers", &self.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>())
            .field("tool_headers", &self.tool_headers)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
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
    /// How many resource subscriptions of a legacy session are remembered, to make them again in a session that follows
    /// it. Default: 1,024.
    ///
    /// At the limit further ones are not remembered, which is logged: after a new session they are gone. Worst case: so
    /// many messages of the caller's.
    pub max_subscriptions: usize,
    /// How many tools of a modern server are remembered whose arguments are mirrored into headers. Default: 1,024.
    ///
    /// At the limit further ones are not remembered, which is logged: a server that insists refuses their calls. Worst
    /// case: for each, as many names as [`MAX_HEADER_PARAMS`](towpath_mcp::MAX_HEADER_PARAMS).
    pub max_tool_headers: usize,
    /// How often a client answers a modern server that wants input before it answers one call (sampling, elicitation,
    /// roots), from its handler. Default: 8. Zero: never.
    ///
    /// At the limit, and where the handler answers with an error, the call is answered with what the server wants:
    /// a result with `resultType` `input_required`. Worst case: so many times 64 requests to the handler for each call,
    /// within its deadline.
    pub max_input_rounds: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 16 << 20,
            max_error_body_bytes: 64 << 10,
            max_posts_in_flight: 1024,
            max_subscriptions: 1024,
            max_tool_headers: 1024,
            max_input_rounds: 8,
        }
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

    /// The same limits with another [`HttpLimits::max_subscriptions`].
    #[must_use]
    pub fn with_max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.max_subscriptions = subscriptions;
        self
    }

    /// The same limits with another [`HttpLimits::max_tool_headers`].
    #[must_use]
    pub fn with_max_tool_headers(mut self, tools: usize) -> Self {
        self.max_tool_headers = tools;
        self
    }

    /// The same limits with another [`HttpLimits::max_input_rounds`].
    #[must_use]
    pub fn with_max_input_rounds(mut self, rounds: usize) -> Self {
        self.max_input_rounds = rounds;
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
    /// How long it may take to open a new legacy session when the server has forgotten the one before: the ping that
    /// makes sure of it, the handshake and the subscriptions. Default: 30 s.
    ///
    /// When it passes, the requests that wait for it fail with what the server refused them with; the next one that is
    /// refused tries again. Worst case: requests of the session are sent, or fail, so much later.
    pub renew: Duration,
    /// The longest `Retry-After` of a 503 that is waited for, before the request is sent once more; one in which a
    /// connection is opened is not. Default: 30 s. Zero: none.
    ///
    /// A longer one is not waited for: the call fails at once, and its error says when to come back. The deadline of the
    /// call goes on meanwhile. Worst case: a call that fails in the end does so this much later.
    pub retry_after: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self {
            sse_idle: Some(Duration::from_secs(300)),
            post: Duration::from_secs(30),
            listen_first: Duration::from_millis(500),
            delete: Duration::from_secs(2),
            renew: Duration::from_secs(30),
            retry_after: Duration::from_secs(30),
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

    /// The same timeouts with another [`HttpTimeouts::renew`].
    #[must_use]
    pub fn with_renew(mut self, after: Duration) -> Self {
        self.renew = after;
        self
    }

    /// The same timeouts with another [`HttpTimeouts::retry_after`].
    #[must_use]
    pub fn with_retry_after(mut self, longest: Duration) -> Self {
        self.retry_after = longest;
        self
    }
}
