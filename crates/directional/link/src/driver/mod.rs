//! The driver: the one future that reads, handles and writes.
//!
//! It never waits for a handler, and no handler for it: each round reads what is there, polls what runs, settles
//! what has ended under one short lock, and writes everything in as few writes as the lane allows.

mod batch;
mod end;
mod inbound;
mod news;
mod outbound;
mod rejects;
mod running;
mod settle;

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, Sleep, sleep_until};
use towpath_buffer::{BufferPool, PoolLimits};
use towpath_jsonrpc::{Key, Scan};
use towpath_raw::{Lane, Route};

pub(crate) use inbound::DETACHED_BYTES;

use crate::{
    LinkEnd, LinkLimits, LinkTimeouts, Peer, Reply, Service,
    outbox::{Origin, Outgoing, Unread},
    state::Shared,
};

/// How many rounds one poll makes before it lets other tasks run.
const ROUNDS: usize = 16;

/// A lane at work: one future for everything that happens on it.
///
/// Await it, or give it to a task that somebody owns. Dropped, it ends at once: calls fail, handlers are dropped,
/// and the lane's halves with them.
#[must_use = "a link does nothing unless it is polled"]
pub struct Link<L: Lane, S: Service> {
    source: L::Source,
    sink: L::Sink,
    service: S,
    shared: Arc<Shared>,
    /// Frames that have left the outbox, and that the sink has not taken yet.
    queue: VecDeque<Outgoing>,
    /// Frames that the sink has taken, and of which the peer has not taken a byte.
    handed: VecDeque<Handed>,
    /// How many frames the sink has taken.
    frames: u64,
    /// What the peer has begun to take since the last round.
    begun: Unread,
    running: FuturesUnordered<running::Running>,
    /// How many of them are handlers of notifications.
    errands: usize,
    /// Handlers that have ended, to be settled.
    done: Vec<(Key, Option<Reply>)>,
    /// A large message in the middle of its validation.
    scan: Option<(Route, Scan)>,
    inbox: Vec<inbound::Arrived>,
    stage: end::Stage,
    /// How long our side lets the link go on, as far as it was noted.
    grace: Option<std::time::Duration>,
    /// Set when the peer will send nothing more.
    read_end: Option<towpath_raw::End>,
    /// Set when the peer will take nothing more, though it may still send.
    write_end: Option<towpath_raw::LaneError>,
    timer: Option<Pin<Box<Sleep>>>,
    batches: batch::Batches,
    /// How long the queue may be before it is looked through.
    prune_at: usize,
    /// Panics since the last round.
    panics: u64,
    /// How many refusals were unread in the last round.
    unread_refusals: usize,
    stopped_reading: bool,
}

struct Handed {
    ordinal: u64,
    origin: Origin,
    bytes: usize,
}

impl<L: Lane, S: Service> Link<L, S> {
    /// Puts a lane to work with a service, and gives a handle to its peer. Nothing happens until the link is
    /// polled.
    pub fn new(lane: L, service: S, limits: LinkLimits, timeouts: LinkTimeouts) -> (Self, Peer) {
        Self::with_pool(lane, service, limits, timeouts, BufferPool::new(PoolLimits::stdio()))
    }

    /// As [`Link::new`], with write buffers from a pool that several links share: a link that is idle holds none.
    pub fn with_pool(
        lane: L,
        service: S,
        mut limits: LinkLimits,
        timeouts: LinkTimeouts,
        pool: BufferPool,
    ) -> (Self, Peer) {
        // What the lane would refuse is refused before it is queued, while whoever sends it can be told.
        limits.envelope.max_message_bytes = limits.envelope.max_message_bytes.min(lane.max_message_bytes());
        let shared = Arc::new(Shared::new(lane.peer(), limits, timeouts, pool));
        let max_message_bytes = shared.limits.envelope.max_message_bytes;
        let (source, sink) = lane.split();
        let peer = Peer { shared: Arc::clone(&shared) };
        let link = Self {
            source,
            sink,
            service,
            shared,
            queue: VecDeque::new(),
            handed: VecDeque::new(),
            frames: 0,
            begun: Unread::default(),
            running: FuturesUnordered::new(),
            errands: 0,
            done: Vec::new(),
            scan: None,
            inbox: Vec::new(),
            stage: end::Stage::Open,
            grace: None,
            read_end: None,
            write_end: None,
            timer: None,
            batches: batch::Batches::new(max_message_bytes),
            prune_at: 0,
            panics: 0,
            unread_refusals: 0,
            stopped_reading: false,
        };
        (link, peer)
    }

    /// Sleeps until the next deadline, too; whether it has passed already.
    fn poll_timer(&mut self, cx: &mut Context<'_>, next: Option<Instant>) -> bool {
        let Some(next) = next else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// Goes to sleep, unless something came up since the last look.
    fn sleeps(&mut self, cx: &Context<'_>) -> bool {
        let shared = Arc::clone(&self.shared);
        let (room, sleeps) = {
            let mut state = shared.state.lock();
            let room = self.account(&mut state);
            let busy = !state.outbox.is_empty()
                || self.has_news_of_the_end(&state)
                || (self.stopped_reading && !self.must_stop_reading());
            if !busy && self.is_flushed() {
                state.outbox.rest();
            }
            if !busy && state.driver.as_ref().is_none_or(|driver| !driver.will_wake(cx.waker())) {
                state.driver = Some(cx.waker().clone());
            }
            (room, !busy)
        };
        if room {
            shared.room.notify_waiters();
        }
        sleeps
    }
}

impl<L: Lane, S: Service> Future for Link<L, S>
where
    L::Source: Unpin,
    L::Sink: Unpin,
    S: Unpin,
{
    type Output = LinkEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let this = &mut *self;
        for _ in 0..ROUNDS {
            let read = this.read(cx);
            let ran = this.run(cx);
            let next = this.settle();
            this.write(cx);
            if let Poll::Ready(end) = this.poll_end(cx) {
                return Poll::Ready(end);
            }
            if read || ran || !this.done.is_empty() {
                continue;
            }
            // The way to the end has a deadline of its own, which may be new.
            let next = [next, this.stage.deadline()].into_iter().flatten().min();
            if this.poll_timer(cx, next) {
                continue;
            }
            if this.sleeps(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
