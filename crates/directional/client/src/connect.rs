//! From a lane to a client: which era, and the handshake where there is one.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use towpath_jsonrpc::{Deadlines, EnvelopeLimits, ErrorObject, Message, RawJson};
use towpath_link::{CallDress, CallError, CallOptions, Link, ModernDress, Peer};
use towpath_mcp::{
    Detected, Handshake, HandshakeAction, HandshakeError, HandshakeTimeouts, Probe, ProbeAction,
    ProbeTimeouts, Revision, encode, method,
};
use towpath_raw::{ExchangeError, Lane, Operation, TaskScope, Timeout};

use crate::{
    Client, ClientBuilder, ClientHandler, ConnectError, ServerInfo,
    client::Inner,
    lane::{ClientService, Shared},
};

pub(crate) async fn connect<H, L>(builder: &ClientBuilder<H>, lane: L) -> Result<Client, ConnectError>
where
    H: ClientHandler,
    L: Lane<Source: Unpin, Sink: Unpin>,
{
    let started = Started::new(builder, lane);
    let server = started.open(builder).await?;
    Ok(started.into_client(builder, server))
}

/// A lane at work, over which nothing is agreed yet. Dropped, the lane is dropped.
pub(crate) struct Started {
    peer: Peer,
    shared: Arc<Shared>,
    tasks: TaskScope,
    ended: CancellationToken,
    /// The lane gives the handler what a modern server wants to know, and nothing else that such a server asks.
    inputs: bool,
}

impl Started {
    pub(crate) fn new<H, L>(builder: &ClientBuilder<H>, lane: L) -> Self
    where
        H: ClientHandler,
        L: Lane<Source: Unpin, Sink: Unpin>,
    {
        let shared = Arc::new(Shared::new());
        let on_skipped = builder.on_skipped.clone();
        let service = ClientService::new(Arc::clone(&builder.handler), Arc::clone(&shared), on_skipped);
        let (link, peer) = Link::new(lane, service, builder.limits.clone(), builder.link_timeouts.clone());
        let tasks = TaskScope::new();
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        tasks.spawn(async move {
            link.await;
            drop(end);
        });
        Self { peer, shared, tasks, ended, inputs: false }
    }

    #[cfg(feature = "http")]
    pub(crate) fn answering_inputs(mut self) -> Self {
        self.inputs = true;
        self
    }

    /// Finds out the era, and makes the handshake of the legacy one.
    pub(crate) async fn open<H: ClientHandler>(
        &self,
        builder: &ClientBuilder<H>,
    ) -> Result<ServerInfo, ConnectError> {
        let after = builder.timeouts.handshake;
        let opening = Opening { builder, peer: &self.peer, shared: &self.shared, inputs: self.inputs };
        match timeout(after, opening.open()).await {
            Ok(opened) => opened,
            Err(_) => {
                let source = Timeout { operation: Operation::Handshake, after };
                Err(ConnectError::Timeout { peer: Arc::clone(self.peer.name()), source })
            }
        }
    }

    pub(crate) fn into_client<H>(self, builder: &ClientBuilder<H>, server: ServerInfo) -> Client {
        Client::new(Inner {
            peer: self.peer,
            server,
            shared: self.shared,
            ended: self.ended,
            close_grace: builder.timeouts.close_grace,
            acknowledge: builder.link_timeouts.call.total,
            subscription_limits: builder.subscription_limits.clone(),
            _tasks: self.tasks,
        })
    }
}

struct Opening<'a, H> {
    builder: &'a ClientBuilder<H>,
    peer: &'a Peer,
    shared: &'a Shared,
    inputs: bool,
}

impl<H: ClientHandler> Opening<'_, H> {
    async fn open(&self) -> Result<ServerInfo, ConnectError> {
        match self.probe().await? {
            Detected::Modern { revision, discovered } => {
                if self.inputs {
                    Shared::answer_from_now_on(self.shared);
                }
                self.peer.set_dress(self.modern(revision));
                Ok(ServerInfo::modern(revision, discovered))
            }
            Detected::Legacy(reason) => {
                tracing::debug!(peer = %self.peer.name(), ?reason, "the server is spoken to as a legacy one");
                self.peer.set_dress(CallDress::default());
                self.shared.answer_from_now_on();
                self.handshake().await
            }
            Detected::Incompatible(source) => {
                Err(ConnectError::Incompatible { peer: Arc::clone(self.peer.name()), source })
            }
        }
    }

    fn modern(&self, revision: Revision) -> CallDress {
        CallDress {
            modern: Some(ModernDress {
                revision,
                capabilities: self.builder.capabilities.clone(),
                client_info: self.builder.info.clone(),
            }),
        }
    }

    async fn probe(&self) -> Result<Detected, ConnectError> {
        let builder = self.builder;
        let mut probe = Probe::new(
            Instant::now().into_std(),
            builder.preference,
            builder.revisions.clone(),
            ProbeTimeouts { discover: builder.timeouts.probe.discover.min(FAR) },
        );
        loop {
            match probe.poll_action() {
                Some(ProbeAction::SendDiscover { revision }) => {
                    self.peer.set_dress(self.modern(revision));
                    let call = self.peer.call(method::SERVER_DISCOVER, None, unhurried());
                    let until = probe.poll_timeout().map(Instant::from_std);
                    let answer = match until {
                        Some(until) => tokio::time::timeout_at(until, call).await.ok(),
                        None => Some(call.await),
                    };
                    match answer {
                        // It is there, and it is no `DiscoverResult`.
                        Some(Err(CallError::Malformed { .. })) => probe.handle_answer(Ok(RawJson::null())),
                        Some(Err(CallError::Exchange { source, .. })) => refused(&mut probe, source)?,
                        Some(answer) => probe.handle_answer(self.answered(answer)?),
                        None => probe.handle_timeout(Instant::now().into_std()),
                    }
                }
                Some(ProbeAction::Done(detected)) => return Ok(detected),
                // The handshake follows from what was detected.
                Some(ProbeAction::SendInitialize) => {}
                None => probe.handle_timeout(Instant::now().into_std()),
            }
        }
    }

    async fn handshake(&self) -> Result<ServerInfo, ConnectError> {
        let builder = self.builder;
        let failed = |source| ConnectError::Handshake { peer: Arc::clone(self.peer.name()), source };
        // The deadline of the whole opening is the one that counts here.
        let timeouts = HandshakeTimeouts { initialize: builder.timeouts.handshake.min(FAR) };
        let now = Instant::now().into_std();
        let mut handshake = Handshake::new(now, &builder.revisions, timeouts)
            .map_err(|none| failed(HandshakeError::Malformed(none.to_string())))?;
        loop {
            match handshake.poll_action() {
                Some(HandshakeAction::SendInitialize { revision }) => {
                    let mut params = BytesMut::new();
                    encode::initialize_params(&mut params, revision, &builder.capabilities, &builder.info);
                    let params = RawJson::from_validated(params.freeze());
                    let call = self.peer.call(method::INITIALIZE, Some(params), unhurried());
                    handshake.handle_answer(self.answered(call.await)?);
                }
                Some(HandshakeAction::SendInitialized) => {
                    // A link that has ended says so at the first call.
                    let _ = self.peer.notify(method::INITIALIZED, None).await;
                }
                Some(HandshakeAction::Done(negotiated)) => return Ok(ServerInfo::legacy(*negotiated)),
                Some(HandshakeAction::Failed(source)) => return Err(failed(source)),
                None => handshake.handle_timeout(Instant::now().into_std()),
            }
        }
    }

    /// An answer of the server, be it an error; or what went wrong with the connection.
    fn answered(
        &self,
        answer: Result<RawJson, CallError>,
    ) -> Result<Result<RawJson, ErrorObject>, ConnectError> {
        match answer {
            Ok(result) => Ok(Ok(result)),
            Err(CallError::Answered { error, .. }) => Ok(Err(error)),
            Err(CallError::Exchange { source, .. }) => Err(ConnectError::Exchange(source)),
            Err(lost) => Err(ConnectError::Lost(lost)),
        }
    }
}

/// An HTTP error to `server/discover` may say that the server knows no such thing; other failures end it here.
fn refused(probe: &mut Probe, source: ExchangeError) -> Result<(), ConnectError> {
    if let ExchangeError::Refused { status, body, .. } = &source {
        let limits = EnvelopeLimits { max_message_bytes: body.len(), ..EnvelopeLimits::default() };
        let said = Message::parse(Bytes::copy_from_slice(body.as_bytes()), &limits).ok();
        if probe.handle_http_refusal(*status, said.and_then(|said| said.error())) {
            return Ok(());
        }
    }
    Err(ConnectError::Exchange(source))
}

/// About 30 years: deadlines beyond it cannot be reckoned with.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The handshake has its own deadline, and its requests are never cancelled: a server that does not know them would
/// not know what to do with a cancellation either.
fn unhurried() -> CallOptions {
    let mut options = CallOptions::default();
    options.deadlines = Some(Deadlines { idle: None, total: None });
    options.uncancellable = true;
    options
}
