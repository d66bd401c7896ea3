//! The events of a body.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use towpath_raw::{Chunks, ExchangeError, Operation, StallWatch, Timeout};

use crate::{Decoder, SseError, SseEvent, SseLimits, SseTimeouts};

/// The events of a body, as they arrive.
///
/// It owns the body. Dropped, it closes the exchange; so it does at the end, and at an error of the body.
#[derive(Debug)]
pub struct EventStream<B> {
    /// Gone once the stream has ended.
    body: Option<B>,
    peer: Arc<str>,
    decoder: Decoder,
    strict_end: bool,
    silence: StallWatch,
    end: Option<Result<SseEnd, ExchangeError>>,
}

/// How a stream of events ended, that did end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEnd {
    /// Whether it ended between two events. If not, the last event was cut off; by default it was given all the same,
    /// because servers forget the blank line that completes it.
    pub complete: bool,
    /// How many bytes of an event that was cut off were dropped; always 0 without [`SseLimits::strict_end`].
    pub dropped_bytes: usize,
}

/// Why an event could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// One event was lost; the stream lives on.
    #[error("from {peer}: {source}")]
    Event {
        /// Who sent it.
        peer: Arc<str>,
        /// What was wrong with it.
        source: SseError,
    },
    /// The body broke off, or nothing came for [`SseTimeouts::idle`]. The stream has ended.
    #[error(transparent)]
    Body(#[from] ExchangeError),
}

impl<B: Chunks> EventStream<B> {
    /// The events of `body`, which comes from `peer`; that name is for error messages.
    pub fn new(body: B, peer: impl Into<Arc<str>>, limits: &SseLimits, timeouts: &SseTimeouts) -> Self {
        Self {
            body: Some(body),
            peer: peer.into(),
            decoder: Decoder::new(limits),
            strict_end: limits.strict_end,
            silence: StallWatch::new(timeouts.idle),
            end: None,
        }
    }

    /// The next event; `None` at the end. After the end or an [`EventStreamError::Body`] it gives the same again.
    ///
    /// It takes no event that it does not return, so a poll that is never repeated loses nothing.
    ///
    /// # Errors
    ///
    /// [`EventStreamError::Event`] is about one event, and the stream lives on.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<SseEvent>, EventStreamError>> {
        for _ in 0..CHUNKS_PER_POLL {
            if let Some(event) = self.decoder.next_event().map_err(|source| self.lost(source))? {
                return Poll::Ready(Ok(Some(event)));
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(match &self.end {
                    Some(Err(error)) => Err(error.clone().into()),
                    _ => Ok(None),
                });
            };
            match body.poll_chunk(cx) {
                Poll::Ready(Ok(Some(chunk))) => {
                    if !chunk.is_empty() {
                        self.silence.progress();
                    }
                    self.decoder.push(chunk);
                }
                Poll::Ready(Ok(None)) => {
                    self.body = None;
                    let (complete, pending) =
                        (self.decoder.is_between_events(), self.decoder.pending_bytes());
                    let last = self.decoder.finish();
                    let dropped_bytes = if self.strict_end { pending } else { 0 };
                    self.end = Some(Ok(SseEnd { complete, dropped_bytes }));
                    return Poll::Ready(last.map_err(|source| self.lost(source)));
                }
                Poll::Ready(Err(error)) => return self.fail(error),
                Poll::Pending => {
                    return match self.silence.poll_stalled(cx) {
                        Poll::Ready(after) => self.fail_idle(after),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
        // A body that always has something, and never an event, must not keep the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of [`EventStream::poll_event`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the stream owns what it has read, and a dropped wait takes no event.
    pub fn event(&mut self) -> impl Future<Output = Result<Option<SseEvent>, EventStreamError>> + Send {
        poll_fn(|cx| self.poll_event(cx))
    }

    /// How it ended; `None` while it lives, and after an error of the body.
    pub fn end(&self) -> Option<SseEnd> {
        self.end.as_ref().and_then(|end| end.as_ref().ok().copied())
    }

    /// Who sends, as it was given to [`EventStream::new`].
    pub fn peer(&self) -> &Arc<str> {
        &self.peer
    }

    /// See [`Decoder::last_event_id`].
    pub fn last_event_id(&self) -> &[u8] {
        self.decoder.last_event_id()
    }

    /// See [`Decoder::retry`].
    pub fn retry(&self) -> Option<Duration> {
        self.decoder.retry()
    }

    /// See [`Decoder::comments`].
    pub fn comments(&self) -> u64 {
        self.decoder.comments()
    }

    fn lost(&self, source: SseError) -> EventStreamError {
        EventStreamError::Event { peer: Arc::clone(&self.peer), source }
    }

    fn fail_idle<T>(&mut self, after: Duration) -> Poll<Result<T, EventStreamError>> {
        let source = Timeout { operation: Operation::ReceiveIdle, after };
        self.fail(ExchangeError::Timeout { peer: Arc::clone(&self.peer), source })
    }

    fn fail<T>(&mut self, error: ExchangeError) -> Poll<Result<T, EventStreamError>> {
        self.body = None;
        self.end = Some(Err(error.clone()));
        Poll::Ready(Err(error.into()))
    }
}

/// After so many chunks without an event, others get a turn.
const CHUNKS_PER_POLL: usize = 64;

#[cfg(test)]
mod tests;
