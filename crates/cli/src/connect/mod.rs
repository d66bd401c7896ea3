//! `towpath connect`: stdin and stdout of a server that is reached over HTTP, or on a socket.

mod reasons;

use std::sync::Arc;

use http::HeaderMap;
use tokio::runtime;
use towpath::{
    Limits, LinkEnd, OwnStdio,
    client::{HttpLane, HttpLimits, HttpOptions},
    http::{ConnectLimits, ConnectTimeouts, HttpConnect},
    raw::Lane,
    relay::{RelayOptions, RelaySide, relay},
    stdio::{SocketAddress, SocketLane, SocketOptions},
};

use self::reasons::Reasons;
use crate::{
    args::{ConnectArgs, Target},
    exit::{Failure, Status},
    explain,
    signals::Signals,
    trace,
    watch::Watched,
};

/// Passes messages on until stdin ends.
pub(crate) fn run(args: ConnectArgs) -> Result<(), Failure> {
    trace::start(args.verbose);
    let mut signals = Signals::listen()?;
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::not_started)?;
    let limits = Limits::default().with_max_message_bytes(args.max_message_size);
    let outcome = runtime.block_on(async {
        tokio::select! {
            // First of all: whoever interrupts does not care what else has happened. Both may be dropped: the relay
            // takes its lanes with it.
            biased;
            signal = signals.received() => Err(Failure::interrupted(signal)),
            outcome = connect(&args, &limits) => outcome,
        }
    });
    // A write to a stdout that nobody reads is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Reaches the server, and joins it to our own stdin and stdout.
async fn connect(args: &ConnectArgs, limits: &Limits) -> Result<(), Failure> {
    match &args.url {
        Target::Http(url) => {
            let lane = HttpLane::new(connector()?, url.clone(), http_options(&args.headers, limits));
            join(Watched::new(lane, Arc::new(Reasons::new())), &args.url, limits).await
        }
        Target::Socket(_) if !args.headers.is_empty() => {
            Err(Failure::new(Status::Usage, "--header is for HTTP: a socket has no headers")
                .with_hint("see `towpath connect --help`"))
        }
        Target::Socket(address) => join(socket(address, limits).await?, &args.url, limits).await,
    }
}

async fn join<L>(there: L, name: &Target, limits: &Limits) -> Result<(), Failure>
where
    L: Lane<Source: Unpin, Sink: Unpin>,
{
    let own = OwnStdio::lane(limits.lane.clone(), Default::default()).map_err(Failure::not_started)?;
    let mut options = RelayOptions::default();
    options.limits.incoming = limits.link.clone();
    options.limits.outgoing = limits.link.clone();
    let end = relay(own, there, options).await;
    ended(end.first, end.reason(), end.unanswered, name)
}

/// A connection to a socket.
///
/// # Cancel safety
///
/// Dropped, there is none.
pub(crate) async fn socket(address: &SocketAddress, limits: &Limits) -> Result<SocketLane, Failure> {
    let options = SocketOptions::default().with_limits(limits.lane.clone());
    let connected = SocketLane::connect(address, options).await;
    connected.map_err(|error| explain::socket(&error))
}

/// What makes the exchanges with a URL.
pub(crate) fn connector() -> Result<Arc<HttpConnect>, Failure> {
    let connect = HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default());
    let failed = |error| Failure::new(Status::NotConnected, format!("cannot set up HTTP: {error}"));
    Ok(Arc::new(connect.map_err(failed)?))
}

/// Headers as they stood on the command line, and the limits that hold on the whole way.
pub(crate) fn http_options(
    headers: &[(http::HeaderName, http::HeaderValue)],
    limits: &Limits,
) -> HttpOptions {
    let headers: HeaderMap = headers.iter().cloned().collect();
    let http = HttpLimits::default().with_max_message_bytes(limits.lane.max_message_bytes);
    HttpOptions::default().with_headers(headers).with_limits(http)
}

fn ended(first: RelaySide, end: &LinkEnd, unanswered: u64, there: &Target) -> Result<(), Failure> {
    match (first, end) {
        (RelaySide::Incoming, LinkEnd::PeerClosed(_) | LinkEnd::ClosedHere) if unanswered == 0 => Ok(()),
        (RelaySide::Incoming, LinkEnd::PeerClosed(_) | LinkEnd::ClosedHere) => {
            let cause =
                format!("stdin has ended, and {unanswered} requests had no answer in time after that");
            Err(Failure::new(Status::Lost, cause).with_hint("keep stdin open until the answers are there"))
        }
        (RelaySide::Incoming, end) => {
            Err(Failure::new(Status::NotWritten, format!("own stdin and stdout: {end}")))
        }
        (RelaySide::Outgoing, end) => Err(Failure::new(Status::Lost, format!("lost `{there}`: {end}"))
            .with_hint("each request that waited was answered with an error that says whether it was sent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_some_answer_is_no_success() {
        let status = |unanswered| {
            let there = "http://127.0.0.1/".parse().unwrap();
            let ended = ended(RelaySide::Incoming, &LinkEnd::ClosedHere, unanswered, &there);
            ended.map_err(|failure| failure.status())
        };
        assert_eq!(status(0), Ok(()));
        assert_eq!(status(1), Err(Status::Lost));
    }
}
