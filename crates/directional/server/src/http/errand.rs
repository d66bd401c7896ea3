//! A modern notification: what its handler does goes on after the response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use http::{Response, StatusCode};
use tokio::time::{Instant, sleep_until};
use towpath_jsonrpc::Message;
use towpath_link::{CancelReason, Errand};
use towpath_mcp::{Fault, Revision};
use towpath_raw::{Operation, Timeout};

use super::{
    Exchange, HttpApp, ResponseBody,
    caller::Caller,
    modern::drop_quietly,
    reply::{bare, refusal},
    service::Shared,
};

/// A modern notification: the client hears that it came, and no more.
pub(super) fn notification<A: HttpApp>(
    shared: &Shared<A>,
    message: Message,
    caller: Caller,
) -> Response<ResponseBody> {
    let rules = Revision::LATEST.rules();
    let permit = match shared.request_permit() {
        Ok(permit) => permit,
        Err(fault) => return refusal(None, &fault, rules),
    };
    let limit = shared.timeouts.handler.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
    let limits = shared.exchange_limits();
    let deadline = limit.map(|(until, _)| until.into_std());
    let exchange = Exchange::new(message, None, caller, deadline, limits, Arc::clone(&shared.closing));
    let app = Arc::clone(&shared.app);
    let closing = Arc::clone(&shared.closing);
    let noted = exchange.clone();
    let errand = catch_unwind(AssertUnwindSafe(|| app.notification(exchange)));
    let Ok(errand) = errand else { return refusal(None, &Fault::Internal, rules) };
    let mut errand: BoxFuture<'static, ()> = match errand {
        Errand::Nothing => return bare(StatusCode::ACCEPTED),
        Errand::Run(errand) | Errand::Background(errand) => errand,
    };
    // Polled once: most have nothing to wait for.
    match catch_unwind(AssertUnwindSafe(|| (&mut errand).now_or_never())) {
        Ok(None) => shared.tasks.spawn(async move {
            let _permit = permit;
            let mut errand = AssertUnwindSafe(errand).catch_unwind();
            let reason = tokio::select! {
                // The errand last: one that is always ready to go on leaves a timer no turn.
                biased;
                () = closing.cut.cancelled() => {
                    closing.note_cut();
                    CancelReason::LinkEnded
                }
                timeout = overdue(limit) => CancelReason::Timeout(timeout),
                _ = &mut errand => return,
            };
            // The reason first: what is dropped can ask for it.
            noted.end(Some(reason));
            drop_quietly(errand);
        }),
        Ok(Some(())) => drop_quietly(errand),
        Err(_) => drop_quietly(errand),
    }
    bare(StatusCode::ACCEPTED)
}

/// Waits until the time for a handler is over.
async fn overdue(limit: Option<(Instant, Duration)>) -> Timeout {
    let Some((until, after)) = limit else { return std::future::pending().await };
    sleep_until(until).await;
    Timeout { operation: Operation::Handle, after }
}
