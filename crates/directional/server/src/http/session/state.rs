//! What is on its way in one session, in both directions. No I/O, and no waiting: a machine behind a lock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use towpath_mcp::Fault;
use towpath_raw::{End, Frame, Inbound};

use super::{Belongs, belongs, post_route};
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
}

#[derive(Debug)]
pub(super) struct State {
    bounds: SessionBounds,
    /// What the link has not taken in yet.
    inbox: VecDeque<Inbound>,
    inbox_bytes: usize,
    source: Option<Waker>,
    sink: Option<Waker>,
    /// The POSTs that are owed something, oldest first.
    posts: BTreeMap<u64, Post>,
    next_post: u64,
    requests: usize,
    /// How many POSTs have a reader that the link waits for.
    full: usize,
    /// What belongs to no POST, and waits for a GET.
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    get: Option<Get>,
    next_get: u64,
    /// Counts the frames that nobody could get any more.
    closing: Arc<Closing>,
    touched: Instant,
    draining: bool,
    ended: Option<Fault>,
    /// Nothing comes from the link any more.
    gone: bool,
}

#[derive(Debug)]
struct Post {
    requests: usize,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Whether the last frame is there.
    done: bool,
    /// Whether anybody reads the response.
    read: bool,
    reader: Option<Waker>,
    /// Since when so much waits that the link waits, too.
    full_since: Option<Instant>,
    /// The reader takes nothing: nobody waits for it any more.
    deaf: bool,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Get {
    number: u64,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct Queued {
    frame: Frame,
    /// A request to the client, or its cancellation: any stream will do.
    call: bool,
}

/// What a response gets.
#[derive(Debug)]
pub(in crate::http) enum Taken {
    /// A message; the answer if it is the last.
    Frame(Frame),
    /// Nothing more: the request was cancelled.
    Nothing,
    /// The session has ended.
    Ended(Fault),
}

impl State {
    pub(super) fn new(bounds: SessionBounds, now: Instant, closing: Arc<Closing>) -> Self {
        Self {
            bounds,
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
            get: None,
            next_get: 1,
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
        requests: usize,
        permit: OwnedSemaphorePermit,
        wakers: &mut Vec<Waker>,
    ) -> Result<u64, Fault> {
        let limit = self.bounds.max_requests;
        if self.requests.saturating_add(requests) > limit {
            return Err(Fault::TooManyRequests { limit, setting: "max_requests_per_session" });
        }
        let number = self.next_post;
        self.tell(Inbound::Routed(post_route(number), body), wakers)?;
        self.next_post += 1;
        self.requests += requests;
        let mut post = Post {
            requests,
            frames: VecDeque::new(),
            bytes: 0,
            done: false,
            read: true,
            reader: None,
            full_since: None,
            deaf: false,
            _permit: permit,
        };
        if self.get.is_none() {
            // Requests to the client that found no stream have one now.
            let (calls, rest) = std::mem::take(&mut self.queue).into_iter().partition(|queued| queued.call);
            self.queue = rest;
            let calls: VecDeque<Queued> = calls;
            for Queued { frame, .. } in calls {
                self.queue_bytes -= frame.len();
                post.bytes += frame.len();
                post.frames.push_back(frame);
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

    pub(super) fn open_get(&mut self, wakers: &mut Vec<Waker>) -> Result<u64, Fault> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let number = self.next_get;
        self.next_get += 1;
        self.touched = Instant::now();
        if let Some(replaced) = self.get.replace(Get { number, reader: None }) {
            wakers.extend(replaced.reader);
        }
        Ok(number)
    }

    pub(super) fn close_get(&mut self, number: u64) {
        if self.get.as_ref().is_some_and(|get| get.number == number) {
            self.get = None;
            self.touched = Instant::now();
        }
    }

    /// `None`: this stream is at its end.
    pub(super) fn poll_get(&mut self, number: u64, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let Some(get) = self.get.as_mut().filter(|get| get.number == number) else {
            return Poll::Ready(None);
        };
        if let Some(queued) = self.queue.pop_front() {
            self.queue_bytes -= queued.frame.len();
            return Poll::Ready(Some(queued.frame));
        }
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        remember(&mut get.reader, cx);
        Poll::Pending
    }

    pub(super) fn poll_post(
        &mut self,
        number: u64,
        cx: &mut Context<'_>,
        wakers: &mut Vec<Waker>,
    ) -> Poll<Taken> {
        let ended = || self.ended.clone().map_or(Taken::Nothing, Taken::Ended);
        let Some(post) = self.posts.get_mut(&number) else { return Poll::Ready(ended()) };
        let Some(frame) = post.frames.pop_front() else {
            if let Some(ended) = &self.ended {
                return Poll::Ready(Taken::Ended(ended.clone()));
            }
            remember(&mut post.reader, cx);
            return Poll::Pending;
        };
        post.bytes -= frame.len();
        if post.full_since.take().is_some() {
            if post.bytes < self.bounds.max_unread_event_bytes {
                self.full -= 1;
                wakers.extend(self.sink.take());
            } else {
                // It takes something: it is not stalled.
                post.full_since = Some(Instant::now());
            }
        }
        post.deaf = false;
        if !frame.is_last() {
            return Poll::Ready(Taken::Frame(frame));
        }
        self.forget(number, wakers);
        Poll::Ready(if frame.is_empty() { Taken::Nothing } else { Taken::Frame(frame) })
    }

    /// Nobody reads this response any more.
    pub(super) fn reader_gone(&mut self, number: u64, wakers: &mut Vec<Waker>) {
        let Some(post) = self.posts.get_mut(&number) else { return };
        post.read = false;
        post.reader = None;
        post.bytes = 0;
        let unread = post.frames.drain(..).filter(|frame| !frame.is_empty()).count();
        self.closing.note_dropped(unread as u64);
        if post.full_since.take().is_some() {
            self.full -= 1;
            wakers.extend(self.sink.take());
        }
        // It gives its permits back, though another response may keep the session.
        if post.done || self.gone {
            self.forget(number, wakers);
        }
    }

    /// What the link has to say.
    pub(super) fn send(&mut self, frame: Frame, wakers: &mut Vec<Waker>) {
        match belongs(&frame) {
            Belongs::Post(number) => self.send_on(number, frame, wakers),
            Belongs::Lane => self.send_aside(Queued { frame, call: false }, wakers),
            Belongs::Call => {
                let newest = self.posts.iter().rev().find(|(_, post)| post.read && !post.done);
                match newest.map(|(number, _)| *number) {
                    Some(number) if self.get.is_none() => self.send_on(number, frame, wakers),
                    _ => self.send_aside(Queued { frame, call: true }, wakers),
                }
            }
        }
    }

    /// Whether the link may say more; else until when it waits at most.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Result<(), Instant> {
        // Once the session has ended, nobody is waited for any more.
        if self.full == 0 || self.ended.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        let mut until: Option<Instant> = None;
        for post in self.posts.values_mut() {
            let Some(since) = post.full_since else { continue };
            let at = since + self.bounds.reader_stall;
            if at <= now {
                post.full_since = None;
                post.deaf = true;
                self.full -= 1;
            } else {
                until = Some(until.map_or(at, |until| until.min(at)));
            }
        }
        match until {
            Some(until) => {
                remember(&mut self.sink, cx);
                Err(until)
            }
            None => Ok(()),
        }
    }

    /// What the link takes in next.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<Inbound> {
        if let Some(inbound) = self.inbox.pop_front() {
            self.inbox_bytes -= cost(&inbound);
            return Poll::Ready(inbound);
        }
        if self.ended.is_some() {
            return Poll::Ready(Inbound::End(End::default()));
        }
        remember(&mut self.source, cx);
        Poll::Pending
    }

    /// Nothing is taken in any more, and whoever waits for something is told. What is there can still be read.
    pub(super) fn end(&mut self, why: Fault, wakers: &mut Vec<Waker>) {
        if self.ended.is_none() {
            self.ended = Some(why);
        }
        wakers.extend(self.source.take());
        wakers.extend(self.sink.take());
        wakers.extend(self.posts.values_mut().filter_map(|post| post.reader.take()));
        wakers.extend(self.get.as_mut().and_then(|get| get.reader.take()));
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
        self.posts.retain(|_, post| post.read);
        self.inbox.clear();
        self.inbox_bytes = 0;
    }

    /// Since when nothing happens and nothing is awaited.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let busy = !self.posts.is_empty() || self.get.is_some() || !self.inbox.is_empty();
        (!busy).then_some(self.touched)
    }

    fn send_on(&mut self, number: u64, frame: Frame, wakers: &mut Vec<Waker>) {
        let Some(post) = self.posts.get_mut(&number) else {
            self.closing.note_dropped(u64::from(!frame.is_empty()));
            return;
        };
        let last = frame.is_last();
        post.done |= last;
        if !post.read || (post.deaf && !last) {
            self.closing.note_dropped(u64::from(!frame.is_empty()));
            if last {
                self.forget(number, wakers);
            }
            return;
        }
        post.bytes += frame.len();
        post.frames.push_back(frame);
        wakers.extend(post.reader.take());
        if !last && post.full_since.is_none() && post.bytes >= self.bounds.max_unread_event_bytes {
            post.full_since = Some(Instant::now());
            self.full += 1;
        }
    }

    fn send_aside(&mut self, queued: Queued, wakers: &mut Vec<Waker>) {
        self.queue_bytes += queued.frame.len();
        self.queue.push_back(queued);
        while self.queue_bytes > self.bounds.max_queue_bytes && self.queue.len() > 1 {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.queue_bytes -= oldest.frame.len();
            self.closing.note_dropped(1);
        }
        wakers.extend(self.get.as_mut().and_then(|get| get.reader.take()));
    }

    fn forget(&mut self, number: u64, wakers: &mut Vec<Waker>) {
        let Some(post) = self.posts.remove(&number) else { return };
        self.requests -= post.requests;
        self.touched = Instant::now();
        if post.full_since.is_some() {
            self.full -= 1;
            wakers.extend(self.sink.take());
        }
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

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if slot.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
