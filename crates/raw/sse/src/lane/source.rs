//! The half that receives: the `message` events of the stream.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use towpath_raw::{
    Chunks, End, ExchangeError, FrameSource, Inbound, LaneError, MessageTooLarge, Rejected, SkipReason,
    Skipped,
};

use super::{post::printable_within, shared::Shared};
use crate::{EventStream, EventStreamError, SseError};

/// The half of an [`SseLane`](crate::SseLane) that receives.
///
/// `message` events are frames; the end of the stream is [`Inbound::End`]. Events of other types are
/// [`Inbound::Skipped`], and those over a limit [`Inbound::Rejected`]. A POST that failed, of a frame that was on a
/// route, is [`Inbound::Failed`].
///
/// Dropped, it closes the stream; the other half then fails as closed, because the server has no way left to answer.
#[derive(Debug)]
pub struct SseSource<B: Chunks> {
    events: EventStream<B>,
    shared: Arc<Shared>,
}

impl<B: Chunks> SseSource<B> {
    pub(super) fn new(events: EventStream<B>, shared: Arc<Shared>) -> Self {
        Self { events, shared }
    }

    pub(super) fn peer(&self) -> &Arc<str> {
        self.events.peer()
    }

    fn end(&self) -> End {
        let mut end = End::default();
        end.truncated_bytes = self.events.end().map_or(0, |end| end.dropped_bytes);
        end
    }
}

impl<B: Chunks> FrameSource for SseSource<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        if let Some((route, error)) = self.shared.take_failure(cx) {
            return Poll::Ready(Ok(Inbound::Failed { route, error }));
        }
        loop {
            let event = match self.events.poll_event(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(event) => event,
            };
            return Poll::Ready(match event {
                // Some servers keep a stream alive with these.
                Ok(Some(event)) if event.is_message() && event.data.is_empty() => continue,
                Ok(Some(event)) if event.is_message() => Ok(Inbound::Frame(event.data)),
                Ok(Some(event)) => Ok(Inbound::Skipped(Skipped {
                    reason: SkipReason::NotAMessage,
                    length: event.data.len(),
                    text: text(&event.name, &event.data),
                })),
                Ok(None) => {
                    self.shared.end();
                    Ok(Inbound::End(self.end()))
                }
                Err(EventStreamError::Event { source, .. }) => Ok(Inbound::Rejected(rejected(source))),
                Err(EventStreamError::Body(error)) => {
                    self.shared.end();
                    Err(self.broken(error))
                }
            });
        }
    }
}

impl<B: Chunks> SseSource<B> {
    fn broken(&self, error: ExchangeError) -> LaneError {
        let kind = match error {
            ExchangeError::Timeout { .. } => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        LaneError::Io {
            peer: Arc::clone(self.peer()),
            operation: "reading from",
            source: Arc::new(io::Error::new(kind, error)),
        }
    }
}

impl<B: Chunks> Drop for SseSource<B> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

fn rejected(error: SseError) -> Rejected {
    match error {
        SseError::EventTooLarge { size, head, tail } => Rejected::TooLarge { size, head, tail },
        SseError::FieldTooLarge { limit, .. } => {
            let size = MessageTooLarge { limit, seen: limit.saturating_add(1), exact: false };
            Rejected::TooLarge { size, head: Bytes::new(), tail: Bytes::new() }
        }
    }
}

/// The type of an event and how its data begins.
fn text(name: &[u8], data: &[u8]) -> String {
    let mut text = printable_within(name, 64);
    text.push_str(": ");
    text.push_str(&printable_within(data, 128));
    text
}
