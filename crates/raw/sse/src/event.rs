//! One event, and what may be wrong with it.

use bytes::Bytes;
use towpath_raw::MessageTooLarge;

/// One event of a stream.
///
/// What came in one line, within one chunk, is a slice of that chunk: it is not copied, and it keeps the chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent {
    /// The type of the event: its `event` field, or `message` if that was missing or empty.
    pub name: Bytes,
    /// Its data lines, joined by LF. Empty for an event whose data lines are empty, such as the one that MCP servers
    /// begin a stream with, to give it an id.
    ///
    /// Whether it is UTF-8 is for the layer above to say.
    pub data: Bytes,
    /// The `id` field, if this event had one; an empty one unsets the last event id. For the id that is in force see
    /// [`Decoder::last_event_id`](crate::Decoder::last_event_id).
    pub id: Option<Bytes>,
}

impl SseEvent {
    /// Whether it is of the type that an event has which names none.
    pub fn is_message(&self) -> bool {
        self.name == MESSAGE
    }
}

/// Why one event could not be taken. The stream lives on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// It had more data than [`SseLimits::max_event_bytes`](crate::SseLimits::max_event_bytes).
    #[error("an event is too large: {size} (setting: max_event_bytes)")]
    EventTooLarge {
        /// The limit and the size. It is exact if the event has ended; an event that goes on beyond twice the limit
        /// is reported before its end.
        size: MessageTooLarge,
        /// How its data begins: at most 1 KiB, from which the layer above may see what it was about.
        head: Bytes,
        /// How it ends, if it has: at most 256 bytes.
        tail: Bytes,
    },
    /// A field other than `data` was longer than its limit, and its event was passed over.
    #[error("an event is passed over: its `{field}` is longer than {limit} bytes (setting: {setting})")]
    FieldTooLarge {
        /// Which field: `id` or `event`.
        field: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// The setting that changes it.
        setting: &'static str,
    },
}

pub(crate) const MESSAGE: Bytes = Bytes::from_static(b"message");
