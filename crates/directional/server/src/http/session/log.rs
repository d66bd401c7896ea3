//! What was said on the streams of a session: numbered, and kept by its store.

use std::fmt;

use tokio::time::Instant;
use towpath_mcp::Rules;
use towpath_raw::Frame;

use super::{EventId, EventStore, StoredEvent, StreamId, Taken};

/// Numbers the events of a session.
pub(super) struct Log {
    /// `None`: streams cannot be resumed.
    store: Option<Box<dyn EventStore>>,
    tag: u32,
    /// The number that was given last. They are never given twice.
    last: u64,
    has_ids: bool,
    polls: bool,
}

/// How far somebody has read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The number of the event that was read last.
    pub(super) after: u64,
    /// Whether it once had read everything.
    pub(super) live: bool,
}

impl Cursor {
    pub(super) fn at(after: u64) -> Self {
        Self { after, live: false }
    }
}

impl Log {
    pub(super) fn new(store: Option<Box<dyn EventStore>>, tag: u32) -> Self {
        Self { store, tag, last: 0, has_ids: false, polls: false }
    }

    /// The revision is known.
    pub(super) fn agree(&mut self, rules: &Rules) {
        self.has_ids = rules.resumability && self.store.is_some();
        self.polls = rules.stream_polling && self.has_ids;
    }

    /// Whether events have ids, and are kept.
    pub(super) fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// Whether clients come back to a stream that was closed early.
    pub(super) fn polls(&self) -> bool {
        self.polls
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// A number for a place on a stream.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn id(&self, stream: StreamId, number: u64) -> Option<EventId> {
        self.has_ids.then_some(EventId { tag: self.tag, stream, number })
    }

    pub(super) fn is_own(&self, id: &EventId) -> bool {
        self.has_ids && id.tag == self.tag
    }

    /// Numbers a frame as the newest of its stream, and keeps it. What is too large to be kept is kept as `instead`.
    pub(super) fn keep(
        &mut self,
        stream: StreamId,
        latest: &mut u64,
        frame: &Frame,
        instead: impl FnOnce() -> Option<Frame>,
    ) {
        let number = self.number();
        let previous = std::mem::replace(latest, number);
        let Some(store) = &mut self.store else { return };
        let now = Instant::now().into_std();
        let event = StoredEvent { stream, number, previous, frame: frame.clone() };
        if store.append(event, now) {
            return;
        }
        if let Some(frame) = instead() {
            store.append(StoredEvent { stream, number, previous, frame }, now);
        }
    }

    /// What the reader of a stream has missed, if it can still be had; else that there is a gap. Nothing when there is
    /// nothing after it and nothing more to come.
    pub(super) fn missed(
        &mut self,
        stream: StreamId,
        latest: Option<u64>,
        cursor: &mut Cursor,
    ) -> Option<Taken> {
        let now = Instant::now().into_std();
        let next = self.store.as_mut()?.next(stream, cursor.after, now);
        let (gap, event) = match next {
            Some(event) if event.previous <= cursor.after => (None, Some(event)),
            Some(event) => (Some(event.previous), None),
            None => (latest.filter(|latest| *latest > cursor.after), None),
        };
        if let Some(number) = gap {
            cursor.after = number;
            return Some(Taken::Gap { id: self.id(stream, number), was_live: cursor.live });
        }
        let event = event?;
        cursor.after = event.number;
        if event.frame.is_empty() {
            return Some(Taken::Nothing);
        }
        Some(Taken::Message { id: self.id(stream, event.number), frame: event.frame })
    }

    pub(super) fn knows(&mut self, stream: StreamId) -> bool {
        let now = Instant::now().into_std();
        self.store.as_mut().is_some_and(|store| store.knows(stream, now))
    }

    pub(super) fn expire(&mut self) {
        if let Some(store) = &mut self.store {
            store.expire(Instant::now().into_std());
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("last", &self.last)
            .field("has_ids", &self.has_ids)
            .finish_non_exhaustive()
    }
}
