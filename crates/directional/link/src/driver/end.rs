//! How a link ends.
//!
//! ```text
//! Open ──── the peer closed its direction, or our side asked ───► Finishing ──── idle, or too late ───► Closing
//!   └─────────────────────── the lane failed ──────────────────────────┴──────────────────────────────────► end
//! ```

use std::{
    collections::{HashSet, VecDeque},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use towpath_raw::{End, FrameSink, Lane, LaneError};

use super::{Link, running::drop_quietly};
use crate::{
    CancelReason, LinkEnd, Service,
    outbox::{Origin, Outgoing},
    state::{Closing, State, Wake},
};

/// Where a link is on its way to its end.
pub(super) enum Stage {
    Open,
    /// No new work is taken; what runs may go on until the deadline.
    Finishing {
        end: LinkEnd,
        until: Instant,
    },
    /// Nothing runs any more; the last bytes are written.
    Closing {
        end: LinkEnd,
        until: Instant,
    },
    Over,
}

impl Stage {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Stage::Open)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Stage::Finishing { until, .. } | Stage::Closing { until, .. } => Some(*until),
            Stage::Open | Stage::Over => None,
        }
    }
}

impl<L: Lane, S: Service> Link<L, S> {
    /// The lane has failed, in one direction or both.
    pub(super) fn fail(&mut self, error: LaneError) {
        // A peer that has closed its reading end may still have sent answers, and its last words.
        self.write_end.get_or_insert(error);
    }

    /// Moves towards the end, if there is a reason to.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        if let Some(end) = self.cut_short() {
            return Poll::Ready(self.finish(end));
        }
        if self.stage.is_open() {
            self.begin_to_finish();
        }
        self.note_closing();
        if let Stage::Finishing { end, until } = &self.stage
            && (self.is_idle(&self.shared.state.lock()) || Instant::now() >= *until)
        {
            let (end, until) = (end.clone(), after(self.shared.timeouts.close));
            self.stop_everything(&end, self.write_end.is_none());
            self.stage = Stage::Closing { end, until };
        }
        if let Stage::Closing { end, until } = &self.stage {
            let late = Instant::now() >= *until;
            let closed = self.queue.is_empty() && self.sink.poll_close(cx).is_ready();
            if late || closed {
                let end = end.clone();
                return Poll::Ready(self.finish(end));
            }
        }
        Poll::Pending
    }

    /// Whether the lane has failed so that nothing can come of it any more.
    fn cut_short(&self) -> Option<LinkEnd> {
        let error = self.write_end.as_ref()?;
        let may_still_come = matches!(error, LaneError::Closed { .. })
            && self.read_end.is_none()
            && !self.shared.state.lock().outgoing.is_empty();
        if may_still_come {
            return None;
        }
        match (&self.read_end, error) {
            // Either direction may know why, mostly the one that is read: how the child died, say.
            (Some(end), LaneError::Closed { explanation, .. }) => {
                let explanation = end.explanation.as_ref().or(explanation.as_ref()).cloned();
                Some(LinkEnd::PeerClosed(End { explanation, ..end.clone() }))
            }
            _ => Some(LinkEnd::Failed(error.clone())),
        }
    }

    fn begin_to_finish(&mut self) {
        if let Some(end) = &self.read_end {
            let end = LinkEnd::PeerClosed(end.clone());
            // No answer can come any more, and nobody listens.
            let wakers = {
                let mut state = self.shared.state.lock();
                let unsent = take_calls_back(&mut state, &mut self.queue);
                let writes_on = self.write_end.is_none();
                let mut wakers = state.end_calls(&end, |id| self.phase(&unsent, id, writes_on));
                for key in std::mem::take(&mut state.listens) {
                    wakers.extend(state.cancel_request(key, CancelReason::LinkEnded));
                }
                wakers
            };
            self.shared.close_permits();
            wakers.into_iter().for_each(Wake::wake);
            self.stage = Stage::Finishing { end, until: after(self.shared.timeouts.finish) };
        }
    }

    /// Our side may ask for the end at any time, and for a sooner one later.
    fn note_closing(&mut self) {
        let closing = self.shared.state.lock().closing;
        let Some(Closing { grace }) = closing else { return };
        if self.grace.is_some_and(|noted| noted <= grace) {
            return;
        }
        self.grace = Some(grace);
        let by = after(grace);
        match &mut self.stage {
            Stage::Open => self.stage = Stage::Finishing { end: LinkEnd::ClosedHere, until: by },
            Stage::Finishing { until, .. } => *until = by.min(*until),
            Stage::Closing { .. } | Stage::Over => {}
        }
    }

    /// Whether the way to the end has become shorter since it was last looked at.
    pub(super) fn has_news_of_the_end(&self, state: &State) -> bool {
        let asked =
            state.closing.is_some_and(|Closing { grace }| self.grace.is_none_or(|noted| grace < noted));
        // A call that is given up makes no sound, and may have been all that was waited for.
        asked || (matches!(self.stage, Stage::Finishing { .. }) && self.is_idle(state))
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_idle(&self, state: &State) -> bool {
        let asked = state.outgoing.is_empty() || self.read_end.is_some();
        asked
            && state.incoming.is_empty()
            && self.done.is_empty()
            && self.errands == 0
            && self.scan.is_none()
            && state.outbox.is_empty()
            && (self.is_flushed() || self.write_end.is_some())
    }

    /// `writes_on`: the lane is still to be closed, with what it holds.
    fn stop_everything(&mut self, end: &LinkEnd, writes_on: bool) {
        let shared = std::sync::Arc::clone(&self.shared);
        let wakers = {
            let mut state = shared.state.lock();
            state.over = true;
            let unsent = take_calls_back(&mut state, &mut self.queue);
            let mut wakers = state.end_calls(end, |id| self.phase(&unsent, id, writes_on));
            state.stats.requests_cut += state.incoming.len() as u64;
            let cells = state.incoming.drain().filter_map(|(_, _, request)| request.cell);
            wakers.extend(cells.map(|cell| Wake::Cancelled(cell, CancelReason::LinkEnded)));
            wakers
        };
        shared.close_permits();
        wakers.into_iter().for_each(Wake::wake);
        shared.room.notify_waiters();
        // Outside the lock: handlers may use their contexts while they are dropped.
        std::mem::take(&mut self.running).into_iter().for_each(drop_quietly);
        shared.over.cancel();
    }

    fn finish(&mut self, end: LinkEnd) -> LinkEnd {
        self.stop_everything(&end, false);
        self.stage = Stage::Over;
        end
    }
}

impl<L: Lane, S: Service> Drop for Link<L, S> {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Over) {
            self.stop_everything(&LinkEnd::ClosedHere, false);
        }
    }
}

/// Takes requests of ours back that the sink has not taken yet: no answer can come, and whoever asked may ask
/// somebody else, since they were not sent.
fn take_calls_back(state: &mut State, queue: &mut VecDeque<Outgoing>) -> HashSet<u64> {
    state.outbox.take_into(queue);
    let mut unsent = HashSet::new();
    queue.retain(|waits| match waits.origin {
        Origin::Call(id) => !unsent.insert(id),
        _ => true,
    });
    unsent
}

/// So long from now; a time that no clock reaches is far away.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

/// About 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl State {
    /// Why a request that is not in the table any more is not wanted.
    pub(crate) fn after_the_end(&self) -> Option<CancelReason> {
        self.over.then_some(CancelReason::LinkEnded)
    }
}
