//! The server itself.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::timeout};
use towpath_buffer::{BufferPool, PoolLimits};
use towpath_jsonrpc::RawJson;
use towpath_link::{LinkEnd, LinkLimits, LinkTimeouts};
use towpath_mcp::{Filter, Implementation, Revision, ServerIdentity, SessionLimits, SubscriptionLimits};
use towpath_raw::{Lane, Operation, Skipped, Timeout};

use crate::{
    Handler, Publisher,
    hub::{DRAINING, Hub},
};

/// A server: a handler, and what it says about itself. Clones are the same server.
pub struct Server<H> {
    pub(crate) core: Arc<Core<H>>,
}

/// Where handlers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// In the task of their lane: no task and no channel for a request. For handlers that wait more than they
    /// compute.
    #[default]
    Inline,
    /// Each in a task of its own, which belongs to the request. For handlers that compute for longer than a
    /// millisecond at a time, since they would hold up what shares their lane.
    Spawned,
}

/// What is shared by all lanes of a server.
pub(crate) struct Core<H> {
    pub(crate) handler: H,
    pub(crate) identity: Arc<ServerIdentity>,
    /// The notifications that the capabilities declare.
    pub(crate) declared: Filter,
    declares_updates: bool,
    pub(crate) hub: Arc<Hub>,
    pub(crate) subscriptions: Arc<Semaphore>,
    pub(crate) max_subscriptions: usize,
    pub(crate) session_limits: SessionLimits,
    pub(crate) subscription_limits: SubscriptionLimits,
    pub(crate) execution: Execution,
    pub(crate) limits: LinkLimits,
    pub(crate) timeouts: LinkTimeouts,
    pub(crate) on_skipped: Option<Box<OnSkipped>>,
    /// Write buffers, for the lanes that have something to write.
    pub(crate) buffers: BufferPool,
}

/// Who is told what a lane has passed over.
pub(crate) type OnSkipped = dyn Fn(&Skipped) + Send + Sync;

/// How long a drain waits for lanes that should have ended.
const UNPOLLED: Duration = Duration::from_secs(1);

/// Sets a server up.
#[must_use = "a builder does nothing until it is built"]
pub struct ServerBuilder {
    identity: ServerIdentity,
    limits: LinkLimits,
    timeouts: LinkTimeouts,
    session_limits: SessionLimits,
    subscription_limits: SubscriptionLimits,
    max_subscriptions: usize,
    execution: Execution,
    on_skipped: Option<Box<OnSkipped>>,
}

impl<H> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

impl<H: Handler> Server<H> {
    /// A server with the defaults. `capabilities` is the JSON object that both eras declare them with; one that has
    /// no JSON form declares nothing.
    pub fn new(info: Implementation, capabilities: impl Serialize, handler: H) -> Self {
        ServerBuilder::new(info, capabilities).build(handler)
    }

    /// Serves a lane until it ends, and says how. It is done when the peer has closed its direction, what ran has
    /// ended, and every answer is written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lane ends at once: handlers are dropped, and answers that were not written are lost.
    pub async fn serve<L>(&self, lane: L) -> LinkEnd
    where
        L: Lane<Source: Unpin, Sink: Unpin>,
    {
        let (link, _seat) = self.admit(lane);
        link.await
    }

    /// Tells subscribers of changes.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.core.hub))
    }

    /// How many lanes are served now.
    pub fn lanes(&self) -> usize {
        self.core.hub.lanes().len()
    }

    /// Ends politely, on every lane, at every listener and at every HTTP endpoint: listeners are closed, now and later,
    /// subscriptions are ended, new requests refused, what runs may go on until the deadline; then it is dropped, and
    /// its lanes with it.
    ///
    /// # Errors
    ///
    /// [`Timeout`] when something had to be cut.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lanes go on to end by themselves.
    pub async fn drain(&self, deadline: Duration) -> Result<(), Timeout> {
        // Before the lanes are looked at: one that comes meanwhile sees it.
        let listeners = self.core.hub.stop_listening();
        let lanes = self.core.hub.lanes();
        // Before the subscriptions are ended: one that opens meanwhile sees it.
        lanes.iter().for_each(|lane| lane.conversation.drain());
        #[cfg(feature = "http")]
        let endpoints = self.core.hub.drain_endpoints(deadline);
        #[cfg(not(feature = "http"))]
        let endpoints = std::future::ready(true);
        self.core.hub.end_subscriptions(DRAINING);
        lanes.iter().for_each(|lane| lane.peer.close(deadline));
        let lanes_closed = async {
            for lane in &lanes {
                lane.peer.closed().await;
            }
            for listener in &listeners {
                listener.cancelled().await;
            }
        };
        let all = async { tokio::join!(lanes_closed, endpoints).1 };
        // The lanes cut themselves at the deadline, and what they write last has a limit of its own. Only a lane or
        // a listener that nobody polls does neither.
        let last_bytes = self.core.timeouts.close.saturating_add(UNPOLLED);
        let ended = timeout(deadline.saturating_add(last_bytes), all).await.unwrap_or(false);
        let cut = lanes.iter().any(|lane| lane.peer.stats().requests_cut > 0);
        if ended && !cut { Ok(()) } else { Err(Timeout { operation: Operation::Drain, after: deadline }) }
    }
}

impl ServerBuilder {
    /// Begins with the defaults; see [`Server::new`].
    pub fn new(info: Implementation, capabilities: impl Serialize) -> Self {
        let info = info.to_raw().unwrap_or_else(|_| RawJson::empty_object());
        let capabilities = RawJson::serialize(&capabilities).unwrap_or_else(|_| RawJson::empty_object());
        Self {
            identity: ServerIdentity::new(info, capabilities),
            limits: LinkLimits::default(),
            timeouts: LinkTimeouts::default(),
            session_limits: SessionLimits::default(),
            subscription_limits: SubscriptionLimits::default(),
            max_subscriptions: 20_000,
            execution: Execution::default(),
            on_skipped: None,
        }
    }

    /// Advice for the model on how to use the server.
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.identity.instructions = Some(text.into());
        self
    }

    /// The revisions that the server speaks; all of them by default.
    pub fn revisions(mut self, revisions: impl Into<Vec<Revision>>) -> Self {
        self.identity.supported = revisions.into();
        self
    }

    /// The limits of each lane.
    pub fn limits(mut self, limits: LinkLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The timeouts of each lane.
    pub fn timeouts(mut self, timeouts: LinkTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The limits of a legacy session.
    pub fn session_limits(mut self, limits: SessionLimits) -> Self {
        self.session_limits = limits;
        self
    }

    /// The limits of one subscription.
    pub fn subscription_limits(mut self, limits: SubscriptionLimits) -> Self {
        self.subscription_limits = limits;
        self
    }

    /// How many subscriptions may be open in all, on all lanes; 20,000 by default. At the limit a further one is
    /// refused (−32600, `data.reason` = `"limit_reached"`).
    pub fn max_subscriptions(mut self, count: usize) -> Self {
        self.max_subscriptions = count;
        self
    }

    /// Where handlers run.
    pub fn execution(mut self, execution: Execution) -> Self {
        self.execution = execution;
        self
    }

    /// Who is told of bytes between messages that a lane has passed over, a banner say; nobody by default. They are
    /// counted and traced in any case.
    ///
    /// It is called once for each such line, in the task of the lane, which reads on when it returns: it must not block.
    /// A peer decides how often that is. A panic in it is counted, and harms nothing.
    pub fn on_skipped(mut self, told: impl Fn(&Skipped) + Send + Sync + 'static) -> Self {
        self.on_skipped = Some(Box::new(told));
        self
    }

    /// Makes the server. Nothing happens until it serves a lane.
    pub fn build<H: Handler>(self, handler: H) -> Server<H> {
        let (declared, declares_updates) = declared(&self.identity.capabilities);
        let permits = self.max_subscriptions.min(Semaphore::MAX_PERMITS);
        let core = Core {
            handler,
            identity: Arc::new(self.identity),
            declared,
            declares_updates,
            hub: Arc::new(Hub::new()),
            subscriptions: Arc::new(Semaphore::new(permits)),
            max_subscriptions: self.max_subscriptions,
            session_limits: self.session_limits,
            subscription_limits: self.subscription_limits,
            execution: self.execution,
            limits: self.limits,
            timeouts: self.timeouts,
            on_skipped: self.on_skipped,
            buffers: BufferPool::new(PoolLimits::stdio()),
        };
        Server { core: Arc::new(core) }
    }
}

impl<H> Core<H> {
    /// What is both asked for and declared.
    pub(crate) fn offer(&self, asked: &Filter) -> Filter {
        let mut offered = self.declared.clone();
        if self.declares_updates {
            offered.uris.clone_from(&asked.uris);
        }
        asked.intersect(&offered)
    }
}

/// The notifications that capabilities declare, and whether updates of resources are among them.
fn declared(capabilities: &RawJson) -> (Filter, bool) {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Feature {
        list_changed: bool,
        subscribe: bool,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Capabilities {
        tools: Feature,
        prompts: Feature,
        resources: Feature,
    }
    let Capabilities { tools, prompts, resources } = capabilities.deserialize().unwrap_or_default();
    let filter = Filter {
        tools: tools.list_changed,
        prompts: prompts.list_changed,
        resources: resources.list_changed,
        ..Filter::default()
    };
    (filter, resources.subscribe)
}
