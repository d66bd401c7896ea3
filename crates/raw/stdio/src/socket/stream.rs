//! The two halves of a socket.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream, tcp, unix},
    sync::OwnedSemaphorePermit,
};

use super::{hangup::Hangup, opening::Opening};

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// What a listener admitted a lane with; both halves hold it.
pub(super) type Place = Option<Arc<OwnedSemaphorePermit>>;

impl Stream {
    pub(super) fn split(self, place: Place, opening: Option<Opening>) -> (SocketReader, SocketWriter) {
        let (read, write) = match self {
            Stream::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            Stream::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
        };
        let at_end = Arc::new(AtomicBool::new(false));
        let reader = SocketReader { half: read, opening, at_end: at_end.clone(), _place: place.clone() };
        (reader, SocketWriter { half: write, at_end, hangup: None, _place: place })
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

/// The reading half of a socket.
#[derive(Debug)]
pub struct SocketReader {
    half: ReadHalf,
    /// Until the first message is whole, if that is watched.
    opening: Option<Opening>,
    /// Whether the peer has closed its direction.
    at_end: Arc<AtomicBool>,
    /// After the socket: the place is free when that is closed.
    _place: Place,
}

#[derive(Debug)]
enum ReadHalf {
    Unix(unix::OwnedReadHalf),
    Tcp(tcp::OwnedReadHalf),
}

/// The writing half of a socket. Closed or dropped, it shuts its direction down, whatever becomes of the other.
///
/// When the end of a Unix socket has been read and its peer is gone altogether, a flush fails, and who waits in one or
/// after one is woken. TCP tells that from a half-closed connection only when something is written.
#[derive(Debug)]
pub struct SocketWriter {
    half: WriteHalf,
    at_end: Arc<AtomicBool>,
    hangup: Option<Hangup>,
    _place: Place,
}

#[derive(Debug)]
enum WriteHalf {
    Unix(unix::OwnedWriteHalf),
    Tcp(tcp::OwnedWriteHalf),
}

impl AsFd for SocketReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.half {
            ReadHalf::Unix(half) => half.as_ref().as_fd(),
            ReadHalf::Tcp(half) => half.as_ref().as_fd(),
        }
    }
}

impl AsyncRead for SocketReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let known = buf.filled().len();
        let read = match &mut this.half {
            ReadHalf::Unix(half) => Pin::new(half).poll_read(cx, buf),
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(cx, buf),
        };
        if read.is_pending()
            && let Some(opening) = &mut this.opening
        {
            return opening.poll_late(cx).map(Err);
        }
        ready!(read)?;
        if buf.filled().len() == known && buf.remaining() > 0 {
            this.at_end.store(true, Relaxed);
        }
        if let Some(opening) = &mut this.opening
            && opening.look(buf.filled().get(known..).unwrap_or_default())?
        {
            this.opening = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SocketWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().half {
            WriteHalf::Unix(half) => Pin::new(half).poll_write(cx, buf),
            WriteHalf::Tcp(half) => Pin::new(half).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().half {
            WriteHalf::Unix(half) => Pin::new(half).poll_write_vectored(cx, bufs),
            WriteHalf::Tcp(half) => Pin::new(half).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let WriteHalf::Unix(half) = &this.half
            && this.at_end.load(Relaxed)
        {
            if this.hangup.is_none() {
                // Without a descriptor to spare the peer gets what it is owed, and is asked again at the next flush.
                this.hangup = Hangup::new(half.as_ref()).ok();
            }
            if this.hangup.as_ref().is_some_and(|hangup| hangup.poll(cx).is_ready()) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().half {
            WriteHalf::Unix(half) => Pin::new(half).poll_shutdown(cx),
            WriteHalf::Tcp(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
