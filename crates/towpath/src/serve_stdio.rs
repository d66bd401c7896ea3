//! A server on the stdin and stdout of its own process, from the first byte to the end of the process.

use std::{pin::pin, time::Duration};

use towpath_link::LinkEnd;
use towpath_raw::{LaneLimits, LaneTimeouts};
use towpath_server::{Handler, Server};
use towpath_stdio::{OwnStdio, OwnStdioError, Termination};

/// How [`serve_stdio`] serves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeStdioOptions {
    /// What the lane may hold.
    pub limits: LaneLimits,
    /// How long the lane waits.
    pub timeouts: LaneTimeouts,
    /// How long what runs may go on after SIGINT, SIGTERM or SIGHUP. Default: 1.5 s, since most who send SIGTERM send
    /// SIGKILL 2 s later, and a process that is killed can end nothing of its own.
    ///
    /// At the limit what still runs is dropped, without an answer. `Duration::ZERO`: at once. Worst case: the process
    /// ends this much, and the `close` of [`LinkTimeouts`](towpath_link::LinkTimeouts), after the signal.
    pub drain: Duration,
}

impl Default for ServeStdioOptions {
    fn default() -> Self {
        Self {
            limits: LaneLimits::default(),
            timeouts: LaneTimeouts::default(),
            drain: Duration::from_millis(1500),
        }
    }
}

impl ServeStdioOptions {
    /// The same options with other limits of the lane.
    #[must_use]
    pub fn with_limits(mut self, limits: LaneLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same options with other timeouts of the lane.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: LaneTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same options with another [`ServeStdioOptions::drain`].
    #[must_use]
    pub fn with_drain(mut self, deadline: Duration) -> Self {
        self.drain = deadline;
        self
    }
}

/// Serves the client that has started this process, until it is done or the process is asked to end, and says how it
/// ended. All that is left to do then is to return from `main`.
///
/// - At the end of stdin what runs may finish within the `finish` of the server's
///   [`LinkTimeouts`](towpath_link::LinkTimeouts), and its answers are written: `echo … | server` is answered.
/// - At SIGINT, SIGTERM or SIGHUP the server is drained ([`Server::drain`]) with the deadline of
///   [`ServeStdioOptions::drain`]; a second signal ends it at once. A signal that the process was started to ignore
///   stays ignored.
/// - When nobody reads stdout any more, it ends with the next message that it has to write.
///
/// From the call on, stdin is `/dev/null` and stdout is stderr, for this process and those that it starts:
/// `println!`, a C library that writes to descriptor 1, and the output of a child cannot break into the protocol. See
/// [`OwnStdio::lane`], and [`Termination`] for what it does to signals.
///
/// ```no_run
/// use serde_json::json;
/// use towpath::{Context, ErrorObject, Handler, Implementation, RawJson, Request, Server, serve_stdio};
///
/// struct Greeter;
///
/// impl Handler for Greeter {
///     async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
///         match request.method() {
///             "tools/call" => request.reply(&json!({"content": [{"type": "text", "text": "hello"}]})),
///             _ => Err(request.unknown_method()),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towpath::stdio::OwnStdioError> {
/// let server = Server::new(Implementation::new("greeter", "1.0.0"), json!({"tools": {}}), Greeter);
/// let end = serve_stdio(&server, Default::default()).await?;
/// eprintln!("{end}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`OwnStdioError`]: stdin and stdout were taken before, or the operating system refused.
///
/// # Panics
///
/// Outside of a tokio runtime whose I/O and time are enabled.
///
/// # Cancel safety
///
/// Dropped, the lane ends at once: handlers are dropped, and answers that were not written are lost. Stdin and stdout
/// cannot be taken again.
pub async fn serve_stdio<H: Handler>(
    server: &Server<H>,
    options: ServeStdioOptions,
) -> Result<LinkEnd, OwnStdioError> {
    let lane = OwnStdio::lane(options.limits, options.timeouts)?;
    let mut termination = Termination::listen().map_err(|source| OwnStdioError::Signals { source })?;
    let mut serving = pin!(server.serve(lane));
    let signal = tokio::select! {
        // The lane is served first, so that there is something to drain. Both are polled again where they stopped.
        biased;
        end = &mut serving => return Ok(end),
        signal = termination.received() => signal,
    };
    tracing::debug!(target: "towpath::stdio", %signal, deadline = ?options.drain, "asked to end");
    let drained = async {
        let (end, drained) = tokio::join!(serving, server.drain(options.drain));
        if let Err(error) = drained {
            tracing::warn!(target: "towpath::stdio", %signal, %error, "what still ran was cut");
        }
        end
    };
    tokio::select! {
        // Whichever is first ends both; what is dropped then is to end at once.
        biased;
        end = drained => Ok(end),
        signal = termination.received() => {
            tracing::warn!(target: "towpath::stdio", %signal, "asked to end again: everything was cut");
            Ok(LinkEnd::ClosedHere)
        }
    }
}
