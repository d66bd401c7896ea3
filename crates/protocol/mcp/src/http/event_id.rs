//! The ids of events on the streams of a session.

use std::fmt;

use http::HeaderValue;

/// The id of an event: which stream of the session, and which event on it. As text `stream.sequence`, both in
/// decimal, so that a `Last-Event-ID` finds its stream.
///
/// No id occurs twice in a session as long as no number of a stream does: the sequence only goes up, and ends
/// rather than begin again. Each id has one text, so two texts that differ are two ids. It is no secret, and proves
/// nothing: whoever may speak in the session may ask for any of its streams.
///
/// ```
/// use towpath_mcp::EventId;
///
/// let id = EventId::first(7);
/// assert_eq!(id.to_string(), "7.0");
/// assert_eq!(EventId::parse(b"7.0"), Some(id));
/// assert_eq!(id.next().map(|next| next.to_string()).as_deref(), Some("7.1"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    stream: u64,
    sequence: u64,
}

impl EventId {
    /// The id of a stream's first event.
    #[must_use]
    pub const fn first(stream: u64) -> EventId {
        EventId { stream, sequence: 0 }
    }

    /// The id of the event behind this one. `None` after 2^64 events: no id may occur twice.
    #[must_use]
    pub const fn next(self) -> Option<EventId> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(EventId { stream: self.stream, sequence }),
            None => None,
        }
    }

    /// Reads the text of an id, exactly as `Display` writes it, of at most [`MAX_EVENT_ID_BYTES`]. `None` for any
    /// other: it is no id of ours.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<EventId> {
        if text.len() > MAX_EVENT_ID_BYTES {
            return None;
        }
        let dot = memchr::memchr(b'.', text)?;
        Some(EventId { stream: number(text.get(..dot)?)?, sequence: number(text.get(dot + 1..)?)? })
    }

    /// The id that a `Last-Event-ID` header names. Blanks around it do not belong to it.
    #[must_use]
    pub fn of_header(value: &HeaderValue) -> Option<EventId> {
        EventId::parse(value.as_bytes().trim_ascii())
    }

    /// The number of the stream.
    #[must_use]
    pub const fn stream(self) -> u64 {
        self.stream
    }

    /// The number of the event on its stream, from 0.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream, self.sequence)
    }
}

/// One number has one text: no sign, no zeros before it.
fn number(digits: &[u8]) -> Option<u64> {
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok()
}

/// The longest text of an id, in bytes: two numbers of 20 digits and the dot. What is longer is no id.
pub const MAX_EVENT_ID_BYTES: usize = 41;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_has_exactly_one_text() {
        let last = EventId { stream: u64::MAX, sequence: u64::MAX };
        let longest = last.to_string();
        let table = [
            ("0.0", Some(EventId::first(0))),
            ("7.12", Some(EventId { stream: 7, sequence: 12 })),
            (longest.as_str(), Some(last)),
            ("", None),
            (".", None),
            ("7", None),
            ("7.", None),
            (".7", None),
            ("7.1.2", None),
            ("07.1", None),
            ("7.01", None),
            ("00.1", None),
            ("+7.1", None),
            ("7.-1", None),
            ("7.1 ", None),
            ("7 .1", None),
            ("7.x", None),
            ("7,1", None),
            ("\u{667}.1", None),
            ("18446744073709551616.0", None),
            ("0.18446744073709551616", None),
            ("1844674407370955161.000000000000000000000", None),
        ];
        for (text, id) in table {
            assert_eq!(EventId::parse(text.as_bytes()), id, "{text}");
        }
        assert_eq!(longest.len(), MAX_EVENT_ID_BYTES);
        let padded = HeaderValue::from_static(" 7.12\t");
        assert_eq!(EventId::of_header(&padded).map(EventId::sequence), Some(12));
    }

    #[test]
    fn a_stream_that_is_used_up_ends_and_does_not_begin_again() {
        let last = EventId { stream: 3, sequence: u64::MAX };
        assert_eq!(last.next(), None);
        let before = EventId { stream: 3, sequence: u64::MAX - 1 };
        assert_eq!(before.next(), Some(last));
    }

    proptest! {
        #[test]
        fn an_id_comes_back_from_its_text_and_the_next_one_is_behind_it(stream: u64, sequence: u64) {
            let id = EventId { stream, sequence };
            prop_assert_eq!(EventId::parse(id.to_string().as_bytes()), Some(id));
            if let Some(next) = id.next() {
                prop_assert_eq!(next.stream(), stream);
                prop_assert!(next > id);
            }
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "[0-9+ ]{1,3}\\.[0-9+ ]{1,3}") {
            if let Some(id) = EventId::parse(text.as_bytes()) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
