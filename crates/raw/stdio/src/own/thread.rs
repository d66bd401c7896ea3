//! A descriptor that the system cannot tell us about: a thread waits for it.
//!
//! The threads are plain ones, so neither the end of the process nor that of a runtime waits for them; and they
//! wait with poll(2), never inside read(2), so the half of the lane that owns one ends it by being dropped.

use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, mpsc as blocking},
    task::{Context, Poll, ready},
    thread,
};

use bytes::{Buf, Bytes, BytesMut};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::mpsc,
};

/// Stdin, read by a thread that is at most [`CHUNKS_AHEAD`] chunks ahead.
#[derive(Debug)]
pub(super) struct ThreadReader {
    fd: Option<OwnedFd>,
    is_terminal: bool,
    live: Option<(mpsc::Receiver<io::Result<Bytes>>, Stop)>,
    chunk: Bytes,
}

/// Stdout, written by a thread that has at most one piece. What the thread has counts as not written until it is: the peer
/// may never take it.
#[derive(Debug)]
pub(super) struct ThreadWriter {
    fd: Option<OwnedFd>,
    live: Option<Writing>,
    /// Whether the thread has a piece.
    is_writing: bool,
    piece_bytes: usize,
}

#[derive(Debug)]
struct Writing {
    chunks: blocking::SyncSender<BytesMut>,
    done: mpsc::Receiver<io::Result<usize>>,
    _stop: Stop,
}

/// Dropped, it ends the thread.
#[derive(Debug)]
struct Stop(Arc<OwnedFd>);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl ThreadReader {
    pub(super) fn new(fd: OwnedFd, is_terminal: bool) -> Self {
        Self { fd: Some(fd), is_terminal, live: None, chunk: Bytes::new() }
    }
}

impl ThreadWriter {
    pub(super) fn new(fd: OwnedFd, is_file: bool) -> Self {
        // A pipe that is ready takes this much without waiting; a file never waits.
        let piece_bytes = if is_file { CHUNK_BYTES } else { rustix::pipe::PIPE_BUF };
        Self { fd: Some(fd), live: None, is_writing: false, piece_bytes }
    }

    pub(super) fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_writing {
            self.as_mut().begin(bufs)?;
        }
        // Begun by an earlier call, it is the beginning of what the caller has still to write.
        let Some(live) = &mut self.live else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let done = ready!(live.done.poll_recv(cx)).unwrap_or(Err(io::ErrorKind::BrokenPipe.into()));
        self.is_writing = false;
        Poll::Ready(done)
    }

    /// Hands a piece to the thread.
    fn begin(mut self: Pin<&mut Self>, bufs: &[io::IoSlice<'_>]) -> io::Result<()> {
        let piece_bytes = self.piece_bytes;
        if let Some(fd) = self.fd.take() {
            let (stop, stopped) = stop()?;
            let (chunks, inbox) = blocking::sync_channel(1);
            let (report, done) = mpsc::channel(1);
            start("towpath-stdout", move || write_pieces(&fd, &stopped, &inbox, &report))?;
            self.live = Some(Writing { chunks, done, _stop: stop });
        }
        let live = self.live.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut piece = BytesMut::new();
        for buf in bufs {
            let room = piece_bytes - piece.len();
            piece.extend_from_slice(buf.get(..room.min(buf.len())).unwrap_or_default());
        }
        live.chunks.try_send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.is_writing = true;
        Ok(())
    }
}

impl AsyncRead for ThreadReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(fd) = self.fd.take() {
            let (stop, stopped) = stop()?;
            let (chunks, inbox) = mpsc::channel(CHUNKS_AHEAD);
            let is_terminal = self.is_terminal;
            start("towpath-stdin", move || read_chunks(&fd, is_terminal, &stopped, &chunks))?;
            self.live = Some((inbox, stop));
        }
        if self.chunk.is_empty() {
            let Some((inbox, _)) = &mut self.live else { return Poll::Ready(Ok(())) };
            match ready!(inbox.poll_recv(cx)) {
                Some(chunk) => self.chunk = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.chunk.len().min(buf.remaining());
        buf.put_slice(self.chunk.get(..taken).unwrap_or_default());
        self.chunk.advance(taken);
        Poll::Ready(Ok(()))
    }
}

fn read_chunks(fd: &OwnedFd, is_terminal: bool, stopped: &OwnedFd, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while wait(fd, PollFlags::IN, stopped) {
        let chunk = match rustix::io::read(fd, &mut buffer) {
            Ok(0) => return,
            Ok(bytes) => Ok(Bytes::copy_from_slice(buffer.get(..bytes).unwrap_or_default())),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            // Its other side has gone.
            Err(rustix::io::Errno::IO) if is_terminal => return,
            Err(error) => Err(error.into()),
        };
        let is_last = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || is_last {
            return;
        }
    }
}

fn write_pieces(
    fd: &OwnedFd,
    stopped: &OwnedFd,
    pieces: &blocking::Receiver<BytesMut>,
    report: &mpsc::Sender<io::Result<usize>>,
) {
    while let Ok(piece) = pieces.recv() {
        let written = loop {
            if !wait(fd, PollFlags::OUT, stopped) {
                return;
            }
            match rustix::io::write(fd, &piece) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                written => break written.map_err(io::Error::from),
            }
        };
        if report.blocking_send(written).is_err() {
            return;
        }
    }
}

/// Waits until the descriptor is ready; `false` when the thread is to end.
fn wait(fd: &OwnedFd, for_what: PollFlags, stopped: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(fd, for_what), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => return fds.iter().skip(1).all(|stopped| stopped.revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn stop() -> io::Result<(Stop, Arc<OwnedFd>)> {
    let stopped = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((Stop(stopped.clone()), stopped))
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_AHEAD: usize = 2;
