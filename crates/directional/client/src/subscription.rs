//! Being told of changes, in both eras.

use std::{collections::BTreeSet, sync::Arc};

use bytes::BytesMut;
use tokio::time::timeout;
use towpath_jsonrpc::{Member, Message, RawJson};
use towpath_link::{Call, CallError, CallOptions, LinkEnd, Phase};
use towpath_mcp::{Era, Filter, method};
use towpath_raw::{Operation, Timeout};

use crate::{Client, ListenError, listeners::Seat};

/// Something has changed since the last event of the same kind; how often, nobody counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The list of tools.
    ToolsChanged,
    /// The list of prompts.
    PromptsChanged,
    /// The list of resources.
    ResourcesChanged,
    /// The resource with this URI.
    ResourceUpdated(String),
}

/// A stream of changes: `subscriptions/listen` on a modern server, subscribed resources and the session's own
/// notifications on a legacy one.
///
/// # Cancel safety
///
/// Dropped, a modern subscription is cancelled on the wire. A legacy one is forgotten here; to tell the server, use
/// [`Subscription::close`].
#[must_use = "a subscription ends when it is dropped"]
pub struct Subscription {
    client: Client,
    honoured: Filter,
    source: Source,
}

enum Source {
    Modern(Box<Call>),
    Legacy(Seat),
    Ended,
}

impl Subscription {
    pub(crate) async fn open(client: &Client, filter: &Filter) -> Result<Self, ListenError> {
        match client.server().revision.era() {
            Era::Modern => Self::open_modern(client, filter).await,
            Era::Legacy => Self::open_legacy(client, filter).await,
        }
    }

    async fn open_modern(client: &Client, filter: &Filter) -> Result<Self, ListenError> {
        let mut params = BytesMut::from(&b"{\"notifications\":"[..]);
        filter.write(&mut params);
        params.extend_from_slice(b"}");
        let mut options = CallOptions::default();
        options.listen = true;
        let params = RawJson::from_validated(params.freeze());
        let mut call = client.call_with(method::SUBSCRIPTIONS_LISTEN, Some(params), options);
        let peer = || Arc::clone(client.peer().name());
        // The acknowledgement comes first (2026-07-28, basic/patterns/subscriptions, "Acknowledgment").
        let Some(first) = acknowledgement(client, &mut call).await? else {
            let answer = call.await?;
            return Err(ListenError::NotAcknowledged { peer: peer(), answer });
        };
        let acknowledged = first.method() == method::SUBSCRIPTIONS_ACKNOWLEDGED;
        let honoured = Filter::parse(first.params().as_ref(), client.subscription_limits());
        match honoured {
            Ok(honoured) if acknowledged => {
                let source = Source::Modern(Box::new(call));
                Ok(Self { client: client.clone(), honoured, source })
            }
            _ => Err(ListenError::Malformed { peer: peer() }),
        }
    }

    async fn open_legacy(client: &Client, filter: &Filter) -> Result<Self, ListenError> {
        // Listening begins before the server knows, so that nothing is missed.
        let seat = Seat::take(client.shared(), filter.clone());
        let mut subscribed = Filter { uris: BTreeSet::new(), ..filter.clone() };
        for uri in &filter.uris {
            let params = Some(uri_params(uri));
            match client.call_with(method::RESOURCES_SUBSCRIBE, params, CallOptions::default()).await {
                Ok(_) => subscribed.uris.insert(uri.clone()),
                Err(error) => {
                    drop(seat);
                    // All or nothing. Whether this works changes nothing about the error.
                    let _ = unsubscribe(client, &subscribed).await;
                    return Err(error.into());
                }
            };
        }
        Ok(Self { client: client.clone(), honoured: subscribed, source: Source::Legacy(seat) })
    }

    /// What the server agreed to tell; it can be less than what was asked for. A legacy server is not asked about the
    /// lists: it tells what it declares.
    pub fn honoured(&self) -> &Filter {
        &self.honoured
    }

    /// The next change; `None` when the server has ended the subscription.
    ///
    /// # Errors
    ///
    /// How the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no event.
    pub async fn next(&mut self) -> Result<Option<Event>, CallError> {
        match &mut self.source {
            Source::Modern(call) => {
                while let Some(note) = call.notification().await {
                    if let Some(event) = event(&note) {
                        return Ok(Some(event));
                    }
                }
                let Source::Modern(call) = std::mem::replace(&mut self.source, Source::Ended) else {
                    return Ok(None);
                };
                match (*call).await {
                    Ok(_) | Err(CallError::EndedByPeer { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Source::Legacy(seat) => {
                let peer = self.client.peer();
                // Both are cancel safe; a change that came before the end is told first.
                tokio::select! {
                    biased;
                    event = seat.next() => Ok(Some(event)),
                    end = peer.closed() => Err(ended(peer.name(), end)),
                }
            }
            Source::Ended => Ok(None),
        }
    }

    /// Ends the subscription, and waits until a legacy server has been told.
    ///
    /// # Errors
    ///
    /// How a legacy server refused.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the subscription has ended here, and a legacy server may go on to tell of some resources.
    pub async fn close(mut self) -> Result<(), CallError> {
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Legacy(seat) => {
                drop(seat);
                unsubscribe(&self.client, &self.honoured).await
            }
            Source::Modern(_) | Source::Ended => Ok(()),
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("honoured", &self.honoured).finish_non_exhaustive()
    }
}

/// The first notification of a subscription; `None` when the answer came instead.
async fn acknowledgement(client: &Client, call: &mut Call) -> Result<Option<Message>, CallError> {
    let Some(after) = client.acknowledge_within() else { return Ok(call.notification().await) };
    timeout(after, call.notification()).await.map_err(|_| CallError::Timeout {
        peer: Arc::clone(client.peer().name()),
        method: Arc::from(method::SUBSCRIPTIONS_LISTEN),
        source: Timeout { operation: Operation::ReceiveTotal, after },
        phase: Phase::OutcomeUnknown,
    })
}

/// Tells a legacy server that resources are not wanted any more, unless another subscription of this client wants them:
/// the server keeps one for the whole session.
async fn unsubscribe(client: &Client, filter: &Filter) -> Result<(), CallError> {
    for uri in &filter.uris {
        if !client.shared().listeners.want(uri) {
            let params = Some(uri_params(uri));
            client.call_with(method::RESOURCES_UNSUBSCRIBE, params, CallOptions::default()).await?;
        }
    }
    Ok(())
}

fn ended(peer: &Arc<str>, end: LinkEnd) -> CallError {
    CallError::Closed {
        peer: Arc::clone(peer),
        method: Arc::from("a subscription"),
        end,
        phase: Phase::OutcomeUnknown,
    }
}

fn event(note: &Message) -> Option<Event> {
    match note.method() {
        method::TOOLS_LIST_CHANGED => Some(Event::ToolsChanged),
        method::PROMPTS_LIST_CHANGED => Some(Event::PromptsChanged),
        method::RESOURCES_LIST_CHANGED => Some(Event::ResourcesChanged),
        method::RESOURCES_UPDATED => {
            note.string(Member::Uri).map(|uri| Event::ResourceUpdated(uri.into_owned()))
        }
        _ => None,
    }
}

fn uri_params(uri: &str) -> RawJson {
    let mut params = BytesMut::from(&b"{\"uri\":"[..]);
    towpath_jsonrpc::encode::write_string(&mut params, uri);
    params.extend_from_slice(b"}");
    RawJson::from_validated(params.freeze())
}
