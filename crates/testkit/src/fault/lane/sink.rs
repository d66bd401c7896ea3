//! The half that sends.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
};

use towpath_raw::{Frame, FrameSink, LaneError, LaneLimits, MessageTooLarge, StallWatch};

use super::{
    super::{
        Cut, FaultKind, FaultPlan,
        gate::{Changes, Gate, Pass},
        shelf::{Key, Shelf},
    },
    failed,
};

/// The sending half of a [`FaultLane`](crate::FaultLane).
#[derive(Debug)]
pub struct FaultSink<S> {
    inner: Option<S>,
    peer: Arc<str>,
    gate: Gate,
    stall: StallWatch,
    limits: LaneLimits,
    /// Sent, and not yet past the gate.
    held: VecDeque<Frame>,
    held_bytes: usize,
    shelf: Shelf<Passed>,
    /// On its way to the lane inside: a frame, and perhaps its double.
    leaving: VecDeque<Frame>,
    /// How it ends once all that passed is written.
    ending: Option<Cut>,
    /// How many frames have passed the gate.
    passed: u64,
    /// How many frames were given to the lane inside.
    given: u64,
    begun: u64,
    ended: Option<LaneError>,
}

/// A frame that has passed the gate, and whether it is given twice.
#[derive(Debug)]
struct Passed {
    frame: Frame,
    twice: bool,
}

impl<S: FrameSink> FaultSink<S> {
    pub(super) fn new(inner: S, peer: Arc<str>, gate: Gate, plan: &FaultPlan) -> Self {
        Self {
            inner: Some(inner),
            peer,
            stall: StallWatch::new(plan.timeouts.write_stall),
            shelf: Shelf::new(plan.limits.write_queue_bytes, Arc::clone(&gate.counters)),
            gate,
            limits: plan.limits.clone(),
            held: VecDeque::new(),
            held_bytes: 0,
            leaving: VecDeque::new(),
            ending: None,
            passed: 0,
            given: 0,
            begun: 0,
            ended: None,
        }
    }

    fn has_room(&self) -> bool {
        self.held_bytes < self.limits.write_queue_bytes && self.held.len() < self.limits.write_queue_frames
    }

    /// Gives what the gate lets through to the lane inside.
    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        loop {
            if let Some(error) = &self.ended {
                return Poll::Ready(Err(error.clone()));
            }
            let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(())) };
            if !self.leaving.is_empty() {
                ready!(inner.poll_ready(cx))?;
                if let Some(frame) = self.leaving.pop_front() {
                    self.stall.progress();
                    self.given += 1;
                    inner.start_send(frame)?;
                }
                continue;
            }
            if let Some(how) = self.ending {
                ready!(inner.poll_flush(cx))?;
                self.gate.counters.count(FaultKind::Cut);
                let error = match how {
                    Cut::Error(kind) => failed(&self.peer, "writing to", kind),
                    _ => LaneError::Closed { peer: Arc::clone(&self.peer), explanation: None },
                };
                return Poll::Ready(Err(self.end(error)));
            }
            // Registers the timer of what is set aside, too.
            if let Poll::Ready(Some(passed)) = self.shelf.poll_due(cx) {
                self.leave(passed);
                continue;
            }
            let first = self.held.front().filter(|_| self.shelf.has_room());
            let (route, length) = match first {
                Some(first) => (first.route(), first.len()),
                None if self.shelf.is_empty() => return Poll::Ready(Ok(())),
                None => return self.poll_kept_back(cx),
            };
            let Poll::Ready(pass) = self.gate.poll_pass(cx, route, length) else {
                if self.gate.has_moved() {
                    self.stall.progress();
                }
                return self.poll_kept_back(cx);
            };
            self.pass(pass);
        }
    }

    /// What is decided about the first frame happens to it.
    fn pass(&mut self, pass: Pass) {
        let cut_between = matches!(pass, Pass::Cut(Cut::End | Cut::Error(_), _));
        let first = if cut_between { None } else { self.held.pop_front() };
        if let Some(frame) = &first {
            self.held_bytes -= frame.len();
            self.passed += 1;
        }
        match (pass, first) {
            (Pass::Frame(mut changes), Some(frame)) => {
                let frame = changed(frame, &mut changes);
                let by_id = self.gate.faults.swap_messages;
                let key = match by_id {
                    true => Key::of(frame.route(), &frame.clone().into_bytes(), true),
                    false => Key::Exchange(frame.route()),
                };
                let (length, twice) = (frame.len(), changes.twice);
                if let Some(passed) = self.shelf.pass(key, length, changes.hold, Passed { frame, twice }) {
                    self.leave(passed);
                }
            }
            (Pass::Cut(how, length), frame) => {
                self.ending = Some(how);
                if let Some(frame) = frame {
                    let (route, bytes) = (frame.route(), frame.into_bytes());
                    self.leaving.push_back(Frame::from(bytes.slice(..length)).on(route));
                }
            }
            // The network took it, and that is all that anybody knows.
            (Pass::Lost | Pass::Frame(_), _) => self.stall.progress(),
        }
    }

    fn leave(&mut self, passed: Passed) {
        if passed.twice {
            // Its exchange ends with the second of them.
            let [head, body, tail] = passed.frame.clone().into_segments();
            self.leaving.push_back(Frame::segmented(head, body, tail).on(passed.frame.route()));
        }
        self.leaving.push_back(passed.frame);
    }

    /// Something waits here. What has passed is on its way all the same.
    fn poll_kept_back(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if let Some(inner) = &mut self.inner
            && let Poll::Ready(Err(error)) = inner.poll_flush(cx)
        {
            return Poll::Ready(Err(self.end(error)));
        }
        let after = ready!(self.stall.poll_stalled(cx));
        let unsent_bytes = self.queued_bytes();
        let peer = Arc::clone(&self.peer);
        Poll::Ready(Err(self.end(LaneError::PeerNotReading { peer, after, unsent_bytes })))
    }

    /// Ends it for good. The lane inside is let go, so that its peer sees the end.
    fn end(&mut self, error: LaneError) -> LaneError {
        self.begun = self.frames_begun();
        self.inner = None;
        self.held = VecDeque::new();
        self.held_bytes = 0;
        self.leaving.clear();
        self.shelf.clear();
        self.ended = Some(error.clone());
        error
    }
}

/// The frame as it comes out, on its exchange.
fn changed(frame: Frame, changes: &mut Changes) -> Frame {
    if changes.keeps_bytes() {
        return frame;
    }
    let (route, last) = (frame.route(), frame.is_last());
    let frame = Frame::from(changes.apply(frame.into_bytes())).on(route);
    if last { frame.last() } else { frame }
}

impl<S: FrameSink> FrameSink for FaultSink<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if let Some(error) = &self.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        match self.poll_pass_on(cx) {
            Poll::Pending if self.has_room() => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let (limit, seen) = (self.limits.max_message_bytes, frame.len());
        if seen > limit {
            let source = MessageTooLarge { limit, seen, exact: true };
            return Err(LaneError::TooLarge { peer: Arc::clone(&self.peer), source });
        }
        self.held_bytes += seen;
        self.held.push_back(frame);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        ready!(self.poll_pass_on(cx))?;
        self.inner.as_mut().map_or(Poll::Ready(Ok(())), |inner| inner.poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        ready!(self.poll_pass_on(cx))?;
        if self.gate.is_half_open() {
            return Poll::Ready(Ok(()));
        }
        self.inner.as_mut().map_or(Poll::Ready(Ok(())), |inner| inner.poll_close(cx))
    }

    fn queued_bytes(&self) -> usize {
        let leaving: usize = self.leaving.iter().map(Frame::len).sum();
        let inner = self.inner.as_ref().map_or(0, FrameSink::queued_bytes);
        self.held_bytes + self.shelf.bytes() + leaving + inner
    }

    /// Where frames may overtake each other, or come twice, one that has passed the gate counts as begun: it may be out
    /// before those that were sent earlier.
    fn frames_begun(&self) -> u64 {
        let Some(inner) = &self.inner else { return self.begun };
        let faults = &self.gate.faults;
        if faults.duplicate.is_some() || faults.reorder.is_some() {
            return self.passed;
        }
        let waiting = self.given.saturating_sub(inner.frames_begun()) + self.leaving.len() as u64;
        self.passed.saturating_sub(waiting)
    }
}
