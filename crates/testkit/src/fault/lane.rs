//! The lane around a lane.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use towpath_raw::{
    End, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError, LaneLimits, MessageTooLarge, StallWatch,
};

use super::{
    Cut, FaultPlan,
    plan::{Gate, Pass},
};

/// A lane with faults; see [`FaultPlan::wrap`].
#[derive(Debug)]
pub struct FaultLane<L> {
    lane: L,
    plan: FaultPlan,
}

impl<L: Lane> FaultLane<L> {
    pub(super) fn new(lane: L, plan: &FaultPlan) -> Self {
        Self { lane, plan: plan.clone() }
    }
}

impl<L: Lane> Lane for FaultLane<L> {
    type Source = FaultSource<L::Source>;
    type Sink = FaultSink<L::Sink>;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn max_message_bytes(&self) -> usize {
        self.lane.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let peer = self.lane.peer();
        let (inbound, outbound) = self.plan.gates();
        let (source, sink) = self.lane.split();
        let source = FaultSource {
            inner: Some(source),
            peer: Arc::clone(&peer),
            gate: inbound,
            held: None,
            ended: None,
        };
        let sink = FaultSink {
            inner: Some(sink),
            peer,
            gate: outbound,
            stall: StallWatch::new(self.plan.timeouts.write_stall),
            limits: self.plan.limits,
            held: VecDeque::new(),
            held_bytes: 0,
            granted: None,
            begun: 0,
            ended: None,
        };
        (source, sink)
    }
}

/// The receiving half of a [`FaultLane`].
#[derive(Debug)]
pub struct FaultSource<S> {
    inner: Option<S>,
    peer: Arc<str>,
    gate: Gate,
    /// Taken from the lane inside, and kept back.
    held: Option<Bytes>,
    ended: Option<Result<End, LaneError>>,
}

impl<S: FrameSource> FaultSource<S> {
    /// Ends it for good. The lane inside is let go, so that its peer notices.
    fn cut(&mut self, how: Cut, truncated_bytes: usize) {
        self.inner = None;
        self.held = None;
        self.ended = Some(match how {
            Cut::End => Ok(End::default()),
            Cut::MidFrame => Ok(End { truncated_bytes, explanation: None }),
            Cut::Error(kind) => Err(failed(&self.peer, "reading from", kind)),
        });
    }
}

impl<S: FrameSource> FrameSource for FaultSource<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        loop {
            if let Some(ended) = &self.ended {
                return Poll::Ready(ended.clone().map(Inbound::End));
            }
            if let Some(frame) = &self.held {
                let pass = ready!(self.gate.poll_pass(cx, frame.len()));
                match (pass, self.held.take()) {
                    (Pass::Whole, Some(frame)) => return Poll::Ready(Ok(Inbound::Frame(frame))),
                    (Pass::Short(length), Some(frame)) => {
                        return Poll::Ready(Ok(Inbound::Frame(frame.slice(..length))));
                    }
                    (Pass::Cut(how, length), _) => self.cut(how, length),
                    (_, None) => {}
                }
                continue;
            }
            if let Some(how) = self.gate.cut_between_frames() {
                self.cut(how, 0);
                continue;
            }
            ready!(self.gate.poll_unstalled(cx));
            let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(Inbound::End(End::default()))) };
            match ready!(inner.poll_frame(cx))? {
                Inbound::Frame(frame) => self.held = Some(frame),
                other => return Poll::Ready(Ok(other)),
            }
        }
    }
}

/// The sending half of a [`FaultLane`].
#[derive(Debug)]
pub struct FaultSink<S> {
    inner: Option<S>,
    peer: Arc<str>,
    gate: Gate,
    stall: StallWatch,
    limits: LaneLimits,
    /// Sent, and not yet given to the lane inside.
    held: VecDeque<Frame>,
    held_bytes: usize,
    /// What the gate has decided about the first of them.
    granted: Option<Pass>,
    /// Those of the lane inside, when that is gone.
    begun: u64,
    ended: Option<LaneError>,
}

impl<S: FrameSink> FaultSink<S> {
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
            let Some(first) = self.held.front() else { return Poll::Ready(Ok(())) };
            let pass = match self.granted {
                Some(pass) => pass,
                None => match self.gate.poll_pass(cx, first.len()) {
                    Poll::Ready(pass) => *self.granted.insert(pass),
                    Poll::Pending => {
                        // What has passed the gate is on its way all the same.
                        if let Poll::Ready(Err(error)) = inner.poll_flush(cx) {
                            return Poll::Ready(Err(self.end(error)));
                        }
                        let after = ready!(self.stall.poll_stalled(cx));
                        let unsent_bytes = self.queued_bytes();
                        let peer = Arc::clone(&self.peer);
                        let error = LaneError::PeerNotReading { peer, after, unsent_bytes };
                        return Poll::Ready(Err(self.end(error)));
                    }
                },
            };
            let length = match pass {
                Pass::Whole => first.len(),
                Pass::Short(length) | Pass::Cut(Cut::MidFrame, length) => length,
                Pass::Cut(..) => 0,
            };
            if !matches!(pass, Pass::Cut(Cut::End | Cut::Error(_), _)) {
                ready!(inner.poll_ready(cx))?;
                if let Some(frame) = self.held.pop_front() {
                    self.held_bytes -= frame.len();
                    let whole = length == frame.len();
                    let route = frame.route();
                    let frame =
                        if whole { frame } else { Frame::from(frame.into_bytes().slice(..length)).on(route) };
                    // A cut goes on to its end below, when the short frame is out.
                    self.granted = match pass {
                        Pass::Cut(..) => Some(Pass::Cut(Cut::End, 0)),
                        _ => None,
                    };
                    self.stall.progress();
                    inner.start_send(frame)?;
                }
                if self.granted.is_none() {
                    continue;
                }
            }
            ready!(inner.poll_flush(cx))?;
            let error = match pass {
                Pass::Cut(Cut::Error(kind), _) => failed(&self.peer, "writing to", kind),
                _ => LaneError::Closed { peer: Arc::clone(&self.peer), explanation: None },
            };
            return Poll::Ready(Err(self.end(error)));
        }
    }

    /// Ends it for good. The lane inside is let go, so that its peer sees the end.
    fn end(&mut self, error: LaneError) -> LaneError {
        self.begun = self.frames_begun();
        self.inner = None;
        self.held = VecDeque::new();
        self.held_bytes = 0;
        self.ended = Some(error.clone());
        error
    }
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
        self.inner.as_mut().map_or(Poll::Ready(Ok(())), |inner| inner.poll_close(cx))
    }

    fn queued_bytes(&self) -> usize {
        self.held_bytes + self.inner.as_ref().map_or(0, FrameSink::queued_bytes)
    }

    fn frames_begun(&self) -> u64 {
        self.inner.as_ref().map_or(self.begun, FrameSink::frames_begun)
    }
}

fn failed(peer: &Arc<str>, operation: &'static str, kind: io::ErrorKind) -> LaneError {
    let source = Arc::new(io::Error::new(kind, "a planned fault"));
    LaneError::Io { peer: Arc::clone(peer), operation, source }
}
