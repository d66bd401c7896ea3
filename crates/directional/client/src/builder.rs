//! How a client is set up.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use towpath_jsonrpc::RawJson;
use towpath_link::{LinkLimits, LinkTimeouts};
use towpath_mcp::{Implementation, Preference, ProbeTimeouts, Revision, SubscriptionLimits};
use towpath_raw::{Lane, Skipped};

use crate::{Client, ClientHandler, ConnectError, NoHandler, SupervisionTimeouts, connect};

/// How long a client waits, beside the timeouts of its link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTimeouts {
    /// From the first byte to a connection that can be used: probe and handshake together. Default: 30 s.
    ///
    /// When it passes, [`Client::connect`] fails with [`ConnectError::Timeout`] and the lane is dropped.
    pub handshake: Duration,
    /// How long [`Client::close`] lets calls in flight go on. Default: 0, they are ended at once.
    ///
    /// When it passes, they end as `Closed`, with their phase.
    pub close_grace: Duration,
    /// How long the server may take to answer the question which era it speaks.
    pub probe: ProbeTimeouts,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(30),
            close_grace: Duration::ZERO,
            probe: ProbeTimeouts::default(),
        }
    }
}

/// Sets a client up; [`Client::builder`] begins.
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder<H = NoHandler> {
    pub(crate) info: RawJson,
    pub(crate) capabilities: RawJson,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) preference: Preference,
    pub(crate) limits: LinkLimits,
    pub(crate) link_timeouts: LinkTimeouts,
    pub(crate) timeouts: ClientTimeouts,
    pub(crate) subscription_limits: SubscriptionLimits,
    pub(crate) supervision_timeouts: SupervisionTimeouts,
    pub(crate) handler: Arc<H>,
    pub(crate) on_skipped: Option<Arc<OnSkipped>>,
}

/// Who is told what a lane has passed over.
pub(crate) type OnSkipped = dyn Fn(&Skipped) + Send + Sync;

impl ClientBuilder {
    pub(crate) fn new(info: &Implementation) -> Self {
        Self {
            info: info.to_raw().unwrap_or_else(|_| RawJson::empty_object()),
            capabilities: RawJson::empty_object(),
            revisions: Revision::ALL.to_vec(),
            preference: Preference::Auto,
            limits: LinkLimits::default(),
            link_timeouts: LinkTimeouts::default(),
            timeouts: ClientTimeouts::default(),
            subscription_limits: SubscriptionLimits::default(),
            supervision_timeouts: SupervisionTimeouts::default(),
            handler: Arc::new(NoHandler),
            on_skipped: None,
        }
    }
}

impl<H: ClientHandler> ClientBuilder<H> {
    /// What the client can do: a JSON object; nothing by default.
    pub fn capabilities(mut self, capabilities: impl Serialize) -> Self {
        self.capabilities = RawJson::serialize(&capabilities).unwrap_or_else(|_| RawJson::empty_object());
        self
    }

    /// The revisions that the client speaks; all of them by default.
    pub fn revisions(mut self, revisions: impl Into<Vec<Revision>>) -> Self {
        self.revisions = revisions.into();
        self
    }

    /// Which eras the client is willing to speak; modern where the server can, else legacy, by default.
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// The limits of the link.
    pub fn limits(mut self, limits: LinkLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The timeouts of the link: those of calls are among them.
    pub fn link_timeouts(mut self, timeouts: LinkTimeouts) -> Self {
        self.link_timeouts = timeouts;
        self
    }

    /// The timeouts of connecting and closing.
    pub fn timeouts(mut self, timeouts: ClientTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How large a subscription, and what the server acknowledges of it, may be.
    pub fn subscription_limits(mut self, limits: SubscriptionLimits) -> Self {
        self.subscription_limits = limits;
        self
    }

    /// How long a supervised server is waited for: see [`ClientBuilder::supervise`].
    pub fn supervision_timeouts(mut self, timeouts: SupervisionTimeouts) -> Self {
        self.supervision_timeouts = timeouts;
        self
    }

    /// Who answers what a legacy server asks, and takes what it tells.
    pub fn handler<N: ClientHandler>(self, handler: N) -> ClientBuilder<N> {
        ClientBuilder {
            info: self.info,
            capabilities: self.capabilities,
            revisions: self.revisions,
            preference: self.preference,
            limits: self.limits,
            link_timeouts: self.link_timeouts,
            timeouts: self.timeouts,
            subscription_limits: self.subscription_limits,
            supervision_timeouts: self.supervision_timeouts,
            handler: Arc::new(handler),
            on_skipped: self.on_skipped,
        }
    }

    /// Who is told of bytes between messages that the lane has passed over, a banner of the server say; nobody by
    /// default. They are counted and traced in any case.
    ///
    /// It is called once for each such line, in the task of the connection, which reads on when it returns: it must not
    /// block. The server decides how often that is. A panic in it is counted, and harms nothing.
    pub fn on_skipped(mut self, told: impl Fn(&Skipped) + Send + Sync + 'static) -> Self {
        self.on_skipped = Some(Arc::new(told));
        self
    }

    /// Connects over a lane: finds out the era of the server, and makes the handshake of a legacy one. One task is
    /// started, which the client owns.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; the lane is gone then, and with it what belonged to it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lane is dropped with it.
    pub async fn connect<L>(self, lane: L) -> Result<Client, ConnectError>
    where
        L: Lane<Source: Unpin, Sink: Unpin>,
    {
        connect::connect(&self, lane).await
    }

    /// Connects over HTTP to the MCP endpoint at `uri`: Streamable HTTP of either era, else HTTP+SSE (2024-11-05) at the
    /// same address. One task is started, which the client owns.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use http::Uri;
    /// use towpath_client::{Client, ConnectError, HttpOptions, Implementation};
    /// use towpath_raw::Connect;
    ///
    /// async fn connected(connector: Arc<impl Connect>) -> Result<Client, ConnectError> {
    ///     let builder = Client::builder(&Implementation::new("example", "1.0.0"));
    ///     let uri = Uri::from_static("https://mcp.example/mcp");
    ///     builder.connect_http(connector, uri, HttpOptions::default()).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: a refusal that says nothing about what the server speaks (401, 403, 429, 5xx) is
    /// [`ConnectError::Exchange`], with its status.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every exchange is closed. A legacy session that had been opened by then is ended as
    /// [`HttpLane`](crate::HttpLane) says.
    #[cfg(feature = "http")]
    pub async fn connect_http<C: towpath_raw::Connect>(
        self,
        connect: Arc<C>,
        uri: http::Uri,
        options: crate::HttpOptions,
    ) -> Result<Client, ConnectError> {
        crate::http::connect(self, connect, uri, options).await
    }
}
