//! What sends a listener what has changed: one future for each, run by its lane.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;
use towpath_jsonrpc::{Id, RawJson};
use towpath_link::{Context as LinkContext, ModernResult, NotifyError, Reply, ResultDress};
use towpath_mcp::{Filter, Subscription, encode, method};

#[cfg(feature = "http")]
use crate::Exchange;
use crate::{
    Context, Handler,
    builder::Core,
    hub::{DRAINING, Hub, LegacyMarks, Marks},
    lane::Conversation,
};

/// What a subscription is told on.
pub(crate) enum Told {
    /// A lane, and what is said on it.
    Link(Box<LinkContext>, Arc<Conversation>),
    /// A response of its own.
    #[cfg(feature = "http")]
    Exchange(Exchange),
}

impl Told {
    fn id(&self) -> Option<&Id> {
        match self {
            Told::Link(link, _) => link.id(),
            #[cfg(feature = "http")]
            Told::Exchange(exchange) => exchange.id(),
        }
    }

    async fn send(&self, message: Bytes) -> Result<(), NotifyError> {
        match self {
            Told::Link(link, _) => send(link, message).await,
            #[cfg(feature = "http")]
            Told::Exchange(exchange) => {
                let write = |out: &mut BytesMut| {
                    out.extend_from_slice(&message);
                    Ok(())
                };
                exchange.write(write).await
            }
        }
    }

    /// Whether a drain has begun before the hub knew the subscription.
    fn is_draining(&self) -> bool {
        match self {
            Told::Link(_, conversation) => conversation.is_draining(),
            // It waits for the drain itself.
            #[cfg(feature = "http")]
            Told::Exchange(_) => false,
        }
    }

    /// Waits for a drain that the hub does not tell of.
    async fn draining(&self) {
        match self {
            Told::Link(..) => std::future::pending().await,
            #[cfg(feature = "http")]
            Told::Exchange(exchange) => exchange.draining().await,
        }
    }
}

/// A `subscriptions/listen` request: acknowledged first, then told of changes until the client cancels or the server
/// ends it (2026-07-28, basic/patterns/subscriptions).
pub(crate) async fn modern<H: Handler>(
    core: Arc<Core<H>>,
    told: Told,
    context: Context,
    asked: Filter,
    permit: OwnedSemaphorePermit,
) -> Reply {
    let Some(id) = told.id().cloned() else { return Reply::plain(RawJson::empty_object()) };
    let offered = core.offer(&asked);
    let honoured = match core.handler.listen(offered.clone(), context).await {
        Ok(chosen) => chosen.intersect(&offered),
        Err(error) => return Reply::Error(error),
    };
    let info = core.identity.info.clone();
    let subscription = Subscription::new(id.clone(), honoured, Some(info.clone()));
    let seat = core.hub.join(Marks::Modern(subscription));
    if told.is_draining() {
        // The others were ended before this one had joined them.
        seat.with(|marks| marks.end(DRAINING));
    }
    let mut draining = false;
    loop {
        let (next, done) = seat.with(|marks| match marks {
            Marks::Modern(subscription) => (subscription.poll_notification(), subscription.is_done()),
            Marks::Legacy(_) => (None, true),
        });
        if done {
            // The last message is the answer, which is sent like any other.
            drop(permit);
            let dress = ModernResult { server_info: Some(info), subscription: Some(id), cache: None };
            return Reply::Result(RawJson::empty_object(), ResultDress { modern: Some(dress) });
        }
        match next {
            // While a notification waits for room, further changes only mark the flags.
            Some(message) => {
                if told.send(message).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None => tokio::select! {
                // Both are cancel safe. The drain is looked at first, and only until it was seen.
                biased;
                () = told.draining(), if !draining => {
                    draining = true;
                    seat.with(|marks| marks.end(DRAINING));
                }
                () = seat.changed() => {}
            },
        }
    }
}

/// The change notifications of a legacy session, from `notifications/initialized` to its end.
pub(crate) async fn legacy(hub: Arc<Hub>, marks: LegacyMarks, link: LinkContext) {
    let seat = hub.join(Marks::Legacy(marks));
    loop {
        let next = seat.with(|marks| match marks {
            Marks::Legacy(marks) => next_legacy(marks),
            Marks::Modern(_) => None,
        });
        match next {
            Some(message) => {
                if send(&link, message).await.is_err() {
                    return;
                }
            }
            None => seat.changed().await,
        }
    }
}

fn next_legacy(marks: &mut LegacyMarks) -> Option<Bytes> {
    let mut out = BytesMut::new();
    let kinds = [method::TOOLS_LIST_CHANGED, method::PROMPTS_LIST_CHANGED, method::RESOURCES_LIST_CHANGED];
    for (dirty, method) in marks.kinds.iter_mut().zip(kinds) {
        if std::mem::take(dirty) {
            encode::list_changed(&mut out, method, None);
            return Some(out.freeze());
        }
    }
    let uri = marks.pop_uri()?;
    encode::resource_updated(&mut out, &uri, None);
    Some(out.freeze())
}

async fn send(link: &LinkContext, message: Bytes) -> Result<(), NotifyError> {
    link.write(|out| {
        out.extend_from_slice(&message);
        Ok(())
    })
    .await
}
