//! Where frames are set aside, for those of other exchanges to overtake them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};
use towpath_jsonrpc::{EnvelopeLimits, Id, Message};
use towpath_raw::Route;

use super::{FaultKind, stats::Counters};

/// What a frame belongs to: those of one kind keep their order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    /// An exchange, or the lane itself.
    Exchange(Route),
    /// A message of the lane itself that has an id.
    Message(Id),
    /// Overtakes nothing, and is overtaken by nothing.
    Barrier,
}

impl Key {
    pub(super) fn of(route: Route, bytes: &Bytes, by_id: bool) -> Key {
        if route != Route::LANE || !by_id {
            return Key::Exchange(route);
        }
        let message = Message::parse(bytes.clone(), &EnvelopeLimits::default()).ok();
        message.and_then(|message| message.id().cloned()).map_or(Key::Barrier, Key::Message)
    }

    fn may_be_set_aside(&self) -> bool {
        !matches!(self, Key::Barrier | Key::Exchange(Route::LANE))
    }

    fn keeps_order_with(&self, other: &Key) -> bool {
        matches!(self, Key::Barrier) || matches!(other, Key::Barrier) || self == other
    }
}

/// Things that are set aside, and what waits behind them; in the order in which they came.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    entries: VecDeque<Entry<T>>,
    bytes: usize,
    max_bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Entry<T> {
    key: Key,
    thing: T,
    bytes: usize,
    until: Option<Instant>,
    overtaken: bool,
}

impl<T> Shelf<T> {
    pub(super) fn new(max_bytes: usize, counters: Arc<Counters>) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, max_bytes, timer: None, counters }
    }

    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < MOST_SET_ASIDE && (self.bytes < self.max_bytes || self.entries.is_empty())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Sets a thing aside, or behind one that it must not overtake; gives back what passes at once.
    pub(super) fn pass(&mut self, key: Key, bytes: usize, hold: Option<Duration>, thing: T) -> Option<T> {
        let blocked = self.entries.iter().any(|entry| entry.key.keeps_order_with(&key));
        let hold = hold.filter(|_| key.may_be_set_aside());
        if !blocked && hold.is_none() {
            for entry in self.entries.iter_mut().filter(|entry| entry.until.is_some() && !entry.overtaken) {
                entry.overtaken = true;
                self.counters.count(FaultKind::Reorder);
            }
            return Some(thing);
        }
        let until = hold.map(|hold| Instant::now() + hold);
        self.entries.push_back(Entry { key, thing, bytes, until, overtaken: false });
        self.bytes += bytes;
        None
    }

    /// The next thing whose time has come; `None` when nothing is set aside.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            let now = Instant::now();
            let mut earliest: Option<Instant> = None;
            for index in 0..self.entries.len() {
                let Some(entry) = self.entries.get(index) else { break };
                let before = self.entries.iter().take(index);
                if before.into_iter().any(|earlier| earlier.key.keeps_order_with(&entry.key)) {
                    continue;
                }
                match entry.until.filter(|until| *until > now) {
                    Some(until) => earliest = Some(earliest.map_or(until, |other| other.min(until))),
                    None => {
                        let entry = self.entries.remove(index);
                        self.bytes -= entry.as_ref().map_or(0, |entry| entry.bytes);
                        return Poll::Ready(entry.map(|entry| entry.thing));
                    }
                }
            }
            let Some(earliest) = earliest else { return Poll::Ready(None) };
            let timer = match &mut self.timer {
                Some(timer) => {
                    if timer.deadline() != earliest {
                        timer.as_mut().reset(earliest);
                    }
                    timer
                }
                none => none.insert(Box::pin(sleep_until(earliest))),
            };
            ready!(timer.as_mut().poll(cx));
        }
    }
}

/// How many frames are set aside at most.
const MOST_SET_ASIDE: usize = 64;
