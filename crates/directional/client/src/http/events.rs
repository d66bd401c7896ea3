//! What the events of a stream say.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use towpath_raw::{Chunks, Connect, Inbound, SkipReason, Skipped};
use towpath_sse::{EventStream, SseEvent, SseLimits, SseTimeouts};

use super::wire::Wire;

/// The events of a body, within the limits of the lane.
pub(super) fn events_of<C: Connect, B: Chunks>(
    wire: &Wire<C>,
    body: B,
    idle: Option<Duration>,
) -> EventStream<B> {
    let limits = SseLimits::default().with_max_event_bytes(wire.options.limits.max_message_bytes);
    EventStream::new(body, Arc::clone(&wire.peer), &limits, &SseTimeouts::default().with_idle(idle))
}

/// Counts what a stream has that says nothing: one that always has more must not keep the others from their turn.
#[derive(Debug, Default)]
pub(super) struct Uneventful(u32);

impl Uneventful {
    /// One more; after some, the others are let run.
    pub(super) async fn one_more(&mut self) {
        self.0 = (self.0 + 1) % IN_A_ROW;
        if self.0 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// How many events that say nothing one stream may take in a row.
const IN_A_ROW: u32 = 32;

/// Where to go on when the stream ends, if the server has said so.
pub(super) fn last_event_id<B: Chunks>(events: &EventStream<B>) -> Option<HeaderValue> {
    HeaderValue::from_bytes(events.last_event_id()).ok().filter(|last| !last.is_empty())
}

/// The message in an event; `None` for one that only keeps the stream alive, or names its place in it.
pub(super) fn message_of(event: SseEvent) -> Option<Inbound> {
    if !event.is_message() {
        return None;
    }
    let text = event.data.trim_ascii();
    match text.first() {
        None => None,
        Some(b'{' | b'[') => Some(Inbound::Frame(event.data)),
        Some(_) => Some(Inbound::Skipped(Skipped {
            reason: SkipReason::NotAMessage,
            length: event.data.len(),
            text: String::from_utf8_lossy(text.get(..SHOWN_BYTES).unwrap_or(text)).escape_debug().collect(),
        })),
    }
}

/// How much of what is no message is shown.
const SHOWN_BYTES: usize = 64;
