//! Servers in processes of their own.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::{Failure, serve_command};

/// A child process that answers over HTTP; killed when this is dropped.
pub struct HttpServer {
    /// Where it answers.
    pub address: SocketAddr,
    _child: Child,
}

impl HttpServer {
    /// Starts this program again as the server of `subject`, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends before it says where it listens.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no process is left.
    pub async fn start(subject: &str) -> Result<Self, Failure> {
        let mut command = serve_command(subject)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("the child has no stdout")?;
        let address = first_line(stdout).await?.parse()?;
        Ok(Self { address, _child: child })
    }

    /// Starts a bridge, which says on stderr what its address is: `http://ADDRESS/mcp` at the beginning of a line.
    #[cfg(feature = "towpath")]
    pub(crate) async fn start_bridge(command: &mut tokio::process::Command) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or("the bridge has no stderr")?;
        let line = first_line(stderr).await?;
        let address = line.strip_prefix("http://").and_then(|rest| rest.split_once("/mcp"));
        let (address, _) = address.ok_or_else(|| format!("the bridge did not say where it is: {line}"))?;
        Ok(Self { address: address.parse()?, _child: child })
    }
}

/// The first line; what comes after it is read too, so that the other side never waits.
async fn first_line(from: impl AsyncRead + Send + Unpin + 'static) -> Result<String, Failure> {
    let mut lines = BufReader::new(from).lines();
    let first = lines.next_line().await?.ok_or("the server ended before it listened")?;
    // It ends with the process that it reads from.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(first)
}

/// Listens, prints the address, and serves each connection in a task until stdin ends: hyper, and nothing else.
///
/// # Errors
///
/// Those of the operating system.
///
/// # Cancel safety
///
/// Dropped, it closes all connections.
pub async fn serve_hyper<S, B>(service: S) -> Result<(), Failure>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    print_address(listener.local_addr()?)?;
    let mut connections = JoinSet::new();
    let ended = until_stdin_ends();
    tokio::pin!(ended);
    loop {
        // Each arm is cancel safe: an accept or a join that is not ready has taken nothing.
        let stream = tokio::select! {
            biased;
            () = &mut ended => return Ok(()),
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted?.0,
        };
        stream.set_nodelay(true)?;
        let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        // A connection that fails has a caller that says so.
        connections.spawn(async move { drop(serving.await) });
    }
}

/// The same for a `tower` service.
///
/// # Errors
///
/// As [`serve_hyper`].
///
/// # Cancel safety
///
/// As [`serve_hyper`].
pub async fn serve_tower<S, B>(service: S) -> Result<(), Failure>
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serve_hyper(TowerToHyperService::new(service)).await
}

/// Tells the process that started this one where to call.
pub(crate) fn print_address(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{address}")?;
    stdout.flush()
}

/// Waits for the end of stdin: whoever started this process wants it no more.
///
/// # Cancel safety
///
/// Dropped, the read goes on in a thread of its own.
pub async fn until_stdin_ends() {
    let reading = tokio::task::spawn_blocking(|| io::stdin().lock().read_to_end(&mut Vec::new()));
    drop(reading.await);
}
