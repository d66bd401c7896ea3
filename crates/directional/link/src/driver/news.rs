//! Notifications about what is in flight: cancellations, progress, and what subscriptions tell.

use towpath_jsonrpc::{Found, Id, Member, Message};
use towpath_raw::Lane;

use super::Link;
use crate::{
    CancelReason, LinkLimits, Service,
    state::{Failure, State, Wake},
};

impl<L: Lane, S: Service> Link<L, S> {
    /// The peer does not want the answer to its request any more, or has ended a subscription of ours.
    pub(super) fn cancelled(&self, state: &mut State, message: &Message, wakers: &mut Vec<Wake>) {
        let id = message.raw(Member::RequestId).and_then(|token| Id::parse_token(token).ok());
        let reason = reason(message);
        if let Some(id) = id {
            match state.incoming.find(&id) {
                Found::One(key) if state.incoming.get(key).is_some_and(|r| !r.uncancellable) => {
                    state.stats.cancelled += 1;
                    tracing::debug!(peer = %self.shared.peer, %id, ?reason, "the peer cancelled a request");
                    wakers.extend(state.cancel_request(key, CancelReason::ByPeer(reason)));
                    return;
                }
                Found::Unknown if end_subscription(state, &id, wakers) => return,
                _ => {}
            }
        }
        state.stats.cancels_ignored += 1;
    }
}

/// Progress of a call of ours; it restarts the idle deadline.
pub(super) fn progress(
    state: &mut State,
    now: std::time::Instant,
    message: Message,
    limits: &LinkLimits,
    wakers: &mut Vec<Wake>,
) {
    let token = message.raw(Member::ProgressToken).and_then(|token| Id::parse_token(token).ok());
    let id = token.and_then(|token| state.tokens.get(&token).copied().or_else(|| token.as_u64()));
    let key = id.and_then(|id| state.outgoing.get_mut(id).copied());
    let (Some(id), Some(call)) = (id, key.and_then(|key| state.calls.get_mut(key))) else {
        state.stats.stray_notifications += 1;
        return;
    };
    call.notes.push(message, limits);
    wakers.extend(call.waker.take().map(Wake::Task));
    state.outgoing.progress(now, id);
}

/// A notification of a subscription of ours (2026-07-28, basic/patterns/subscriptions).
pub(super) fn subscribed(state: &mut State, message: Message, limits: &LinkLimits, wakers: &mut Vec<Wake>) {
    let id = message.raw(Member::MetaSubscriptionId).and_then(|token| Id::parse_token(token).ok()?.as_u64());
    let key = id.and_then(|id| state.outgoing.get_mut(id).copied());
    match key.and_then(|key| state.calls.get_mut(key)) {
        Some(call) if call.listens => {
            call.notes.push_coalesced(message, limits);
            wakers.extend(call.waker.take().map(Wake::Task));
        }
        _ => state.stats.stray_notifications += 1,
    }
}

/// The peer has ended a subscription of ours, if it is one.
fn end_subscription(state: &mut State, id: &Id, wakers: &mut Vec<Wake>) -> bool {
    let Some(id) = id.as_u64() else { return false };
    let Some(key) = state.outgoing.get_mut(id).copied() else { return false };
    if !state.calls.get(key).is_some_and(|call| call.listens) {
        return false;
    }
    state.outgoing.cancel(id);
    wakers.extend(state.fail_call(key, Failure::EndedByPeer));
    true
}

/// Why the peer cancels, for logs; it may leave it out.
fn reason(message: &Message) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Params {
        reason: Option<String>,
    }
    message.params()?.deserialize::<Params>().ok()?.reason
}
