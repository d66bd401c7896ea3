//! A server that is started again when it is lost.

mod error;
mod keeper;
mod policy;
mod restarts;
mod shared;
mod subscription;
mod upstream;

use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;
use towpath_jsonrpc::{Deadlines, RawJson};
use towpath_link::{CallError, CallOptions, Phase};
use towpath_mcp::Filter;
use towpath_raw::TaskScope;

pub use error::{Death, SupervisedCallError, SupervisedListenError, SupervisionState, Unavailable};
pub use policy::{RestartPolicy, SupervisionTimeouts};
pub use restarts::Restarts;
pub use shared::States;
pub use subscription::{SupervisedEvent, SupervisedSubscription};
pub use upstream::Upstream;

use crate::{Client, ClientBuilder, ClientHandler};
use keeper::Keeper;
use shared::{Shared, Wanted, later};

/// A server that is started again when it is lost: see [`ClientBuilder::supervise`]. Clones are handles to the same; a
/// [`SupervisedSubscription`] holds one. When the last is dropped, everything ends: the server too, whoever may hold a
/// [`Client`] of it.
///
/// A request that was sent to a server that dies is not repeated: nobody knows what the server has done about it.
///
/// An `upstream` or a handler that holds a handle keeps it, and itself, for ever.
#[derive(Clone)]
#[must_use = "the server ends when the last handle is dropped"]
pub struct Supervised {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    policy: RestartPolicy,
    wait: Duration,
    /// Of a call that has none.
    deadlines: Deadlines,
    /// Keeps the server.
    _tasks: TaskScope,
}

impl<H: ClientHandler> ClientBuilder<H> {
    /// Connects to a server that is started again when it is lost, over lanes that `upstream` opens. The first start
    /// begins at once, in the one task that the handle owns.
    ///
    /// Each server is asked anew what it speaks, or gets the handshake: it may have been replaced by a newer one. The
    /// handler and what the client can do stay the same. A handler that still runs when its server is lost is dropped,
    /// whatever [`LinkTimeouts::finish`](crate::LinkTimeouts::finish) says.
    ///
    /// A legacy server that ends when it is asked what it speaks is started again and not asked; that counts as a quick
    /// death.
    ///
    /// ```no_run
    /// use std::{io, sync::Arc};
    ///
    /// use serde_json::json;
    /// use towpath_client::{Client, Implementation, RestartPolicy};
    /// use towpath_raw::{Explanation, Lane};
    ///
    /// async fn supervised<L: Lane<Source: Unpin, Sink: Unpin>>(
    ///     open: impl Fn() -> io::Result<L> + Send + Sync + 'static,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let upstream = move || {
    ///         let lane = open().map_err(|error| Arc::new(error) as Explanation);
    ///         async { lane }
    ///     };
    ///     let builder = Client::builder(&Implementation::new("example", "1.0.0"));
    ///     let server = builder.supervise(upstream, RestartPolicy::default());
    ///     println!("{}", server.call("tools/list", &json!({})).await?);
    ///     server.close().await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn supervise<U: Upstream>(self, upstream: U, policy: RestartPolicy) -> Supervised {
        let shared = Arc::new(Shared::new(upstream.name()));
        let (wait, deadlines) = (self.supervision_timeouts.wait, self.link_timeouts.call);
        let restarts = Restarts::new(policy.clone());
        let tasks = TaskScope::new();
        tasks.spawn(Keeper::new(upstream, self, Arc::clone(&shared), restarts).keep());
        Supervised { inner: Arc::new(Inner { shared, policy, wait, deadlines, _tasks: tasks }) }
    }
}

impl Supervised {
    /// The client of the server as it is now; waits for one, at most
    /// [`SupervisionTimeouts::wait`].
    ///
    /// It ends with its server. Ask for it again rather than keep it. [`Client::close`] ends this one server, which
    /// counts as lost: another is started. To end all, use [`Supervised::close`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: at once if the server is left alone after too many quick deaths, else after the wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the server is started all the same.
    pub async fn client(&self) -> Result<Client, Unavailable> {
        let wanted = Wanted { after: 0, until: later(self.inner.wait), patient: false };
        Ok(self.inner.shared.client(wanted).await?.client)
    }

    /// A request to the server as it is now, or to the next one if there is none: the total deadline of a call counts
    /// from here. The params must have the form of a JSON object; `&()` stands for none.
    ///
    /// A request that was sent when its server dies fails, and its outcome is unknown. One of which nothing was sent is
    /// sent to the next server, once. To hear of its progress, call [`Supervised::client`].
    ///
    /// # Errors
    ///
    /// [`SupervisedCallError`]; [`SupervisedCallError::phase`] tells how far it got.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the request is cancelled as that of [`Client::call`] is.
    pub fn call<'a, M, P>(
        &'a self,
        method: M,
        params: &P,
    ) -> impl Future<Output = Result<RawJson, SupervisedCallError>> + Send + use<'a, M, P>
    where
        M: Into<Cow<'static, str>>,
        P: Serialize + ?Sized,
    {
        let method = method.into();
        let params = RawJson::serialize(params)
            .map(|params| (params.as_bytes() != b"null").then_some(params))
            .map_err(|error| CallError::Unsendable {
                peer: self.inner.shared.peer(),
                method: Arc::from(&*method),
                reason: Arc::from(format!("the params have no JSON form: {error}")),
            });
        async move { self.call_with(method, params?, CallOptions::default()).await }
    }

    /// As [`Supervised::call`], with params that are JSON already, and with options.
    ///
    /// # Errors
    ///
    /// As [`Supervised::call`].
    ///
    /// # Cancel safety
    ///
    /// As [`Supervised::call`].
    pub async fn call_with(
        &self,
        method: impl Into<Cow<'static, str>> + Send,
        params: Option<RawJson>,
        mut options: CallOptions,
    ) -> Result<RawJson, SupervisedCallError> {
        let method = method.into();
        let mut deadlines = options.deadlines.unwrap_or(self.inner.deadlines);
        let until = deadlines.total.map(later);
        let mut after = 0;
        loop {
            // The time that a call without a deadline has spent at a server that was lost is no wait for the next.
            let until_there = until.unwrap_or_else(|| later(self.inner.wait));
            let wanted = Wanted { after, until: until_there, patient: false };
            let current =
                self.inner.shared.client(wanted).await.map_err(|source| {
                    SupervisedCallError::Unavailable { method: Arc::from(&*method), source }
                })?;
            // What was waited counts.
            if let Some(Some(until)) = until {
                deadlines.total = Some(until.saturating_duration_since(Instant::now()));
            }
            options.deadlines = Some(deadlines);
            let call = current.client.call_with(method.clone(), params.clone(), options.clone());
            match call.await {
                // Once.
                Err(CallError::Closed { phase: Phase::NotSent, .. }) if after == 0 => after = current.start,
                answer => return Ok(answer?),
            }
        }
    }

    /// Asks to be told of changes, by this server and by those that follow.
    ///
    /// # Errors
    ///
    /// [`SupervisedListenError`]: there is no server within [`SupervisionTimeouts::wait`], or it refused. One that dies
    /// meanwhile is followed by the next.
    ///
    /// # Cancel safety
    ///
    /// As [`Client::listen`].
    pub async fn listen(&self, filter: &Filter) -> Result<SupervisedSubscription, SupervisedListenError> {
        SupervisedSubscription::open(self, filter).await
    }

    /// Where the server stands.
    pub fn state(&self) -> SupervisionState {
        self.inner.shared.state()
    }

    /// The states that follow the present one.
    pub fn states(&self) -> States {
        self.inner.shared.states()
    }

    /// Why there was no server any more, the last time.
    pub fn last_death(&self) -> Option<Death> {
        self.inner.shared.last_death()
    }

    /// Ends the server politely, as [`Client::close`] does, and its supervision with it, whatever it was about: also a
    /// start, or a pause. Who waits for a server is told at once, through any handle.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end goes on as long as there is another handle; else everything ends at once.
    pub async fn close(self) {
        self.inner.shared.closing.cancel();
        self.inner.shared.over.cancelled().await;
    }
}

impl std::fmt::Debug for Supervised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervised")
            .field("server", &self.inner.shared.peer())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
