//! Notifications about what is in flight: cancellations, progress, and what subscriptions tell.

use towpath_jsonrpc::{Answer, Found, Id, Member, Message};
use towpath_raw::{ExchangeError, Lane, Route};

use super::{Link, rejects::worth_a_line};
use crate::{
    CancelReason, LinkLimits, Service, begin,
    notes::Overflow,
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
                Found::Unknown if end_subscription(state, &id, message, &self.shared.limits, wakers) => {
                    return;
                }
                _ => {}
            }
        }
        state.stats.cancels_ignored += 1;
    }
}

impl<L: Lane, S: Service> Link<L, S> {
    /// An exchange ended without an answer: so does the call that it carried, and nothing else.
    pub(super) fn exchange_failed(
        &self,
        state: &mut State,
        route: Route,
        error: ExchangeError,
        wakers: &mut Vec<Wake>,
    ) {
        let id = route.number().map(|number| number - 1);
        // A call that went out on another's exchange has a number, too, but none of its own there.
        let call = id.and_then(|id| state.outgoing.get(id)).and_then(|key| state.calls.get(*key));
        let id = call.filter(|call| call.route == route && call.within.is_none()).map(|call| call.id);
        // Not as one that was given up: no answer can come late.
        let Some(Answer::Matched(_, key)) = id.map(|id| state.outgoing.answer(&Id::from(id))) else {
            state.stats.stray_failures += 1;
            return;
        };
        state.stats.failed_exchanges += 1;
        let count = state.stats.failed_exchanges;
        if worth_a_line(count) {
            tracing::debug!(peer = %self.shared.peer, %error, count, "an exchange failed, and its call with it");
        }
        wakers.extend(state.fail_call(key, Failure::Exchange(error)));
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
    if let Err(overflow) = call.notes.push(message, limits) {
        return too_many(state, id, overflow, wakers);
    }
    wakers.extend(call.waker.take().map(Wake::Task));
    state.outgoing.progress(now, id);
}

/// A log message, where calls take them: it names no request, so there must be just one that it can be about
/// (2026-07-28, server/utilities/logging).
pub(super) fn logged(state: &mut State, message: Message, limits: &LinkLimits, wakers: &mut Vec<Wake>) {
    let in_doubt = state.logs.in_doubt_until.is_some_and(|until| std::time::Instant::now() < until);
    let mut takers = state.calls.iter_mut().filter(|(_, call)| call.takes_logs && call.outcome.is_none());
    let (Some((_, call)), None, false) = (takers.next(), takers.next(), in_doubt) else {
        state.stats.stray_notifications += 1;
        return;
    };
    let id = call.id;
    if let Err(overflow) = call.notes.push(message, limits) {
        return too_many(state, id, overflow, wakers);
    }
    wakers.extend(call.waker.take().map(Wake::Task));
}

/// A notification of a subscription of ours (2026-07-28, basic/patterns/subscriptions).
pub(super) fn subscribed(state: &mut State, message: Message, limits: &LinkLimits, wakers: &mut Vec<Wake>) {
    let id = message.raw(Member::MetaSubscriptionId).and_then(|token| Id::parse_token(token).ok()?.as_u64());
    let key = id.and_then(|id| state.outgoing.get_mut(id).copied());
    match key.and_then(|key| state.calls.get_mut(key)) {
        Some(call) if call.listens => {
            let id = call.id;
            if let Err(overflow) = call.notes.push_coalesced(message, limits) {
                return too_many(state, id, overflow, wakers);
            }
            wakers.extend(call.waker.take().map(Wake::Task));
        }
        _ => state.stats.stray_notifications += 1,
    }
}

/// More was told about a call than its caller has read, who wanted all of it: the call fails, and its siblings live on.
fn too_many(state: &mut State, id: u64, Overflow { limit }: Overflow, wakers: &mut Vec<Wake>) {
    let Some(key) = state.outgoing.cancel(id) else { return };
    if let Some(call) = state.calls.get(key) {
        state.logs.gave_up(call);
        let told = call.cancellable.then(|| state.route_of(call));
        if let Some(route) = told {
            begin::push_cancelled(state, id, route, Some("too many notifications wait to be read"));
        }
    }
    wakers.extend(state.fail_call(key, Failure::TooManyNotes { limit }));
}

/// The peer has ended a subscription of ours, if it is one.
fn end_subscription(
    state: &mut State,
    id: &Id,
    message: &Message,
    limits: &LinkLimits,
    wakers: &mut Vec<Wake>,
) -> bool {
    let Some(id) = id.as_u64() else { return false };
    let Some(key) = state.outgoing.get_mut(id).copied() else { return false };
    let Some(call) = state.calls.get_mut(key).filter(|call| call.listens) else { return false };
    if call.notes.keeps_all() {
        // Its caller passes it on, and the result that follows.
        match call.notes.push(message.clone(), limits) {
            Ok(()) => wakers.extend(call.waker.take().map(Wake::Task)),
            Err(overflow) => too_many(state, id, overflow, wakers),
        }
        return true;
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
