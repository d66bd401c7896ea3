//! What is on its way in one session, in both directions. No I/O, and no waiting: a machine behind a lock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use towpath_mcp::{Fault, encode};
use towpath_raw::{End, Frame, Inbound};

use super::{
    Asked, Belongs, EventId, belongs,
    listening::{Listening, Queued, Replaced},
    log::Log,
    post_route,
    response::Post,
};
use crate::http::closing::Closing;

/// What one session may hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct SessionBounds {
    pub(in crate::http) max_requests: usize,
    pub(in crate::http) max_inbox_bytes: usize,
    pub(in crate::http) max_unread_event_bytes: usize,
    pub(in crate::http) max_queue_bytes: usize,
    pub(in crate::http) reader_stall: Duration,
    pub(in crate::http) retry_after: Duration,
    pub(in crate::http) stream_retry: Duration,
    pub(in crate::http) cancel_after_disconnect: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) bounds: SessionBounds,
    /// What was said on the streams.
    pub(super) log: Log,
    /// What the link has not taken in yet.
    inbox: VecDeque<Inbound>,
    inbox_bytes: usize,
    pub(super) source: Option<Waker>,
    pub(super) sink: Option<Waker>,
    /// The POSTs that are owed something, oldest first.
    pub(super) posts: BTreeMap<u64, Post>,
    next_post: u64,
    pub(super) requests: usize,
    /// How many POSTs have a reader that the link waits for.
    pub(super) full: usize,
    /// What belongs to no POST, and waits for a GET.
    pub(super) queue: VecDeque<Queued>,
    pub(super) queue_bytes: usize,
    /// Something of that is lost, and nobody was told yet.
    pub(super) missed: bool,
    pub(super) get: Option<Listening>,
    pub(super) replaced: VecDeque<Replaced>,
    pub(super) next_get: u64,
    pub(super) next_reader: u64,
    /// Counts the frames that nobody could get any more.
    pub(super) closing: Arc<Closing>,
    pub(super) touched: Instant,
    draining: bool,
    pub(super) ended: Option<Fault>,
    /// Nothing comes from the link any more.
    pub(super) gone: bool,
}

/// What the reader of a stream gets.
#[derive(Debug)]
pub(in crate::http) enum Taken {
    /// A message; the answer if it is the last.
    Message { frame: Frame, id: Option<EventId> },
    /// Here something is missing.
    Gap {
        id: Option<EventId>,
        /// Whether this connection once had read everything.
        was_live: bool,
    },
    /// The rest is for whoever comes back after that time.
    Close(Duration),
    /// Nothing more: the request was cancelled, or another connection has the stream.
    Nothing,
    /// The session has ended.
    Ended(Fault),
}

impl State {
    pub(super) fn new(bounds: SessionBounds, log: Log, now: Instant, closing: Arc<Closing>) -> Self {
        Self {
            bounds,
            log,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            source: None,
            sink: None,
            posts: BTreeMap::new(),
            next_post: 1,
            requests: 0,
            full: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            missed: false,
            get: None,
            replaced: VecDeque::new(),
            next_get: 1,
            next_reader: 0,
            closing,
            touched: now,
            draining: false,
            ended: None,
            gone: false,
        }
    }

    pub(super) fn post(
        &mut self,
        body: Bytes,
        asked: Asked,
        permit: OwnedSemaphorePermit,
        wakers: &mut Vec<Waker>,
    ) -> Result<u64, Fault> {
        let limit = self.bounds.max_requests;
        if self.requests.saturating_add(asked.count) > limit {
            return Err(Fault::TooManyRequests { limit, setting: "max_requests_per_session" });
        }
        let number = self.next_post;
        self.tell(Inbound::Routed(post_route(number), body), wakers)?;
        self.next_post += 1;
        self.requests += asked.count;
        let mut post = Post::new(asked, self.log.number(), permit);
        if !self.is_listened() {
            // Requests to the client that found no stream have one now.
            let (calls, rest) = std::mem::take(&mut self.queue).into_iter().partition(|queued| queued.call);
            self.queue = rest;
            let calls: VecDeque<Queued> = calls;
            for Queued { frame, .. } in calls {
                self.queue_bytes -= frame.len();
                post.push(frame);
            }
        }
        self.posts.insert(number, post);
        Ok(number)
    }

    /// Hands something to the link.
    pub(super) fn tell(&mut self, inbound: Inbound, wakers: &mut Vec<Waker>) -> Result<(), Fault> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let bytes = cost(&inbound);
        let full = self.inbox_bytes.saturating_add(bytes) > self.bounds.max_inbox_bytes;
        if full && !self.inbox.is_empty() {
            return Err(Fault::Overloaded {
                what: "too many messages wait for this session",
                setting: "max_session_inbox_bytes",
                retry_after: Some(self.bounds.retry_after),
            });
        }
        self.inbox_bytes += bytes;
        self.inbox.push_back(inbound);
        self.touched = Instant::now();
        wakers.extend(self.source.take());
        Ok(())
    }

    /// What the link has to say.
    pub(super) fn send(&mut self, frame: Frame, wakers: &mut Vec<Waker>) {
        match belongs(&frame) {
            Belongs::Post(number) => self.send_on(number, frame, wakers),
            Belongs::Lane => self.send_aside(Queued { frame, call: false }, wakers),
            Belongs::Call => {
                let newest = self.posts.iter().rev().find(|(_, post)| post.is_read() && !post.done);
                match newest.map(|(number, _)| *number) {
                    Some(number) if !self.is_listened() => self.send_on(number, frame, wakers),
                    _ => self.send_aside(Queued { frame, call: true }, wakers),
                }
            }
        }
    }

    /// What the link takes in next; if there is nothing, until when it waits at most.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Result<Inbound, Option<Instant>> {
        if self.inbox.is_empty() && self.ended.is_none() {
            let next = self.abandon();
            if self.inbox.is_empty() {
                remember(&mut self.source, cx);
                return Err(next);
            }
        }
        let Some(inbound) = self.inbox.pop_front() else { return Ok(Inbound::End(End::default())) };
        self.inbox_bytes -= cost(&inbound);
        Ok(inbound)
    }

    /// Cancels the requests whose clients have not come back in time; when the next is due.
    fn abandon(&mut self) -> Option<Instant> {
        self.bounds.cancel_after_disconnect?;
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for post in self.posts.values_mut() {
            let Some(at) = post.cancel_at else { continue };
            if at > now {
                next = Some(next.map_or(at, |next| next.min(at)));
                continue;
            }
            post.cancel_at = None;
            for id in post.asked.id.iter().chain(&post.asked.batch) {
                let mut out = BytesMut::new();
                encode::cancelled(&mut out, id, Some("the client went away"));
                let cancelled = Inbound::Frame(out.freeze());
                self.inbox_bytes += cost(&cancelled);
                self.inbox.push_back(cancelled);
            }
        }
        next
    }

    /// Nothing is taken in any more, and whoever waits for something is told. What is there can still be read.
    pub(super) fn end(&mut self, why: Fault, wakers: &mut Vec<Waker>) {
        if self.ended.is_none() {
            self.ended = Some(why);
        }
        wakers.extend(self.source.take());
        wakers.extend(self.sink.take());
        wakers.extend(self.posts.values_mut().filter_map(Post::wake));
        wakers.extend(self.wake_listener());
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The link is gone: nothing comes any more for those who have gone themselves.
    pub(super) fn lane_gone(&mut self, wakers: &mut Vec<Waker>) {
        self.end(if self.draining { Fault::ShuttingDown } else { Fault::SessionClosed }, wakers);
        self.gone = true;
        self.posts.retain(|_, post| post.reader.is_some());
        self.inbox.clear();
        self.inbox_bytes = 0;
    }

    /// Since when nothing happens and nothing is awaited.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let busy = !self.posts.is_empty() || self.is_listened() || !self.inbox.is_empty();
        (!busy).then_some(self.touched)
    }
}

/// What a message in the inbox counts; even the smallest costs something.
fn cost(inbound: &Inbound) -> usize {
    let bytes = match inbound {
        Inbound::Frame(bytes) | Inbound::Routed(_, bytes) => bytes.len(),
        _ => 0,
    };
    bytes + INBOUND_BYTES
}

const INBOUND_BYTES: usize = 64;

pub(super) fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if slot.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
