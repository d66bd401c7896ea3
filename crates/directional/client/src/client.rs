//! The client itself.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use towpath_jsonrpc::RawJson;
use towpath_link::{Call, CallOptions, LinkEnd, NotifyError, Peer};
use towpath_mcp::{Filter, Implementation, Negotiated, Revision, SubscriptionLimits, meta};
use towpath_raw::{Lane, TaskScope};

use crate::{ClientBuilder, ConnectError, ListenError, Subscription, lane::Shared};

/// A client of one server, on one lane. Clones are the same client; when the last one is dropped, the lane ends. A
/// [`Subscription`] holds one.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) peer: Peer,
    pub(crate) server: ServerInfo,
    pub(crate) shared: Arc<Shared>,
    /// Cancelled once the lane is closed and gone.
    pub(crate) ended: CancellationToken,
    pub(crate) close_grace: Duration,
    /// How long a server may take to acknowledge a subscription: as for any answer.
    pub(crate) acknowledge: Option<Duration>,
    pub(crate) subscription_limits: SubscriptionLimits,
    /// The one task: it ends with the last clone.
    pub(crate) _tasks: TaskScope,
}

/// What a server has said about itself, in either era.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The revision in which it is spoken to.
    pub revision: Revision,
    /// What it can do: a JSON object. `None` when it was never asked.
    pub capabilities: Option<RawJson>,
    /// Who it says it is: a JSON object, to show and to log, never to decide by.
    pub info: Option<RawJson>,
    /// Advice for the model on how to use it.
    pub instructions: Option<String>,
    /// The revisions that it says it speaks, as far as it says so.
    pub supported: Vec<String>,
}

impl Client {
    /// Connects over a lane with the defaults; see [`ClientBuilder::connect`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lane is dropped with it.
    pub async fn connect<L>(lane: L, info: Implementation) -> Result<Self, ConnectError>
    where
        L: Lane<Source: Unpin, Sink: Unpin>,
    {
        Self::builder(&info).connect(lane).await
    }

    /// Connects over HTTP with the defaults; see [`ClientBuilder::connect_http`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    ///
    /// As [`ClientBuilder::connect_http`].
    #[cfg(feature = "http")]
    pub async fn connect_http<C: towpath_raw::Connect>(
        connect: Arc<C>,
        uri: http::Uri,
        info: Implementation,
    ) -> Result<Self, ConnectError> {
        Self::builder(&info).connect_http(connect, uri, crate::HttpOptions::default()).await
    }

    /// Sets a client up.
    pub fn builder(info: &Implementation) -> ClientBuilder {
        ClientBuilder::new(info)
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// A request to the server: a future of its answer, and a stream of the notifications before it. The params must
    /// have the form of a JSON object; `&()` stands for none.
    pub fn call<P: Serialize + ?Sized>(&self, method: impl Into<Cow<'static, str>>, params: &P) -> Call {
        match RawJson::serialize(params) {
            Ok(params) => {
                let params = (params.as_bytes() != b"null").then_some(params);
                self.call_with(method, params, CallOptions::default())
            }
            Err(error) => {
                self.peer().unsendable_call(method, &format!("the params have no JSON form: {error}"))
            }
        }
    }

    /// As [`Client::call`], with params that are JSON already, which are not copied when they are large, and with
    /// options.
    pub fn call_with(
        &self,
        method: impl Into<Cow<'static, str>>,
        params: Option<RawJson>,
        options: CallOptions,
    ) -> Call {
        self.inner.peer.call(method, params, options)
    }

    /// Sends a notification.
    ///
    /// # Errors
    ///
    /// [`NotifyError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits for room, nothing was sent.
    pub async fn notify(&self, method: &str, params: Option<RawJson>) -> Result<(), NotifyError> {
        self.inner.peer.notify(method, params).await
    }

    /// Asks to be told of changes. The server must acknowledge within the total deadline of a call.
    ///
    /// # Errors
    ///
    /// [`ListenError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing stays subscribed on a modern server; on a legacy one, resources may.
    pub async fn listen(&self, filter: &Filter) -> Result<Subscription, ListenError> {
        Subscription::open(self, filter).await
    }

    /// What the server has said about itself.
    pub fn server(&self) -> &ServerInfo {
        &self.inner.server
    }

    /// The handle to the server underneath: counters, its name, its end.
    pub fn peer(&self) -> &Peer {
        &self.inner.peer
    }

    /// Ends the connection politely: calls in flight end (see
    /// [`ClientTimeouts::close_grace`](crate::ClientTimeouts)), what is queued is written, the lane is closed, and
    /// what belongs to it ends by its own rules: a child process sees the end of its input, and a session over HTTP is
    /// ended with the server.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection goes on to end.
    pub async fn close(&self) -> LinkEnd {
        self.inner.peer.close(self.inner.close_grace);
        let end = self.inner.peer.closed().await;
        // Calls have ended by now; the lane has a last word of its own, within the link's `close`.
        self.inner.ended.cancelled().await;
        end
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn acknowledge_within(&self) -> Option<Duration> {
        self.inner.acknowledge
    }

    pub(crate) fn subscription_limits(&self) -> &SubscriptionLimits {
        &self.inner.subscription_limits
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.inner.peer.name())
            .field("revision", &self.inner.server.revision)
            .finish_non_exhaustive()
    }
}

impl ServerInfo {
    pub(crate) fn legacy(negotiated: Negotiated) -> Self {
        Self {
            revision: negotiated.revision,
            capabilities: Some(negotiated.capabilities),
            info: negotiated.server_info,
            instructions: negotiated.instructions,
            supported: vec![negotiated.revision.to_string()],
        }
    }

    /// From the result of `server/discover`, if there was one (2026-07-28, server/discover).
    pub(crate) fn modern(revision: Revision, discovered: Option<RawJson>) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Discovered {
            supported_versions: Vec<String>,
            capabilities: Option<Box<serde_json::value::RawValue>>,
            instructions: Option<String>,
            #[serde(rename = "_meta")]
            meta: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>,
        }
        let mut discovered: Discovered =
            discovered.and_then(|result| result.deserialize().ok()).unwrap_or_default();
        Self {
            revision,
            capabilities: discovered.capabilities.map(RawJson::from),
            info: discovered.meta.remove(meta::SERVER_INFO).map(RawJson::from),
            instructions: discovered.instructions,
            supported: discovered.supported_versions,
        }
    }
}
