//! A server that is reached over HTTP, though it speaks on lanes.

mod modern;
mod options;
mod shared;
mod start;

use std::sync::Arc;

use tokio::time::timeout;
use towpath_client::{ServerInfo, Upstream};
use towpath_jsonrpc::Message;
use towpath_link::{Admission, Link, LinkEnd, Phase};
use towpath_mcp::{Fault, Revision, ServerIdentity, method};
use towpath_raw::{Lane, TaskScope};
use towpath_server::{Exchange, HttpApp, OpenedSession};

pub use options::AppOptions;
pub use start::StartError;

use crate::{
    fault,
    side::{Joint, Side},
};
use shared::{Keeper, Shared};

/// What `HttpService` serves when the server behind it speaks on lanes.
///
/// Each legacy session has a lane of its own, for as long as it lives; modern requests of all clients share one. Messages
/// pass as they came: see [`relay`](crate::relay()). Dropped, every lane is; the shared one as soon as the responses that
/// wait for something on it have ended.
pub struct RelayApp<U: Upstream> {
    upstream: Arc<U>,
    options: AppOptions,
    identity: Arc<ServerIdentity>,
    server: ServerInfo,
    /// The shared lane, where the server speaks a modern revision.
    shared: Option<Arc<Shared>>,
    /// Keeps the shared lane.
    _tasks: TaskScope,
}

impl<U: Upstream> RelayApp<U> {
    /// Opens a first lane, to learn what the server speaks. A modern server is served on that lane from then on; the lane of
    /// a legacy one is closed, since each session has its own. A modern server that names no older revision is asked on a
    /// second lane whether it takes `initialize`: many do that do not say so.
    ///
    /// # Errors
    ///
    /// [`StartError`]: there is no server, or none that can be spoken to.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lane is, too.
    pub async fn start(upstream: U, options: AppOptions) -> Result<Self, StartError> {
        let upstream = Arc::new(upstream);
        let client = start::probe(&*upstream, &options).await?;
        let server = client.server().clone();
        let unnamed = start::unnamed(&*upstream, &options, &server).await;
        let identity = Arc::new(start::identity(&server, unnamed));
        let tasks = TaskScope::new();
        let shared = if start::is_modern(&server) {
            let shared = Arc::new(Shared::new(&options));
            let keeper = Keeper::new(Arc::clone(&upstream), Arc::clone(&shared), options.clone());
            tasks.spawn(keeper.keep(client));
            Some(shared)
        } else {
            client.close().await;
            None
        };
        tracing::info!(revision = %server.revision, supported = ?identity.supported, "the upstream server is known");
        Ok(Self { upstream, options, identity, server, shared, _tasks: tasks })
    }

    /// The revisions that are offered to clients.
    pub fn supported(&self) -> &[Revision] {
        &self.identity.supported
    }

    /// What the server has said about itself.
    pub fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// How often the shared lane was opened.
    pub fn starts(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.starts())
    }
}

impl<U: Upstream> HttpApp for RelayApp<U> {
    type Session = Side;

    fn identity(&self) -> &Arc<ServerIdentity> {
        &self.identity
    }

    /// The server does that.
    fn answers_discover(&self) -> bool {
        false
    }

    fn modern(self: Arc<Self>, exchange: Exchange) -> Result<Admission, Fault> {
        let Some(shared) = &self.shared else {
            return Err(Fault::EraNotSpoken { supported: self.identity.supported.clone() });
        };
        shared.admit()?;
        let listens = exchange.message().method() == method::SUBSCRIPTIONS_LISTEN;
        let seat = if listens { Some(shared.subscription()?) } else { None };
        Ok(Admission::Run(modern::forward(Arc::clone(shared), exchange, &self.options.relay, seat)))
    }

    async fn open(self: Arc<Self>, _: Message) -> Result<OpenedSession<Side>, Fault> {
        let options = &self.options;
        let lane = match timeout(options.start, self.upstream.open()).await {
            Ok(Ok(lane)) => lane,
            Ok(Err(error)) => {
                tracing::error!(%error, "the upstream server could not be started for a session");
                return Err(not_started());
            }
            Err(_) => {
                tracing::error!(after = ?options.start, "the upstream server took too long to start for a session");
                return Err(not_started());
            }
        };
        let [(from_client, to_server), (from_server, to_client)] = Side::pair(&options.relay);
        let (limits, timeouts) = (&options.relay.limits, &options.relay.timeouts);
        let (link, server) = Link::new(lane, from_server, limits.outgoing.clone(), timeouts.outgoing());
        to_server.set(server);
        let finish = timeouts.finish;
        let opened =
            OpenedSession::new(from_client).limits(limits.incoming.clone()).timeouts(timeouts.incoming());
        Ok(opened.joined(move |client| {
            let joined = join(link, to_client, client, finish);
            let tasks = TaskScope::new();
            tasks.spawn(joined);
            tasks
        }))
    }
}

/// Drives the lane of a session until it ends, and the session with it. Dropped with the session, the lane is, too.
async fn join<L>(
    link: Link<L, Side>,
    to_client: Joint,
    client: towpath_link::Peer,
    finish: std::time::Duration,
) where
    L: Lane<Source: Unpin, Sink: Unpin>,
{
    to_client.set(client.clone());
    let end: LinkEnd = link.await;
    tracing::warn!(session = %client.name(), %end, "the upstream server of a session is lost");
    // Who waits has its error already; the session ends when that is written.
    client.close(finish);
}

fn not_started() -> Fault {
    Fault::Handler(fault::upstream("upstream_not_started", "it could not be started", Phase::NotSent))
}

impl<U: Upstream> std::fmt::Debug for RelayApp<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayApp").field("server", &self.server).finish_non_exhaustive()
    }
}
