//! What the two halves tell each other.

use std::{
    collections::VecDeque,
    task::{Context, Waker},
};

use towpath_raw::{ExchangeError, Level, Mutex, Route};

/// The failures of POSTs on their way to the source, and the end of the stream on its way to the sink.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: VecDeque<(Route, ExchangeError)>,
    /// The stream has ended, or nobody reads it any more: the server has no way left to answer.
    ended: bool,
    source: Option<Waker>,
    sink: Option<Waker>,
}

/// Whether the sink may begin a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    Yes,
    /// Too many failures wait for the source; the sink is woken when one was taken.
    Wait,
    /// The stream has ended.
    Ended,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Level::Handler, "SseLane::shared", State::default()) }
    }

    /// For the source: the next failure, or to be woken when there is one.
    pub(super) fn take_failure(&self, cx: &mut Context<'_>) -> Option<(Route, ExchangeError)> {
        let mut state = self.state.lock();
        let Some(failure) = state.failures.pop_front() else {
            note(&mut state.source, cx);
            return None;
        };
        let waker = state.sink.take();
        drop(state);
        wake(waker);
        Some(failure)
    }

    /// For the source: nothing comes any more.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let waker = state.sink.take();
        drop(state);
        wake(waker);
    }

    /// For the sink: whether it may begin a POST, and to be woken when that changes.
    pub(super) fn permit(&self, cx: &mut Context<'_>) -> Permit {
        let mut state = self.state.lock();
        if state.ended {
            return Permit::Ended;
        }
        note(&mut state.sink, cx);
        if state.failures.len() < MAX_FAILURES { Permit::Yes } else { Permit::Wait }
    }

    /// For the sink: a POST failed.
    pub(super) fn fail(&self, route: Route, error: ExchangeError) {
        let mut state = self.state.lock();
        state.failures.push_back((route, error));
        let waker = state.source.take();
        drop(state);
        wake(waker);
    }
}

fn note(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

// Never under the lock: a waker is somebody else's code.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How many failures may wait for the source.
const MAX_FAILURES: usize = 1024;
