//! The stream under a connection: it notices a peer that takes nothing, and tells when something comes.

use std::{
    future::Future,
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use towpath_raw::{Operation, StallWatch, Timeout};

use super::phase::Phases;

/// A stream that fails once its peer has taken no byte for `write_stall` while there was something to write.
#[derive(Debug)]
pub(super) struct Watched<T> {
    io: T,
    stall: StallWatch,
    phases: Phases,
    is_shut: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, write_stall: Option<Duration>, phases: Phases) -> Self {
        Self { io, stall: StallWatch::new(write_stall), phases, is_shut: false, linger: None }
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
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.phases.read();
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

/// After so many reads, others get a turn.
const READS_PER_POLL: usize = 64;
