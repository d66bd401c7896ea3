//! The sending half: it takes every message, gives requests to the source, and POSTs the rest by itself.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::runtime::Handle;
use towpath_jsonrpc::{Kind, Message};
use towpath_mcp::{SessionHeaders, is_modern, method};
use towpath_raw::{Connect, ExchangeError, Frame, FrameSink, LaneError, MessageTooLarge, Route};

use super::{
    one_way::{self, OneWay, Then},
    state::{Cancelled, Request, own_limits},
    wire::Wire,
};

/// The sending half of an [`HttpLane`](crate::HttpLane).
///
/// A message counts as begun ([`FrameSink::frames_begun`]) once it was handed to the connector: whether the server has got
/// a byte of it is what the end of its request says. Dropped, it gives up what was not answered, and ends the lane.
pub struct HttpSink<C: Connect> {
    wire: Arc<Wire<C>>,
    waiting: VecDeque<OneWay>,
    posts: FuturesUnordered<BoxFuture<'static, ()>>,
    /// How many of those that wait are `notifications/initialized`: what waits in front of one is not held up by it.
    opening: usize,
    /// How many frames were taken.
    taken: u64,
    closing: Closing,
}

enum Closing {
    Open,
    Deleting(BoxFuture<'static, ()>),
    Closed,
}

impl<C: Connect> HttpSink<C> {
    pub(super) fn new(wire: Arc<Wire<C>>) -> Self {
        Self {
            wire,
            waiting: VecDeque::new(),
            posts: FuturesUnordered::new(),
            opening: 0,
            taken: 0,
            closing: Closing::Open,
        }
    }

    fn open(&self) -> Result<(), LaneError> {
        if !matches!(self.closing, Closing::Open) || self.wire.shared.is_closed() {
            return Err(LaneError::Closed { peer: Arc::clone(&self.wire.peer), explanation: None });
        }
        Ok(())
    }

    fn take(&mut self, message: Message, route: Route) {
        let ordinal = self.taken;
        let shared = &self.wire.shared;
        let then = match (message.kind(), message.method()) {
            (Kind::Request, _) => {
                let modern = is_modern(&message);
                return shared.push(Request { message, route, modern, ordinal });
            }
            (Kind::Notification, method::CANCELLED) if route != Route::LANE => match shared.cancel(route) {
                Cancelled::Silently => return shared.begin(ordinal, 0),
                Cancelled::Told(request) => Then::Close(request),
                Cancelled::Accepted => Then::Nothing,
            },
            (Kind::Notification, method::INITIALIZED) => {
                shared.gate();
                self.opening += 1;
                Then::Ungate
            }
            // An error about nothing that the server could name: over HTTP there is nobody to tell it to.
            (Kind::Error, _) if message.id().is_none() => return shared.begin(ordinal, 0),
            (Kind::Result | Kind::Error, _) if self.wire.options.answers_inputs && !shared.is_legacy() => {
                // A modern server gets it in the next request, and has asked nothing else.
                self.wire.inputs.take(&message);
                return shared.begin(ordinal, 0);
            }
            _ => Then::Nothing,
        };
        shared.queued(message.bytes().len());
        self.waiting.push_back(OneWay { message, ordinal, then });
    }

    /// Hands what waits to the connector, as far as it may go.
    fn start(&mut self) {
        while self.posts.len() < self.wire.options.limits.max_posts_in_flight {
            if self.opening == 0 && self.wire.shared.is_gated() {
                return;
            }
            let Some(next) = self.waiting.pop_front() else { return };
            self.opening -= usize::from(matches!(next.then, Then::Ungate));
            self.wire.shared.begin(next.ordinal, next.message.bytes().len());
            self.posts.push(one_way::post(Arc::clone(&self.wire), next).boxed());
        }
    }

    /// Drives the POSTs that are under way, and starts others; pending until none waits.
    fn poll_posts(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.shared.register_sink(cx);
        loop {
            self.start();
            match self.posts.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if self.waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn end_session(&self, session: SessionHeaders) -> Option<BoxFuture<'static, ()>> {
        let wanted = session.session.is_some() && !self.wire.options.timeouts.delete.is_zero();
        wanted.then(|| one_way::delete(Arc::clone(&self.wire), session).boxed())
    }
}

impl<C: Connect> FrameSink for HttpSink<C> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.open()?;
        let _ = self.poll_posts(cx);
        // However many requests wait: what ends them, and frees their places, comes this way, too.
        let room = self.waiting.len() < self.wire.options.limits.max_posts_in_flight;
        if room { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.open()?;
        let (limit, seen) = (self.wire.options.limits.max_message_bytes, frame.len());
        if seen > limit {
            let source = MessageTooLarge { limit, seen, exact: true };
            return Err(LaneError::TooLarge { peer: Arc::clone(&self.wire.peer), source });
        }
        self.taken += 1;
        let route = frame.route();
        match Message::parse(frame.into_bytes(), &own_limits()) {
            Ok(message) => self.take(message, route),
            Err(error) => {
                let reason = format!("what was to be sent is no JSON-RPC message: {error}");
                tracing::error!(peer = %self.wire.peer, %reason, "a message is not sent");
                let peer = Arc::clone(&self.wire.peer);
                self.wire.shared.fail(route, ExchangeError::NotConnected { peer, reason: reason.into() });
            }
        }
        Ok(())
    }

    /// It is done once every message was handed to the connector; requests are handed to it by the other half.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if !matches!(self.closing, Closing::Open) {
            return Poll::Ready(Ok(()));
        }
        self.open()?;
        ready!(self.poll_posts(cx));
        if self.wire.shared.waiting() == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Waits for the POSTs of notifications and answers, closes every exchange, and ends a legacy session.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if matches!(self.closing, Closing::Open) {
            if !self.wire.shared.is_closed() {
                ready!(self.poll_posts(cx));
                if !self.posts.is_empty() {
                    return Poll::Pending;
                }
            }
            let session = self.wire.shared.close();
            self.closing = self.end_session(session).map_or(Closing::Closed, Closing::Deleting);
        }
        if let Closing::Deleting(delete) = &mut self.closing {
            ready!(delete.poll_unpin(cx));
            self.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }

    fn queued_bytes(&self) -> usize {
        self.wire.shared.queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        self.wire.shared.begun()
    }
}

impl<C: Connect> Drop for HttpSink<C> {
    fn drop(&mut self) {
        let delete = match std::mem::replace(&mut self.closing, Closing::Closed) {
            Closing::Open => self.end_session(self.wire.shared.close()),
            Closing::Deleting(delete) => Some(delete),
            Closing::Closed => None,
        };
        // The one thing that outlives the lane, by no more than its deadline.
        if let (Some(delete), Ok(runtime)) = (delete, Handle::try_current()) {
            runtime.spawn(delete);
        }
    }
}

impl<C: Connect> std::fmt::Debug for HttpSink<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").field("peer", &self.wire.peer).finish_non_exhaustive()
    }
}
