//! A lane with one fault.
#![allow(clippy::mem_forget, reason = "to leave something behind is the fault")]

use std::{
    collections::VecDeque,
    fs::File,
    io,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use towpath_raw::{End, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError, Rejected};

/// What is wrong with a lane. Frames are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    ShortFrame(usize),
    FlippedByte(usize),
    Swapped(usize),
    Lost(usize),
    Twice(usize),
    EmptyEnds,
    SegmentsApart,
    OversizeEnds,
    RejectedEnds,
    ReceiveBlocksSend,
    SendBlocksReceive,
    TornAfterPendingReceive,
    TornAfterPendingFlush,
    NeverWoken,
    ErrorsAreIo,
    ErrorsNameAnother,
    ErrorsOnce,
    EndIsError,
    EndIsTruncated,
    EndsEarly(usize),
    LargeIsTorn,
    LargeIsGarbled,
    CloseEndsBoth,
    CloseTellsNothing,
    SecondCloseFails,
    DropNeedsRuntime,
    LeavesTask,
    LeavesDescriptor,
    LeavesChild,
    LeavesMemory,
}

pub(super) struct Saboteur<L> {
    lane: L,
    fault: Fault,
}

impl<L: Lane> Saboteur<L> {
    pub(super) fn new(lane: L, fault: Fault) -> Self {
        match fault {
            Fault::LeavesTask => drop(tokio::spawn(std::future::pending::<()>())),
            Fault::LeavesDescriptor => std::mem::forget(File::open("/dev/null").expect("it is there")),
            Fault::LeavesChild => {
                let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn();
                std::mem::forget(child.expect("it is there"));
            }
            Fault::LeavesMemory => std::mem::forget(vec![1_u8; 64 << 10]),
            _ => {}
        }
        Self { lane, fault }
    }
}

/// What the halves of one lane know of each other.
#[derive(Default)]
struct Shared {
    receives: AtomicBool,
    sends: AtomicBool,
    is_closed: AtomicBool,
}

impl<L: Lane> Lane for Saboteur<L> {
    type Source = Source<L::Source>;
    type Sink = Sink<L::Sink>;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let Self { lane, fault } = self;
        let (source, sink) = lane.split();
        let shared = Arc::new(Shared::default());
        let source = Source {
            source,
            fault,
            shared: Arc::clone(&shared),
            frames: 0,
            ready: VecDeque::new(),
            was_pending: false,
        };
        (source, Sink { sink, fault, shared, was_pending: false, closes: 0, error: None, failed: 0 })
    }
}

pub(super) struct Source<S> {
    source: S,
    fault: Fault,
    shared: Arc<Shared>,
    frames: usize,
    ready: VecDeque<Inbound>,
    was_pending: bool,
}

impl<S: FrameSource> Source<S> {
    fn sabotaged(&mut self, frame: Bytes, cx: &mut Context<'_>) -> Poll<Inbound> {
        let number = self.frames;
        self.frames += 1;
        let shorter = || frame.slice(..frame.len().saturating_sub(1));
        let torn = match self.fault {
            Fault::ShortFrame(at) if at == number => shorter(),
            Fault::FlippedByte(at) if at == number => flipped(&frame),
            Fault::Lost(at) if at == number => return self.poll_inner(cx),
            Fault::Twice(at) if at == number => {
                self.ready.push_back(Inbound::Frame(frame.clone()));
                frame
            }
            Fault::Swapped(at) if at == number => {
                // It is given after the next one.
                let next = ready!(self.poll_inner(cx));
                self.ready.push_back(Inbound::Frame(frame));
                return Poll::Ready(next);
            }
            Fault::TornAfterPendingReceive if self.was_pending && number > 0 => shorter(),
            Fault::EndsEarly(at) if at == number => return Poll::Ready(Inbound::End(End::default())),
            Fault::LargeIsTorn if frame.len() > 4 << 20 => frame.slice(..100),
            Fault::LargeIsGarbled if frame.len() > 4 << 20 => flipped(&frame.slice(..100)),
            _ => frame,
        };
        Poll::Ready(Inbound::Frame(torn))
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Inbound> {
        match ready!(self.source.poll_frame(cx)) {
            Ok(Inbound::Frame(frame)) => self.sabotaged(frame, cx),
            Ok(other) => Poll::Ready(other),
            Err(error) => panic!("a lane in memory failed: {error}"),
        }
    }
}

fn flipped(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&frame[..]);
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.freeze()
}

impl<S: FrameSource> FrameSource for Source<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        if let Some(ready) = self.ready.pop_front() {
            return Poll::Ready(Ok(ready));
        }
        if self.fault == Fault::SendBlocksReceive && self.shared.sends.load(Relaxed) {
            return Poll::Pending;
        }
        if self.fault == Fault::CloseEndsBoth && self.shared.is_closed.load(Relaxed) {
            return Poll::Ready(Ok(Inbound::End(End::default())));
        }
        let Poll::Ready(inbound) = self.poll_inner(cx) else {
            self.shared.receives.store(true, Relaxed);
            self.was_pending = true;
            return Poll::Pending;
        };
        self.shared.receives.store(false, Relaxed);
        self.was_pending = false;
        Poll::Ready(match (self.fault, inbound) {
            (Fault::EndIsError, Inbound::End(_)) => Err(io_error("reading from")),
            (Fault::EndIsTruncated, Inbound::End(_)) => {
                Ok(Inbound::End(End { truncated_bytes: 1, ..End::default() }))
            }
            (Fault::RejectedEnds, Inbound::Rejected(Rejected::TooLarge { .. })) => {
                Ok(Inbound::End(End::default()))
            }
            (_, inbound) => Ok(inbound),
        })
    }
}

impl<S> Drop for Source<S> {
    fn drop(&mut self) {
        if self.fault == Fault::DropNeedsRuntime {
            drop(
                tokio::runtime::Handle::try_current().map_err(|error| error.to_string()).expect("a runtime"),
            );
        }
    }
}

pub(super) struct Sink<S> {
    sink: S,
    fault: Fault,
    shared: Arc<Shared>,
    was_pending: bool,
    closes: usize,
    error: Option<LaneError>,
    failed: usize,
}

fn io_error(operation: &'static str) -> LaneError {
    let source = Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
    LaneError::Io { peer: "somebody".into(), operation, source }
}

impl<S: FrameSink> Sink<S> {
    fn error(&mut self, error: LaneError) -> LaneError {
        self.failed += 1;
        match (self.fault, error) {
            (Fault::ErrorsAreIo, error) if !error.is_about_one_message() => io_error("writing to"),
            (Fault::ErrorsNameAnother, LaneError::Closed { explanation, .. }) => {
                LaneError::Closed { peer: "another".into(), explanation }
            }
            (Fault::ErrorsOnce, _) if self.failed > 1 => io_error("writing to"),
            (Fault::OversizeEnds, error) => {
                let closed = LaneError::Closed { peer: "somebody".into(), explanation: None };
                self.error = Some(closed);
                error
            }
            (_, error) => error,
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.sink.start_send(frame).map_err(|error| self.error(error))
    }
}

impl<S: FrameSink> FrameSink for Sink<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let polled = if self.fault == Fault::NeverWoken {
            self.sink.poll_ready(&mut Context::from_waker(Waker::noop()))
        } else {
            self.sink.poll_ready(cx)
        };
        polled.map_err(|error| self.error(error))
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match self.fault {
            Fault::EmptyEnds if frame.is_empty() => {
                Err(LaneError::Closed { peer: "somebody".into(), explanation: None })
            }
            Fault::SegmentsApart => {
                for segment in frame.into_segments().into_iter().filter(|segment| !segment.is_empty()) {
                    self.push(Frame::from(segment))?;
                }
                Ok(())
            }
            Fault::TornAfterPendingFlush if self.was_pending => {
                let bytes = frame.into_bytes();
                self.push(Frame::from(bytes.slice(..bytes.len() / 2)))
            }
            _ => self.push(frame),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if self.fault == Fault::ReceiveBlocksSend && self.shared.receives.load(Relaxed) {
            return Poll::Pending;
        }
        let polled = if self.fault == Fault::NeverWoken {
            // The stall would wake it.
            self.sink.poll_flush(&mut Context::from_waker(Waker::noop()))
        } else {
            self.sink.poll_flush(cx)
        };
        self.was_pending = polled.is_pending();
        self.shared.sends.store(self.was_pending, Relaxed);
        polled.map_err(|error| self.error(error))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.closes += 1;
        match self.fault {
            Fault::CloseTellsNothing => return self.poll_flush(cx),
            Fault::SecondCloseFails if self.closes > 1 => return Poll::Ready(Err(io_error("writing to"))),
            _ => {}
        }
        self.shared.is_closed.store(true, Relaxed);
        self.sink.poll_close(cx)
    }

    fn queued_bytes(&self) -> usize {
        self.sink.queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        self.sink.frames_begun()
    }
}
