//! The stdin and stdout of this process as a lane.

mod registered;
mod socket;
mod terminal;
mod thread;

use std::{
    fmt, fs, io,
    io::{IsTerminal, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, major, minor, open},
    io::fcntl_dupfd_cloexec,
    stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use towpath_raw::{Lane, LaneLimits, LaneTimeouts};

use self::{
    socket::{SocketReader, SocketWriter},
    terminal::TerminalReader,
    thread::{ThreadReader, ThreadWriter},
};
use crate::{
    io::{IoLane, LineSink, LineSource},
    pipe::{PipeReader, PipeWriter},
};

/// The stdin and stdout of this process, which can be taken once.
#[derive(Debug)]
pub struct OwnStdio(());

impl OwnStdio {
    /// Takes stdin and stdout as a lane.
    ///
    /// From here on, file descriptor 0 is `/dev/null` and 1 is stderr, for this process and for those that it starts: a
    /// stray `println!`, a C library that writes to descriptor 1, and the output of a child cannot break into the
    /// frames; all of it goes to stderr. A child that reads stdin takes nothing of the peer's, and the peer sees the end
    /// of the stream when the sink is dropped. Bytes that `std::io::stdin` has read ahead are lost, so take the lane
    /// first.
    ///
    /// Stdin and stdout are mostly shared with other processes, so they are never made non-blocking themselves.
    /// How each is read or written is chosen by what it is, and [`OwnLane::describe`] says it:
    ///
    /// | What it is | How |
    /// |---|---|
    /// | a pipe, a terminal | opened anew, non-blocking |
    /// | a socket | calls that do not wait |
    /// | a file, `/dev/null`, a named pipe, the master of a pseudoterminal; a pipe or terminal that cannot be opened anew | a thread that the half of the lane owns |
    ///
    /// It needs no runtime and starts nothing: that happens when the halves are first polled. None of it keeps
    /// the process or a runtime from ending.
    ///
    /// # Errors
    ///
    /// [`OwnStdioError`]; after an error nothing has changed.
    pub fn lane(limits: LaneLimits, timeouts: LaneTimeouts) -> Result<OwnLane, OwnStdioError> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(OwnStdioError::AlreadyTaken);
        }
        take(limits, timeouts).map_err(|source| {
            TAKEN.store(false, Ordering::Release);
            OwnStdioError::Io { source }
        })
    }
}

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Why stdin and stdout could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnStdioError {
    /// They were taken before: two readers of one stream would tear its frames.
    #[error("stdin and stdout of this process are already a lane; they can be taken once")]
    AlreadyTaken,
    /// The operating system refused.
    #[error("cannot take stdin and stdout of this process: {source}")]
    Io {
        /// What it said.
        source: io::Error,
    },
    /// The signals that ask a process to end cannot be listened to.
    #[error("cannot listen to signals: {source}; check the limits on open files (ulimit -n)")]
    Signals {
        /// What the operating system said.
        source: io::Error,
    },
}

impl From<OwnStdioError> for io::Error {
    fn from(error: OwnStdioError) -> Self {
        match error {
            OwnStdioError::Io { source } | OwnStdioError::Signals { source } => source,
            error => io::Error::other(error),
        }
    }
}

/// Stdin and stdout as a lane, from [`OwnStdio::lane`].
#[derive(Debug)]
pub struct OwnLane {
    lane: IoLane<OwnReader, OwnWriter>,
    description: Arc<str>,
}

impl OwnLane {
    /// What stdin and stdout are, and how they are read and written.
    pub fn describe(&self) -> &str {
        &self.description
    }
}

impl Lane for OwnLane {
    type Source = LineSource<OwnReader>;
    type Sink = LineSink<OwnWriter>;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn max_message_bytes(&self) -> usize {
        self.lane.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        self.lane.split()
    }
}

fn take(limits: LaneLimits, timeouts: LaneTimeouts) -> io::Result<OwnLane> {
    let null = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // What was printed before belongs before the first frame.
    io::stdout().flush()?;
    let reader = OwnReader::open(stdin())?;
    let writer = OwnWriter::open(stdout(), same_file(stdin(), stdout())?)?;
    let description = format!("stdin: {reader}; stdout: {writer}");
    dup2_stdin(null)?;
    dup2_stdout(stderr())?;
    // Not before: whoever prints it may print to stdout.
    tracing::debug!(target: "towpath::stdio", "{description}");
    let lane = IoLane::new(reader, writer, "own stdio", limits, timeouts);
    Ok(OwnLane { lane, description: description.into() })
}

/// The stdin of this process.
#[derive(Debug)]
pub struct OwnReader {
    what: &'static str,
    how: Reader,
}

#[derive(Debug)]
enum Reader {
    Opened(PipeReader),
    Terminal(TerminalReader),
    Socket(SocketReader),
    Thread(ThreadReader),
}

/// The stdout of this process.
#[derive(Debug)]
pub struct OwnWriter {
    what: &'static str,
    how: Writer,
}

#[derive(Debug)]
enum Writer {
    Opened(PipeWriter),
    Socket(SocketWriter),
    Thread(ThreadWriter),
}

impl OwnReader {
    fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let (what, opened) = look(fd, 0, OFlags::RDONLY)?;
        let how = match opened {
            Some(opened) if what == TERMINAL => Reader::Terminal(TerminalReader::new(opened)),
            Some(opened) => Reader::Opened(PipeReader::new(opened)),
            None if what == SOCKET => Reader::Socket(SocketReader::new(duplicate(fd)?)),
            None => Reader::Thread(ThreadReader::new(duplicate(fd)?, matches!(what, TERMINAL | MASTER))),
        };
        Ok(Self { what, how })
    }
}

impl OwnWriter {
    fn open(fd: BorrowedFd<'_>, is_stdin_too: bool) -> io::Result<Self> {
        let (what, opened) = look(fd, 1, OFlags::WRONLY)?;
        let how = match opened {
            Some(opened) => Writer::Opened(PipeWriter::new(opened)),
            None if what == SOCKET => Writer::Socket(SocketWriter::new(duplicate(fd)?, is_stdin_too)),
            None => Writer::Thread(ThreadWriter::new(duplicate(fd)?, what == FILE)),
        };
        Ok(Self { what, how })
    }
}

impl fmt::Display for OwnReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            Reader::Opened(_) | Reader::Terminal(_) => OPENED,
            Reader::Socket(_) => NO_WAIT,
            Reader::Thread(_) => THREAD,
        };
        write!(f, "{}, {how}", self.what)
    }
}

impl fmt::Display for OwnWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            Writer::Opened(_) => OPENED,
            Writer::Socket(_) => NO_WAIT,
            Writer::Thread(_) => THREAD,
        };
        write!(f, "{}, {how}", self.what)
    }
}

impl AsyncRead for OwnReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().how {
            Reader::Opened(reader) => Pin::new(reader).poll_read(cx, buf),
            Reader::Terminal(reader) => Pin::new(reader).poll_read(cx, buf),
            Reader::Socket(reader) => Pin::new(reader).poll_read(cx, buf),
            Reader::Thread(reader) => Pin::new(reader).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for OwnWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().how {
            Writer::Opened(writer) => Pin::new(writer).poll_write_vectored(cx, bufs),
            Writer::Socket(writer) => Pin::new(writer).poll_write_vectored(cx, bufs),
            Writer::Thread(writer) => Pin::new(writer).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is written is with the operating system.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // All of them close by being dropped.
        self.poll_flush(cx)
    }
}

/// What a descriptor is, and the same opened anew if that helps and can be done.
fn look(fd: BorrowedFd<'_>, number: u8, access: OFlags) -> io::Result<(&'static str, Option<OwnedFd>)> {
    let path = format!("/proc/self/fd/{number}");
    let status = fstat(fd)?;
    let what = match FileType::from_raw_mode(status.st_mode) {
        // A named pipe opened anew when its last writer has gone never reports that end.
        FileType::Fifo if fs::read_link(&path).is_ok_and(|to| to.starts_with("/")) => "named pipe",
        FileType::Fifo => "pipe",
        // Opened anew, it is the master of another terminal.
        FileType::CharacterDevice if (major(status.st_rdev), minor(status.st_rdev)) == PTMX => MASTER,
        FileType::CharacterDevice if fd.is_terminal() => TERMINAL,
        FileType::Socket => SOCKET,
        FileType::RegularFile => FILE,
        _ => "device",
    };
    let is_opened = matches!(what, "pipe" | TERMINAL);
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    // It fails for a pipe of another user, and where there is no /proc.
    let opened = is_opened.then(|| open(path, flags, Mode::empty()).ok()).flatten();
    Ok((what, opened))
}

fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(fd, 3)?)
}

fn same_file(one: impl AsFd, other: impl AsFd) -> io::Result<bool> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

const SOCKET: &str = "socket";
const TERMINAL: &str = "terminal";
const MASTER: &str = "pseudoterminal master";
const FILE: &str = "file";
const OPENED: &str = "opened anew without blocking";
const NO_WAIT: &str = "by calls that do not wait";
const THREAD: &str = "by a thread";
/// The device of every such master, wherever its file system is mounted.
const PTMX: (u32, u32) = (5, 2);
