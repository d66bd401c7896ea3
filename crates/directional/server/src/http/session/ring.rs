//! The events of a session, in memory: what is too much, or too old, is forgotten, oldest first.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use towpath_raw::Frame;

use super::{EventStore, StoredEvent, StreamId};

/// What one session may keep of the events that it has sent, so that they can be sent again.
///
/// An event that is gone is told to the client as a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayLimits {
    /// How many bytes of events are kept, with 128 bytes more for each. Unit: bytes; default 1 MiB.
    ///
    /// At the limit the oldest events go; a stream that holds more than half gives its own. An event that is larger is not
    /// kept, and an answer that is gets a small error in its place. Worst case: so much for each session, all of it in
    /// use only where clients take event streams.
    pub max_bytes: usize,
    /// How many events are kept. Unit: events; default 1,024.
    ///
    /// At the limit as with `max_bytes`; with 0 none is kept.
    pub max_events: usize,
    /// How long an event is kept. Default: 5 min. `None`: until there is no room.
    ///
    /// An older one is never sent again. Its memory is given back with the next event of the session, or when the service
    /// next looks for idle sessions.
    pub max_age: Option<Duration>,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_events: 1024, max_age: Some(Duration::from_secs(300)) }
    }
}

/// The [`EventStore`] of a session unless it is given another: a ring in memory.
#[derive(Debug)]
pub struct ReplayRing {
    limits: ReplayLimits,
    /// By number, so oldest first.
    events: BTreeMap<u64, Kept>,
    streams: HashMap<StreamId, Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    event: StoredEvent,
    since: Instant,
}

/// What one stream holds.
#[derive(Debug, Default)]
struct Held {
    numbers: VecDeque<u64>,
    bytes: usize,
}

impl ReplayRing {
    /// An empty ring.
    pub fn new(limits: ReplayLimits) -> Self {
        Self { limits, events: BTreeMap::new(), streams: HashMap::new(), bytes: 0 }
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event is kept.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bytes count towards `max_bytes`.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes room for one more on this stream.
    fn evict(&mut self, stream: StreamId) {
        let held = self.streams.get(&stream);
        let own = held.filter(|held| {
            held.bytes > self.limits.max_bytes / 2 || held.numbers.len() > self.limits.max_events / 2
        });
        // One stream that says much must not push out what all others wait for.
        let oldest = own.and_then(|held| held.numbers.front().copied());
        let oldest = oldest.or_else(|| self.events.keys().next().copied());
        if let Some(oldest) = oldest {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(kept) = self.events.remove(&number) else { return };
        let cost = cost(&kept.event);
        self.bytes -= cost;
        let stream = kept.event.stream;
        let Some(held) = self.streams.get_mut(&stream) else { return };
        // It is the oldest of its stream.
        held.numbers.pop_front();
        held.bytes -= cost;
        if held.numbers.is_empty() {
            self.streams.remove(&stream);
        }
    }
}

impl EventStore for ReplayRing {
    fn append(&mut self, mut event: StoredEvent, now: Instant) -> bool {
        self.expire(now);
        let cost = cost(&event);
        if cost > self.limits.max_bytes || self.limits.max_events == 0 {
            return false;
        }
        while self.bytes + cost > self.limits.max_bytes || self.events.len() >= self.limits.max_events {
            self.evict(event.stream);
        }
        event.frame = own(event.frame);
        let held = self.streams.entry(event.stream).or_default();
        held.numbers.push_back(event.number);
        held.bytes += cost;
        self.bytes += cost;
        self.events.insert(event.number, Kept { event, since: now });
        true
    }

    fn next(&mut self, stream: StreamId, after: u64, now: Instant) -> Option<StoredEvent> {
        self.expire(now);
        let held = self.streams.get(&stream)?;
        let at = held.numbers.partition_point(|number| *number <= after);
        let kept = self.events.get(held.numbers.get(at)?)?;
        Some(kept.event.clone())
    }

    fn knows(&mut self, stream: StreamId, now: Instant) -> bool {
        self.expire(now);
        self.streams.contains_key(&stream)
    }

    fn expire(&mut self, now: Instant) {
        let Some(age) = self.limits.max_age else { return };
        while let Some((number, kept)) = self.events.first_key_value()
            && now.saturating_duration_since(kept.since) >= age
        {
            let number = *number;
            self.remove(number);
        }
    }
}

fn cost(event: &StoredEvent) -> usize {
    event.frame.len().saturating_add(EVENT_BYTES)
}

/// A small frame may be a slice of a large buffer, which it would keep: it is copied.
fn own(frame: Frame) -> Frame {
    let (route, last) = (frame.route(), frame.is_last());
    let copy = |bytes: Bytes| match bytes.len() <= COPY_BYTES {
        true => Bytes::copy_from_slice(&bytes),
        false => bytes,
    };
    let frame = match frame.len() <= COPY_BYTES {
        true => Frame::from(Bytes::from(frame.segments().map(Bytes::as_ref).concat())),
        false => {
            let [head, body, tail] = frame.into_segments();
            Frame::segmented(copy(head), copy(body), copy(tail))
        }
    };
    let frame = frame.on(route);
    if last { frame.last() } else { frame }
}

const COPY_BYTES: usize = 16 << 10;

/// What keeping an event costs beside its message.
const EVENT_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use towpath_raw::Route;

    use super::*;

    const A: StreamId = StreamId::Post(1);
    const B: StreamId = StreamId::Get(1);

    fn ring(set: impl FnOnce(&mut ReplayLimits)) -> ReplayRing {
        let mut limits = ReplayLimits::default();
        set(&mut limits);
        ReplayRing::new(limits)
    }

    fn event(stream: StreamId, number: u64, bytes: usize) -> StoredEvent {
        StoredEvent { stream, number, previous: 0, frame: Frame::from(Bytes::from(vec![b'x'; bytes])) }
    }

    fn numbers(ring: &mut ReplayRing, stream: StreamId, now: Instant) -> Vec<u64> {
        let (mut found, mut after) = (Vec::new(), 0);
        while let Some(event) = ring.next(stream, after, now) {
            assert_eq!(event.stream, stream);
            after = event.number;
            found.push(after);
        }
        found
    }

    #[test]
    fn no_more_bytes_than_max_bytes_and_the_oldest_go() {
        let now = Instant::now();
        let mut ring = ring(|limits| limits.max_bytes = 10 * 228);
        for number in 1..=25 {
            assert!(ring.append(event(if number % 2 == 0 { A } else { B }, number, 100), now));
            assert!(ring.bytes() <= 2280);
        }
        assert_eq!(ring.len(), 10);
        assert_eq!(numbers(&mut ring, A, now), [16, 18, 20, 22, 24]);
        assert_eq!(numbers(&mut ring, B, now), [17, 19, 21, 23, 25]);
        // What never fits pushes nothing out.
        assert!(!ring.append(event(A, 26, 2200), now));
        assert_eq!(ring.len(), 10);
        assert!(ring.append(event(A, 27, 2100), now));
        assert_eq!((ring.len(), ring.bytes()), (1, 2228));
    }

    #[test]
    fn no_more_events_than_max_events() {
        let now = Instant::now();
        let mut small = ring(|limits| limits.max_events = 3);
        (1..=5).for_each(|number| assert!(small.append(event(A, number, 1), now)));
        assert_eq!(numbers(&mut small, A, now), [3, 4, 5]);
        let mut none = ring(|limits| limits.max_events = 0);
        assert!(!none.append(event(A, 1, 1), now) && none.is_empty());
    }

    #[test]
    fn nothing_older_than_max_age() {
        let start = Instant::now();
        let mut ring = ring(|limits| limits.max_age = Some(Duration::from_secs(60)));
        ring.append(event(A, 1, 1), start);
        ring.append(event(A, 2, 1), start + Duration::from_secs(30));
        let later = start + Duration::from_secs(60);
        assert_eq!(numbers(&mut ring, A, later), [2]);
        assert!(ring.knows(A, later) && ring.len() == 1);
        let latest = start + Duration::from_secs(90);
        assert!(!ring.knows(A, latest) && ring.bytes() == 0);
    }

    #[test]
    fn a_stream_that_says_much_leaves_half_to_the_others() {
        let now = Instant::now();
        let mut ring = ring(|limits| limits.max_events = 10);
        (1..=4).for_each(|number| assert!(ring.append(event(A, number, 1), now)));
        (5..=500).for_each(|number| assert!(ring.append(event(B, number, 1), now)));
        assert_eq!(numbers(&mut ring, A, now), [1, 2, 3, 4]);
        assert_eq!(numbers(&mut ring, B, now).len(), 6);
    }

    #[test]
    fn a_small_event_does_not_keep_the_buffer_that_it_is_a_slice_of() {
        let buffer = Bytes::from(vec![b'x'; 1 << 20]);
        let mut ring = ring(|_| {});
        let frame = Frame::from(buffer.slice(..10)).on(Route::new(7)).last();
        ring.append(StoredEvent { frame, ..event(A, 1, 0) }, Instant::now());
        assert!(buffer.is_unique());
        let kept = ring.next(A, 0, Instant::now()).unwrap();
        assert!(kept.frame.is_last() && kept.frame.len() == 10);
    }
}
