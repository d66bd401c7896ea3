//! What goes out: frames into the sink, and the sink to the peer.

use std::task::{Context, Poll};

use towpath_raw::{FrameSink, Lane, LaneError};

use super::{Handed, Link};
use crate::{
    LinkEnd, Phase, Service,
    outbox::{Origin, Outgoing},
    state::{Failure, Wake},
};

impl<L: Lane, S: Service> Link<L, S> {
    /// Gives the sink what waits, as far as it has room, and writes.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        if self.write_end.is_some() {
            self.drop_unsent();
            return;
        }
        let written = self.fill(cx).and_then(|()| match self.sink.poll_flush(cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Ok(()),
        });
        self.note_begun();
        if let Err(error) = written {
            self.fail(error);
            self.drop_unsent();
        }
    }

    /// The peer takes nothing any more: a call that cannot be sent has nothing to wait for.
    fn drop_unsent(&mut self) {
        let Some(error) = &self.write_end else { return };
        let mut wakers = Vec::new();
        let handed = self.handed.drain(..).map(|handed| (handed.origin, handed.bytes));
        let queued = self.queue.drain(..).map(|queued| (queued.origin, queued.frame.len()));
        for (origin, bytes) in handed.chain(queued) {
            self.begun.add(origin, bytes);
            if let Origin::Call(id) = origin {
                let mut state = self.shared.state.lock();
                let end = state.ended.clone().unwrap_or_else(|| LinkEnd::Failed(error.clone()));
                let failure = Failure::Closed(end, Phase::NotSent);
                let call = state.outgoing.cancel(id);
                wakers.extend(call.and_then(|key| state.fail_call(key, failure)));
            }
        }
        wakers.into_iter().for_each(Wake::wake);
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Result<(), LaneError> {
        while !self.queue.is_empty() {
            match self.sink.poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(()),
            }
            let Some(Outgoing { frame, origin }) = self.queue.pop_front() else { break };
            let bytes = frame.len();
            match self.sink.start_send(frame) {
                Ok(()) => {
                    self.frames += 1;
                    self.handed.push_back(Handed { ordinal: self.frames, origin, bytes });
                }
                Err(LaneError::TooLarge { source, .. }) => {
                    self.begun.add(origin, bytes);
                    self.refused_by_lane(origin, source);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The lane's own limit is lower than the link's.
    fn refused_by_lane(&self, origin: Origin, too_large: towpath_raw::MessageTooLarge) {
        tracing::error!(peer = %self.shared.peer, %too_large, "the lane refused a message that the link allows");
        let Origin::Call(id) = origin else { return };
        let waker = {
            let mut state = self.shared.state.lock();
            state.outgoing.cancel(id).and_then(|key| state.fail_call(key, Failure::TooLarge(too_large)))
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What the peer has begun to take is no longer unread, and no longer unsent.
    fn note_begun(&mut self) {
        let begun = self.sink.frames_begun();
        while self.handed.front().is_some_and(|handed| handed.ordinal <= begun) {
            if let Some(handed) = self.handed.pop_front() {
                self.begun.add(handed.origin, handed.bytes);
            }
        }
    }

    /// Whether everything that was queued has been written.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty() && self.sink.queued_bytes() == 0
    }
}
