//! What comes in: read, parsed, sorted, and given to whom it belongs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use tokio::time::Instant;
use towpath_jsonrpc::{
    Answer, EnvelopeError, Key, Kind, Member, Message, Parsed as Envelope, Scan, parse_any,
};
use towpath_mcp::{Fault, method};
use towpath_raw::{ExchangeError, FrameSource, Inbound, Lane, Rejected, Route};

use super::{
    Link,
    news::{logged, progress, subscribed},
    rejects::{too_large, worth_a_line},
    running::{Handled, Running, poll_handler},
};
use crate::{
    Admission, Context, Errand, Service,
    state::{RequestEntry, State, Wake},
};

/// How many messages one round takes.
const ROUND_MESSAGES: usize = 64;

/// How many bytes one round takes, and how many bytes of one message are validated at a time: validation of a
/// large message must not hold up what shares the lane.
const ROUND_BYTES: usize = 256 << 10;

/// How many requests in flight may be slices of the buffers that they were read into; a buffer has up to 256 KiB.
const SHARED_BUFFERS: usize = 64;

/// Messages up to this size are copied where they would keep a large buffer.
pub(crate) const DETACHED_BYTES: usize = 16 << 10;

/// What came, after parsing.
pub(super) enum Arrived {
    Message(Route, Result<Message, EnvelopeError>),
    Batch(Route, Vec<Result<Message, EnvelopeError>>),
    Rejected(Route, Rejected),
    Failed(Route, ExchangeError),
    /// So many bytes of a message, and the end.
    CutOff(usize),
}

/// How a message came, and how its answer goes back.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) route: Route,
    /// Whether it came with others.
    pub(super) batched: bool,
    /// What their answers are gathered in; none if none of them gets one.
    pub(super) batch: Option<usize>,
}

/// A message that a service is to see, in the order in which it came.
enum Work {
    Request(Key, Route, Message),
    Notification(Message),
}

impl<L: Lane, S: Service> Link<L, S> {
    /// Reads what is there, up to a round's share, and handles it; whether there was anything.
    pub(super) fn read(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let (mut bytes, mut taken) = (0, 0);
        // What is passed over counts as well: a flood of it must not keep what shares the lane from running.
        while self.read_end.is_none() && self.may_read() && taken < ROUND_MESSAGES && bytes < ROUND_BYTES {
            taken += 1;
            if let Some((route, scan)) = &mut self.scan {
                bytes += ROUND_BYTES;
                if let Poll::Ready(parsed) = scan.advance(ROUND_BYTES) {
                    self.inbox.push(Arrived::Message(*route, parsed));
                    self.scan = None;
                }
                continue;
            }
            match self.source.poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(inbound)) => bytes += self.take_in(inbound),
                Poll::Ready(Err(error)) => {
                    self.read_end = Some(towpath_raw::End::default());
                    self.fail(error);
                }
            }
        }
        if self.inbox.is_empty() {
            return bytes > 0;
        }
        self.dispatch(cx);
        true
    }

    fn may_read(&mut self) -> bool {
        let stop = self.must_stop_reading();
        if stop && !self.stopped_reading {
            self.shared.state.lock().stats.reading_stopped += 1;
        }
        self.stopped_reading = stop;
        !stop
    }

    /// A link that answers stops reading when too many of its refusals are unread; one that answers nobody never
    /// does, since what comes then costs nothing but the reading. When the peer takes nothing any more, reading is all
    /// that is left: it finds the end.
    pub(super) fn must_stop_reading(&self) -> bool {
        let full = self.unread_refusals >= self.shared.limits.max_unread_refusals;
        full && self.service.answers() && self.write_end.is_none()
    }

    fn take_in(&mut self, inbound: Inbound) -> usize {
        match inbound {
            Inbound::Frame(frame) => self.take_frame(Route::LANE, frame),
            Inbound::Routed(route, frame) => self.take_frame(route, frame),
            Inbound::Failed { route, error } => {
                self.inbox.push(Arrived::Failed(route, error));
                1
            }
            Inbound::Skipped(skipped) => {
                let count = {
                    let mut state = self.shared.state.lock();
                    state.stats.skipped += 1;
                    state.stats.skipped
                };
                if worth_a_line(count) {
                    tracing::warn!(
                        peer = %self.shared.peer, bytes = skipped.length, text = %skipped.text, count,
                        "passed over bytes that are no message"
                    );
                }
                if catch_unwind(AssertUnwindSafe(|| self.service.skipped(&skipped))).is_err() {
                    self.panics += 1;
                }
                skipped.length.clamp(1, ROUND_BYTES)
            }
            Inbound::Rejected(rejected) => {
                self.inbox.push(Arrived::Rejected(Route::LANE, rejected));
                1
            }
            Inbound::End(end) => {
                if end.truncated_bytes > 0 {
                    self.inbox.push(Arrived::CutOff(end.truncated_bytes));
                }
                self.read_end = Some(end);
                0
            }
        }
    }

    fn take_frame(&mut self, route: Route, frame: Bytes) -> usize {
        let length = frame.len();
        let limits = &self.shared.limits.envelope;
        if length > limits.max_message_bytes {
            // The lane's limit is the higher one. As with what the lane passes over, its beginning tells whose it is.
            let rejected = too_large(&frame, limits.max_message_bytes);
            self.inbox.push(Arrived::Rejected(route, rejected));
            return length.min(ROUND_BYTES);
        }
        let batch = frame.trim_ascii_start().starts_with(b"[");
        if batch && self.service.takes_batches() {
            self.inbox.push(match parse_any(frame, limits) {
                Ok(Envelope::Batch(messages)) => Arrived::Batch(route, messages),
                Ok(Envelope::Single(message)) => Arrived::Message(route, Ok(message)),
                Err(error) => Arrived::Message(route, Err(error)),
            });
        } else if length <= ROUND_BYTES {
            self.inbox.push(Arrived::Message(route, Message::parse(frame, limits)));
        } else {
            self.scan = Some((route, Scan::new(frame, limits)));
        }
        length.min(ROUND_BYTES)
    }

    /// Sorts a round's messages under one lock, wakes whoever got something, then lets the service see the rest.
    fn dispatch(&mut self, cx: &mut TaskContext<'_>) {
        let now = Instant::now().into_std();
        let mut wakers = Vec::new();
        let mut work = Vec::with_capacity(self.inbox.len());
        let mut inbox = std::mem::take(&mut self.inbox);
        let shared = Arc::clone(&self.shared);
        {
            let mut state = shared.state.lock();
            for arrived in inbox.drain(..) {
                match arrived {
                    Arrived::Message(route, parsed) => {
                        state.peer_opens |= route != Route::LANE;
                        let way = Way { route, batched: false, batch: None };
                        match parsed {
                            Ok(message) => {
                                self.sort(&mut state, now, message, way, &mut work, &mut wakers);
                            }
                            Err(error) => self.malformed(&mut state, &error, way, &mut wakers),
                        }
                    }
                    Arrived::Batch(route, messages) => {
                        state.peer_opens |= route != Route::LANE;
                        self.sort_batch(&mut state, now, route, messages, &mut work, &mut wakers);
                    }
                    Arrived::Rejected(route, rejected) => {
                        self.rejected(&mut state, route, &rejected, &mut wakers);
                    }
                    Arrived::Failed(route, error) => {
                        self.exchange_failed(&mut state, route, error, &mut wakers);
                    }
                    Arrived::CutOff(bytes) => self.cut_off(&mut state, bytes),
                }
            }
        }
        self.inbox = inbox;
        wakers.into_iter().for_each(Wake::wake);
        for work in work {
            match work {
                Work::Request(key, route, message) => self.serve(key, route, message, cx),
                Work::Notification(message) => self.note(message),
            }
        }
    }

    fn sort_batch(
        &mut self,
        state: &mut State,
        now: std::time::Instant,
        route: Route,
        messages: Vec<Result<Message, EnvelopeError>>,
        work: &mut Vec<Work>,
        wakers: &mut Vec<Wake>,
    ) {
        let owed = |message: &Result<Message, EnvelopeError>| match message {
            Ok(message) => message.kind() == Kind::Request,
            Err(error) => !error.is_response(),
        };
        let answers = messages.iter().filter(|message| owed(message)).count();
        let batch = (answers > 0).then(|| self.batches.open(answers, route));
        let way = Way { route, batched: true, batch };
        for message in messages {
            match message {
                Ok(message) => self.sort(state, now, message, way, work, wakers),
                Err(error) => self.malformed(state, &error, way, wakers),
            }
        }
    }

    fn sort(
        &mut self,
        state: &mut State,
        now: std::time::Instant,
        message: Message,
        way: Way,
        work: &mut Vec<Work>,
        wakers: &mut Vec<Wake>,
    ) {
        match message.kind() {
            Kind::Result | Kind::Error => {
                let Some(id) = message.id() else {
                    state.stats.stray_answers += 1;
                    let count = state.stats.stray_answers;
                    if worth_a_line(count) {
                        let error = message.error();
                        tracing::warn!(peer = %self.shared.peer, ?error, count, "an error about nothing that was asked");
                    }
                    return;
                };
                if let Answer::Matched(_, key) = state.outgoing.answer(id)
                    && let Some(call) = state.calls.get_mut(key)
                {
                    wakers.extend(call.waker.take().map(Wake::Task));
                    call.outcome = Some(Ok(message));
                }
            }
            Kind::Request => self.admit(state, now, message, way, work),
            Kind::Notification => match message.method() {
                method::CANCELLED => self.cancelled(state, &message, wakers),
                method::PROGRESS => progress(state, now, message, &self.shared.limits, wakers),
                method::MESSAGE if state.logs.are_taken => {
                    logged(state, message, &self.shared.limits, wakers);
                }
                _ if message.span(Member::MetaSubscriptionId).is_some() => {
                    subscribed(state, message, &self.shared.limits, wakers);
                }
                _ => work.push(Work::Notification(message)),
            },
        }
    }

    /// Takes a request up, or refuses it.
    fn admit(
        &mut self,
        state: &mut State,
        now: std::time::Instant,
        message: Message,
        way: Way,
        work: &mut Vec<Work>,
    ) {
        let Some(id) = message.id() else { return };
        if !self.service.answers() || self.write_end.is_some() {
            state.stats.requests_dropped += 1;
            let count = state.stats.requests_dropped;
            if worth_a_line(count) {
                tracing::warn!(
                    peer = %self.shared.peer, method = message.method(), count,
                    "dropped a request: this side of the connection answers nobody"
                );
            }
            match way.batch {
                Some(batch) => self.batches.answer(state, batch, id, None, || None),
                None => state.outbox.end_exchange(way.route),
            }
            return;
        }
        let limits = &self.shared.limits;
        let unread = &state.outbox.unread;
        let fault = if state.closing.is_some() {
            Some(Fault::ShuttingDown)
        } else if unread.answers >= limits.max_unread_answers {
            Some(unread_fault("max_unread_answers"))
        } else if unread.answer_bytes >= limits.max_unread_answer_bytes {
            Some(unread_fault("max_unread_answer_bytes"))
        } else {
            None
        };
        if let Some(fault) = fault {
            return self.refuse(state, id, &fault, way);
        }
        let listens = message.method() == method::SUBSCRIPTIONS_LISTEN;
        let limit = if listens { None } else { self.shared.timeouts.handler };
        let request = RequestEntry {
            deadline: limit.and_then(|limit| now.checked_add(limit)),
            uncancellable: message.method() == method::INITIALIZE,
            route: way.route,
            batch: way.batch,
            ..RequestEntry::default()
        };
        match state.incoming.insert(now, id.clone(), limit, request) {
            Ok(key) => {
                state.stats.requests += 1;
                if listens {
                    state.listens.push(key);
                }
                // Many small requests must not keep as many large read buffers.
                let message = if state.incoming.len() > SHARED_BUFFERS {
                    message.detached(DETACHED_BYTES)
                } else {
                    message
                };
                work.push(Work::Request(key, way.route, message));
            }
            Err(full) => {
                let fault = Fault::TooManyRequests { limit: full.limit, setting: "max_requests_from_peer" };
                self.refuse(state, id, &fault, way);
            }
        }
    }

    /// Lets the service handle a request, up to where its handler waits for something.
    fn serve(&mut self, key: Key, route: Route, message: Message, cx: &mut TaskContext<'_>) {
        // Cancelled by a later message of the same round: the handler never begins.
        let context = Context::new(Arc::clone(&self.shared), Some(key), route, message.clone());
        if context.cancel_reason().is_some() {
            return self.handled(key, None);
        }
        let admission = catch_unwind(AssertUnwindSafe(|| self.service.request(message, context)));
        let mut handler = match admission {
            Ok(Admission::Now(reply)) => return self.handled(key, Some(Handled::Reply(reply))),
            Ok(Admission::Run(handler)) => handler,
            Err(_) => return self.handled(key, Some(Handled::Panicked)),
        };
        match poll_handler(&mut handler, cx) {
            Poll::Ready(handled) => self.handled(key, Some(handled)),
            Poll::Pending => {
                let shared = Arc::clone(&self.shared);
                self.running.push(Running::Request { key, handler: Some(handler), shared });
            }
        }
    }

    fn note(&mut self, message: Message) {
        let context = Context::new(Arc::clone(&self.shared), None, Route::LANE, message.clone());
        let errand = catch_unwind(AssertUnwindSafe(|| self.service.notification(message, context)));
        match errand {
            // The service has seen it, and has marked what it marks; only its handler does not run.
            Ok(Errand::Run(_)) if self.errands >= self.shared.limits.max_notifications_from_peer => {
                self.shared.state.lock().stats.notifications_dropped += 1;
            }
            Ok(Errand::Run(errand)) => {
                self.errands += 1;
                self.running.push(Running::Notification(errand));
            }
            Ok(Errand::Background(errand)) => self.running.push(Running::Background(errand)),
            Ok(Errand::Nothing) => {}
            Err(_) => self.panics += 1,
        }
    }
}

fn unread_fault(setting: &'static str) -> Fault {
    Fault::Overloaded { what: "too many answers on this connection are unread", setting, retry_after: None }
}
