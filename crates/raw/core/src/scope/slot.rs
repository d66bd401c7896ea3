//! A future that its task polls and its owner can take away.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{Level, Mutex};

type Held = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Holds the future between its polls. The lock is not held during one.
pub(super) struct Slot {
    state: Mutex<State>,
}

enum State {
    Waiting(Held),
    Polled,
    Gone,
}

/// The owner's side of a slot.
pub(super) trait Empty: Send + Sync {
    /// Drops the future: now, or at the end of the poll that it is in.
    fn empty(&self);
}

impl Slot {
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { state: Mutex::new(Level::Handler, "Slot::state", State::Waiting(Box::pin(future))) }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Waiting(mut future) = std::mem::replace(&mut *self.state.lock(), State::Polled) else {
            return Poll::Ready(());
        };
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut state = self.state.lock();
        if matches!(*state, State::Gone) {
            // Dropped after the lock, which is given back first.
            drop(state);
            return Poll::Ready(());
        }
        *state = State::Waiting(future);
        Poll::Pending
    }
}

impl Empty for Slot {
    fn empty(&self) {
        let held = std::mem::replace(&mut *self.state.lock(), State::Gone);
        drop(held);
    }
}

/// What the task runs.
pub(super) async fn run(slot: Arc<Slot>) {
    poll_fn(|cx| slot.poll(cx)).await;
}
