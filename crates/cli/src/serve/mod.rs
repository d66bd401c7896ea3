//! `towpath serve`: a server that speaks over stdin and stdout, on Streamable HTTP.

mod children;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use tokio::runtime;
use towpath::{
    Limits,
    http::{HttpServer, ListenLimits, ListenTimeouts},
    mcp::{HostPolicy, HttpGate},
    relay::{AppOptions, RelayApp, StartError},
    server::{EndpointLimits, EndpointSettings, HttpService},
};

use self::children::{Children, NoChild};
use crate::{
    args::ServeArgs,
    exit::{Failure, Status},
    signals::Signals,
    stderr, trace,
    units::show_size,
};

/// Serves until a signal comes.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    trace::start_with(args.verbose, Some(LOSSES));
    // What is wrong on the command line is said before anything is started.
    gate(&args, Ipv4Addr::LOCALHOST.into())?;
    let mut signals = Signals::listen()?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::new(Status::NotConnected, format!("cannot start: {error}"))
            .with_hint("check the limits on processes and open files (ulimit -u, -n)")
    })?;
    let limits = Limits::default().with_max_message_bytes(args.max_message_size);
    let children = Children::new(&args, &limits);
    let guard = children.guard();
    let outcome = runtime.block_on(async {
        let served = tokio::select! {
            // First of all: whoever interrupts does not care what else has happened. A start that is dropped takes its
            // process with it.
            biased;
            _ = signals.received() => return Ok(()),
            started = start(&args, &limits, children) => started?,
        };
        let (server, endpoint) = served;
        let service = endpoint.clone();
        let stopped = async {
            signals.received().await;
            // New requests are refused from here on, streams end politely, and what runs has a moment.
            let _ = endpoint.drain(GRACE).await;
        };
        server.serve(service, stopped).await;
        Ok(())
    });
    runtime.shutdown_background();
    towpath::wait_for_children(CHILDREN);
    if let Some(guard) = guard.take() {
        guard.finish();
    }
    outcome
}

type Served = (HttpServer, HttpService<RelayApp<Children>>);

/// Starts the server, then listens, and says so.
async fn start(args: &ServeArgs, limits: &Limits, children: Children) -> Result<Served, Failure> {
    let app =
        RelayApp::start(children, app_options(limits)).await.map_err(|error| not_started(args, &error))?;

    let timeouts = ListenTimeouts::default().with_drain(CUT);
    let listening =
        HttpServer::bind((args.host.as_str(), args.port), ListenLimits::default(), timeouts).await;
    let server = listening.map_err(|error| {
        let cause = format!("cannot listen on {} port {}: {error}", args.host, args.port);
        Failure::new(Status::NotConnected, cause).with_hint("try another --port, or --host 127.0.0.1")
    })?;
    let address = server.local_addr();
    let mut endpoint = EndpointLimits::default();
    endpoint.max_sessions = args.max_sessions;
    endpoint.envelope = limits.link.envelope;
    // A burst of large requests on one session is its own affair, as long as it has an end.
    endpoint.max_session_inbox_bytes = BURST_BYTES.max(args.max_message_size);

    let speaks = app.supported().iter().map(|revision| revision.as_str()).collect::<Vec<_>>().join(", ");
    let program = args.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let mut said = format!("http://{address}{} serves `{program}`, which speaks {speaks}\n", args.path);
    said.push_str(&format!(
        "messages of up to {} (--max-message-size), {} sessions (--max-sessions), {} requests at once\n",
        show_size(args.max_message_size),
        endpoint.max_sessions,
        endpoint.max_requests,
    ));
    let settings = EndpointSettings::new().path(&args.path).gate(gate(args, address.ip())?).limits(endpoint);
    let endpoint = HttpService::new(Arc::new(app), settings);
    stderr::write(said.into_bytes());
    Ok((server, endpoint))
}

/// The limits of the lanes, but for how many requests share one: subscriptions must leave room there for all else.
fn app_options(limits: &Limits) -> AppOptions {
    let mut options = AppOptions::default();
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

/// Who may ask: this machine, and who is named on the command line.
fn gate(args: &ServeArgs, address: IpAddr) -> Result<HttpGate, Failure> {
    let usage = |cause: String| Failure::new(Status::Usage, cause).with_hint("see `towpath serve --help`");
    let mut gate = HttpGate::for_address(address);
    for origin in &args.origins {
        let allowed = gate.origins.allow(origin);
        gate.origins = allowed.map_err(|error| usage(format!("--allow-origin {origin}: {error}")))?;
    }
    if !args.hosts.is_empty() {
        gate.hosts = HostPolicy::loopback();
    }
    for host in &args.hosts {
        let allowed = gate.hosts.allow(host);
        gate.hosts = allowed.map_err(|error| usage(format!("--allow-host {host}: {error}")))?;
    }
    Ok(gate)
}

fn not_started(args: &ServeArgs, error: &StartError) -> Failure {
    let program = args.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let hint = match error {
        StartError::NotOpened(reason) if reason.downcast_ref::<NoChild>().is_some() => {
            "is it installed, on PATH, and executable?"
        }
        StartError::Timeout(_) => "does it start by itself, and speak MCP over stdin and stdout?",
        _ => "run the command by itself to see what it needs; is it an MCP server?",
    };
    Failure::new(Status::NotConnected, format!("`{program}`: {error}")).with_hint(hint)
}

/// How long what runs may go on after a signal.
const GRACE: Duration = Duration::from_millis(500);
/// How long the last bytes may take after that.
const CUT: Duration = Duration::from_millis(200);
/// How long the processes of the server may take to end, after that.
const CHILDREN: Duration = Duration::from_millis(2500);
/// What is traced even if nothing was asked for: that a process of the server was lost or could not be started, and why.
/// Clients are not told.
const LOSSES: &str = "off,towpath_relay::app=warn";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_leave_room_for_other_requests() {
        let options = app_options(&Limits::default().with_max_message_bytes(1 << 10));
        let outgoing = &options.relay.limits.outgoing;
        assert!(outgoing.calls.max_in_flight > options.max_subscriptions, "{outgoing:?}");
        assert_eq!(outgoing.envelope.max_message_bytes, 1 << 10);
    }
}
