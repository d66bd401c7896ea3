//! A session as a lane: each POST is an exchange on it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};
use towpath_raw::{Frame, FrameSink, FrameSource, Inbound, Lane, LaneError};

use super::Session;

/// A session as the lane of its link.
pub(in crate::http) struct SessionLane {
    session: Arc<Session>,
    max_message_bytes: usize,
}

/// What the POSTs of a session bring.
pub(in crate::http) struct SessionSource {
    session: Arc<Session>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What goes to the responses of a session. Dropped, the session has ended.
pub(in crate::http) struct SessionSink {
    session: Arc<Session>,
    sent: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SessionLane {
    pub(in crate::http) fn new(session: Arc<Session>, max_message_bytes: usize) -> Self {
        Self { session, max_message_bytes }
    }
}

impl Lane for SessionLane {
    type Source = SessionSource;
    type Sink = SessionSink;

    fn peer(&self) -> Arc<str> {
        Arc::clone(&self.session.name)
    }

    fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    fn split(self) -> (SessionSource, SessionSink) {
        let source = SessionSource { session: Arc::clone(&self.session), timer: None };
        (source, SessionSink { session: self.session, sent: 0, timer: None })
    }
}

impl FrameSource for SessionSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        loop {
            let until = match self.session.change(|state, _| state.poll_inbound(cx)) {
                Ok(inbound) => return Poll::Ready(Ok(inbound)),
                Err(until) => until,
            };
            let Some(until) = until else { return Poll::Pending };
            if poll_until(&mut self.timer, until, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl FrameSink for SessionSink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        loop {
            let Err(until) = self.session.change(|state, _| state.poll_room(cx)) else {
                return Poll::Ready(Ok(()));
            };
            if poll_until(&mut self.timer, until, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.sent += 1;
        self.session.change(|state, wakers| state.send(frame, wakers));
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        Poll::Ready(Ok(()))
    }

    /// What a response has not taken yet is the session's, not the lane's.
    fn queued_bytes(&self) -> usize {
        0
    }

    fn frames_begun(&self) -> u64 {
        self.sent
    }
}

fn poll_until(timer: &mut Option<Pin<Box<Sleep>>>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
    if timer.deadline() != until {
        timer.as_mut().reset(until);
    }
    timer.as_mut().poll(cx)
}

impl Drop for SessionSink {
    fn drop(&mut self) {
        self.session.change(|state, wakers| state.lane_gone(wakers));
    }
}
