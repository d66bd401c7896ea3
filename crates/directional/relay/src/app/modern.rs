//! A modern request of a client over HTTP, on the shared lane.

use std::{future::Future, sync::Arc};

use bytes::BytesMut;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::OwnedSemaphorePermit;
use towpath_jsonrpc::{Id, Member, RawJson};
use towpath_link::{CancelReason, NotifyError, Reply};
use towpath_mcp::method;
use towpath_server::Exchange;

use super::shared::Shared;
use crate::{
    RelayOptions,
    forward::{Asker, Forwarded, call},
};

impl Asker for Exchange {
    fn tell(
        &self,
        method: &str,
        params: Option<RawJson>,
    ) -> impl Future<Output = Result<(), NotifyError>> + Send {
        self.notify(method, params)
    }

    fn gave_up(&self) -> Option<CancelReason> {
        self.cancel_reason()
    }
}

/// Passes a request on, and gives what comes of it; a subscription has its seat. Dropped with the response, it is cancelled at the server.
pub(super) fn forward(
    shared: Arc<Shared>,
    exchange: Exchange,
    options: &RelayOptions,
    seat: Option<OwnedSemaphorePermit>,
) -> BoxFuture<'static, Reply> {
    let max_note_bytes = options.limits.max_waiting_note_bytes;
    async move {
        let client = match shared.client().await {
            Ok(client) => client,
            Err(error) => return Reply::Error(error),
        };
        let message = exchange.message();
        let logs = message.span(Member::MetaLogLevel).is_some();
        let call = call(client.peer(), message, max_note_bytes).with(|options| options.takes_logs = logs);
        // The lane is the keeper's.
        drop(client);
        let mut forwarded = Forwarded::new(exchange.clone(), message, call);
        let answer = forwarded.answer(shared.explain());
        let answer = if seat.is_some() {
            tokio::select! {
                // What has come goes before the end; both arms give up nothing that was taken.
                biased;
                answer = answer => answer,
                () = exchange.draining() => return end_subscription(&exchange).await,
            }
        } else {
            answer.await
        };
        match answer {
            Ok(result) => Reply::plain(result),
            Err(error) => Reply::Error(error),
        }
    }
    .boxed()
}

/// The end of a subscription for this side's own reasons: a cancellation, then the result
/// (2026-07-28, basic/patterns/subscriptions, "Graceful Closure").
async fn end_subscription(exchange: &Exchange) -> Reply {
    let mut id = BytesMut::new();
    exchange.id().unwrap_or(&Id::from(0_u64)).write(&mut id);
    let around = |before: &str, after: &str| {
        let mut json = BytesMut::with_capacity(before.len() + id.len() + after.len());
        json.extend_from_slice(before.as_bytes());
        json.extend_from_slice(&id);
        json.extend_from_slice(after.as_bytes());
        RawJson::from_validated(json.freeze())
    };
    // A client that has gone needs no cancellation.
    let cancelled = around(r#"{"requestId":"#, r#","reason":"shutting down"}"#);
    let _ = exchange.notify(method::CANCELLED, Some(cancelled)).await;
    Reply::plain(around(
        r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"#,
        "}}",
    ))
}
