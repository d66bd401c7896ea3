//! A modern exchange at work: the handler's future, and everything that can end it.
//!
//! There is no task and no channel. Whoever sends the response owns the handler, and polls it: first the service's
//! future, then, if the answer does not come at once, the body of an event stream.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use towpath_link::{CancelReason, Reply};
use towpath_mcp::{Fault, Rules};
use towpath_raw::{Operation, Timeout};

use super::{Exchange, closing::Closing, reply::Answer};

/// A handler that works on an exchange. Dropped, it is cancelled.
pub(super) struct Run {
    handler: Option<BoxFuture<'static, Reply>>,
    exchange: Exchange,
    rules: &'static Rules,
    max_message_bytes: usize,
    /// Until when, and how long that is.
    limit: Option<(Instant, Duration)>,
    timer: Option<Pin<Box<Sleep>>>,
    closing: Arc<Closing>,
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _permit: OwnedSemaphorePermit,
}

/// What comes of a run next.
pub(super) enum Step {
    /// It has ended; this was said before, and not taken yet.
    Answer { said: Bytes, answer: Answer },
    /// The handler said something.
    Events(Bytes),
    /// The time that was given has come.
    Tick,
}

impl Run {
    pub(super) fn new(
        handler: BoxFuture<'static, Reply>,
        exchange: Exchange,
        rules: &'static Rules,
        max_message_bytes: usize,
        limit: Option<(Instant, Duration)>,
        closing: Arc<Closing>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            handler: Some(handler),
            exchange,
            rules,
            max_message_bytes,
            limit,
            timer: None,
            closing,
            cut: None,
            _permit: permit,
        }
    }

    /// Lets the handler work, up to where it says something, ends, or the time `tick` comes.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>, tick: Option<Instant>) -> Poll<Step> {
        let Some(handler) = &mut self.handler else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(Poll::Ready(reply)) => return Poll::Ready(self.answered(reply)),
            Ok(Poll::Pending) => {}
            Err(_) => {
                let method = self.exchange.message().method();
                tracing::error!(method, "a handler panicked; its request gets an internal error");
                return Poll::Ready(self.cut_off(&Fault::Internal, None));
            }
        }
        let events = self.exchange.take_events(Some(cx.waker()));
        if !events.is_empty() {
            return Poll::Ready(Step::Events(events));
        }
        let closing = &self.closing;
        let cut = self.cut.get_or_insert_with(|| Box::pin(closing.cut.clone().cancelled_owned()));
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.cut_off(&Fault::ShuttingDown, Some(CancelReason::LinkEnded)));
        }
        let limit = self.limit.map(|(at, _)| at);
        let Some(next) = [limit, tick].into_iter().flatten().min() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        // A timer rests, too, when the handler has used up the turn of its task; the clock does not.
        if timer.as_mut().poll(cx).is_pending() && Instant::now() < next {
            return Poll::Pending;
        }
        match self.limit {
            Some((at, after)) if at <= next => {
                let operation = Operation::Handle;
                let fault = Fault::TimedOut { limit: after, setting: operation.setting() };
                let reason = CancelReason::Timeout(Timeout { operation, after });
                Poll::Ready(self.cut_off(&fault, Some(reason)))
            }
            _ => Poll::Ready(Step::Tick),
        }
    }

    fn answered(&mut self, reply: Reply) -> Step {
        let said = self.exchange.end(None);
        drop_quietly(self.handler.take());
        let answer = match self.exchange.id() {
            Some(id) => Answer::new(id, reply, self.rules, self.max_message_bytes),
            None => Answer::fault(None, &Fault::Internal, self.rules),
        };
        Step::Answer { said, answer }
    }

    /// Ends the handler before it has answered; its request gets this instead.
    fn cut_off(&mut self, fault: &Fault, reason: Option<CancelReason>) -> Step {
        if matches!(reason, Some(CancelReason::LinkEnded)) {
            self.closing.note_cut();
        }
        // The reason first: what is dropped can ask for it.
        let said = self.exchange.end(reason);
        drop_quietly(self.handler.take());
        Step::Answer { said, answer: Answer::fault(self.exchange.id(), fault, self.rules) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.handler.is_some() {
            self.exchange.end(Some(CancelReason::ByPeer(None)));
            drop_quietly(self.handler.take());
        }
    }
}

pub(super) fn drop_quietly<T>(value: T) {
    // A panic in a handler's own Drop is its own affair.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}
