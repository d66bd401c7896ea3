//! One request on its way to the other side, and what comes back about it.

use std::future::Future;

use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_link::{Call, CallOptions, CancelReason, Context, NotifyError, Peer};
use towpath_mcp::method;

use crate::{Explain, fault, splice::Names};

/// Whoever made a request that is passed on: it hears what is said about it before the answer.
pub(crate) trait Asker: Send + Sync + 'static {
    fn tell(
        &self,
        method: &str,
        params: Option<RawJson>,
    ) -> impl Future<Output = Result<(), NotifyError>> + Send;

    /// Why it does not want the answer any more.
    fn gave_up(&self) -> Option<CancelReason>;
}

impl Asker for Context {
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

/// A request that is in the hands of the other side. Dropped, it is cancelled there, for the reason that its asker gave.
pub(crate) struct Forwarded<A: Asker> {
    asker: A,
    call: Option<Call>,
    names: Names,
}

/// The call that passes a request on as it is. It keeps all that is said about it, up to so many bytes.
pub(crate) fn call(to: &Peer, request: &Message, max_note_bytes: usize) -> Call {
    let method = request.method();
    let mut options = CallOptions::default();
    options.keep_notes = Some(max_note_bytes);
    options.uncancellable = method == method::INITIALIZE;
    options.listen = method == method::SUBSCRIPTIONS_LISTEN;
    to.forward(request, options)
}

impl<A: Asker> Forwarded<A> {
    /// Sends it, if there is a permit for it, else when it is first waited for.
    pub(crate) fn new(asker: A, request: &Message, call: Call) -> Self {
        Self { asker, call: Some(call.start()), names: Names::of(request) }
    }

    /// Passes on everything that comes about it, then gives the result or the error for its asker.
    pub(crate) async fn answer(&mut self, explain: &Explain) -> Result<RawJson, ErrorObject> {
        let Some(call) = &mut self.call else { return Err(fault::reply(&towpath_mcp::Fault::Unanswered)) };
        while let Some(note) = call.notification().await {
            let Some(params) = self.names.note(&note) else {
                tracing::debug!(
                    method = note.method(),
                    "dropped a notification that its request has not asked for"
                );
                continue;
            };
            match self.asker.tell(note.method(), params).await {
                Ok(()) => {}
                Err(error @ (NotifyError::TooLarge(_) | NotifyError::Unsendable(_))) => {
                    tracing::warn!(method = note.method(), %error, "a notification could not be passed on");
                }
                // Nothing can be said any more; the answer has nowhere to go either.
                Err(_) => break,
            }
        }
        match call.answer().await {
            Ok(answer) => Ok(self.names.result(&answer)),
            Err(error) => Err(fault::error(error, explain)),
        }
    }
}

impl<A: Asker> Drop for Forwarded<A> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        if let Some(CancelReason::ByPeer(Some(reason))) = self.asker.gave_up() {
            call.cancel(&reason);
        }
    }
}
