//! Events of a session's streams: their ids, and what keeps them for clients that come back.

use std::{fmt, time::Instant};

use http::HeaderValue;
use towpath_raw::Frame;

/// One of the event streams of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// The response to the POST of this number.
    Post(u64),
    /// The stream that the GET of this number opened.
    Get(u64),
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamId::Post(number) => write!(f, "p{number}"),
            StreamId::Get(number) => write!(f, "g{number}"),
        }
    }
}

/// An event that was sent, or would have been, had anybody read its stream.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its number: unique in the session, and growing.
    pub number: u64,
    /// The number of the event before it on the same stream. An event whose predecessor is missing tells of a gap.
    pub previous: u64,
    /// The message. The last one of a POST's response [says so](Frame::is_last); an empty one that does ends the stream
    /// without an answer.
    pub frame: Frame,
}

/// Keeps the events of one session, for as long as it sees fit, so that a client that lost its connection can go on
/// where it was.
///
/// Each session has a store of its own, which goes with it. It may forget any event at any time: the client is told of
/// the gap. It is called under the session's lock, so it must neither wait for anything nor call the server.
pub trait EventStore: Send + 'static {
    /// Keeps an event. `false` when it never will: if that is the answer to a request, a small error is offered in its
    /// place.
    fn append(&mut self, event: StoredEvent, now: Instant) -> bool;

    /// The first event of this stream after that number, among those that are kept.
    fn next(&mut self, stream: StreamId, after: u64, now: Instant) -> Option<StoredEvent>;

    /// Whether any event of this stream is kept.
    fn knows(&mut self, stream: StreamId, now: Instant) -> bool;

    /// Gives back what is held for events that are too old. Called from time to time while the session is quiet.
    fn expire(&mut self, now: Instant) {
        let _ = now;
    }
}

/// The id of an event, as the client knows it: which session, which stream, and where on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct EventId {
    /// Tells the ids of one session from those of another. It is no secret.
    pub(in crate::http) tag: u32,
    pub(in crate::http) stream: StreamId,
    pub(in crate::http) number: u64,
}

impl EventId {
    /// Only what this server would have written itself.
    pub(in crate::http) fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok().filter(|text| text.len() <= MAX_ID_BYTES)?;
        let mut parts = text.split('-');
        let (tag, stream, number) = (parts.next()?, parts.next()?, parts.next()?);
        let of = |digits: &str| digits.parse().ok();
        let stream = match stream.split_at_checked(1)? {
            ("p", digits) => StreamId::Post(of(digits)?),
            ("g", digits) => StreamId::Get(of(digits)?),
            _ => return None,
        };
        let id = Self { tag: u32::from_str_radix(tag, 16).ok()?, stream, number: of(number)? };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}", self.tag, self.stream, self.number)
    }
}

/// The longest of these ids has 51 bytes.
const MAX_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        for stream in [StreamId::Post(1), StreamId::Get(u64::MAX), StreamId::Post(1 << 62)] {
            for number in [0, 17, u64::MAX] {
                let id = EventId { tag: 0x00ab_cdef, stream, number };
                let text = HeaderValue::try_from(id.to_string()).unwrap();
                assert_eq!(EventId::parse(&text), Some(id));
                assert!(text.len() <= 51);
            }
        }
        let long = format!("00abcdef-p1-{}", "0".repeat(60_000));
        let not_ours = [
            "",
            "-",
            "--",
            "1",
            "00abcdef-p1",
            "00abcdef-p1-2-3",
            "00abcdef-x1-2",
            "abcdef-p1-2",
            "00ABCDEF-p1-2",
            "00abcdef-p01-2",
            "00abcdef-p1-+2",
            "00abcdef--2",
            "00abcdef-p1-99999999999999999999",
            "00abcdef-é1-2",
            long.as_str(),
        ];
        for text in not_ours {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(EventId::parse(&value), None, "{text:.40}");
        }
    }
}
