//! The stream around a stream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Cut,
    common::{Corrupted, planned},
    tap::{Tap, Way},
};

/// A byte stream with faults; see [`StreamPlan::wrap`](crate::StreamPlan::wrap). For sockets, pipes, what hyper serves,
/// and the lane of lines over any of them.
///
/// It holds at most 1 KiB that was read and not yet given, and never what was written. Until it is dropped, the stream
/// inside is open, unless an error was planned.
#[derive(Debug)]
pub struct FaultStream<S> {
    /// Let go with an error.
    inner: Option<S>,
    broken: Option<io::ErrorKind>,
    reading: Tap,
    /// Read, and kept back.
    held: BytesMut,
    /// What a corrupted byte has become, as far as it was not given.
    rest: BytesMut,
    inner_ended: bool,
    writing: Tap,
    /// What a corrupted byte has become, as far as it was not written.
    unwritten: Option<(Corrupted, usize)>,
    closed: bool,
}

impl<S> FaultStream<S> {
    pub(super) fn new(inner: S, reading: Tap, writing: Tap) -> Self {
        Self {
            inner: Some(inner),
            broken: None,
            reading,
            held: BytesMut::new(),
            rest: BytesMut::new(),
            inner_ended: false,
            writing,
            unwritten: None,
            closed: false,
        }
    }

    /// It fails from here on, in both directions; the peer sees the stream end.
    fn fail(&mut self, kind: io::ErrorKind) -> io::Error {
        self.inner = None;
        self.broken = Some(kind);
        planned(kind)
    }

    fn inner(&mut self) -> io::Result<Pin<&mut S>>
    where
        S: Unpin,
    {
        match (&mut self.inner, self.broken) {
            (Some(inner), _) => Ok(Pin::new(inner)),
            (None, kind) => Err(planned(kind.unwrap_or(io::ErrorKind::NotConnected))),
        }
    }
}

impl<S: AsyncRead + Unpin> FaultStream<S> {
    /// Reads some bytes and keeps them; none at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; HELD_BYTES];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(self.inner()?.poll_read(cx, &mut buffer))?;
        self.inner_ended = buffer.filled().is_empty();
        self.held.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// What the vanished peer still says is taken, and nobody hears of it.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..DISCARDED_IN_A_ROW {
            if self.inner_ended {
                return Poll::Pending;
            }
            self.inner_ended |= ready!(self.poll_fill(cx)).is_err();
            if !self.held.is_empty() {
                self.reading.lost();
                self.held.clear();
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if !this.rest.is_empty() {
                let count = this.rest.len().min(buffer.remaining());
                buffer.put_slice(&this.rest.split_to(count));
                return Poll::Ready(Ok(()));
            }
            if let Some(kind) = this.broken {
                return Poll::Ready(Err(planned(kind)));
            }
            match ready!(this.reading.poll_way(cx)) {
                Way::Open => {}
                Way::Cut(Cut::Error(kind)) => return Poll::Ready(Err(this.fail(kind))),
                Way::Cut(_) => return Poll::Ready(Ok(())),
                Way::Nowhere => return this.poll_discard(cx),
            }
            if this.held.is_empty() {
                if this.inner_ended {
                    return Poll::Ready(Ok(()));
                }
                ready!(this.poll_fill(cx))?;
                continue;
            }
            let wanted = this.held.len().min(buffer.remaining());
            let most = this.reading.most(wanted);
            ready!(this.reading.poll_pass(cx));
            match this.held.first().and_then(|byte| this.reading.corrupted(*byte)) {
                Some(corrupted) => {
                    this.reading.passed(&this.held[..1], 1);
                    this.held.advance(1);
                    this.rest.extend_from_slice(corrupted.bytes());
                }
                None => {
                    this.reading.passed(&this.held[..most], wanted);
                    buffer.put_slice(&this.held.split_to(most));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(first) = bytes.first() else { return Poll::Ready(Ok(0)) };
        if let Some(kind) = this.broken {
            return Poll::Ready(Err(planned(kind)));
        }
        if this.unwritten.is_none() {
            match ready!(this.writing.poll_way(cx)) {
                Way::Open => {}
                Way::Cut(Cut::Error(kind)) => return Poll::Ready(Err(this.fail(kind))),
                Way::Cut(_) => {
                    if !this.closed {
                        ready!(this.inner()?.poll_shutdown(cx))?;
                        this.closed = true;
                    }
                    return Poll::Ready(Err(planned(io::ErrorKind::BrokenPipe)));
                }
                Way::Nowhere => {
                    this.writing.lost();
                    return Poll::Ready(Ok(bytes.len()));
                }
            }
            let most = this.writing.most(bytes.len());
            ready!(this.writing.poll_pass(cx));
            let Some(corrupted) = this.writing.corrupted(*first) else {
                let count = ready!(this.inner()?.poll_write(cx, &bytes[..most]))?;
                this.writing.passed(&bytes[..count], bytes.len());
                return Poll::Ready(Ok(count));
            };
            this.unwritten = Some((corrupted, 0));
        }
        // The byte counts as written when what has become of it is.
        while let Some((corrupted, done)) = this.unwritten {
            let Some(left) = corrupted.bytes().get(done..).filter(|left| !left.is_empty()) else { break };
            let count = ready!(this.inner()?.poll_write(cx, left))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.unwritten = Some((corrupted, done + count));
        }
        this.unwritten = None;
        this.writing.passed(&bytes[..1], 1);
        Poll::Ready(Ok(1))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.inner.is_none() || ready!(self.writing.poll_way(cx)) == Way::Nowhere {
            return Poll::Ready(Ok(()));
        }
        self.inner()?.poll_shutdown(cx)
    }
}

/// How much is read at once.
const HELD_BYTES: usize = 1024;

/// How often something is thrown away before others get their turn.
const DISCARDED_IN_A_ROW: usize = 32;
