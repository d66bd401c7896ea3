//! A listening socket.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustix::io::Errno;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use towpath_raw::{ConnectionLimit, LaneError, Listen, Operation, Timeout};

use super::{
    SocketAddress, SocketError, SocketLane, SocketOptions, TARGET,
    lane::{name, unix_path},
    path::{SocketFile, listen_on},
    refuse::Refusals,
    stream::Stream,
    tcp,
};

/// A socket that listens; each connection is a [`SocketLane`].
///
/// Whoever may connect is served: a Unix socket admits its own user (and root) alone, a TCP port everybody who reaches
/// it. So listen on 127.0.0.1, unless everybody in reach may do what the server can. A TCP connection that does not
/// begin with a message is ended, so that no web page can have a browser talk to it, and so is one that takes too long
/// for it ([`SocketTimeouts::first_message`](crate::SocketTimeouts::first_message)).
///
/// # The file of a Unix socket
///
/// It has the mode 0600 from its first moment. One that a dead listener has left is replaced; where somebody listens,
/// or where there is a file that is no socket, [`SocketListener::bind`] fails and touches nothing. To find out it
/// connects, and whoever listens sees a connection that ends at once. The file goes with the listener, unless another
/// has taken its place.
///
/// # Example
///
/// ```
/// use towpath_raw::{Lane, Listen};
/// use towpath_stdio::{SocketLane, SocketListener, SocketOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut listener = SocketListener::bind(&"tcp:127.0.0.1:0".parse()?, SocketOptions::default()).await?;
/// let client = SocketLane::connect(listener.address(), SocketOptions::default()).await?;
/// let lane = listener.accept().await?;
/// assert_eq!(format!("tcp:{}", &client.peer()[4..]), listener.address().to_string());
/// # drop(lane);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SocketListener {
    /// Goes before the socket is closed: until then nobody else takes the path for one that was left behind.
    _file: Option<SocketFile>,
    socket: Socket,
    address: SocketAddress,
    local: Arc<str>,
    options: SocketOptions,
    places: Arc<Semaphore>,
    refusals: Refusals,
    refused: u64,
    pause: Pause,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl SocketListener {
    /// Listens on an address; port 0 takes a free one. Of a name with several addresses it is the first that this
    /// machine has, and no other.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says why it could not, and what to try.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it listens to nothing. A name is looked up as [`SocketLane::connect`] does.
    pub async fn bind(address: &SocketAddress, options: SocketOptions) -> Result<Self, SocketError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => SocketError::InUse { address: address.clone() },
            _ => SocketError::Listen { address: address.clone(), source },
        };
        let (socket, file, address) = match address {
            SocketAddress::Unix(path) => {
                let (socket, file) = listen_on(path).await?;
                let socket = UnixListener::from_std(socket.into()).map_err(failed)?;
                (Socket::Unix(socket), Some(file), address.clone())
            }
            SocketAddress::Abstract(_) => {
                let socket = UnixListener::bind(unix_path(address)?).map_err(failed)?;
                (Socket::Unix(socket), None, address.clone())
            }
            SocketAddress::Tcp(place) => {
                let after = options.socket.connect;
                let late = Timeout { operation: Operation::Connect, after };
                let found = timeout(after, tcp::resolve(place)).await;
                let found = found.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, late)));
                let found =
                    found.map_err(|source| SocketError::Resolve { address: address.clone(), source })?;
                let socket = tcp::listen(&found).await.map_err(failed)?;
                let local = socket.local_addr().map_err(failed)?;
                (Socket::Tcp(socket), None, local.into())
            }
        };
        let permits = options.listener.max_connections.min(Semaphore::MAX_PERMITS);
        let local = address.name().into();
        tracing::debug!(target: TARGET, %local, "listening");
        Ok(Self {
            _file: file,
            socket,
            address,
            local,
            options,
            places: Arc::new(Semaphore::new(permits)),
            refusals: Refusals::new(),
            refused: 0,
            pause: Pause::default(),
        })
    }

    /// Where it listens: what was asked for, with the port that the system gave.
    pub fn address(&self) -> &SocketAddress {
        &self.address
    }

    /// How many lanes are open.
    pub fn connections(&self) -> usize {
        let permits = self.options.listener.max_connections.min(Semaphore::MAX_PERMITS);
        permits.saturating_sub(self.places.available_permits())
    }

    /// How many newcomers were refused because of
    /// [`SocketLimits::max_connections`](crate::SocketLimits::max_connections).
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The lane of a newcomer, if it may come in.
    fn admit(&mut self, stream: Stream, peer: SocketAddress) -> Option<SocketLane> {
        if matches!(self.address, SocketAddress::Abstract(_)) && !is_trusted(&stream) {
            tracing::warn!(target: TARGET, local = %self.local, "a connection of another user is closed");
            return None;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let limit = ConnectionLimit { limit: self.options.listener.max_connections };
            self.refused += 1;
            tracing::warn!(
                target: TARGET, local = %self.local, peer = %peer.name(), refused = self.refused, "{limit}"
            );
            self.refusals.refuse(stream, limit);
            return None;
        };
        if let Stream::Tcp(stream) = &stream
            && let Err(error) = tcp::configure(stream, &self.options.socket)
        {
            // It was gone before it was set up.
            tracing::debug!(target: TARGET, peer = %peer.name(), %error, "a connection cannot be set up");
            return None;
        }
        let peer = name(&peer, &stream);
        Some(SocketLane::new(stream, peer, Some(Arc::new(place)), &self.options))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddress)>> {
        match &self.socket {
            Socket::Unix(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, _)| (Stream::Unix(stream), self.address.clone()))
            }
            Socket::Tcp(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, peer)| (Stream::Tcp(stream), peer.into()))
            }
        }
    }
}

impl Listen for SocketListener {
    type Lane = SocketLane;

    async fn accept(&mut self) -> Result<SocketLane, LaneError> {
        loop {
            self.pause.over().await;
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok((stream, peer)) => {
                    self.pause = Pause::default();
                    if let Some(lane) = self.admit(stream, peer) {
                        return Ok(lane);
                    }
                }
                Err(error) if is_final(&error) => {
                    return Err(LaneError::Io {
                        peer: self.local.clone(),
                        operation: "accepting a connection on",
                        source: Arc::new(error),
                    });
                }
                Err(error) => {
                    if let Some(pause) = self.pause.after(&error) {
                        tracing::warn!(
                            target: TARGET, local = %self.local, %error, ?pause, "cannot accept a connection"
                        );
                    }
                }
            }
        }
    }

    fn local(&self) -> Arc<str> {
        self.local.clone()
    }
}

/// An abstract name has no file, whose mode would keep other users out.
fn is_trusted(stream: &Stream) -> bool {
    let Stream::Unix(stream) = stream else { return false };
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| may_connect(peer.uid(), ours))
}

fn may_connect(peer: u32, ours: u32) -> bool {
    peer == ours || peer == 0
}

/// Whether the socket itself is of no use any more.
fn is_final(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    // Not OPNOTSUPP: that can be a newcomer's, with what has become of it since it connected.
    matches!(errno, Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT))
}

/// How long to leave the operating system alone. It outlasts the future that it was met in.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    last: Option<Duration>,
}

impl Pause {
    async fn over(&mut self) {
        if let Some(until) = self.until {
            // allowed: nothing tells when the system has a descriptor to give again.
            sleep_until(until).await;
            self.until = None;
        }
    }

    /// `None` for what concerns a single connection.
    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return None;
        }
        let pause = self.last.map_or(FIRST_PAUSE, |last| (2 * last).min(LONGEST_PAUSE));
        self.last = Some(pause);
        self.until = Some(Instant::now() + pause);
        Some(pause)
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
