//! Any `AsyncRead + AsyncWrite` as a lane of lines.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use towpath_raw::{
    End, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts, StallWatch,
};

use crate::line::{LineDecoder, LineWriter};

/// A lane of lines over a reader and a writer: sockets, pipes, in-memory pairs.
///
/// # Example
///
/// ```
/// use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
/// use towpath_stdio::IoLane;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towpath_raw::LaneError> {
/// let (here, there) = tokio::io::duplex(1024);
/// let (reader, writer) = tokio::io::split(here);
/// let lane = IoLane::new(reader, writer, "the other end", LaneLimits::default(), LaneTimeouts::default());
/// let (mut source, mut sink) = lane.split();
///
/// sink.send(Frame::from(bytes::Bytes::from("{\"id\":1}"))).await?;
/// // The other end gives everything back.
/// let (mut reader, mut writer) = tokio::io::split(there);
/// tokio::spawn(async move { tokio::io::copy(&mut reader, &mut writer).await });
/// assert!(matches!(source.receive().await?, Inbound::Frame(frame) if frame == "{\"id\":1}"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IoLane<R, W> {
    source: LineSource<R>,
    sink: LineSink<W>,
}

impl<R, W> IoLane<R, W> {
    /// A lane to `peer`, which names the other side in errors.
    pub fn new(
        reader: R,
        writer: W,
        peer: impl Into<Arc<str>>,
        limits: LaneLimits,
        timeouts: LaneTimeouts,
    ) -> Self {
        let peer = peer.into();
        Self {
            source: LineSource::new(reader, peer.clone(), &limits),
            sink: LineSink::new(writer, peer, &limits, &timeouts),
        }
    }
}

impl<R, W> Lane for IoLane<R, W>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Source = LineSource<R>;
    type Sink = LineSink<W>;

    fn peer(&self) -> Arc<str> {
        self.source.peer.clone()
    }

    fn max_message_bytes(&self) -> usize {
        self.source.max_message_bytes
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        (self.source, self.sink)
    }
}

/// The receiving half of a lane of lines; see [`LineDecoder`] for what a line is.
#[derive(Debug)]
pub struct LineSource<R> {
    /// Given up at the end.
    reader: Option<R>,
    decoder: LineDecoder,
    pub(crate) max_message_bytes: usize,
    peer: Arc<str>,
    failure: Option<LaneError>,
}

impl<R> LineSource<R> {
    /// A source of the lines that `peer` writes.
    pub fn new(reader: R, peer: impl Into<Arc<str>>, limits: &LaneLimits) -> Self {
        let max_message_bytes = limits.max_message_bytes;
        let decoder = LineDecoder::new(limits);
        Self { reader: Some(reader), decoder, max_message_bytes, peer: peer.into(), failure: None }
    }

    /// How many blank lines were passed over.
    pub fn blank_lines(&self) -> u64 {
        self.decoder.blank_lines()
    }
}

impl<R: AsyncRead + Unpin + Send> FrameSource for LineSource<R> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        let mut came = 0;
        loop {
            if let Some(inbound) = self.decoder.decode() {
                return Poll::Ready(Ok(inbound));
            }
            if let Some(failure) = &self.failure {
                return Poll::Ready(Err(failure.clone()));
            }
            let Some(reader) = &mut self.reader else {
                let last = self.decoder.finish();
                let end = End { truncated_bytes: self.decoder.truncated_bytes(), explanation: None };
                return Poll::Ready(Ok(last.unwrap_or(Inbound::End(end))));
            };
            if came >= PASSED_OVER_BYTES && !self.decoder.is_in_message() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A dropped read has read nothing, so it can be made anew for every poll.
            let mut spare = self.decoder.spare();
            let read = ready!(pin!(reader.read_buf(&mut spare)).poll(cx));
            drop(spare);
            match read {
                Ok(0) => self.reader = None,
                Ok(bytes) => {
                    self.decoder.filled(bytes);
                    came += bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.reader = None;
                    self.failure = Some(LaneError::Io {
                        peer: self.peer.clone(),
                        operation: "reading from",
                        source: Arc::new(error),
                    });
                }
            }
        }
    }
}

/// How much is passed over before others may run: a peer that writes blank lines, or a line without an end, faster than
/// they can be read would keep its reader for itself.
const PASSED_OVER_BYTES: usize = 256 << 10;

/// The sending half of a lane of lines; see [`LineWriter`] for how frames are queued.
///
/// Dropped, it drops the writer: what that closes is the writer's affair (a pipe and the owned half of a socket
/// close; `tokio::io::WriteHalf` does not, so close that one).
#[derive(Debug)]
pub struct LineSink<W> {
    /// Given up when closed.
    writer: Option<W>,
    queue: LineWriter,
    peer: Arc<str>,
    stall: StallWatch,
    failure: Option<LaneError>,
}

impl<W> LineSink<W> {
    /// A sink for the lines that `peer` reads.
    pub fn new(writer: W, peer: impl Into<Arc<str>>, limits: &LaneLimits, timeouts: &LaneTimeouts) -> Self {
        Self {
            writer: Some(writer),
            queue: LineWriter::new(limits),
            peer: peer.into(),
            stall: StallWatch::new(timeouts.write_stall),
            failure: None,
        }
    }

    /// The lane ends here: the same error for every call that follows.
    fn fail(&mut self, failure: LaneError) -> LaneError {
        self.writer = None;
        self.queue.abandon();
        self.failure = Some(failure.clone());
        failure
    }

    fn failed_with(&mut self, error: io::Error) -> LaneError {
        let peer = self.peer.clone();
        let failure = match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::WriteZero => LaneError::Closed { peer, explanation: None },
            _ => LaneError::Io { peer, operation: "writing to", source: Arc::new(error) },
        };
        self.fail(failure)
    }

    fn check(&self) -> Result<(), LaneError> {
        match (&self.failure, &self.writer) {
            (Some(failure), _) => Err(failure.clone()),
            (None, None) => Err(LaneError::Closed { peer: self.peer.clone(), explanation: None }),
            (None, Some(_)) => Ok(()),
        }
    }
}

impl<W: AsyncWrite + Unpin + Send> LineSink<W> {
    /// Writes what is queued until `enough`.
    fn poll_write_until(
        &mut self,
        cx: &mut Context<'_>,
        enough: fn(&LineWriter) -> bool,
    ) -> Poll<Result<(), LaneError>> {
        while !enough(&self.queue) {
            let Some(writer) = &mut self.writer else { return Poll::Ready(self.check()) };
            let mut slices = [IoSlice::new(&[]); LineWriter::MAX_SLICES];
            let count = self.queue.slices(&mut slices);
            let written = match slices.get(..count) {
                Some([one]) => Pin::new(writer).poll_write(cx, one),
                many => Pin::new(writer).poll_write_vectored(cx, many.unwrap_or_default()),
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.failed_with(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(bytes)) => {
                    self.queue.advance(bytes);
                    self.stall.progress();
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.failed_with(error))),
                Poll::Pending => return self.poll_stalled(cx),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The end of a step of the writer that is not in [`LineSink::poll_write_until`].
    fn poll_step(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<()>>) -> Poll<Result<(), LaneError>> {
        match step {
            Poll::Ready(Ok(())) => {
                self.stall.progress();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed_with(error))),
            Poll::Pending => self.poll_stalled(cx),
        }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let after = ready!(self.stall.poll_stalled(cx));
        let unsent_bytes = self.queue.queued_bytes();
        let peer = self.peer.clone();
        Poll::Ready(Err(self.fail(LaneError::PeerNotReading { peer, after, unsent_bytes })))
    }
}

impl<W: AsyncWrite + Unpin + Send> FrameSink for LineSink<W> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.check()?;
        self.poll_write_until(cx, LineWriter::has_room)
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.check()?;
        self.queue.push(&self.peer, frame)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.check()?;
        ready!(self.poll_write_until(cx, |queue| queue.queued_bytes() == 0))?;
        let Some(writer) = &mut self.writer else { return Poll::Ready(self.check()) };
        let flushed = Pin::new(writer).poll_flush(cx);
        self.poll_step(cx, flushed)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if self.writer.is_none() && self.failure.is_none() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_flush(cx))?;
        let Some(writer) = &mut self.writer else { return Poll::Ready(self.check()) };
        let shut = Pin::new(writer).poll_shutdown(cx);
        ready!(self.poll_step(cx, shut))?;
        // A pipe has nothing to shut down: it closes by being dropped.
        self.writer = None;
        Poll::Ready(Ok(()))
    }

    fn queued_bytes(&self) -> usize {
        self.queue.queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        self.queue.frames_begun()
    }
}
