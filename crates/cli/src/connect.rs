//! `towpath connect`: stdin and stdout of a server that is reached over HTTP.

use std::sync::Arc;

use http::HeaderMap;
use tokio::runtime;
use towpath::{
    Limits, LinkEnd, OwnStdio,
    client::{HttpLane, HttpLimits, HttpOptions},
    http::{ConnectLimits, ConnectTimeouts, HttpConnect},
    relay::{RelayOptions, RelaySide, relay},
};

use crate::{
    args::ConnectArgs,
    exit::{Failure, Status},
    signals::Signals,
    trace,
};

/// Passes messages on until stdin ends.
pub(crate) fn run(args: ConnectArgs) -> Result<(), Failure> {
    trace::start(args.verbose);
    let mut signals = Signals::listen()?;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Status::NotConnected, format!("cannot start: {error}"))
            .with_hint("check the limits on processes and open files (ulimit -u, -n)")
    };
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let limits = Limits::default().with_max_message_bytes(args.max_message_size);
    let outcome = runtime.block_on(async {
        let own = OwnStdio::lane(limits.lane.clone(), Default::default()).map_err(|error| failed(&error))?;
        let there = HttpLane::new(connector()?, args.url.clone(), http_options(&args.headers, &limits));
        let mut options = RelayOptions::default();
        options.limits.incoming = limits.link.clone();
        options.limits.outgoing = limits.link;
        tokio::select! {
            // First of all: whoever interrupts does not care what else has happened. Both may be dropped: the relay
            // takes its lanes with it.
            biased;
            signal = signals.received() => Err(Failure::interrupted(signal)),
            end = relay(own, there, options) => ended(end.first, end.reason(), end.unanswered),
        }
    });
    // A write to a stdout that nobody reads is not waited for.
    runtime.shutdown_background();
    outcome
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

fn ended(first: RelaySide, end: &LinkEnd, unanswered: u64) -> Result<(), Failure> {
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
        (RelaySide::Outgoing, end) => Err(Failure::new(Status::Lost, end.to_string())
            .with_hint("each request that waited was answered with an error that says whether it was sent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_some_answer_is_no_success() {
        let status = |unanswered| {
            ended(RelaySide::Incoming, &LinkEnd::ClosedHere, unanswered).map_err(|failure| failure.status())
        };
        assert_eq!(status(0), Ok(()));
        assert_eq!(status(1), Err(Status::Lost));
    }
}
