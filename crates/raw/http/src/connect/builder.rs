//! What can be chosen of a client.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder, redirect::Policy};

use crate::{
    reason::chain,
    tcp::{QUESTIONS, Silence},
};

use super::{
    HttpConnect,
    limits::{ConnectLimits, ConnectTimeouts},
};

/// Makes an [`HttpConnect`].
///
/// ```
/// use towpath_http::{ConnectLimits, HttpConnect};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limits = ConnectLimits::default().with_max_redirects(0);
/// let connect = HttpConnect::builder().limits(limits).http2_prior_knowledge(true).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct HttpConnectBuilder {
    client: Option<ClientBuilder>,
    limits: ConnectLimits,
    timeouts: ConnectTimeouts,
    is_http2: bool,
    is_gzip: bool,
}

/// The HTTP client could not be set up.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {reason}")]
pub struct HttpConnectError {
    reason: Arc<str>,
}

impl HttpConnectBuilder {
    /// What else can be set on a `reqwest` client: proxies, certificates, a user agent. Default: no proxy, whatever the
    /// environment says. Its redirects, its pool, its settings of TCP and its time to connect are set by `limits` and
    /// `timeouts`, and it decompresses nothing by itself.
    #[must_use]
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.client = Some(client);
        self
    }

    /// What the client holds.
    #[must_use]
    pub fn limits(mut self, limits: ConnectLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long it waits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: ConnectTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Whether all exchanges are made over HTTP/2, whose peers have to speak it: nothing is negotiated. Default: no;
    /// HTTP/1.1.
    ///
    /// The exchanges with a peer share one connection. Of each body at most 256 KiB come that nobody has read, and at
    /// most 16 MiB of all of them: so it takes 64 bodies that nobody reads to hold up the others.
    #[must_use]
    pub fn http2_prior_knowledge(mut self, is_http2: bool) -> Self {
        self.is_http2 = is_http2;
        self
    }

    /// Whether peers are told that they may compress answers with gzip (`Accept-Encoding`), and those that are get
    /// decoded, which takes their `Content-Encoding` and `Content-Length` away. Default: no.
    ///
    /// What is decoded comes in chunks of at most 32 KiB as it is read, however much it grows: whoever limits a body
    /// limits it decoded. An event stream must come as it is: it would be held back until there is enough to compress.
    /// One that is compressed all the same fails its exchange, with this setting or without.
    #[cfg(feature = "gzip")]
    #[must_use]
    pub fn gzip(mut self, is_gzip: bool) -> Self {
        self.is_gzip = is_gzip;
        self
    }

    /// A client without connections.
    ///
    /// # Errors
    ///
    /// [`HttpConnectError`]: name lookup or TLS cannot be set up here, or what was set is not possible.
    pub fn build(self) -> Result<HttpConnect, HttpConnectError> {
        #[cfg(feature = "tls")]
        // An error says that the program has chosen one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Self { client, limits, timeouts, is_http2, is_gzip } = self;
        let client = client.unwrap_or_else(|| Client::builder().no_proxy());
        let client = if is_http2 {
            let head_bytes = u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX);
            client
                .http2_prior_knowledge()
                .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
                .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                // More than the limit, so that it is told from a stream that is reset.
                .http2_max_header_list_size(head_bytes.saturating_mul(2).saturating_add(HEAD_ROOM_BYTES))
        } else {
            client.http1_only()
        };
        let silence = Silence::new(timeouts.keep_alive, timeouts.unacknowledged);
        let client = client
            .tcp_nodelay(true)
            .tcp_keepalive(silence.questions.map(|(idle, _)| idle))
            .tcp_keepalive_interval(silence.questions.map(|(_, interval)| interval))
            .tcp_keepalive_retries(silence.questions.map(|_| QUESTIONS));
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let client = client.tcp_user_timeout(silence.unacknowledged);
        let client = client
            .redirect(Policy::none())
            .referer(false)
            // Another crate of the program may have turned these on, and a small body could then become a huge one.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(timeouts.connect)
            .pool_idle_timeout(timeouts.pool_idle)
            .pool_max_idle_per_host(limits.max_idle_connections_per_host)
            .build()
            .map_err(|error| HttpConnectError { reason: chain(&error) })?;
        Ok(HttpConnect { client, limits, timeouts, is_gzip })
    }
}

const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const HEAD_ROOM_BYTES: u32 = 64 << 10;
