//! The responses to the POSTs of a session: who reads them, and what waits for whom.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use towpath_jsonrpc::{ErrorObject, Id, RawJson};
use towpath_mcp::{Fault, Revision};
use towpath_raw::Frame;

use super::{
    Asked, Opening, StreamId, Taken,
    log::{Cursor, Log},
    state::{State, remember},
};
use crate::http::reply::Answer;

/// The response to one POST.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) asked: Asked,
    pub(super) frames: VecDeque<Frame>,
    pub(super) bytes: usize,
    /// Whether the last frame is there.
    pub(super) done: bool,
    /// Whoever reads the response.
    pub(super) reader: Option<Attached>,
    /// How often somebody began to read it.
    pub(super) readers: u64,
    /// Since when so much waits that the link waits, too.
    pub(super) full_since: Option<Instant>,
    /// The reader takes nothing: nobody waits for it any more.
    pub(super) deaf: bool,
    /// Whether the response is an event stream.
    pub(super) streams: bool,
    /// The number of its beginning, and of its newest event.
    begins: u64,
    pub(super) latest: u64,
    /// It is to be closed, for this long, after the event of this number.
    pub(super) closing: Option<(Option<Duration>, u64)>,
    /// When the request is cancelled because nobody has come back.
    pub(super) cancel_at: Option<Instant>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// The connection that holds a stream.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) generation: u64,
    pub(super) waker: Option<Waker>,
    pub(super) cursor: Cursor,
}

impl Attached {
    pub(super) fn new(generation: u64, cursor: Cursor) -> Self {
        Self { generation, waker: None, cursor }
    }
}

impl Post {
    pub(super) fn new(asked: Asked, begins: u64, permit: OwnedSemaphorePermit) -> Self {
        Self {
            asked,
            frames: VecDeque::new(),
            bytes: 0,
            done: false,
            reader: Some(Attached::new(0, Cursor::at(begins))),
            readers: 1,
            full_since: None,
            deaf: false,
            streams: false,
            begins,
            latest: begins,
            closing: None,
            cancel_at: None,
            _permit: permit,
        }
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Whether something that is said now would be read at once.
    pub(super) fn is_read(&self) -> bool {
        self.reader.is_some() && self.closing.is_none()
    }

    pub(super) fn wake(&mut self) -> Option<Waker> {
        self.reader.as_mut()?.waker.take()
    }

    fn keep(&mut self, number: u64, frame: &Frame, log: &mut Log) {
        let id = self.asked.id.as_ref().filter(|_| frame.is_last());
        let instead = || id.map(|id| not_kept(id).on(frame.route()).last());
        log.keep(StreamId::Post(number), &mut self.latest, frame, instead);
    }

    /// What waits here goes where clients that come back find it; with `notifications` only what comes before the answer.
    fn store(&mut self, number: u64, notifications: bool, log: &mut Log) {
        while let Some(frame) = self.frames.pop_front() {
            if notifications && frame.is_last() {
                self.frames.push_front(frame);
                break;
            }
            self.bytes -= frame.len();
            self.keep(number, &frame, log);
        }
    }
}

impl State {
    /// The response becomes an event stream, which begins with `first` if there is any that has no id yet.
    pub(super) fn begin_stream(&mut self, number: u64, first: Option<&Frame>) -> Opening {
        let stream = StreamId::Post(number);
        let Some(post) = self.posts.get_mut(&number) else { return Opening::default() };
        post.streams = true;
        let prime = self.log.id(stream, post.begins).filter(|_| self.log.polls());
        let mut id = None;
        if let Some(frame) = first
            && self.log.has_ids()
        {
            post.keep(number, frame, &mut self.log);
            id = self.log.id(stream, post.latest);
            if let Some(reader) = &mut post.reader {
                reader.cursor.after = post.latest;
            }
        }
        Opening { prime, first: id }
    }

    pub(super) fn poll_post(
        &mut self,
        number: u64,
        generation: u64,
        cx: &mut Context<'_>,
        wakers: &mut Vec<Waker>,
    ) -> Poll<Taken> {
        let ended = self.ended.clone().map_or(Taken::Nothing, Taken::Ended);
        let Some(post) = self.posts.get_mut(&number) else { return Poll::Ready(ended) };
        let Some(reader) = post.reader.as_mut().filter(|reader| reader.generation == generation) else {
            return Poll::Ready(Taken::Nothing);
        };
        let logged = post.streams && self.log.has_ids();
        let until = post.closing.map_or(post.latest, |(_, until)| until);
        if logged && reader.cursor.after < until {
            post.deaf = false;
            let stream = StreamId::Post(number);
            if let Some(missed) = self.log.missed(stream, Some(until), &mut reader.cursor) {
                return Poll::Ready(missed);
            }
        }
        if let Some((retry, _)) = post.closing {
            let retry = retry.unwrap_or(self.bounds.stream_retry);
            self.detach(number, retry, wakers);
            return Poll::Ready(Taken::Close(retry));
        }
        reader.cursor.live = true;
        let Some(frame) = post.frames.pop_front() else {
            if self.ended.is_some() {
                return Poll::Ready(ended);
            }
            remember(&mut reader.waker, cx);
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
        let mut id = None;
        if logged {
            post.keep(number, &frame, &mut self.log);
            id = self.log.id(StreamId::Post(number), post.latest);
            if let Some(reader) = &mut post.reader {
                reader.cursor.after = post.latest;
            }
        }
        if frame.is_last() {
            self.forget(number, wakers);
        }
        Poll::Ready(if frame.is_empty() { Taken::Nothing } else { Taken::Message { frame, id } })
    }

    /// This connection is gone.
    pub(super) fn reader_gone(&mut self, number: u64, generation: u64, wakers: &mut Vec<Waker>) {
        let held = self.posts.get(&number).and_then(|post| post.reader.as_ref());
        if held.is_some_and(|reader| reader.generation == generation) {
            self.detach(number, Duration::ZERO, wakers);
        }
    }

    /// Nobody reads this response any more; whoever wants to come back does not before `retry`.
    fn detach(&mut self, number: u64, retry: Duration, wakers: &mut Vec<Waker>) {
        let logged = self.log.has_ids();
        let Some(post) = self.posts.get_mut(&number) else { return };
        post.reader = None;
        post.closing = None;
        post.deaf = false;
        if post.streams && logged {
            post.store(number, false, &mut self.log);
        }
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
        } else if let Some(after) = self.bounds.cancel_after_disconnect {
            post.cancel_at = Instant::now().checked_add(after.saturating_add(retry));
            wakers.extend(self.source.take());
        }
    }

    /// The response is closed early, so that its client comes back for the rest. Whether it is.
    pub(super) fn close_stream(
        &mut self,
        number: u64,
        retry: Option<Duration>,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        if !self.log.polls() || self.ended.is_some() {
            return false;
        }
        let open = self.posts.get_mut(&number).filter(|post| post.is_read() && !post.done);
        let Some(post) = open else { return false };
        post.streams = true;
        post.store(number, false, &mut self.log);
        post.closing = Some((retry, post.latest));
        if post.full_since.take().is_some() {
            self.full -= 1;
            wakers.extend(self.sink.take());
        }
        wakers.extend(post.wake());
        true
    }

    pub(super) fn send_on(&mut self, number: u64, frame: Frame, wakers: &mut Vec<Waker>) {
        let logged = self.log.has_ids();
        let Some(post) = self.posts.get_mut(&number) else {
            self.closing.note_dropped(u64::from(!frame.is_empty()));
            return;
        };
        let last = frame.is_last();
        post.done |= last;
        if !post.is_read() || (post.deaf && !last) {
            if post.streams && logged {
                post.keep(number, &frame, &mut self.log);
            } else {
                self.closing.note_dropped(u64::from(!frame.is_empty()));
            }
            if last && post.reader.is_none() {
                self.forget(number, wakers);
            }
            return;
        }
        post.push(frame);
        wakers.extend(post.wake());
        if !last && post.full_since.is_none() && post.bytes >= self.bounds.max_unread_event_bytes {
            post.full_since = Some(Instant::now());
            self.full += 1;
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
        for (number, post) in &mut self.posts {
            let Some(since) = post.full_since else { continue };
            let at = since + self.bounds.reader_stall;
            if at <= now {
                post.full_since = None;
                post.deaf = true;
                self.full -= 1;
                if post.streams && self.log.has_ids() {
                    post.store(*number, true, &mut self.log);
                }
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

    pub(super) fn forget(&mut self, number: u64, wakers: &mut Vec<Waker>) {
        let Some(post) = self.posts.remove(&number) else { return };
        self.requests -= post.asked.count;
        self.touched = Instant::now();
        if post.full_since.is_some() {
            self.full -= 1;
            wakers.extend(self.sink.take());
        }
    }

    /// The stream of a response goes on here, after this number.
    pub(super) fn resume_post(
        &mut self,
        number: u64,
        after: u64,
        wakers: &mut Vec<Waker>,
    ) -> Result<(u64, Option<Id>), Fault> {
        let post = self.posts.get_mut(&number).filter(|post| post.streams && after <= post.latest);
        let Some(post) = post else { return Err(unknown_event()) };
        let generation = post.readers;
        post.readers += 1;
        wakers.extend(post.wake());
        post.reader = Some(Attached::new(generation, Cursor::at(after)));
        (post.closing, post.cancel_at, post.deaf) = (None, None, false);
        self.touched = Instant::now();
        Ok((generation, post.asked.id.clone()))
    }
}

/// What the client is told of an id that means nothing here, or nothing any more.
pub(in crate::http) fn unknown_event() -> Fault {
    Fault::Malformed {
        code: -32600,
        reason: "event_unknown",
        detail: "the event of Last-Event-ID is not known here, or not any more: its stream cannot be resumed"
            .into(),
    }
}

/// Stands for an answer that was too large to wait for its client.
fn not_kept(id: &Id) -> Frame {
    let error = ErrorObject::new(
        -32603,
        "the answer came while nobody read it, and is too large to be kept (`max_bytes`)",
    );
    let data = RawJson::parse(br#"{"reason":"answer_not_kept","setting":"max_bytes"}"#.as_slice());
    let error = match data {
        Ok(data) => error.with_data(data),
        Err(_) => error,
    };
    let rules = Revision::LATEST_LEGACY.rules();
    Frame::from(Answer::fault(Some(id), &Fault::Handler(error), rules).into_message())
}
