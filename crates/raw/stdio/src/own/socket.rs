//! An inherited socket: it stays blocking, for others share it, and each call of ours says that it does not wait.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};
use tokio::io::{AsyncRead, Interest, ReadBuf};

use super::registered::Registered;

/// Stdin as a socket.
#[derive(Debug)]
pub(super) struct SocketReader(Registered);

/// Stdout as a socket.
#[derive(Debug)]
pub(super) struct SocketWriter {
    socket: Registered,
    /// Whether stdin is the same socket, so that only a shutdown tells the peer of the end.
    is_stdin_too: bool,
}

impl SocketReader {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(Registered::Idle(fd))
    }
}

impl SocketWriter {
    pub(super) fn new(fd: OwnedFd, is_stdin_too: bool) -> Self {
        Self { socket: Registered::Idle(fd), is_stdin_too }
    }

    pub(super) fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut().socket.live(Interest::WRITABLE)?;
        loop {
            let mut ready = ready!(socket.poll_write_ready(cx))?;
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(ready.get_inner(), bufs, &mut SendAncillaryBuffer::default(), flags) {
                Ok(bytes) => return Poll::Ready(Ok(bytes)),
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl Drop for SocketWriter {
    fn drop(&mut self) {
        if self.is_stdin_too {
            match &self.socket {
                Registered::Idle(fd) => drop(shutdown(fd, Shutdown::Write)),
                Registered::Live(fd) => drop(shutdown(fd.as_fd(), Shutdown::Write)),
                Registered::Failed => {}
            }
        }
    }
}

impl AsyncRead for SocketReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut().0.live(Interest::READABLE)?;
        loop {
            let mut ready = ready!(socket.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            match recv(ready.get_inner(), &mut *room, RecvFlags::DONTWAIT) {
                Ok((_, bytes)) => {
                    // A short read has emptied the socket: the next one would only be told so.
                    if 0 < bytes && bytes < room.len() {
                        ready.clear_ready();
                    }
                    buf.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}
