//! The first words with a server: what it speaks.

use std::sync::Arc;

use tokio::time::timeout;
use towpath_client::{Client, ClientTimeouts, ConnectError, Death, Preference, ServerInfo, Upstream};
use towpath_jsonrpc::RawJson;
use towpath_mcp::{Era, Revision, ServerIdentity};
use towpath_raw::{Explanation, Operation, Timeout};

use super::AppOptions;

/// Why there is no server to pass anything on to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It could not be started, or reached.
    #[error("the upstream server could not be started: {0}")]
    NotOpened(#[source] Explanation),
    /// That took too long. Setting: [`AppOptions::start`].
    #[error("the upstream server could not be started: {0}")]
    Timeout(#[source] Timeout),
    /// It does not say what it speaks, or nothing that is spoken here.
    #[error("the upstream server cannot be spoken to: {0}")]
    NotUnderstood(#[source] Arc<ConnectError>),
}

impl From<StartError> for Death {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NotOpened(reason) => Death::NotOpened(reason),
            StartError::Timeout(timeout) => Death::Timeout(timeout),
            StartError::NotUnderstood(reason) => Death::NotConnected(reason),
        }
    }
}

/// Opens a lane, and asks what the server speaks. One that ends when it is asked is a legacy server that cannot bear the
/// question: it is started again and not asked.
pub(super) async fn probe<U: Upstream>(upstream: &U, options: &AppOptions) -> Result<Client, StartError> {
    match connect(upstream, options, Preference::Auto).await {
        Err(StartError::NotUnderstood(error)) if matches!(*error, ConnectError::Lost(_)) => {
            tracing::debug!(%error, "the upstream server ended when it was asked what it speaks");
            connect(upstream, options, Preference::LegacyOnly).await
        }
        connected => connected,
    }
}

/// Opens a lane, and agrees on what is spoken.
pub(super) async fn connect<U: Upstream>(
    upstream: &U,
    options: &AppOptions,
    preference: Preference,
) -> Result<Client, StartError> {
    let after = options.start;
    let lane = match timeout(after, upstream.open()).await {
        Ok(opened) => opened.map_err(StartError::NotOpened)?,
        Err(_) => return Err(StartError::Timeout(Timeout { operation: Operation::Connect, after })),
    };
    let mut timeouts = ClientTimeouts::default();
    timeouts.handshake = after;
    // The end of the opening belongs to the probe, too: a server that does not know the question may just be silent.
    timeouts.probe.discover = timeouts.probe.discover.min(after / 2);
    let connected = Client::builder(&options.info)
        .preference(preference)
        .limits(options.relay.limits.outgoing.clone())
        .link_timeouts(options.relay.timeouts.outgoing())
        .timeouts(timeouts)
        .connect(lane)
        .await;
    connected.map_err(|error| StartError::NotUnderstood(Arc::new(error)))
}

pub(super) fn is_modern(server: &ServerInfo) -> bool {
    server.revision.era() == Era::Modern
}

/// What a modern server speaks beside what it names. The servers of the official SDKs name only the revisions that a
/// request can name in its `_meta`, and take `initialize` all the same: trying it on a lane of its own is the only way to know.
pub(super) async fn unnamed<U: Upstream>(
    upstream: &U,
    options: &AppOptions,
    server: &ServerInfo,
) -> Vec<Revision> {
    if !is_modern(server) || named(server).iter().any(|revision| revision.era() == Era::Legacy) {
        return Vec::new();
    }
    match connect(upstream, options, Preference::LegacyOnly).await {
        Ok(client) => {
            let newest = client.server().revision;
            client.close().await;
            up_to(newest)
        }
        Err(error) => {
            tracing::debug!(%error, "the upstream server has no legacy revision");
            Vec::new()
        }
    }
}

/// What is offered to clients: what the server speaks, no more and no less. A modern one says itself what it speaks, or was
/// found to; a legacy one that agreed on its newest revision is taken to know the older ones, since it will say so when
/// `initialize` asks for one.
pub(super) fn identity(server: &ServerInfo, unnamed: Vec<Revision>) -> ServerIdentity {
    let mut supported = unnamed;
    supported.extend(if is_modern(server) { named(server) } else { up_to(server.revision) });
    let object = |json: &Option<RawJson>| json.clone().unwrap_or_else(RawJson::empty_object);
    let mut identity = ServerIdentity::new(object(&server.info), object(&server.capabilities));
    identity.supported = supported;
    identity
}

fn named(server: &ServerInfo) -> Vec<Revision> {
    let named: Vec<_> = server.supported.iter().filter_map(|name| Revision::parse(name)).collect();
    if named.contains(&server.revision) { named } else { vec![server.revision] }
}

fn up_to(newest: Revision) -> Vec<Revision> {
    Revision::ALL.into_iter().filter(|revision| *revision <= newest).collect()
}
