//! A request of ours: a future of its answer, and a stream of the notifications before it.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt, Stream, future::BoxFuture};
use tokio::{
    sync::{OwnedSemaphorePermit, TryAcquireError},
    time::{Instant, timeout_at},
};
use towpath_jsonrpc::{Deadlines, Key, Kind, Member, Message, RawJson};
use towpath_mcp::LogLevel;
use towpath_raw::{Operation, Route, Timeout};

use crate::{
    CallError, LinkEnd, Phase, begin,
    driver::DETACHED_BYTES,
    state::{Failure, Shared, State},
};

/// What a call may ask for beside its method and params.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// Deadlines of this call; `None`: those of the link.
    pub deadlines: Option<Deadlines>,
    /// Whether the peer is asked to report progress. It always is when an idle deadline is set.
    pub progress: bool,
    /// From which level on the peer may send log messages for this request (modern peers).
    pub log_level: Option<LogLevel>,
    /// `initialize` is never cancelled, whatever becomes of its call.
    pub uncancellable: bool,
    /// A subscription: no deadline but the one that is set here, and equal notifications coalesce.
    pub listen: bool,
    /// For relays: the params go out as they are, and what the link would add to them is left out, whatever else is set
    /// here. Only a progress token in their `_meta` becomes the number of this call, so that two clients whose requests
    /// are relayed may use the same one; the notifications that come back carry that number.
    pub verbatim: bool,
    /// For relays: no notification before the answer is replaced or dropped, whatever the limits of the link say. So
    /// many bytes may wait for the caller, or one notification if that is larger; one more, and the call fails with
    /// [`CallError::TooManyNotes`] and is cancelled on the wire. A subscription that the peer ends gives the
    /// `notifications/cancelled` as its last notification, and ends with its result.
    pub keep_notes: Option<usize>,
    /// For relays that share a modern peer between clients: a log message names no request, and is about this one if no
    /// other call takes them; [`Call::notification`] gives it then. One that could be about several calls, or about one
    /// that was given up within the last 10 s, is dropped and counted: it must not reach the wrong client.
    pub takes_logs: bool,
}

pub(crate) struct Request {
    pub(crate) method: Cow<'static, str>,
    pub(crate) params: Option<RawJson>,
    pub(crate) options: CallOptions,
    /// Where in the params the progress token is, if that is known already.
    pub(crate) token: Option<Token>,
    /// Made by a handler: it must not wait for a permit that another handler holds.
    pub(crate) nested: Option<Nested>,
}

/// Where in the params the value of `_meta.progressToken` is; `None` if there is none.
pub(crate) type Token = Option<Range<usize>>;

impl Request {
    /// A request that a caller makes.
    pub(crate) fn new(
        method: Cow<'static, str>,
        params: Option<RawJson>,
        options: CallOptions,
        nested: Option<Nested>,
    ) -> Self {
        Self { method, params, options, token: None, nested }
    }

    /// One that came from elsewhere, to be passed on as it is. Its index knows where the token is.
    pub(crate) fn forwarded(message: &Message, mut options: CallOptions, nested: Option<Nested>) -> Self {
        options.verbatim = true;
        let params = message.span(Member::Params).map_or(0, |span| span.start);
        let token = message.span(Member::MetaProgressToken);
        let token = Some(token.map(|span| span.start - params..span.end - params));
        let method = Cow::Owned(message.method().to_owned());
        Self { method, params: message.params(), options, token, nested }
    }
}

/// What a handler's call is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nested {
    /// `None` for a notification.
    pub(crate) request: Option<Key>,
    /// The exchange that the request came on.
    pub(crate) route: Route,
}

/// A request of ours. Await it for the answer; before that, [`Call::notification`] gives what comes first.
///
/// Nothing is sent before it is first polled, or [`Call::start`]ed.
///
/// # Cancel safety
///
/// Dropping a call cancels it: a request that is still queued is taken back, and for one that was sent the
/// peer gets `notifications/cancelled` (2026-07-28, basic/patterns/cancellation).
#[must_use = "a call is sent when it is polled, and cancelled when it is dropped"]
pub struct Call {
    shared: Arc<Shared>,
    method: Cow<'static, str>,
    stage: Stage,
}

enum Stage {
    New(Request),
    /// As many calls as may be are in flight.
    Waiting(Request, BoxFuture<'static, Option<OwnedSemaphorePermit>>, Patience),
    InFlight {
        key: usize,
        _permit: OwnedSemaphorePermit,
    },
    /// It could not be sent; the error is still to be told.
    Failed(CallError),
    Ended,
}

/// How long a call waits for its permit: the time counts towards its total deadline.
#[derive(Clone, Copy)]
struct Patience {
    since: Instant,
    limit: Option<Timeout>,
}

impl Call {
    pub(crate) fn new(shared: Arc<Shared>, request: Request) -> Self {
        Self { shared, method: request.method.clone(), stage: Stage::New(request) }
    }

    /// A call that fails without being sent.
    pub(crate) fn failed(shared: Arc<Shared>, method: Cow<'static, str>, reason: &str) -> Self {
        let error = begin::unsendable(&shared, &method, reason);
        Self { shared, method, stage: Stage::Failed(error) }
    }

    /// The same call with other options, unless it has been sent already.
    pub fn with(mut self, change: impl FnOnce(&mut CallOptions)) -> Self {
        if let Stage::New(request) = &mut self.stage {
            change(&mut request.options);
        }
        self
    }

    /// Asks the peer to report progress; [`Call::notification`] gives it.
    pub fn with_progress(self) -> Self {
        self.with(|options| options.progress = true)
    }

    /// With a total deadline of its own; `None`: for ever.
    pub fn with_total(self, total: Option<Duration>) -> Self {
        let default = self.shared.timeouts.call;
        self.with(|options| options.deadlines.get_or_insert(default).total = total)
    }

    /// With an idle deadline of its own, which progress restarts; it asks for progress, too. `None`: off.
    pub fn with_idle(self, idle: Option<Duration>) -> Self {
        let default = self.shared.timeouts.call;
        self.with(|options| options.deadlines.get_or_insert(default).idle = idle)
    }

    /// Sends the request now, if there is a permit for it, rather than at the first poll.
    pub fn start(mut self) -> Self {
        if let Stage::New(request) = std::mem::replace(&mut self.stage, Stage::Ended) {
            self.stage = match self.shared.permits(request.nested.is_some()).try_acquire_owned() {
                Ok(permit) => self.begin(request, permit),
                Err(_) => Stage::New(request),
            };
        }
        self
    }

    /// The id under which the request is in flight.
    pub fn id(&self) -> Option<u64> {
        let Stage::InFlight { key, .. } = self.stage else { return None };
        self.shared.state.lock().calls.get(key).map(|call| call.id)
    }

    /// The next notification about this request: progress, and for a subscription what it reports. `None` once
    /// the answer is there and all of them are taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes none.
    pub async fn notification(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_notification(cx)).await
    }

    /// The whole message that the peer answered with, where awaiting the call gives its `result` alone: for whoever
    /// passes it on.
    ///
    /// # Errors
    ///
    /// Those of the call: an error that the peer answered with is [`CallError::Answered`], with the object as it came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no answer, and cancels nothing. The answer can be taken once.
    pub async fn answer(&mut self) -> Result<Message, CallError> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// Cancels the call, as dropping it does, and tells the peer why.
    pub fn cancel(mut self, reason: &str) {
        self.give_up(Some(reason));
    }

    fn give_up(&mut self, reason: Option<&str>) {
        let Stage::InFlight { key, .. } = self.stage else { return };
        let entry = self.shared.change(|state| cancel(state, key, reason));
        self.stage = Stage::Ended;
        // Dropped after the lock: what waits in it is a peer's memory.
        drop(entry);
    }

    /// How many notifications were dropped, because nobody took them in time.
    pub fn dropped_notifications(&self) -> u64 {
        let Stage::InFlight { key, .. } = self.stage else { return 0 };
        self.shared.state.lock().calls.get(key).map_or(0, |call| call.notes.dropped())
    }

    fn begin(&self, request: Request, permit: OwnedSemaphorePermit) -> Stage {
        match begin::begin(&self.shared, request) {
            Ok(key) => Stage::InFlight { key, _permit: permit },
            Err(error) => Stage::Failed(error),
        }
    }

    /// Brings the call as far as it gets without an answer; ready with its key once it is in flight.
    fn poll_in_flight(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::New(request) => {
                    match self.shared.permits(request.nested.is_some()).try_acquire_owned() {
                        Ok(permit) => self.begin(request, permit),
                        Err(TryAcquireError::NoPermits) if request.nested.is_some() => {
                            let limit = self.shared.limits.calls.max_in_flight;
                            Stage::Failed(self.error(Failure::TooManyCalls { limit }))
                        }
                        Err(_) => self.wait_for_permit(request),
                    }
                }
                Stage::Waiting(mut request, mut permit, patience) => match permit.poll_unpin(cx) {
                    Poll::Ready(Some(permit)) => {
                        self.spend(&mut request, patience.since);
                        self.begin(request, permit)
                    }
                    Poll::Ready(None) => Stage::Failed(self.no_permit(patience.limit)),
                    Poll::Pending => {
                        self.stage = Stage::Waiting(request, permit, patience);
                        return Poll::Pending;
                    }
                },
                Stage::InFlight { key, _permit } => {
                    self.stage = Stage::InFlight { key, _permit };
                    return Poll::Ready(Some(key));
                }
                other @ (Stage::Failed(_) | Stage::Ended) => {
                    self.stage = other;
                    return Poll::Ready(None);
                }
            };
        }
    }

    fn wait_for_permit(&self, request: Request) -> Stage {
        let permits = self.shared.permits(request.nested.is_some()).acquire_owned();
        let deadlines = request.options.deadlines.unwrap_or(self.shared.timeouts.call);
        let limit = deadlines.total.map(|after| Timeout { operation: Operation::ReceiveTotal, after });
        let since = Instant::now();
        let until = deadlines.total.and_then(|total| since.checked_add(total));
        let wait = async move {
            match until {
                Some(until) => timeout_at(until, permits).await.ok()?.ok(),
                None => permits.await.ok(),
            }
        };
        Stage::Waiting(request, wait.boxed(), Patience { since, limit })
    }

    /// Takes the time that was spent waiting off the total deadline.
    fn spend(&self, request: &mut Request, since: Instant) {
        if request.options.listen && request.options.deadlines.is_none() {
            return;
        }
        let deadlines = request.options.deadlines.get_or_insert(self.shared.timeouts.call);
        deadlines.total = deadlines.total.map(|total| total.saturating_sub(since.elapsed()));
    }

    /// The permits are closed when the link ends; else it was the deadline.
    fn no_permit(&self, limit: Option<Timeout>) -> CallError {
        let ended = self.shared.state.lock().ended.clone();
        match (ended, limit) {
            (None, Some(timeout)) => self.error(Failure::Timeout(timeout, Phase::NotSent)),
            (ended, _) => self.error(Failure::Closed(ended.unwrap_or(LinkEnd::ClosedHere), Phase::NotSent)),
        }
    }

    fn poll_notification(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let Some(key) = ready!(self.poll_in_flight(cx)) else { return Poll::Ready(None) };
        let mut state = self.shared.state.lock();
        let Some(call) = state.calls.get_mut(key) else { return Poll::Ready(None) };
        if let Some(note) = call.notes.pop() {
            return Poll::Ready(Some(note));
        }
        if call.outcome.is_some() {
            return Poll::Ready(None);
        }
        register(&mut call.waker, cx);
        Poll::Pending
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, CallError>> {
        let Some(key) = ready!(self.poll_in_flight(cx)) else {
            return match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Failed(error) => Poll::Ready(Err(error)),
                // Polled again after its answer: as for every future, that answer is gone.
                _ => Poll::Pending,
            };
        };
        let outcome = {
            let mut state = self.shared.state.lock();
            let Some(call) = state.calls.get_mut(key) else { return Poll::Pending };
            match call.outcome.take() {
                Some(outcome) => {
                    let entry = state.remove_call(key);
                    // Dropped after the lock: what waits in it is a peer's memory.
                    drop(state);
                    drop(entry);
                    outcome
                }
                None => {
                    register(&mut call.waker, cx);
                    return Poll::Pending;
                }
            }
        };
        self.stage = Stage::Ended;
        Poll::Ready(match outcome {
            Ok(message) if message.kind() == Kind::Result => Ok(message),
            Ok(message) => Err(CallError::Answered {
                peer: Arc::clone(&self.shared.peer),
                method: Arc::from(&*self.method),
                // An error may be kept for long, and must not keep the buffer that it was read into.
                error: message.detached(DETACHED_BYTES).error().unwrap_or_else(begin::unreadable_error),
            }),
            Err(failure) => Err(self.error(failure)),
        })
    }

    fn error(&self, failure: Failure) -> CallError {
        begin::error(&self.shared, &self.method, failure)
    }
}

fn register(slot: &mut Option<std::task::Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        slot => *slot = Some(cx.waker().clone()),
    }
}

impl Future for Call {
    type Output = Result<RawJson, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.poll_answer(cx))?;
        Poll::Ready(Ok(answer.result().unwrap_or_else(RawJson::null)))
    }
}

impl Stream for Call {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_notification(cx)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.give_up(None);
    }
}

/// Forgets a call that nobody waits for any more, and tells the peer if it may have begun.
fn cancel(state: &mut State, key: usize, reason: Option<&str>) -> Option<crate::state::CallEntry> {
    let call = state.remove_call(key)?;
    if state.outgoing.cancel(call.id).is_none() {
        return Some(call);
    }
    let taken_back = state.outbox.retract(call.id);
    state.withdrawn |= !taken_back;
    if !taken_back && call.cancellable && state.ended.is_none() {
        let route = state.route_of(&call);
        begin::push_cancelled(state, call.id, route, reason);
    }
    state.logs.gave_up(&call);
    Some(call)
}
