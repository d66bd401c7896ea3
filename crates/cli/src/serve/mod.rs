//! `towpath serve`: a server that speaks over stdin and stdout, on Streamable HTTP or on a socket.

mod children;
mod http;
mod loss;
mod socket;
mod until;

use std::time::Duration;

use tokio::runtime;
use towpath::{Limits, relay::AppOptions};

use self::children::Children;
use crate::{
    args::{ListenAt, ServeArgs},
    exit::Failure,
    signals::Signals,
    stderr, trace,
};

/// Serves until a signal comes.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    trace::start_with(args.verbose, Some(FAILED_STARTS));
    // What is wrong on the command line is said before anything is started.
    let at = args.listen_at()?;
    http::check(&args)?;
    let mut signals = Signals::listen()?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::not_started)?;
    let limits = Limits::default().with_max_message_bytes(args.max_message_size);
    let children = Children::new(&args, &limits);
    let outcome = runtime.block_on(serve(&args, &at, &limits, &children, &mut signals));
    runtime.shutdown_background();
    towpath::wait_for_children(CHILDREN);
    children.finish();
    outcome
}

async fn serve(
    args: &ServeArgs,
    at: &ListenAt,
    limits: &Limits,
    children: &Children,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let options = app_options(args, limits);
    // The first arm first of all: whoever interrupts does not care what else has happened. A start that is dropped takes
    // its process with it.
    match at {
        ListenAt::Http { host, port, path } => {
            let place = http::Place { host, port: *port, path };
            let served = tokio::select! {
                biased;
                _ = signals.received() => return Ok(()),
                started = http::start(args, &place, limits, children, options) => started?,
            };
            http::serve(served, signals).await;
            Ok(())
        }
        ListenAt::Socket(address) => {
            let mut relay = options.relay.clone();
            // Each connection has a lane of its own.
            relay.limits.outgoing.calls = limits.link.calls.clone();
            let listener = tokio::select! {
                biased;
                _ = signals.received() => return Ok(()),
                started = socket::start(args, address, limits, children, options) => started?,
            };
            socket::serve(listener, children.clone(), relay, signals).await
        }
    }
}

/// Says that everybody who comes is let in.
fn open_to_all(place: &str) {
    let said = format!("warning: there is no authentication: whoever reaches {place} may use the server\n");
    stderr::write(said.into_bytes());
}

/// The limits of the lanes, but for how many requests share one: subscriptions must leave room there for all else.
fn app_options(args: &ServeArgs, limits: &Limits) -> AppOptions {
    let mut options = AppOptions::default();
    options.start = args.start_timeout;
    options.relay.timeouts.request = Some(args.request_timeout);
    options.relay.timeouts.initialize = Some(args.start_timeout);
    let calls = options.relay.limits.outgoing.calls.clone();
    options.relay.limits.incoming = limits.link.clone();
    options.relay.limits.outgoing = limits.link.clone();
    options.relay.limits.outgoing.calls = calls;
    for side in [&mut options.relay.limits.incoming, &mut options.relay.limits.outgoing] {
        side.max_unread_answer_bytes = side.max_unread_answer_bytes.max(BURST_BYTES);
    }
    options
}

/// What one session may have waiting on its way through: 64 requests of a mebibyte, and as much room again.
const BURST_BYTES: usize = 128 << 20;

/// How long what runs may go on after a signal.
const GRACE: Duration = Duration::from_millis(500);
/// How long the last bytes may take after that.
const CUT: Duration = Duration::from_millis(200);
/// How long the processes of the server may take to end, after that.
const CHILDREN: Duration = Duration::from_millis(2500);
/// What is traced even if nothing was asked for: that a process of the server could not be started, and why. Clients are
/// not told.
const FAILED_STARTS: &str = "off,towpath_relay::app=error";

#[cfg(test)]
mod tests {
    use crate::args::serve_args as args;

    use super::*;

    #[test]
    fn subscriptions_leave_room_for_other_requests() {
        let options = app_options(&args(&[]), &Limits::default().with_max_message_bytes(1 << 10));
        let outgoing = &options.relay.limits.outgoing;
        assert!(outgoing.calls.max_in_flight > options.max_subscriptions, "{outgoing:?}");
        assert_eq!(outgoing.envelope.max_message_bytes, 1 << 10);
    }

    #[test]
    fn what_the_server_may_take_is_passed_on() {
        let options =
            app_options(&args(&["--start-timeout", "7s", "--request-timeout", "8s"]), &Limits::default());
        assert_eq!(options.start, Duration::from_secs(7));
        assert_eq!(options.relay.timeouts.request, Some(Duration::from_secs(8)));
    }
}
