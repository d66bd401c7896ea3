//! A lane in memory: two bounded queues, each behind one lock that is taken once per batch.

use std::{
    collections::VecDeque,
    io, mem,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use tokio::task::coop;
use towpath_raw::{
    End, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts, Level,
    MessageTooLarge, Mutex, Rejected, StallWatch,
};

/// Two lanes that are connected to each other, with the same limits and timeouts on both ends.
///
/// Each direction holds [`LaneLimits::write_queue_bytes`] and [`LaneLimits::write_queue_frames`] of its sender,
/// as a pipe holds its buffer: a peer that never reads fills it, and then the sink waits. The receiver takes all
/// of it at once, so a direction holds at most three times its limits, and one message over each: in the sink,
/// in the queue and in the source. To take is to take from the queue: a receiver that dwells on the frames that
/// it took counts as one that does not read once the queue is full behind it.
///
/// Frames pass without framing and without being copied, so any bytes are a message, none at all as well.
///
/// ```
/// use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
/// use towpath_testkit::memory_pair;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towpath_raw::LaneError> {
/// let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
/// let (_, mut sink) = near.split();
/// let (mut source, _) = far.split();
/// sink.send(Frame::from(bytes::Bytes::from_static(b"{}"))).await?;
/// assert!(matches!(source.receive().await?, Inbound::Frame(frame) if frame == "{}"));
/// drop(sink);
/// assert!(matches!(source.receive().await?, Inbound::End(_)));
/// # Ok(())
/// # }
/// ```
pub fn memory_pair(limits: LaneLimits, timeouts: LaneTimeouts) -> (MemoryLane, MemoryLane) {
    memory_pair_uneven(limits.clone(), limits, timeouts)
}

/// As [`memory_pair`], with limits of its own for either end: a sender may be allowed more than the receiver
/// takes.
pub fn memory_pair_uneven(
    left: LaneLimits,
    right: LaneLimits,
    timeouts: LaneTimeouts,
) -> (MemoryLane, MemoryLane) {
    let rightwards = Arc::new(Pipe::new());
    let leftwards = Arc::new(Pipe::new());
    let end = |limits: LaneLimits, peer: &str, from: &Arc<Pipe>, to: &Arc<Pipe>| {
        let peer: Arc<str> = peer.into();
        MemoryLane {
            source: MemorySource {
                max_message_bytes: limits.max_message_bytes,
                pipe: Arc::clone(from),
                taken: VecDeque::new(),
            },
            sink: MemorySink {
                peer: Arc::clone(&peer),
                stall: StallWatch::new(timeouts.write_stall),
                limits,
                pipe: Arc::clone(to),
                batch: VecDeque::new(),
                batch_bytes: 0,
                begun: 0,
                ended: None,
                closed: false,
            },
            peer,
        }
    };
    let left = end(left, "memory (right)", &leftwards, &rightwards);
    let right = end(right, "memory (left)", &rightwards, &leftwards);
    (left, right)
}

/// One end of a lane in memory; see [`memory_pair`].
#[derive(Debug)]
pub struct MemoryLane {
    peer: Arc<str>,
    source: MemorySource,
    sink: MemorySink,
}

impl Lane for MemoryLane {
    type Source = MemorySource;
    type Sink = MemorySink;

    fn peer(&self) -> Arc<str> {
        Arc::clone(&self.peer)
    }

    fn max_message_bytes(&self) -> usize {
        self.source.max_message_bytes
    }

    fn split(self) -> (MemorySource, MemorySink) {
        (self.source, self.sink)
    }
}

/// One direction. It stands for the operating system's pipe.
#[derive(Debug)]
struct Pipe {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    sink_gone: bool,
    source_gone: bool,
}

impl Pipe {
    fn new() -> Self {
        Self { state: Mutex::new(Level::Handler, "memory::Pipe::state", State::default()) }
    }

    /// The writing end is gone: what is queued can still be read, then the end.
    fn close(&self) {
        let reader = {
            let mut state = self.state.lock();
            state.sink_gone = true;
            state.reader.take()
        };
        wake(reader);
    }

    /// The reading end is gone: what is queued is lost.
    fn break_off(&self) {
        let (writer, lost) = {
            let mut state = self.state.lock();
            state.source_gone = true;
            state.bytes = 0;
            (state.writer.take(), mem::take(&mut state.queue))
        };
        drop(lost);
        wake(writer);
    }
}

/// The receiving half of a [`MemoryLane`]: takes the whole queue under one lock, and serves from it.
#[derive(Debug)]
pub struct MemorySource {
    max_message_bytes: usize,
    pipe: Arc<Pipe>,
    taken: VecDeque<Bytes>,
}

/// How much is kept of the beginning and of the end of a message that is too large.
const MAX_HEAD_BYTES: usize = 1 << 10;
const MAX_TAIL_BYTES: usize = 256;

impl MemorySource {
    fn judge(&self, frame: Bytes) -> Inbound {
        if frame.len() <= self.max_message_bytes {
            return Inbound::Frame(frame);
        }
        let size = MessageTooLarge { limit: self.max_message_bytes, seen: frame.len(), exact: true };
        // A copy: the slice would keep the whole of it.
        let head = Bytes::copy_from_slice(frame.get(..MAX_HEAD_BYTES).unwrap_or(&frame));
        let tail = frame.get(frame.len().saturating_sub(MAX_TAIL_BYTES)..).unwrap_or(&frame);
        Inbound::Rejected(Rejected::TooLarge { size, head, tail: Bytes::copy_from_slice(tail) })
    }
}

impl FrameSource for MemorySource {
    #[inline]
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        if let Some(frame) = self.taken.pop_front() {
            return Poll::Ready(Ok(self.judge(frame)));
        }
        // Two ends that feed each other must not keep their worker from everybody else.
        let budget = ready!(coop::poll_proceed(cx));
        let writer = {
            let mut state = self.pipe.state.lock();
            if state.queue.is_empty() {
                if state.sink_gone {
                    return Poll::Ready(Ok(Inbound::End(End::default())));
                }
                park(&mut state.reader, cx);
                return Poll::Pending;
            }
            // The empty queue that goes back keeps its memory for the next batch.
            mem::swap(&mut state.queue, &mut self.taken);
            state.bytes = 0;
            state.writer.take()
        };
        budget.made_progress();
        wake(writer);
        match self.taken.pop_front() {
            Some(frame) => Poll::Ready(Ok(self.judge(frame))),
            None => Poll::Pending,
        }
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        self.pipe.break_off();
    }
}

/// The sending half of a [`MemoryLane`]: gathers frames, and hands them all over under one lock at a flush.
#[derive(Debug)]
pub struct MemorySink {
    peer: Arc<str>,
    limits: LaneLimits,
    stall: StallWatch,
    pipe: Arc<Pipe>,
    batch: VecDeque<Bytes>,
    batch_bytes: usize,
    begun: u64,
    ended: Option<LaneError>,
    closed: bool,
}

impl MemorySink {
    fn batch_has_room(&self) -> bool {
        self.batch_bytes < self.limits.write_queue_bytes && self.batch.len() < self.limits.write_queue_frames
    }

    /// Moves what fits into the queue. Like a pipe's buffer, the queue takes as long as it is not full.
    fn hand_over(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let before = self.batch.len();
        let reader = {
            let mut state = self.pipe.state.lock();
            if state.source_gone {
                drop(state);
                let closed = LaneError::Closed { peer: Arc::clone(&self.peer), explanation: None };
                return Poll::Ready(Err(self.end(closed)));
            }
            let fits = self.batch_bytes <= self.limits.write_queue_bytes
                && self.batch.len() <= self.limits.write_queue_frames;
            if state.queue.is_empty() && fits {
                mem::swap(&mut state.queue, &mut self.batch);
                state.bytes = mem::take(&mut self.batch_bytes);
            } else {
                while (state.bytes < self.limits.write_queue_bytes || state.queue.is_empty())
                    && (state.queue.len() < self.limits.write_queue_frames || state.queue.is_empty())
                    && let Some(frame) = self.batch.pop_front()
                {
                    self.batch_bytes -= frame.len();
                    state.bytes += frame.len();
                    state.queue.push_back(frame);
                }
            }
            if !self.batch.is_empty() {
                park(&mut state.writer, cx);
            }
            if self.batch.len() < before { state.reader.take() } else { None }
        };
        wake(reader);
        let moved = before - self.batch.len();
        self.begun += moved as u64;
        if moved > 0 {
            self.stall.progress();
        }
        if self.batch.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let after = ready!(self.stall.poll_stalled(cx));
        let unsent_bytes = self.batch_bytes;
        Poll::Ready(Err(self.end(LaneError::PeerNotReading {
            peer: Arc::clone(&self.peer),
            after,
            unsent_bytes,
        })))
    }

    /// The lane has ended for good; what is in the batch will not be sent.
    fn end(&mut self, error: LaneError) -> LaneError {
        self.batch = VecDeque::new();
        self.batch_bytes = 0;
        self.ended = Some(error.clone());
        error
    }
}

impl FrameSink for MemorySink {
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if let Some(error) = &self.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if self.batch_has_room() {
            return Poll::Ready(Ok(()));
        }
        match self.hand_over(cx) {
            Poll::Pending if self.batch_has_room() => Poll::Ready(Ok(())),
            other => other,
        }
    }

    #[inline]
    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let length = frame.len();
        if length > self.limits.max_message_bytes {
            let source = MessageTooLarge { limit: self.limits.max_message_bytes, seen: length, exact: true };
            return Err(LaneError::TooLarge { peer: Arc::clone(&self.peer), source });
        }
        self.batch_bytes += length;
        self.batch.push_back(frame.into_bytes());
        Ok(())
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if let Some(error) = &self.ended
            && !self.closed
        {
            return Poll::Ready(Err(error.clone()));
        }
        if self.batch.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.hand_over(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        ready!(self.poll_flush(cx))?;
        if !self.closed {
            self.closed = true;
            self.pipe.close();
            self.ended = Some(LaneError::Io {
                peer: Arc::clone(&self.peer),
                operation: "writing to",
                source: Arc::new(io::Error::new(io::ErrorKind::BrokenPipe, "this side was closed before")),
            });
        }
        Poll::Ready(Ok(()))
    }

    fn queued_bytes(&self) -> usize {
        self.batch_bytes
    }

    fn frames_begun(&self) -> u64 {
        self.begun
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        self.pipe.close();
    }
}

fn park(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Called when no lock is held: a waker may run anything.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
