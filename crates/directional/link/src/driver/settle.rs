//! What has ended is settled: answers are queued, deadlines kept.

use std::collections::HashSet;

use tokio::time::Instant;
use towpath_jsonrpc::{Deadline, Key, encode::TAIL};
use towpath_mcp::Fault;
use towpath_raw::{Lane, Operation, Route, Timeout};

use super::Link;
use crate::{
    CancelReason, Phase, Reply, ResultDress, Service, begin,
    begin::Unwritable,
    outbox::Origin,
    state::{Failure, State, Wake},
};

/// How many frames may wait before the first look for those that nobody waits for.
const PRUNE_FRAMES: usize = 64;

impl<L: Lane, S: Service> Link<L, S> {
    /// Settles everything that ended in this round under one lock, and gives the next deadline of a request.
    pub(super) fn settle(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut wakers = Vec::new();
        let mut done = std::mem::take(&mut self.done);
        let shared = std::sync::Arc::clone(&self.shared);
        let (next, room) = {
            let mut state = shared.state.lock();
            state.stats.panics += std::mem::take(&mut self.panics);
            for (key, reply) in done.drain(..) {
                self.answer(&mut state, key, reply);
            }
            self.expire(&mut state, now, &mut wakers);
            let room = self.account(&mut state);
            state.outbox.take_into(&mut self.queue);
            self.prune(&mut state);
            let deadlines = [state.outgoing.poll_timeout(), state.incoming.poll_timeout()];
            (deadlines.into_iter().flatten().min().map(Instant::from_std), room)
        };
        self.done = done;
        if room {
            shared.room.notify_waiters();
        }
        wakers.into_iter().for_each(Wake::wake);
        next
    }

    /// Answers a request of the peer, unless it is no longer wanted.
    fn answer(&mut self, state: &mut State, key: Key, reply: Option<Reply>) {
        let Some((id, request)) = state.finish_request(key) else { return };
        let reply = match request.cancelled {
            None => reply.or_else(|| self.service.reply_to_fault(&Fault::Unanswered).map(Reply::Error)),
            Some(CancelReason::Timeout(timeout)) => {
                let fault = Fault::TimedOut { limit: timeout.after, setting: Operation::Handle.setting() };
                self.service.reply_to_fault(&fault).map(Reply::Error)
            }
            // The peer does not want it, or is not there: nothing more may be said about it.
            Some(_) => None,
        };
        if let Some(batch) = request.batch {
            let (service, limit_bytes) = (&self.service, self.shared.limits.envelope.max_message_bytes);
            let fault = Fault::TooLarge { what: "the answer", limit_bytes, setting: "max_message_bytes" };
            self.batches.answer(state, batch, &id, reply, || service.reply_to_fault(&fault));
            return;
        }
        match reply {
            Some(Reply::Result(result, dress)) => self.push_result(state, &id, request.route, result, &dress),
            Some(Reply::Error(error)) => {
                state.outbox.push_error(Origin::Answer, request.route, Some(&id), &error);
            }
            None => state.outbox.end_exchange(request.route),
        }
    }

    fn push_result(
        &self,
        state: &mut State,
        id: &towpath_jsonrpc::Id,
        route: Route,
        result: towpath_jsonrpc::RawJson,
        dress: &ResultDress,
    ) {
        let pushed = state.outbox.try_push(Origin::Answer, route, TAIL, |out| {
            let body = dress.write_result(out, id, result)?;
            begin::fits(out, &body, &self.shared).map_err(Unwritable::TooLarge)?;
            Ok(body)
        });
        let fault = match pushed {
            Ok(()) => return,
            Err(Unwritable::TooLarge(too_large)) => {
                tracing::warn!(peer = %self.shared.peer, %id, %too_large, "an answer is too large to be sent");
                Fault::TooLarge {
                    what: "the answer",
                    limit_bytes: too_large.limit,
                    setting: "max_message_bytes",
                }
            }
            Err(Unwritable::Encode(error)) => {
                tracing::error!(peer = %self.shared.peer, %id, %error, "a handler's result cannot be sent");
                Fault::Internal
            }
        };
        match self.service.reply_to_fault(&fault) {
            Some(error) => state.outbox.push_error(Origin::Answer, route, Some(id), &error),
            None => state.outbox.end_exchange(route),
        }
    }

    /// Takes out of the queue what nobody waits for any more: requests of calls that were dropped, or "answered" by a
    /// peer that cannot have seen them, and their cancellations. What a peer does not take can grow by nothing else.
    /// It looks when a call was dropped, and when the queue has doubled.
    fn prune(&mut self, state: &mut State) {
        if self.queue.len() < self.prune_at && !std::mem::take(&mut state.withdrawn) {
            return;
        }
        let mut withdrawn = Vec::new();
        let begun = &mut self.begun;
        self.queue.retain(|waits| match waits.origin {
            Origin::Call(id) if state.outgoing.get(id).is_none() => {
                withdrawn.push(id);
                begun.add(waits.origin, waits.frame.len());
                false
            }
            // In the order of the queue, a request stands before its cancellation.
            Origin::Cancellation(id) => withdrawn.binary_search(&id).is_err(),
            _ => true,
        });
        self.prune_at = PRUNE_FRAMES.max(2 * self.queue.len());
    }

    /// Ends what has run into its deadline.
    fn expire(&mut self, state: &mut State, now: Instant, wakers: &mut Vec<Wake>) {
        let now = now.into_std();
        while let Some(expired) = state.outgoing.handle_timeout(now) {
            let operation = match expired.which {
                Deadline::Idle => Operation::ReceiveIdle,
                Deadline::Total => Operation::ReceiveTotal,
            };
            let timeout = Timeout { operation, after: expired.after };
            let taken_back = state.outbox.retract(expired.id) || self.retract(expired.id);
            // What the sink has taken will be written: it must not be repeated as if it were not.
            let phase = if taken_back { Phase::NotSent } else { Phase::OutcomeUnknown };
            if let Some(call) = state.calls.get(expired.value) {
                state.logs.gave_up(call);
            }
            let told = state.calls.get(expired.value).filter(|call| call.cancellable && !taken_back);
            if let Some(route) = told.map(|call| state.route_of(call))
                && self.write_end.is_none()
            {
                begin::push_cancelled(state, expired.id, route, Some("timeout"));
            }
            wakers.extend(state.fail_call(expired.value, Failure::Timeout(timeout, phase)));
        }
        while let Some(overdue) = state.incoming.handle_timeout(now) {
            let timeout = Timeout { operation: Operation::Handle, after: overdue.after };
            state.stats.handler_timeouts += 1;
            wakers.extend(state.cancel_request(overdue.key, CancelReason::Timeout(timeout)));
        }
    }

    /// Takes the request of a call back that the sink has not taken yet.
    fn retract(&mut self, id: u64) -> bool {
        let Some(at) = self.queue.iter().position(|waits| waits.origin == Origin::Call(id)) else {
            return false;
        };
        self.queue.remove(at);
        true
    }

    /// Takes off what the peer has begun to take; whether notifications have room again.
    pub(super) fn account(&mut self, state: &mut State) -> bool {
        let limit = self.shared.limits.notification_queue_bytes;
        let unread = &mut state.outbox.unread;
        let was_full = unread.notification_bytes >= limit;
        unread.subtract(std::mem::take(&mut self.begun));
        self.unread_refusals = unread.refusals;
        was_full && unread.notification_bytes < limit
    }

    /// How far a request got that is ended with the link. What the sink has taken will be written before the lane is
    /// closed, if it goes on to write: then it must not be repeated as if it were not.
    pub(super) fn phase(&self, unsent: &HashSet<u64>, id: u64, writes_on: bool) -> Phase {
        let origin = Origin::Call(id);
        let is_handed = || self.handed.iter().any(|handed| handed.origin == origin);
        if unsent.contains(&id) || (!writes_on && is_handed()) {
            Phase::NotSent
        } else {
            Phase::OutcomeUnknown
        }
    }
}
