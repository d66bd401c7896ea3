//! The accept loop, which owns its connections.

use std::{
    error::Error,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    pin, select,
    sync::Semaphore,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use towpath_raw::{Drained, Operation, Timeout};

use crate::tcp::Silence;

use super::{
    connection::{TARGET, serve_connection},
    limits::{ListenLimits, ListenTimeouts},
    refuse::Refusals,
};

/// A listening server of HTTP/1.1 and, for clients that know it beforehand, HTTP/2: the first bytes of a connection tell.
///
/// ```
/// use http_body_util::Full;
/// use hyper::body::Incoming;
/// use towpath_http::{ListenLimits, HttpServer, ListenTimeouts};
///
/// # async fn run() -> std::io::Result<()> {
/// let server = HttpServer::bind("127.0.0.1:0", ListenLimits::default(), ListenTimeouts::default()).await?;
/// println!("http://{}", server.local_addr());
/// let hello = tower::service_fn(async |_: http::Request<Incoming>| {
///     Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(bytes::Bytes::from("hello"))))
/// });
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// # drop(stop);
/// let drained = server.serve(hello, async { drop(stopped.await) }).await;
/// assert_eq!(drained.cut, 0);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: ListenLimits,
    timeouts: ListenTimeouts,
}

impl HttpServer {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it listens to nothing.
    pub async fn bind(
        address: impl ToSocketAddrs,
        limits: ListenLimits,
        timeouts: ListenTimeouts,
    ) -> io::Result<Self> {
        Self::from_listener(TcpListener::bind(address).await?, limits, timeouts)
    }

    /// Serves a listener that is there already.
    ///
    /// # Errors
    ///
    /// Those of the operating system, when it does not know the listener's address.
    pub fn from_listener(
        listener: TcpListener,
        limits: ListenLimits,
        timeouts: ListenTimeouts,
    ) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, limits, timeouts })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves connections until `shutdown` is ready; then no more are taken, idle ones are closed, and running exchanges
    /// have [`ListenTimeouts::drain`] to end.
    ///
    /// Each connection is a task that belongs to this future. An error of accepting, such as too many open files, ends
    /// nothing: it is traced, with the target `towpath::http`, and tried again after a pause.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, it stops listening and closes all connections.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let sockets = Sockets::new(self.listener, &self.timeouts);
        serve_on(sockets, service, shutdown, self.limits, self.timeouts).await
    }
}

/// Where connections come from.
trait Listen {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>>;
}

/// A listener, and what the system is told about each connection.
struct Sockets {
    listener: TcpListener,
    silence: Silence,
}

impl Sockets {
    fn new(listener: TcpListener, timeouts: &ListenTimeouts) -> Self {
        Self { listener, silence: Silence::new(timeouts.keep_alive, timeouts.unacknowledged) }
    }
}

impl Listen for Sockets {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        // Small answers must not wait for the peer's acknowledgements.
        stream.set_nodelay(true)?;
        self.silence.configure(&stream)?;
        Poll::Ready(Ok(stream))
    }
}

async fn serve_on<L, S, B>(
    mut listener: L,
    service: S,
    shutdown: impl Future<Output = ()>,
    limits: ListenLimits,
    timeouts: ListenTimeouts,
) -> Drained
where
    L: Listen,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let refusals = Refusals::new();
    let drain = timeouts.drain;
    let settings = Arc::new((limits, timeouts));
    let closing = CancellationToken::new();
    // Dropped with this future, it ends them all.
    let mut connections = JoinSet::new();
    let mut pause = Pause::default();
    pin!(shutdown);
    loop {
        // Each arm is cancel safe: an accept or a join that is not ready has taken nothing. Shutdown goes first, and
        // what has ended before what is new, so that a crowd of newcomers delays neither.
        let accepted = select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                let Some(pause) = pause.after(&error) else { continue };
                tracing::warn!(target: TARGET, %error, ?pause, "cannot accept a connection");
                select! {
                    biased;
                    () = &mut shutdown => break,
                    // allowed: nothing tells when the system has a descriptor to give again.
                    () = sleep(pause) => continue,
                }
            }
        };
        pause = Pause::default();
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(target: TARGET, "a connection is refused (setting: max_connections)");
            refusals.refuse(stream, &mut connections);
            continue;
        };
        // A token of its own: the connections do not meet at one lock.
        let closing = closing.child_token();
        let (service, settings) = (service.clone(), Arc::clone(&settings));
        connections.spawn(async move {
            let _place = place;
            serve_connection(stream, service, &settings.0, &settings.1, closing.cancelled()).await;
        });
    }
    drop(listener);
    closing.cancel();
    let ended = timeout(drain, async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    });
    let timeout = ended.await.err().map(|_| Timeout { operation: Operation::Drain, after: drain });
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut, timeout }
}

/// A panic of a service ends its connection, and nothing else.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(target: TARGET, %error, "the task of a connection failed");
    }
}

/// How long to leave the operating system alone.
#[derive(Debug, Default)]
struct Pause {
    last: Option<Duration>,
}

impl Pause {
    /// `None` for what concerns a single connection.
    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
        // `InvalidInput` and `NotConnected`: the peer was gone before the socket was set up.
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected
        ) {
            return None;
        }
        let pause = self.last.map_or(FIRST_PAUSE, |last| (2 * last).min(LONGEST_PAUSE));
        self.last = Some(pause);
        Some(pause)
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
