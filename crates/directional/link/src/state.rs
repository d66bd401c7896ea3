//! What the driver of a link and the handles to it share.
//!
//! One lock around pure state: it is held for a few instructions, never across an await, and nobody is woken
//! or dropped while it is held.

use std::{
    collections::HashMap,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use slab::Slab;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use towpath_buffer::BufferPool;
use towpath_jsonrpc::{CorrelationLimits, Id, Incoming, Key, Message, Outgoing};
use towpath_raw::{ExchangeError, Level, MessageTooLarge, Mutex, Route, Timeout};

use crate::{
    CancelReason, LinkEnd, LinkLimits, LinkTimeouts, Phase, call::Nested, cancel::CancelCell,
    dress::CallDress, notes::Notes, outbox::Outbox, stats::LinkStats,
};

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// A permit for each call in flight.
    permits: Arc<Semaphore>,
    /// A permit for each call in flight that a handler made.
    nested_permits: Arc<Semaphore>,
    /// Told when notifications have left the outbox.
    pub(crate) room: Notify,
    /// Cancelled once nothing runs any more.
    pub(crate) over: CancellationToken,
    pub(crate) limits: LinkLimits,
    pub(crate) timeouts: LinkTimeouts,
    pub(crate) peer: Arc<str>,
}

pub(crate) struct State {
    /// Calls of ours that somebody still holds, answered or not.
    pub(crate) calls: Slab<CallEntry>,
    /// Which of them each id in flight belongs to.
    pub(crate) outgoing: Outgoing<usize>,
    /// Which id in flight a progress token belongs to, for the tokens that callers set themselves.
    pub(crate) tokens: HashMap<Id, u64>,
    /// The peer's requests in flight.
    pub(crate) incoming: Incoming<RequestEntry>,
    /// Subscriptions of the peer: requests without a deadline.
    pub(crate) listens: Vec<Key>,
    pub(crate) outbox: Outbox,
    /// A call was dropped whose request may still wait to be written.
    pub(crate) withdrawn: bool,
    /// The driver, when it sleeps.
    pub(crate) driver: Option<Waker>,
    pub(crate) dress: CallDress,
    /// The peer opens the exchanges of this lane, so that none of them is for a call of ours.
    pub(crate) peer_opens: bool,
    pub(crate) logs: LogTaking,
    /// Set once no call can be answered any more.
    pub(crate) ended: Option<LinkEnd>,
    /// Set once nothing runs any more.
    pub(crate) over: bool,
    pub(crate) closing: Option<Closing>,
    pub(crate) stats: LinkStats,
}

/// Which call a log message is about that names none.
#[derive(Debug, Default)]
pub(crate) struct LogTaking {
    /// Some call of this link takes such messages, or has taken them.
    pub(crate) are_taken: bool,
    /// A call that took them was given up, and what the peer says until then may still be about that one.
    pub(crate) in_doubt_until: Option<Instant>,
}

/// Our side has asked for the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    /// How long what is in flight may go on.
    pub(crate) grace: Duration,
}

pub(crate) struct CallEntry {
    pub(crate) id: u64,
    /// The exchange that it is part of.
    pub(crate) route: Route,
    /// The request of the peer whose exchange that is, if it is not the call's own.
    pub(crate) within: Option<Key>,
    pub(crate) waker: Option<Waker>,
    pub(crate) notes: Notes,
    pub(crate) outcome: Option<Result<Message, Failure>>,
    pub(crate) cancellable: bool,
    /// A subscription: its notifications coalesce, and the peer may end it.
    pub(crate) listens: bool,
    /// Log messages that name no request are about this call, if it is the only one that takes them.
    pub(crate) takes_logs: bool,
    /// The progress token that the caller had set himself, if it is not our id.
    pub(crate) callers_token: Option<Id>,
}

/// Why a call ended without an answer; the call itself knows whom it asked for what.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Timeout(Timeout, Phase),
    Closed(LinkEnd, Phase),
    TooLarge(MessageTooLarge),
    /// The peer ended a subscription of ours.
    EndedByPeer,
    /// More was told about it than is kept, and all was to be kept.
    TooManyNotes {
        limit: usize,
    },
    /// A handler's call, with no permit left for it.
    TooManyCalls {
        limit: usize,
    },
    /// The answer was passed over.
    AnswerTooLarge(MessageTooLarge),
    /// The exchange that carried it failed.
    Exchange(ExchangeError),
    /// The answer was no JSON-RPC message.
    Malformed(Arc<str>),
}

/// Whom a change concerns; to be told after the lock.
pub(crate) enum Wake {
    /// A task that waits for it.
    Task(Waker),
    /// Whoever asked to be told that a request is no longer wanted.
    Cancelled(Arc<CancelCell>, CancelReason),
}

impl Wake {
    pub(crate) fn wake(self) {
        match self {
            Wake::Task(waker) => waker.wake(),
            Wake::Cancelled(cell, reason) => cell.set(reason),
        }
    }
}

/// A request of the peer in flight.
#[derive(Default)]
pub(crate) struct RequestEntry {
    /// The handler, once it waits.
    pub(crate) waker: Option<Waker>,
    pub(crate) cancelled: Option<CancelReason>,
    /// Made when somebody asks to be told.
    pub(crate) cell: Option<Arc<CancelCell>>,
    pub(crate) deadline: Option<Instant>,
    /// `initialize` is never cancelled.
    pub(crate) uncancellable: bool,
    /// The exchange that it came on.
    pub(crate) route: Route,
    /// The batch that its answer belongs into.
    pub(crate) batch: Option<usize>,
}

impl Shared {
    pub(crate) fn new(peer: Arc<str>, limits: LinkLimits, timeouts: LinkTimeouts, pool: BufferPool) -> Self {
        let permits = limits.calls.max_in_flight.min(Semaphore::MAX_PERMITS);
        let incoming = CorrelationLimits { max_in_flight: limits.max_requests_from_peer, max_tombstones: 0 };
        // The permits keep each kind of call within its limit; the table has room for both.
        let both = CorrelationLimits {
            max_in_flight: limits.calls.max_in_flight.saturating_mul(2),
            ..limits.calls.clone()
        };
        let state = State {
            calls: Slab::new(),
            outgoing: Outgoing::new(&both),
            tokens: HashMap::new(),
            incoming: Incoming::new(&incoming),
            listens: Vec::new(),
            outbox: Outbox::new(pool),
            withdrawn: false,
            driver: None,
            dress: CallDress::default(),
            logs: LogTaking::default(),
            peer_opens: false,
            ended: None,
            over: false,
            closing: None,
            stats: LinkStats::default(),
        };
        Self {
            state: Mutex::new(Level::Session, "Link::state", state),
            permits: Arc::new(Semaphore::new(permits)),
            nested_permits: Arc::new(Semaphore::new(permits)),
            room: Notify::new(),
            over: CancellationToken::new(),
            limits,
            timeouts,
            peer,
        }
    }

    pub(crate) fn permits(&self, nested: bool) -> Arc<Semaphore> {
        Arc::clone(if nested { &self.nested_permits } else { &self.permits })
    }

    /// No call gets a permit any more.
    pub(crate) fn close_permits(&self) {
        self.permits.close();
        self.nested_permits.close();
    }

    /// Changes the state, then wakes the driver if it sleeps.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (outcome, driver) = {
            let mut state = self.state.lock();
            let outcome = change(&mut state);
            (outcome, state.driver.take())
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        outcome
    }
}

impl LogTaking {
    /// Notes that a call is given up: the peer may not know yet, and still speak about it.
    pub(crate) fn gave_up(&mut self, call: &CallEntry) {
        if call.takes_logs && call.outcome.is_none() {
            self.in_doubt_until = Instant::now().checked_add(LOG_DOUBT);
        }
    }
}

/// How long what a peer logs may be about a call that was given up.
const LOG_DOUBT: Duration = Duration::from_secs(10);

impl State {
    /// The exchange that a new call goes out on, and the request whose exchange that is: that of the request which it
    /// is made for, as long as that is in flight and came on one; else its own, which has its number.
    pub(crate) fn route_for(&self, id: u64, nested: Option<Nested>) -> (Route, Option<Key>) {
        if let Some(Nested { request: Some(key), route }) = nested
            && route != Route::LANE
            && self.incoming.get(key).is_some()
        {
            return (route, Some(key));
        }
        (if self.peer_opens { Route::LANE } else { Route::new(id + 1) }, None)
    }

    /// The exchange that what is said about a call goes to: none, once the one that it went out on has ended.
    pub(crate) fn route_of(&self, call: &CallEntry) -> Route {
        let ended = call.within.is_some_and(|key| self.incoming.get(key).is_none());
        if ended { Route::LANE } else { call.route }
    }

    /// Forgets a call that nobody holds any more.
    pub(crate) fn remove_call(&mut self, key: usize) -> Option<CallEntry> {
        let call = self.calls.try_remove(key)?;
        if let Some(token) = &call.callers_token
            && self.tokens.get(token) == Some(&call.id)
        {
            self.tokens.remove(token);
        }
        Some(call)
    }

    /// Ends a call without an answer and gives the waker of whoever waits for it.
    pub(crate) fn fail_call(&mut self, key: usize, failure: Failure) -> Option<Wake> {
        let call = self.calls.get_mut(key)?;
        call.outcome = Some(Err(failure));
        call.waker.take().map(Wake::Task)
    }

    /// Ends all calls in flight and refuses further ones; gives the wakers of those who wait. `phase` knows which
    /// of them were sent.
    pub(crate) fn end_calls(&mut self, end: &LinkEnd, phase: impl Fn(u64) -> Phase) -> Vec<Wake> {
        if self.ended.is_none() {
            self.ended = Some(end.clone());
        }
        let in_flight: Vec<_> = self.outgoing.drain().collect();
        let mut wakers = Vec::with_capacity(in_flight.len());
        for (id, key) in in_flight {
            let phase = phase(id);
            wakers.extend(self.fail_call(key, Failure::Closed(end.clone(), phase)));
        }
        wakers
    }

    /// The id of the one call that an answer without one can be for, if there is just one: no other is in flight, and no
    /// answer to one that was given up is still to come.
    pub(crate) fn lone_call(&self) -> Option<u64> {
        let answers = self.outgoing.stats();
        let given_up = answers.cancelled + answers.timed_out;
        if self.outgoing.len() != 1 || given_up > answers.late {
            return None;
        }
        let mut waiting = self.calls.iter().filter(|(_, call)| call.outcome.is_none());
        waiting.next().map(|(_, call)| call.id)
    }

    /// Ends a request of the peer, with the id that its answer must have.
    pub(crate) fn finish_request(&mut self, key: Key) -> Option<(Id, RequestEntry)> {
        if let Some(at) = self.listens.iter().position(|listens| *listens == key) {
            self.listens.swap_remove(at);
        }
        self.incoming.finish(key)
    }

    /// Marks a request of the peer as no longer wanted; its handler is dropped when it is next polled.
    pub(crate) fn cancel_request(
        &mut self,
        key: Key,
        reason: CancelReason,
    ) -> impl Iterator<Item = Wake> + use<> {
        let request = self.incoming.get_mut(key).filter(|request| request.cancelled.is_none());
        let told = request.map(|request| {
            let cell = request.cell.clone().map(|cell| Wake::Cancelled(cell, reason.clone()));
            request.cancelled = Some(reason);
            [cell, request.waker.take().map(Wake::Task)]
        });
        told.into_iter().flatten().flatten()
    }
}
