//! What needs no answer: notifications, our own answers, and the DELETE at the end.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::timeout;
use towpath_jsonrpc::Message;
use towpath_raw::Connect;

use super::{
    body::beginning,
    refusal::refused,
    wire::{Sent, Wire},
};

/// A message that needs no answer.
pub(super) struct OneWay {
    pub(super) message: Message,
    pub(super) ordinal: u64,
    pub(super) then: Then,
}

/// What follows when the server has taken it, or has not.
pub(super) enum Then {
    Nothing,
    /// `notifications/initialized`: what comes after it may be sent.
    Ungate,
    /// `notifications/cancelled`: the exchange of the request with this ordinal is closed.
    Close(u64),
}

/// POSTs it, and sees to what follows.
pub(super) async fn post<C: Connect>(wire: Arc<Wire<C>>, one_way: OneWay) {
    let OneWay { message, ordinal: _, then } = one_way;
    // Whatever becomes of the POST, and if it is dropped, too.
    let mut following = Following { wire: &wire, then: Some(then) };
    let exchange = async {
        let mut sent = Sent::default();
        let (mut head, mut body) = wire.post_twice(&message, &mut sent).await?;
        if wire.may_repeat(head.status, &head.headers, &sent).await {
            (head, body) = wire.post(&message, &mut sent).await?;
        }
        if head.status == StatusCode::NOT_FOUND && sent.named {
            // What is said in a session that is gone means nothing in another one.
            wire.shared.lose_session(sent.session, false);
        }
        if head.status.is_success() {
            following.happens(true);
        }
        // Read to its end, the connection can be used again.
        let body = beginning(&mut body, wire.options.limits.max_error_body_bytes).await.unwrap_or_default();
        if head.status.is_success() {
            return Ok(());
        }
        Err(refused(&wire.peer, head.status, &head.headers, &body))
    };
    let lost = match timeout(wire.options.timeouts.post, exchange).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it took longer than {:?} (setting: post)", wire.options.timeouts.post)),
    };
    following.happens(false);
    let Some(reason) = lost else { return };
    let count = wire.shared.count_lost();
    if worth_a_line(count) {
        let what = if message.method().is_empty() { "an answer" } else { message.method() };
        tracing::warn!(peer = %wire.peer, what, %reason, count, "the server has not taken a message");
    }
}

/// Ends a session: best effort, since the server may not allow it, or be gone.
pub(super) async fn delete<C: Connect>(wire: Arc<Wire<C>>, session: towpath_mcp::SessionHeaders) {
    let after = wire.options.timeouts.delete;
    let outcome = timeout(after, wire.delete(&session)).await;
    let status = outcome.ok().and_then(Result::ok).map(|(head, _)| head.status);
    tracing::debug!(peer = %wire.peer, status = ?status.as_ref().map(StatusCode::as_u16), "the session is given up");
}

struct Following<'a, C: Connect> {
    wire: &'a Wire<C>,
    then: Option<Then>,
}

impl<C: Connect> Following<'_, C> {
    fn happens(&mut self, accepted: bool) {
        match self.then.take() {
            Some(Then::Ungate) => self.wire.shared.ungate(accepted),
            Some(Then::Close(request)) => self.wire.shared.abort(request),
            Some(Then::Nothing) | None => {}
        }
    }
}

impl<C: Connect> Drop for Following<'_, C> {
    fn drop(&mut self) {
        self.happens(false);
    }
}

/// The first few, then ever fewer: no peer can fill a disk with our log. All are counted.
pub(super) fn worth_a_line(count: u64) -> bool {
    count <= 8 || count.is_power_of_two()
}
