//! Our own ends of pipes, registered with the runtime only when they are first polled.
//!
//! So a lane can be made, taken apart and dropped where there is no runtime.

use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::unix::pipe,
};

/// The reading end of a pipe, or a terminal; its file description must be ours, and non-blocking.
#[derive(Debug)]
pub(crate) struct PipeReader(Lazy<pipe::Receiver>);

/// The writing end of a pipe, or a terminal; its file description must be ours, and non-blocking.
#[derive(Debug)]
pub(crate) struct PipeWriter(Lazy<pipe::Sender>);

#[derive(Debug)]
enum Lazy<T> {
    Idle(OwnedFd),
    Live(T),
    /// It could not be registered.
    Failed(io::ErrorKind),
}

impl PipeReader {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Lazy::Idle(fd))
    }

    /// What could be read at once.
    pub(crate) fn unread_bytes(&self) -> usize {
        let unread = match &self.0 {
            Lazy::Idle(fd) => rustix::io::ioctl_fionread(fd),
            Lazy::Live(live) => rustix::io::ioctl_fionread(live),
            Lazy::Failed(_) => Ok(0),
        };
        unread.ok().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
    }
}

impl PipeWriter {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Lazy::Idle(fd))
    }
}

impl<T> Lazy<T> {
    fn live(&mut self, register: fn(OwnedFd) -> io::Result<T>) -> io::Result<&mut T> {
        if matches!(self, Lazy::Idle(_))
            && let Lazy::Idle(fd) = std::mem::replace(self, Lazy::Failed(io::ErrorKind::Other))
        {
            match register(fd) {
                Ok(live) => *self = Lazy::Live(live),
                Err(error) => {
                    *self = Lazy::Failed(error.kind());
                    return Err(error);
                }
            }
        }
        match self {
            Lazy::Live(live) => Ok(live),
            Lazy::Failed(kind) => Err((*kind).into()),
            Lazy::Idle(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let live = self.get_mut().0.live(pipe::Receiver::from_owned_fd_unchecked)?;
        Pin::new(live).poll_read(cx, buf)
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let live = self.get_mut().0.live(pipe::Sender::from_owned_fd_unchecked)?;
        Pin::new(live).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let live = self.get_mut().0.live(pipe::Sender::from_owned_fd_unchecked)?;
        Pin::new(live).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A pipe closes by being dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
