//! The stream of a session that belongs to no request: what a GET opens.

use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use towpath_mcp::Fault;
use towpath_raw::Frame;

use super::{
    Opening, StreamId, Taken,
    log::Cursor,
    response::{Attached, unknown_event},
    state::{State, remember},
};

/// The stream that is used, or that was used last.
#[derive(Debug)]
pub(super) struct Listening {
    number: u64,
    /// The number of its newest event; to begin with, that of its beginning.
    latest: u64,
    /// How far its last reader came.
    read: u64,
    reader: Option<Attached>,
}

/// A stream that was replaced by another.
#[derive(Debug)]
pub(super) struct Replaced {
    number: u64,
    latest: u64,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) frame: Frame,
    /// A request to the client, or its cancellation: any stream will do.
    pub(super) call: bool,
}

/// How many replaced streams are remembered. Of an older one it is not known whether anything is missing.
const REPLACED: usize = 16;

impl State {
    /// Whether anybody listens.
    pub(super) fn is_listened(&self) -> bool {
        self.get.as_ref().is_some_and(|get| get.reader.is_some())
    }

    pub(super) fn wake_listener(&mut self) -> Option<Waker> {
        self.get.as_mut()?.reader.as_mut()?.waker.take()
    }

    /// A new stream, in place of the one that was open.
    pub(super) fn open_get(&mut self, wakers: &mut Vec<Waker>) -> Result<(u64, u64, Opening), Fault> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let number = self.next_get;
        self.next_get += 1;
        let begins = self.log.number();
        let generation = self.attach(number, begins, begins, wakers);
        let prime = self.log.id(StreamId::Get(number), begins).filter(|_| self.log.polls());
        Ok((number, generation, Opening { prime, first: None }))
    }

    /// An earlier stream goes on, in place of the one that was open.
    pub(super) fn resume_get(
        &mut self,
        number: u64,
        after: u64,
        wakers: &mut Vec<Waker>,
    ) -> Result<u64, Fault> {
        if number == 0 || number >= self.next_get || after > self.log.last() {
            return Err(unknown_event());
        }
        let known = self.get.as_ref().filter(|get| get.number == number).map(|get| get.latest);
        let replaced = self.replaced.iter().find(|replaced| replaced.number == number);
        let latest = known.or(replaced.map(|replaced| replaced.latest));
        if latest.is_some_and(|latest| after > latest) {
            return Err(unknown_event());
        }
        self.replaced.retain(|replaced| replaced.number != number);
        // Of a stream that is not remembered nobody knows whether anything is missing: that is told as a gap.
        let latest = latest.unwrap_or_else(|| self.log.number());
        Ok(self.attach(number, latest, after, wakers))
    }

    fn attach(&mut self, number: u64, latest: u64, after: u64, wakers: &mut Vec<Waker>) -> u64 {
        self.touched = Instant::now();
        let generation = self.next_reader;
        self.next_reader += 1;
        let reader = Some(Attached::new(generation, Cursor::at(after)));
        if let Some(old) = self.get.replace(Listening { number, latest, read: after, reader }) {
            let read = old.reader.as_ref().map_or(old.read, |reader| reader.cursor.after);
            wakers.extend(old.reader.and_then(|reader| reader.waker));
            if old.number != number {
                // What nobody has read there is missed by whoever does not go back to it.
                self.missed |= read < old.latest;
                self.replaced.push_back(Replaced { number: old.number, latest: old.latest });
                if self.replaced.len() > REPLACED {
                    self.replaced.pop_front();
                }
            }
        }
        generation
    }

    pub(super) fn close_get(&mut self, number: u64, generation: u64) {
        let Some(get) = self.get.as_mut().filter(|get| get.number == number) else { return };
        if let Some(reader) = get.reader.take_if(|reader| reader.generation == generation) {
            get.read = reader.cursor.after;
            self.touched = Instant::now();
        }
    }

    pub(super) fn poll_get(&mut self, number: u64, generation: u64, cx: &mut Context<'_>) -> Poll<Taken> {
        let stream = StreamId::Get(number);
        let Some(get) = self.get.as_mut().filter(|get| get.number == number) else {
            return Poll::Ready(Taken::Nothing);
        };
        let Some(reader) = get.reader.as_mut().filter(|reader| reader.generation == generation) else {
            return Poll::Ready(Taken::Nothing);
        };
        let has_ids = self.log.has_ids();
        if has_ids && reader.cursor.after < get.latest {
            let latest = Some(get.latest);
            if let Some(missed) = self.log.missed(stream, latest, &mut reader.cursor) {
                return Poll::Ready(missed);
            }
        }
        if std::mem::take(&mut self.missed) {
            let was_live = reader.cursor.live;
            if has_ids {
                get.latest = self.log.number();
                reader.cursor.after = get.latest;
            }
            return Poll::Ready(Taken::Gap { id: self.log.id(stream, get.latest), was_live });
        }
        reader.cursor.live = true;
        if let Some(Queued { frame, .. }) = self.queue.pop_front() {
            self.queue_bytes -= frame.len();
            if has_ids {
                self.log.keep(stream, &mut get.latest, &frame, || None);
                reader.cursor.after = get.latest;
            }
            return Poll::Ready(Taken::Message { id: self.log.id(stream, get.latest), frame });
        }
        if self.ended.is_some() {
            return Poll::Ready(Taken::Nothing);
        }
        remember(&mut reader.waker, cx);
        Poll::Pending
    }

    /// What belongs to no response waits here for whoever listens, or will.
    pub(super) fn send_aside(&mut self, queued: Queued, wakers: &mut Vec<Waker>) {
        self.queue_bytes += queued.frame.len();
        self.queue.push_back(queued);
        while self.queue_bytes > self.bounds.max_queue_bytes && self.queue.len() > 1 {
            let Some(Queued { frame, .. }) = self.queue.pop_front() else { break };
            self.queue_bytes -= frame.len();
            match self.get.as_mut().filter(|get| get.reader.is_some() && self.log.has_ids()) {
                // Its reader is behind, and may still get it.
                Some(get) => self.log.keep(StreamId::Get(get.number), &mut get.latest, &frame, || None),
                None => {
                    self.missed = true;
                    self.closing.note_dropped(1);
                }
            }
        }
        wakers.extend(self.wake_listener());
    }
}
