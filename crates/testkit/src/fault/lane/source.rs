//! The half that receives.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use towpath_raw::{End, FrameSource, Inbound, LaneError, LaneLimits, Route};

use super::{
    super::{
        Cut, FaultKind,
        gate::{Gate, Pass},
        shelf::{Key, Shelf},
    },
    failed,
};

/// The receiving half of a [`FaultLane`](crate::FaultLane).
#[derive(Debug)]
pub struct FaultSource<S> {
    inner: Option<S>,
    peer: Arc<str>,
    gate: Gate,
    /// Taken from the lane inside, and kept back.
    held: Option<(Route, Bytes)>,
    shelf: Shelf<Arrived>,
    /// To be given next, once or twice.
    next: Option<(Inbound, bool)>,
    /// The lane inside has said that it is at its end.
    inner_ended: bool,
    ended: Option<Result<End, LaneError>>,
}

/// What has passed the gate, and whether it comes twice.
#[derive(Debug)]
struct Arrived {
    inbound: Result<Inbound, LaneError>,
    twice: bool,
}

impl<S: FrameSource> FaultSource<S> {
    pub(super) fn new(inner: S, peer: Arc<str>, gate: Gate, limits: &LaneLimits) -> Self {
        let shelf = Shelf::new(limits.write_queue_bytes, Arc::clone(&gate.counters));
        let (held, next, ended) = (None, None, None);
        Self { inner: Some(inner), peer, gate, held, shelf, next, inner_ended: false, ended }
    }

    /// Ends it for good. The lane inside is let go, so that its peer notices.
    fn cut(&mut self, how: Cut, truncated_bytes: usize) {
        self.gate.counters.count(FaultKind::Cut);
        self.inner = None;
        self.held = None;
        self.next = None;
        self.shelf.clear();
        self.ended = Some(match how {
            Cut::End => Ok(End::default()),
            Cut::MidFrame => Ok(End { truncated_bytes, explanation: None }),
            Cut::Error(kind) => Err(failed(&self.peer, "reading from", kind)),
        });
    }

    /// Gives what has arrived, or sets it aside.
    fn arrive(&mut self, key: Key, bytes: usize, hold: Option<Duration>, arrived: Arrived) {
        if let Some(arrived) = self.shelf.pass(key, bytes, hold, arrived) {
            self.give(arrived);
        }
    }

    fn give(&mut self, arrived: Arrived) {
        match arrived.inbound {
            Ok(Inbound::End(end)) => self.ended = Some(Ok(end)),
            Ok(inbound) => self.next = Some((inbound, arrived.twice)),
            Err(error) => self.ended = Some(Err(error)),
        }
    }

    /// The other side has vanished: what it still sends is taken, and nobody hears of it.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..DISCARDED_IN_A_ROW {
            let Some(inner) = self.inner.as_mut().filter(|_| !self.inner_ended) else { return Poll::Pending };
            match ready!(inner.poll_frame(cx)) {
                Ok(Inbound::End(_)) | Err(_) => self.inner_ended = true,
                Ok(_) => self.gate.counters.count(FaultKind::HalfOpen),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: FrameSource> FrameSource for FaultSource<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        loop {
            if let Some((inbound, twice)) = self.next.take() {
                self.next = twice.then(|| (inbound.clone(), false));
                return Poll::Ready(Ok(inbound));
            }
            if let Some(ended) = &self.ended {
                return Poll::Ready(ended.clone().map(Inbound::End));
            }
            if self.gate.is_half_open() {
                self.held = None;
                self.shelf.clear();
                ready!(self.poll_discard(cx));
            }
            // Registers the timer of what is set aside, too.
            if let Poll::Ready(Some(arrived)) = self.shelf.poll_due(cx) {
                self.give(arrived);
                continue;
            }
            if !self.shelf.has_room() {
                return Poll::Pending;
            }
            if let Some((route, bytes)) = &self.held {
                let pass = ready!(self.gate.poll_pass(cx, *route, bytes.len()));
                let Some((route, bytes)) = self.held.take() else { continue };
                match pass {
                    Pass::Frame(mut changes) => {
                        let bytes = changes.apply(bytes);
                        let key = Key::of(route, &bytes, self.gate.faults.swap_messages);
                        let length = bytes.len();
                        let inbound = match route {
                            Route::LANE => Inbound::Frame(bytes),
                            route => Inbound::Routed(route, bytes),
                        };
                        let arrived = Arrived { inbound: Ok(inbound), twice: changes.twice };
                        self.arrive(key, length, changes.hold, arrived);
                    }
                    Pass::Cut(how, length) => self.cut(how, length),
                    Pass::Lost => {}
                }
                continue;
            }
            if let Some(how) = self.gate.cut_between_frames() {
                self.cut(how, 0);
                continue;
            }
            ready!(self.gate.poll_unstalled(cx));
            let Some(inner) = self.inner.as_mut().filter(|_| !self.inner_ended) else {
                return Poll::Pending;
            };
            let inbound = ready!(inner.poll_frame(cx));
            let key = match &inbound {
                Ok(Inbound::Frame(_) | Inbound::Routed(..)) => None,
                Ok(Inbound::Failed { route, .. }) => Some(Key::Exchange(*route)),
                _ => Some(Key::Barrier),
            };
            self.inner_ended = matches!(inbound, Ok(Inbound::End(_)) | Err(_));
            match (inbound, key) {
                (Ok(Inbound::Frame(bytes)), _) => self.held = Some((Route::LANE, bytes)),
                (Ok(Inbound::Routed(route, bytes)), _) => self.held = Some((route, bytes)),
                (inbound, key) => {
                    let arrived = Arrived { inbound, twice: false };
                    self.arrive(key.unwrap_or(Key::Barrier), 0, None, arrived);
                }
            }
        }
    }
}

/// How much is thrown away before others get their turn.
const DISCARDED_IN_A_ROW: usize = 32;
