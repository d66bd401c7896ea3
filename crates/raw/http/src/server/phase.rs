//! What a connection is doing, told by its I/O and its exchanges to whoever drives it.
//!
//! All of them run in the connection's own task; the atomics are there to make that `Send`, not to order anything.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No whole head has come yet.
    New,
    /// Between two exchanges.
    Idle,
    /// Another request has begun, and its head is not complete.
    Head,
    /// An exchange is running.
    Busy,
}

/// The phase, shared. Each change counts, so that one which was left and entered again between two looks is seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Phases {
    /// The number of changes, times four, plus the phase.
    state: Arc<AtomicU32>,
}

impl Phases {
    /// The phase, and a number that is another one after every change.
    pub(super) fn now(&self) -> (Phase, u32) {
        let state = self.state.load(Relaxed);
        let phase = match state & 3 {
            0 => Phase::New,
            1 => Phase::Idle,
            2 => Phase::Head,
            _ => Phase::Busy,
        };
        (phase, state)
    }

    /// Bytes have come.
    pub(super) fn read(&self) {
        if self.now().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A request has come; its exchange lasts until the guard is dropped.
    pub(super) fn exchange(&self) -> Exchange {
        self.enter(Phase::Busy);
        Exchange(self.clone())
    }

    pub(super) fn enter(&self, phase: Phase) {
        let changes = (self.state.load(Relaxed) >> 2).wrapping_add(1);
        self.state.store(changes << 2 | phase as u32, Relaxed);
    }
}

/// A running exchange.
#[derive(Debug)]
pub(super) struct Exchange(Phases);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

pin_project! {
    /// A body whose end is the end of its exchange.
    pub(super) struct ExchangeBody<B> {
        #[pin]
        body: B,
        _exchange: Exchange,
    }
}

impl<B> ExchangeBody<B> {
    pub(super) fn new(body: B, exchange: Exchange) -> Self {
        Self { body, _exchange: exchange }
    }
}

impl<B: Body<Data = Bytes>> Body for ExchangeBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
