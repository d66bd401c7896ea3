//! The half that sends: one POST after the other.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Uri};
use towpath_raw::{Connect, ExchangeError, Frame, FrameSink, LaneError, LaneLimits, MessageTooLarge, Route};

use super::{
    post::post,
    shared::{Permit, Shared},
};

/// The half of an [`SseLane`](crate::SseLane) that sends.
///
/// Each frame is the body of a POST. There is one at a time, so that the order is kept; flushed means that the server
/// has accepted everything. When a POST fails (a status that is no success, no connection, or no answer within
/// [`SseLaneTimeouts::write_stall`](crate::SseLaneTimeouts::write_stall)), then a frame that was on a route is
/// reported as [`Inbound::Failed`](towpath_raw::Inbound::Failed) by the other half, and the lane lives on; any other
/// ends the lane.
///
/// To close it tells the server nothing: HTTP+SSE has no way to end one direction alone. Dropped, it abandons the POST
/// that is in flight, and what is queued is lost.
pub struct SseSink<C> {
    target: Arc<Target<C>>,
    limits: LaneLimits,
    shared: Arc<Shared>,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    flight: Option<Flight>,
    begun: u64,
    closed: bool,
    error: Option<LaneError>,
}

/// Where messages go, and with what.
pub(super) struct Target<C> {
    pub(super) connect: Arc<C>,
    pub(super) endpoint: Uri,
    pub(super) headers: HeaderMap,
    pub(super) peer: Arc<str>,
    pub(super) write_stall: Option<Duration>,
}

/// The POST that is on its way.
struct Flight {
    posting: Pin<Box<dyn Future<Output = Result<(), ExchangeError>> + Send>>,
    route: Route,
    bytes: usize,
}

impl<C: Connect> SseSink<C> {
    pub(super) fn new(target: Target<C>, limits: LaneLimits, shared: Arc<Shared>) -> Self {
        Self {
            target: Arc::new(target),
            limits,
            shared,
            queue: VecDeque::new(),
            queued_bytes: 0,
            flight: None,
            begun: 0,
            closed: false,
            error: None,
        }
    }

    pub(super) fn endpoint(&self) -> &Uri {
        &self.target.endpoint
    }

    pub(super) fn max_message_bytes(&self) -> usize {
        self.limits.max_message_bytes
    }

    /// Sends until nothing is queued.
    fn poll_posts(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        loop {
            if let Some(error) = &self.error {
                return Poll::Ready(Err(error.clone()));
            }
            if self.flight.is_none() && self.queue.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let permit = self.shared.permit(cx);
            if permit == Permit::Ended {
                return Poll::Ready(Err(self.fail(self.gone())));
            }
            if let Some(flight) = &mut self.flight {
                let posted = ready!(flight.posting.as_mut().poll(cx));
                let (route, bytes) = (flight.route, flight.bytes);
                self.flight = None;
                match posted {
                    Err(error) if route == Route::LANE => {
                        return Poll::Ready(Err(self.fail(self.fatal(error))));
                    }
                    Err(error) => self.shared.fail(route, error),
                    Ok(()) => {}
                }
                self.queued_bytes -= bytes;
                continue;
            }
            if permit == Permit::Wait {
                return Poll::Pending;
            }
            let Some(frame) = self.queue.pop_front() else { continue };
            self.begun += 1;
            // Nothing is not a message; a POST of it would only be refused.
            if !frame.is_empty() {
                let (route, bytes) = (frame.route(), frame.len());
                let posting = Box::pin(post(Arc::clone(&self.target), frame.into_bytes()));
                self.flight = Some(Flight { posting, route, bytes });
            }
        }
    }

    fn gone(&self) -> LaneError {
        LaneError::Closed { peer: Arc::clone(&self.target.peer), explanation: None }
    }

    /// The end of the lane that the failure of a POST means which nobody waits for by itself.
    fn fatal(&self, error: ExchangeError) -> LaneError {
        let peer = Arc::clone(&self.target.peer);
        match error {
            ExchangeError::Timeout { source, .. } => {
                LaneError::PeerNotReading { peer, after: source.after, unsent_bytes: self.queued_bytes }
            }
            ExchangeError::NotConnected { .. } => {
                LaneError::Closed { peer, explanation: Some(Arc::new(error)) }
            }
            error => {
                LaneError::Io { peer, operation: "writing to", source: Arc::new(io::Error::other(error)) }
            }
        }
    }

    fn fail(&mut self, error: LaneError) -> LaneError {
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
        self.flight = None;
        self.error = Some(error.clone());
        error
    }
}

impl<C: Connect> FrameSink for SseSink<C> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if let Poll::Ready(Err(error)) = self.poll_posts(cx) {
            return Poll::Ready(Err(error));
        }
        let frames = self.queue.len() + usize::from(self.flight.is_some());
        let full = frames >= self.limits.write_queue_frames.max(1)
            || self.queued_bytes >= self.limits.write_queue_bytes.max(1);
        if full { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if self.closed {
            return Err(self.gone());
        }
        let (seen, limit) = (frame.len(), self.limits.max_message_bytes);
        if seen > limit {
            let source = MessageTooLarge { limit, seen, exact: true };
            return Err(LaneError::TooLarge { peer: Arc::clone(&self.target.peer), source });
        }
        self.queued_bytes += seen;
        self.queue.push_back(frame);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.poll_posts(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        ready!(self.poll_posts(cx))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }

    fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    fn frames_begun(&self) -> u64 {
        self.begun
    }
}

impl<C> fmt::Debug for SseSink<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseSink")
            .field("peer", &self.target.peer)
            .field("queued_bytes", &self.queued_bytes)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}
