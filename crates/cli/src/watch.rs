//! A lane that somebody looks at: what it carries stays as it is.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};
use towpath::raw::{Frame, FrameSink, FrameSource, Inbound, Lane, LaneError};

/// What may be seen of a lane.
pub(crate) trait Watch: Send + Sync + 'static {
    /// Something came; after the end of the stream perhaps that end again.
    fn came(&self, inbound: &Inbound);

    /// The lane has failed, in either direction; perhaps not for the first time.
    fn failed(&self, _: &LaneError) {}

    /// A frame goes out.
    fn goes(&self, _: &Frame) {}

    /// This side closes its direction.
    fn closing(&self) {}
}

/// A lane, and who looks at it.
///
/// A write that fails because the peer is gone is told after what the peer has said before, if that comes soon: it may
/// say why.
pub(crate) struct Watched<L, W> {
    lane: L,
    watch: Arc<W>,
}

impl<L, W> Watched<L, W> {
    pub(crate) fn new(lane: L, watch: Arc<W>) -> Self {
        Self { lane, watch }
    }
}

impl<L, W> Lane for Watched<L, W>
where
    L: Lane<Source: Unpin, Sink: Unpin>,
    W: Watch,
{
    type Source = WatchedSource<L::Source, W>;
    type Sink = WatchedSink<L::Sink, W>;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn max_message_bytes(&self) -> usize {
        self.lane.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let (source, sink) = self.lane.split();
        let (watch, has_ended) = (Arc::clone(&self.watch), Arc::new(AtomicBool::new(false)));
        let source = WatchedSource { source, watch, has_ended: Arc::clone(&has_ended) };
        (source, WatchedSink { sink, watch: self.watch, has_ended, held: None, is_closing: false })
    }
}

/// What comes on a lane that somebody looks at.
pub(crate) struct WatchedSource<S, W> {
    source: S,
    watch: Arc<W>,
    has_ended: Arc<AtomicBool>,
}

impl<S: FrameSource + Unpin, W: Watch> FrameSource for WatchedSource<S, W> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        let polled = self.source.poll_frame(cx);
        if matches!(polled, Poll::Ready(Ok(Inbound::End(_)) | Err(_))) {
            self.has_ended.store(true, Relaxed);
        }
        match &polled {
            Poll::Ready(Ok(inbound)) => self.watch.came(inbound),
            Poll::Ready(Err(error)) => self.watch.failed(error),
            Poll::Pending => {}
        }
        polled
    }
}

/// What goes out on a lane that somebody looks at.
pub(crate) struct WatchedSink<S, W> {
    sink: S,
    watch: Arc<W>,
    /// Whether the other direction has.
    has_ended: Arc<AtomicBool>,
    held: Option<Held>,
    is_closing: bool,
}

/// A failure that is held back.
struct Held {
    error: LaneError,
    until: Pin<Box<Sleep>>,
}

impl<S, W: Watch> WatchedSink<S, W> {
    /// Tells a failure, when it is time.
    fn told(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<Result<(), LaneError>>,
    ) -> Poll<Result<(), LaneError>> {
        let error = match polled {
            Poll::Ready(Err(error @ LaneError::Closed { .. })) => error,
            Poll::Ready(Err(error)) => {
                self.watch.failed(&error);
                return Poll::Ready(Err(error));
            }
            polled => return polled,
        };
        let held = self.held.get_or_insert_with(|| Held { error, until: Box::pin(sleep(LAST_WORDS)) });
        // Both directions are polled by one task: the end of the other one wakes it.
        if !self.has_ended.load(Relaxed) && held.until.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.watch.failed(&held.error);
        Poll::Ready(Err(held.error.clone()))
    }

    fn held(&self) -> Option<Poll<Result<(), LaneError>>> {
        self.held.as_ref().map(|held| Poll::Ready(Err(held.error.clone())))
    }
}

impl<S: FrameSink + Unpin, W: Watch> FrameSink for WatchedSink<S, W> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let ready = self.held().unwrap_or_else(|| self.sink.poll_ready(cx));
        self.told(cx, ready)
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.watch.goes(&frame);
        self.sink.start_send(frame)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let flushed = self.held().unwrap_or_else(|| self.sink.poll_flush(cx));
        self.told(cx, flushed)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if !self.is_closing {
            self.is_closing = true;
            self.watch.closing();
        }
        self.sink.poll_close(cx)
    }

    fn queued_bytes(&self) -> usize {
        self.sink.queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        self.sink.frames_begun()
    }
}

const LAST_WORDS: Duration = Duration::from_millis(500);
