//! What sends a listener what has changed: one future for each, run by its lane.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use towpath_jsonrpc::RawJson;
use towpath_link::{Context as LinkContext, ModernResult, NotifyError, Reply, ResultDress};
use towpath_mcp::{Filter, Subscription, encode, method};

use crate::{
    Context, Handler,
    builder::Core,
    hub::{DRAINING, Hub, LegacyMarks, Marks},
    lane::Conversation,
};

/// A `subscriptions/listen` request: acknowledged first, then told of changes until the client cancels or the server
/// ends it (2026-07-28, basic/patterns/subscriptions).
pub(crate) async fn modern<H: Handler>(
    core: Arc<Core<H>>,
    link: LinkContext,
    conversation: Arc<Conversation>,
    context: Context,
    asked: Filter,
    permit: OwnedSemaphorePermit,
) -> Reply {
    let Some(id) = link.id().cloned() else { return Reply::plain(RawJson::empty_object()) };
    let offered = core.offer(&asked);
    let honoured = match core.handler.listen(offered.clone(), context).await {
        Ok(chosen) => chosen.intersect(&offered),
        Err(error) => return Reply::Error(error),
    };
    let info = core.identity.info.clone();
    let subscription = Subscription::new(id.clone(), honoured, Some(info.clone()));
    let seat = core.hub.join(Marks::Modern(subscription));
    if conversation.is_draining() {
        // The others were ended before this one had joined them.
        seat.with(|marks| marks.end(DRAINING));
    }
    loop {
        let (next, done) = seat.with(|marks| match marks {
            Marks::Modern(subscription) => (subscription.poll_notification(), subscription.is_done()),
            Marks::Legacy(_) => (None, true),
        });
        if done {
            // The last message is the answer, which the link sends itself.
            drop(permit);
            let dress = ModernResult { server_info: Some(info), subscription: Some(id), cache: None };
            return Reply::Result(RawJson::empty_object(), ResultDress { modern: Some(dress) });
        }
        match next {
            // While a notification waits for room, further changes only mark the flags.
            Some(message) => {
                if send(&link, message).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None => seat.changed().await,
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
    let mut out = bytes::BytesMut::new();
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
