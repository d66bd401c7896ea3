//! What runs on a link: handlers, polled in the driver's own task.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{StreamExt, future::BoxFuture};
use towpath_jsonrpc::Key;
use towpath_mcp::Fault;
use towpath_raw::Lane;

use super::Link;
use crate::{Reply, Service, state::Shared};

/// How many handlers one round polls before it writes what they gave.
const POLLS: usize = 256;

/// A handler that did not end at its first poll.
pub(crate) enum Running {
    Request { key: Key, handler: Option<BoxFuture<'static, Reply>>, shared: Arc<Shared> },
    Notification(BoxFuture<'static, ()>),
    Background(BoxFuture<'static, ()>),
}

/// How a handler ended.
pub(crate) enum Ended {
    /// With a reply; or with none, because it was cancelled.
    Request(Key, Option<Handled>),
    Notification,
    Background,
}

/// A reply, or a panic in its place.
pub(crate) enum Handled {
    Reply(Reply),
    Panicked,
}

/// Polls a handler, and survives its panic.
pub(crate) fn poll_handler(handler: &mut BoxFuture<'static, Reply>, cx: &mut Context<'_>) -> Poll<Handled> {
    match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Handled::Reply),
        Err(_) => Poll::Ready(Handled::Panicked),
    }
}

fn poll_errand(errand: &mut BoxFuture<'static, ()>, cx: &mut Context<'_>) -> Poll<()> {
    match catch_unwind(AssertUnwindSafe(|| errand.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(()),
    }
}

impl Future for Running {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        match &mut *self {
            Running::Request { key, handler, shared } => {
                if cancelled(shared, *key, cx) {
                    // Dropped here, before the request is forgotten: its own Drop can still ask for the reason.
                    drop_quietly(handler.take());
                    return Poll::Ready(Ended::Request(*key, None));
                }
                let Some(future) = handler else { return Poll::Pending };
                poll_handler(future, cx).map(|handled| Ended::Request(*key, Some(handled)))
            }
            Running::Notification(errand) => poll_errand(errand, cx).map(|()| Ended::Notification),
            Running::Background(errand) => poll_errand(errand, cx).map(|()| Ended::Background),
        }
    }
}

/// Whether a request is no longer wanted; if it is, its handler will be woken when that changes.
fn cancelled(shared: &Shared, key: Key, cx: &Context<'_>) -> bool {
    let mut state = shared.state.lock();
    let Some(request) = state.incoming.get_mut(key) else { return true };
    if request.cancelled.is_some() {
        return true;
    }
    if request.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
        request.waker = Some(cx.waker().clone());
    }
    false
}

pub(super) fn drop_quietly<T>(value: T) {
    // A panic in a handler's own Drop is its own affair, too.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

impl<L: Lane, S: Service> Link<L, S> {
    /// Polls what runs; whether anything ended.
    pub(super) fn run(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = false;
        for _ in 0..POLLS {
            match self.running.poll_next_unpin(cx) {
                Poll::Ready(Some(end)) => {
                    ended = true;
                    match end {
                        Ended::Request(key, handled) => self.handled(key, handled),
                        Ended::Notification => self.errands -= 1,
                        Ended::Background => {}
                    }
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        ended
    }

    /// Notes how a handler ended, to be settled with the others of this round.
    pub(super) fn handled(&mut self, key: Key, handled: Option<Handled>) {
        let reply = match handled {
            Some(Handled::Reply(reply)) => Some(reply),
            Some(Handled::Panicked) => {
                self.panics += 1;
                tracing::error!(peer = %self.shared.peer, "a handler panicked; its request gets an internal error");
                self.service.reply_to_fault(&Fault::Internal).map(Reply::Error)
            }
            None => None,
        };
        self.done.push((key, reply));
    }
}
