//! What the bytes travel over.

use std::io;
use std::os::fd::AsFd;
use std::process::Stdio;

use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::Failure;

/// The buffer of an in-memory connection, in each direction.
pub const MEMORY_BYTES: usize = 1 << 20;

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// `tokio::io::duplex` with a buffer of [`MEMORY_BYTES`], the server in this process.
    Memory,
    /// Pipes to the stdin and stdout of a child process that serves.
    Pipes(PipeSize),
    /// HTTP over loopback to a child process that serves, asked by the load generator of this crate.
    Http(Answers),
    /// HTTP over loopback to a child process that serves, asked by the subject's own client.
    HttpClient,
    /// The same to a child process that is the same for all subjects: see [`Medium::http_server`].
    HttpClientAlone,
    /// HTTP over loopback to a child process that passes everything on, over pipes, to a child of its own.
    Bridge,
}

impl Medium {
    /// The server of an HTTP client: its own, or the bare one that answers all clients.
    #[must_use]
    pub fn http_server(self, own: &str) -> &str {
        if self == Self::HttpClientAlone { BARE_SERVER } else { own }
    }
}

/// The name of the bare HTTP server as a child process.
pub(crate) const BARE_SERVER: &str = "bare-http";

/// What an HTTP server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Stateless requests, each answered by one JSON body.
    Json,
    /// Stateless requests, each answered by an event stream: a report of progress, then the result.
    Events,
    /// Requests of one session, each answered as the server likes.
    Session,
}

/// The capacity of a pipe in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeSize {
    /// What the system gives: 64 KiB on Linux.
    Default,
    /// 1 MiB, where the system has `F_SETPIPE_SZ`.
    Wide,
}

/// A child process that serves a subject, and the pipes to it.
pub struct ChildPipes {
    /// From the child's stdout.
    pub reader: pipe::Receiver,
    /// To the child's stdin.
    pub writer: pipe::Sender,
    /// The child; killed when this is dropped.
    pub child: Child,
}

/// Starts this program again as the server of `subject`.
///
/// # Errors
///
/// When the program cannot be started, or the pipes cannot be had in the size asked for.
pub fn spawn_child(subject: &str, size: PipeSize) -> Result<ChildPipes, Failure> {
    let (child_stdin, writer) = io::pipe()?;
    let (reader, child_stdout) = io::pipe()?;
    if size == PipeSize::Wide {
        widen(&writer)?;
        widen(&reader)?;
    }
    let child = serve_command(subject)?.stdin(child_stdin).stdout(child_stdout).spawn()?;
    let writer = pipe::Sender::from_owned_fd(writer.into())?;
    let reader = pipe::Receiver::from_owned_fd(reader.into())?;
    Ok(ChildPipes { reader, writer, child })
}

/// The command that starts this program again as the server of `subject`, on stdin and stdout.
///
/// # Errors
///
/// When the path of this program is unknown.
pub fn serve_command(subject: &str) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg(subject).stderr(Stdio::inherit()).kill_on_drop(true);
    Ok(command)
}

/// The own stdin and stdout as non-blocking pipes.
///
/// # Errors
///
/// When one of them is not a pipe.
pub fn own_pipes() -> io::Result<(pipe::Receiver, pipe::Sender)> {
    let reader = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let writer = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
    Ok((reader, writer))
}

#[cfg(target_os = "linux")]
fn widen(pipe: impl AsFd) -> Result<(), Failure> {
    let got = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20)?;
    if got < 1 << 20 { Err(format!("asked for a pipe of 1 MiB and got {got} bytes").into()) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn widen(_pipe: impl AsFd) -> Result<(), Failure> {
    Err("the size of a pipe can be set on Linux only".into())
}
