//! A socket as a lane.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::UnixStream,
    time::{Instant, sleep, timeout},
};
use towpath_raw::{Lane, LaneLimits, LaneTimeouts, Operation, Timeout};

use super::{
    SocketAddress, SocketError, SocketOptions,
    opening::Opening,
    path::check_length,
    stream::{Place, SocketReader, SocketWriter, Stream},
    tcp,
};
use crate::io::{IoLane, LineSink, LineSource};

/// A connected socket as a lane: one message a line, as over stdio.
///
/// Its peer is named by how it was reached, `tcp 127.0.0.1:4000`, `unix /run/mcp.sock (pid 4711)`. A sink that is
/// closed or dropped ends its direction alone; with both halves gone the socket is closed.
///
/// # Example
///
/// ```no_run
/// use towpath_stdio::{SocketLane, SocketOptions};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let lane = SocketLane::connect(&"unix:/run/mcp.sock".parse()?, SocketOptions::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SocketLane {
    reader: SocketReader,
    writer: SocketWriter,
    peer: Arc<str>,
    limits: LaneLimits,
    timeouts: LaneTimeouts,
}

impl SocketLane {
    /// Connects to a socket that listens.
    ///
    /// Of a host with several addresses each is tried in turn. A Unix listener whose queue is full is asked again.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says why it could not, and what to try.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, there is no connection. A name is looked up by the system on a thread of the runtime, and
    /// that goes on until the system gives up; an address in numbers needs none.
    pub async fn connect(address: &SocketAddress, options: SocketOptions) -> Result<Self, SocketError> {
        let after = options.socket.connect;
        let start = Instant::now();
        let late = || SocketError::Timeout {
            address: address.clone(),
            source: Timeout { operation: Operation::Connect, after },
        };
        let failed = |source| SocketError::Connect { address: address.clone(), source };
        let stream = match address {
            SocketAddress::Tcp(place) => {
                let found = timeout(after, tcp::resolve(place)).await.map_err(|_| late())?;
                let found =
                    found.map_err(|source| SocketError::Resolve { address: address.clone(), source })?;
                let left = after.saturating_sub(start.elapsed());
                let stream = tcp::connect(&found, left).await.ok_or_else(late)?.map_err(failed)?;
                tcp::configure(&stream, &options.socket).map_err(failed)?;
                Stream::Tcp(stream)
            }
            SocketAddress::Unix(_) | SocketAddress::Abstract(_) => {
                let path = unix_path(address)?;
                let stream = timeout(after, connect_unix(&path)).await.map_err(|_| late())?;
                Stream::Unix(stream.map_err(failed)?)
            }
        };
        let peer = name(address, &stream);
        Ok(Self::new(stream, peer, None, &options))
    }

    /// A lane of a stream; one with a place has come in by a listener.
    pub(super) fn new(stream: Stream, peer: String, place: Place, options: &SocketOptions) -> Self {
        let is_watched = place.is_some() && matches!(stream, Stream::Tcp(_));
        let opening = is_watched.then(|| Opening::new(options.socket.first_message));
        let (reader, writer) = stream.split(place, opening);
        let (limits, timeouts) = (options.limits.clone(), options.timeouts.clone());
        Self { reader, writer, peer: peer.into(), limits, timeouts }
    }
}

/// For options of the socket that are not set here.
impl AsFd for SocketLane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Lane for SocketLane {
    type Source = LineSource<SocketReader>;
    type Sink = LineSink<SocketWriter>;

    fn peer(&self) -> Arc<str> {
        self.peer.clone()
    }

    fn max_message_bytes(&self) -> usize {
        self.limits.max_message_bytes
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        IoLane::new(self.reader, self.writer, self.peer, self.limits, self.timeouts).split()
    }
}

/// The path of a Unix socket, as the system calls take it.
pub(super) fn unix_path(address: &SocketAddress) -> Result<PathBuf, SocketError> {
    match address {
        SocketAddress::Unix(path) => {
            check_length(path)?;
            Ok(path.clone())
        }
        SocketAddress::Abstract(name) => {
            // As long as a path with the byte before it, which is not its own.
            check_length(Path::new(name))?;
            Ok(format!("\0{name}").into())
        }
        SocketAddress::Tcp(place) => Ok(place.into()),
    }
}

/// How errors name the peer of a socket that was reached at `address`.
pub(super) fn name(address: &SocketAddress, stream: &Stream) -> String {
    let process = match stream {
        Stream::Unix(stream) => stream.peer_cred().ok().and_then(|peer| peer.pid()),
        Stream::Tcp(_) => None,
    };
    match process {
        // That of a process in another namespace is not known here.
        Some(pid @ 1..) => format!("{} (pid {pid})", address.name()),
        _ => address.name(),
    }
}

/// Where TCP would wait for room in the listener's queue, Unix sockets say that there is none.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let mut pause = FIRST_PAUSE;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // allowed: nothing tells when a listener has room again.
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            connected => return connected,
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
