//! The stream under a connection: it notices a peer that takes nothing, and tells when something comes.

use std::{
    future::Future,
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use towpath_raw::{Operation, StallWatch, Timeout};

use super::{
    frames::{Frames, Head, PREFACE},
    phase::{Phase, Phases},
};

/// A stream that fails once its peer has taken no byte for `write_stall` while there was something to write.
#[derive(Debug)]
pub(super) struct Watched<T> {
    io: T,
    stall: StallWatch,
    phases: Phases,
    is_shut: bool,
    linger: Option<Pin<Box<Sleep>>>,
    /// What was read to see which protocol it is, and is still to be given.
    ahead: BytesMut,
    /// With HTTP/2, where its heads are.
    frames: Option<Box<Frames>>,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, write_stall: Option<Duration>, phases: Phases) -> Self {
        let (stall, ahead) = (StallWatch::new(write_stall), BytesMut::new());
        Self { io, stall, phases, is_shut: false, linger: None, ahead, frames: None }
    }

    /// Tells what the bytes mean that hyper gets.
    fn tell(&mut self, bytes: &[u8]) {
        match &mut self.frames {
            None => self.phases.read(),
            Some(frames) => frames.take(bytes, |head| {
                self.phases.enter(match head {
                    Head::Begun => Phase::Head,
                    // Its exchange is about to begin; whether it does is seen at the next look.
                    Head::Whole => Phase::Busy,
                });
            }),
        }
    }

    fn watch<R>(&mut self, cx: &mut Context<'_>, written: Poll<Result<R>>) -> Poll<Result<R>> {
        if written.is_ready() {
            self.stall.progress();
            return written;
        }
        self.stall
            .poll_stalled(cx)
            .map(|after| Err(Error::new(ErrorKind::TimedOut, Timeout { operation: Operation::Send, after })))
    }
}

impl<T: AsyncRead + Unpin> Watched<T> {
    /// Reads until it is known whether the peer speaks HTTP/2: whether it begins with the preface. A connection of
    /// HTTP/1.1 pays with a copy of what came first.
    pub(super) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        loop {
            let known = self.ahead.len().min(PREFACE.len());
            if self.ahead[..known] != PREFACE[..known] {
                return Poll::Ready(Ok(false));
            }
            if known == PREFACE.len() {
                self.frames = Some(Box::new(Frames::new()));
                return Poll::Ready(Ok(true));
            }
            let mut scratch = [0; FIRST_READ_BYTES];
            let mut scratch = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut scratch))?;
            if scratch.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.ahead.extend_from_slice(scratch.filled());
        }
    }

    /// Reads what nobody wants, after the last byte was written. A peer that was answered before it had sent its whole
    /// body goes on sending; closed over bytes that are not read, the connection is reset, and the peer might lose the
    /// answer.
    fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_POLL {
            let mut scratch = [0; 8192];
            let mut scratch = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                    let timer = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
                    if timer.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                // Nothing was under way: there is nobody to wait for.
                Poll::Pending => {
                    return self.linger.as_mut().map_or(Poll::Ready(()), |timer| timer.as_mut().poll(cx));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = if self.ahead.is_empty() {
            Pin::new(&mut self.io).poll_read(cx, buf)
        } else {
            let given = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..given]);
            self.ahead.advance(given);
            if self.ahead.is_empty() {
                // Its memory is not needed any more.
                self.ahead = BytesMut::new();
            }
            Poll::Ready(Ok(()))
        };
        if buf.filled().len() > before {
            self.tell(&buf.filled()[before..]);
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.is_shut {
            let shut = Pin::new(&mut self.io).poll_shutdown(cx);
            ready!(self.watch(cx, shut))?;
            self.is_shut = true;
        }
        self.poll_unread(cx).map(Ok)
    }
}

/// How long a peer is listened to that has its answer.
const LINGER: Duration = Duration::from_secs(1);

/// Enough for the head and the body of a small request.
const FIRST_READ_BYTES: usize = 2048;

/// After so many reads, others get a turn.
const READS_PER_POLL: usize = 64;
