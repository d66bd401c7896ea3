//! The receiving half: it owns the exchanges of requests, and drives them when it is polled.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    StreamExt,
    future::AbortHandle,
    stream::{Abortable, BoxStream, SelectAll},
};
use towpath_raw::{Connect, End, FrameSource, Inbound, LaneError};

use super::{exchange, renewal, standalone, wire::Wire};

/// The receiving half of an [`HttpLane`](crate::HttpLane). It also sends the requests, when it is polled. Dropped, it
/// closes their exchanges and the standalone stream, and ends the lane.
pub struct HttpSource<C: Connect> {
    wire: Arc<Wire<C>>,
    streams: SelectAll<Abortable<BoxStream<'static, Inbound>>>,
}

impl<C: Connect> HttpSource<C> {
    pub(super) fn new(wire: Arc<Wire<C>>) -> Self {
        Self { wire, streams: SelectAll::new() }
    }

    /// Opens what may be opened now.
    fn start(&mut self) {
        let shared = &self.wire.shared;
        while self.may_start() {
            let (abort, registration) = AbortHandle::new_pair();
            let Some((request, key)) = shared.next_request(self.most(), abort) else { break };
            let stream = exchange::run(Arc::clone(&self.wire), request, key);
            self.streams.push(Abortable::new(stream, registration));
        }
        if let Some((suspected, opening)) = shared.begin_renewal() {
            let (_, registration) = AbortHandle::new_pair();
            let renewal = renewal::run(Arc::clone(&self.wire), suspected, opening);
            self.streams.push(Abortable::new(renewal, registration));
        }
        if shared.wants_to_listen() {
            let (abort, registration) = AbortHandle::new_pair();
            shared.listens(abort);
            self.streams.push(Abortable::new(standalone::run(Arc::clone(&self.wire)), registration));
        }
    }

    fn may_start(&self) -> bool {
        self.wire.shared.may_start(self.most())
    }

    fn most(&self) -> usize {
        self.wire.options.limits.max_posts_in_flight
    }
}

impl<C: Connect> FrameSource for HttpSource<C> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        self.wire.shared.register_source(cx);
        loop {
            if self.wire.shared.is_closed() {
                self.streams.clear();
                return Poll::Ready(Ok(Inbound::End(End::default())));
            }
            if let Some((route, error)) = self.wire.shared.next_failed() {
                return Poll::Ready(Ok(Inbound::Failed { route, error }));
            }
            self.start();
            match self.streams.poll_next_unpin(cx) {
                Poll::Ready(Some(inbound)) => return Poll::Ready(Ok(inbound)),
                // One that has ended made room for another.
                _ if self.may_start() || self.wire.shared.wants_renewal() => {}
                _ => return Poll::Pending,
            }
        }
    }
}

impl<C: Connect> Drop for HttpSource<C> {
    fn drop(&mut self) {
        self.wire.shared.source_gone();
    }
}

impl<C: Connect> std::fmt::Debug for HttpSource<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSource").field("peer", &self.wire.peer).finish_non_exhaustive()
    }
}
