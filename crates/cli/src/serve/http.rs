//! A server that speaks over stdin and stdout, on Streamable HTTP.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use towpath::{
    Limits,
    http::{HttpServer, ListenLimits, ListenTimeouts},
    mcp::{HostPolicy, HttpGate},
    relay::{AppOptions, RelayApp},
    server::{EndpointLimits, EndpointSettings, EndpointTimeouts, HttpService},
};

use super::{BURST_BYTES, CUT, GRACE, children::Children, open_to_all};
use crate::{
    args::ServeArgs,
    exit::{Failure, Status},
    signals::Signals,
    stderr,
    units::show_size,
};

/// Where to listen.
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
}

pub(super) type Served = (HttpServer, HttpService<RelayApp<Children>>);

/// Says what is wrong with who may ask.
pub(super) fn check(args: &ServeArgs) -> Result<(), Failure> {
    gate(args, Ipv4Addr::LOCALHOST.into()).map(drop)
}

/// Listens, then starts the server, and says so. Whoever comes meanwhile waits.
///
/// # Cancel safety
///
/// Dropped, it listens to nothing, and the server ends.
pub(super) async fn start(
    args: &ServeArgs,
    place: &Place<'_>,
    limits: &Limits,
    children: &Children,
    options: AppOptions,
) -> Result<Served, Failure> {
    let timeouts = ListenTimeouts::default().with_drain(CUT);
    let listening = HttpServer::bind((place.host, place.port), ListenLimits::default(), timeouts).await;
    let server = listening.map_err(|error| {
        let cause = format!("cannot listen on {} port {}: {error}", place.host, place.port);
        Failure::new(Status::NotConnected, cause).with_hint("try another --port, or --host 127.0.0.1")
    })?;
    let address = server.local_addr();
    let app = children.start(args, options).await?;

    let mut endpoint = EndpointLimits::default();
    endpoint.max_sessions = args.max_sessions;
    endpoint.envelope = limits.link.envelope;
    // A burst of large requests on one session is its own affair, as long as it has an end.
    endpoint.max_session_inbox_bytes = BURST_BYTES.max(args.max_message_size);
    let mut timeouts = EndpointTimeouts::default();
    timeouts.session_idle = Some(args.session_timeout);
    // The server behind is told first.
    timeouts.handler = Some(args.request_timeout + MARGIN);

    let speaks = app.supported().iter().map(|revision| revision.as_str()).collect::<Vec<_>>().join(", ");
    let mut said =
        format!("http://{address}{} serves `{}`, which speaks {speaks}\n", place.path, children.program());
    said.push_str(&format!(
        "messages of up to {} (--max-message-size), {} sessions (--max-sessions), {} requests at once\n",
        show_size(args.max_message_size),
        endpoint.max_sessions,
        endpoint.max_requests,
    ));
    let gate = gate(args, address.ip())?;
    let settings = EndpointSettings::new().path(place.path).gate(gate).limits(endpoint).timeouts(timeouts);
    let endpoint = HttpService::new(Arc::new(app), settings);
    stderr::write(said.into_bytes());
    if !address.ip().is_loopback() {
        open_to_all(&address.to_string());
    }
    Ok((server, endpoint))
}

/// Serves until a signal comes.
pub(super) async fn serve((server, endpoint): Served, signals: &mut Signals) {
    let service = endpoint.clone();
    let stopped = async {
        signals.received().await;
        // New requests are refused from here on, streams end politely, and what runs has a moment.
        let _ = endpoint.drain(GRACE).await;
    };
    server.serve(service, stopped).await;
}

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

/// How much later than the server behind a request is given up here.
const MARGIN: Duration = Duration::from_secs(1);
