//! The lane: a duplex of frames in two halves.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{ExchangeError, Explanation, Frame, LaneError, MessageTooLarge, Route};

/// A duplex of frames, before it is taken apart into its halves.
///
/// Whatever the lane holds beside the two (a child process, a socket) belongs to the halves, and is gone when
/// both are dropped.
pub trait Lane: Send + 'static {
    /// The half that receives.
    type Source: FrameSource + 'static;
    /// The half that sends.
    type Sink: FrameSink + 'static;

    /// Who is at the other end, for error messages: `child 4711 (npx)`, `own stdio`.
    fn peer(&self) -> Arc<str>;

    /// The largest message that it carries, in bytes, in either direction; unknown to it by default. Who drives it
    /// refuses what is larger before it is queued.
    fn max_message_bytes(&self) -> usize {
        usize::MAX
    }

    /// Takes the lane apart, so that a pending receive never blocks a send.
    fn split(self) -> (Self::Source, Self::Sink);
}

/// The receiving half of a lane.
pub trait FrameSource: Send {
    /// What the peer sent next.
    ///
    /// After [`Inbound::End`] or an error it gives the same kind again. It takes no frame that it does not
    /// return, so a poll that is never repeated loses nothing.
    ///
    /// # Errors
    ///
    /// [`LaneError::Io`] when reading failed. The end of the stream is no error.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>>;
}

/// The sending half of a lane. Dropped, it closes the direction at once; what was not written is lost.
pub trait FrameSink: Send {
    /// Whether there is room for a frame; see [`LaneLimits::write_queue_bytes`](crate::LaneLimits).
    ///
    /// # Errors
    ///
    /// Those of [`FrameSink::poll_flush`]: waiting for room is writing.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>>;

    /// Queues a frame. It belongs to the sink from here on: it is written whole, unless the lane ends.
    ///
    /// Frames are coalesced: what is queued goes out in as few writes as the system allows. To call it
    /// without a ready [`FrameSink::poll_ready`] before is allowed, and goes over the bound by that frame.
    ///
    /// # Errors
    ///
    /// [`LaneError::TooLarge`]: this frame is refused, the lane lives on. Others: the lane has ended.
    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError>;

    /// Writes until nothing is queued.
    ///
    /// # Errors
    ///
    /// [`LaneError::PeerNotReading`] when the peer took no byte for the write stall,
    /// [`LaneError::Closed`] when the peer has closed, [`LaneError::Io`] for everything else.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>>;

    /// Flushes, then closes this direction, so that the peer sees the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of [`FrameSink::poll_flush`].
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>>;

    /// How many bytes are queued and not yet taken by the peer or the operating system.
    fn queued_bytes(&self) -> usize;

    /// How many frames, counted from the first [`FrameSink::start_send`], have had at least one byte taken:
    /// the rest has certainly not been seen by anybody.
    fn frames_begun(&self) -> u64;
}

/// What a lane receives.
#[derive(Clone, Debug)]
pub enum Inbound {
    /// One whole frame, without its delimiter.
    Frame(Bytes),
    /// One whole frame, on a lane that is made of exchanges: what answers it goes back on the same route.
    Routed(Route, Bytes),
    /// An exchange that this side opened ended without an answer. The lane lives on.
    Failed {
        /// Which one.
        route: Route,
        /// What happened to it.
        error: ExchangeError,
    },
    /// Bytes between frames that are no message: a banner, say. Counted and passed over.
    Skipped(Skipped),
    /// A message that could not be taken. The lane has resynchronised.
    Rejected(Rejected),
    /// The peer closed its direction. Nothing follows.
    End(End),
}

/// A message that could not be taken, on a lane that lives on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It was larger than the limit, and was passed over without being held.
    #[error("{size}")]
    TooLarge {
        /// The limit and the size.
        size: MessageTooLarge,
        /// How it begins: at most 1 KiB, from which the layer above may see what it was about.
        head: Bytes,
        /// How it ends: at most 256 bytes. Many write the id of an answer after its result.
        tail: Bytes,
    },
}

/// Bytes between frames that are no message.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Why they were passed over.
    pub reason: SkipReason,
    /// How many bytes there were.
    pub length: usize,
    /// How they begin: at most 256 bytes, made printable.
    pub text: String,
}

/// Why bytes were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// A line that does not begin as a message does.
    NotAMessage,
}

/// How a direction ended. The end of a stream is not an error, and it is not silence.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// How many bytes of an unfinished frame stood before it; 0 for a clean end.
    pub truncated_bytes: usize,
    /// Why it ended, if anybody knows: the exit of the child process.
    pub explanation: Option<Explanation>,
}

/// The async face of a [`FrameSource`].
pub trait FrameSourceExt: FrameSource {
    /// What the peer sent next.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the source owns what it has read, and a dropped receive takes no frame.
    fn receive(&mut self) -> impl Future<Output = Result<Inbound, LaneError>> + Send {
        poll_fn(|cx| self.poll_frame(cx))
    }
}

impl<S: FrameSource + ?Sized> FrameSourceExt for S {}

/// The async face of a [`FrameSink`].
pub trait FrameSinkExt: FrameSink {
    /// Waits for room, queues the frame and writes until nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Dropped before there was room, nothing was sent. Dropped later, the frame is in the queue: it goes out
    /// whole with the next flush, and is never torn.
    fn send(&mut self, frame: Frame) -> impl Future<Output = Result<(), LaneError>> + Send {
        let mut frame = Some(frame);
        poll_fn(move |cx| {
            if frame.is_some() {
                ready!(self.poll_ready(cx))?;
            }
            if let Some(frame) = frame.take() {
                self.start_send(frame)?;
            }
            self.poll_flush(cx)
        })
    }

    /// Writes until nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is queued stays queued.
    fn flush(&mut self) -> impl Future<Output = Result<(), LaneError>> + Send {
        poll_fn(|cx| self.poll_flush(cx))
    }

    /// Flushes, then closes this direction.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it can be called again.
    fn close(&mut self) -> impl Future<Output = Result<(), LaneError>> + Send {
        poll_fn(|cx| self.poll_close(cx))
    }
}

impl<S: FrameSink + ?Sized> FrameSinkExt for S {}

impl<S: FrameSource + ?Sized> FrameSource for Box<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        (**self).poll_frame(cx)
    }
}

impl<S: FrameSink + ?Sized> FrameSink for Box<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        (**self).poll_ready(cx)
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        (**self).start_send(frame)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        (**self).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        (**self).poll_close(cx)
    }

    fn queued_bytes(&self) -> usize {
        (**self).queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        (**self).frames_begun()
    }
}
