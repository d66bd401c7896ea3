//! A server that speaks over stdin and stdout, on a socket: each connection has a process of its own.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use towpath::{
    Limits,
    raw::{Frame, FrameSinkExt, Lane, Listen},
    relay::{AppOptions, RelayOptions, relay},
    stdio::{SocketAddress, SocketLane, SocketLimits, SocketListener, SocketOptions},
};

use super::{CUT, GRACE, children::Children, open_to_all, until::Until};
use crate::{
    args::ServeArgs,
    exit::{Failure, Status},
    explain,
    signals::Signals,
    stderr,
    units::show_size,
};

/// Listens, starts the server to find out what it speaks, and says so.
///
/// # Cancel safety
///
/// Dropped, it listens to nothing, and the server ends.
pub(super) async fn start(
    args: &ServeArgs,
    address: &SocketAddress,
    limits: &Limits,
    children: &Children,
    options: AppOptions,
) -> Result<SocketListener, Failure> {
    let admits = SocketLimits::default().with_max_connections(args.max_sessions);
    let socket = SocketOptions::default().with_limits(limits.lane.clone()).with_listener(admits);
    let listening = SocketListener::bind(address, socket).await;
    let listener = listening.map_err(|error| explain::socket(&error))?;
    // It is there for the question alone: each connection will have a process of its own.
    let app = children.start(args, options).await?;
    let speaks = app.supported().iter().map(|revision| revision.as_str()).collect::<Vec<_>>().join(", ");
    drop(app);
    let address = listener.address();
    let said = format!(
        "{address} serves `{}`, which speaks {speaks}\n\
         messages of up to {} (--max-message-size), {} connections (--max-sessions), each with a process of its own\n",
        children.program(),
        show_size(args.max_message_size),
        args.max_sessions,
    );
    stderr::write(said.into_bytes());
    if let SocketAddress::Tcp(place) = address
        && !place.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    {
        open_to_all(place);
    }
    Ok(listener)
}

/// Serves connections until a signal comes; then what runs has a moment.
pub(super) async fn serve(
    mut listener: SocketListener,
    children: Children,
    options: RelayOptions,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let (over, told) = watch::channel(false);
    let mut connections = JoinSet::new();
    let ended = loop {
        tokio::select! {
            // The signal first: whoever sends it does not care who comes. All are cancel safe.
            biased;
            _ = signals.received() => break Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(lane) => {
                    let lane = Until::new(lane, told.clone());
                    connections.spawn(connection(lane, children.clone(), options.clone()));
                }
                Err(error) => break Err(Failure::new(Status::Lost, error.to_string())),
            },
        }
    };
    drop(listener);
    over.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(GRACE + CUT, all).await;
    ended
}

/// Joins a connection to a process, until one of them ends.
async fn connection(lane: Until<SocketLane>, children: Children, options: RelayOptions) {
    match children.spawn() {
        Ok(child) => drop(relay(lane, child, options).await),
        Err(error) => {
            explain::spawn(&error).warn();
            let (_, mut sink) = lane.split();
            let refused = async {
                sink.send(Frame::from(Bytes::from_static(NOT_STARTED.as_bytes()))).await?;
                sink.close().await
            };
            // Whoever does not read it is not told.
            let _ = timeout(REFUSAL, refused).await;
        }
    }
}

/// What a client is told, as over HTTP: why is the operator's business.
const NOT_STARTED: &str = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"the upstream server failed: it could not be started","data":{"reason":"upstream_not_started"}}}"#;
const REFUSAL: Duration = Duration::from_secs(2);
