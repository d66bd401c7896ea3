//! The example server: on its own stdin and stdout, where it ends with its input; or over HTTP, until it is told to leave.
#![forbid(unsafe_code)]

use std::{error::Error, future::Future, io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::{
    join,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use towpath::{
    LinkEnd, OwnStdio,
    http::{HttpServer, ListenTimeouts},
    server::EndpointSettings,
};

/// The example server, on its own stdin and stdout.
#[derive(Parser)]
struct Args {
    /// Serve HTTP instead, at /mcp of this address; port 0 takes a free one. What is printed is the URL
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    http: Option<SocketAddr>,
}

/// How long what runs may go on when the server is told to leave.
const GRACE: Duration = Duration::from_secs(2);

const PATH: &str = "/mcp";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let served = match Args::parse().http {
        None => serve_stdio().await,
        Some(address) => serve_http(address).await,
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everything: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_stdio() -> Result<(), Box<dyn Error>> {
    let lane = OwnStdio::lane(Default::default(), Default::default())?;
    match towpath_everything::server()?.serve(lane).await {
        LinkEnd::PeerClosed(_) | LinkEnd::ClosedHere => Ok(()),
        end => Err(end.to_string().into()),
    }
}

async fn serve_http(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let told_to_leave = told_to_leave()?;
    let listening =
        HttpServer::bind(address, Default::default(), ListenTimeouts::default().with_drain(GRACE)).await?;
    let everything = towpath_everything::server()?;
    let mirrored = towpath_everything::header_params()?;
    let settings = EndpointSettings::new().path(PATH).header_params(move |tool| mirrored.get(tool).cloned());
    let endpoint = everything.http_with(settings);
    println!("http://{}{PATH}", listening.local_addr());

    // Event streams end because the endpoint drains, connections because the listener does: both at once.
    let (leave, mut leaving) = watch::channel(false);
    let stop = async move {
        told_to_leave.await;
        leave.send_replace(true);
        everything.drain(GRACE).await
    };
    let stopped = async move { drop(leaving.wait_for(|leaving| *leaving).await) };
    let (connections, requests) = join!(listening.serve(endpoint, stopped), stop);
    requests?;
    match connections.cut {
        0 => Ok(()),
        cut => Err(format!("{cut} connections had to be cut").into()),
    }
}

/// Ready at the first signal that asks for an end.
fn told_to_leave() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            // Either order will do, and a signal that is not received here stays with its stream.
            _ = Signal::recv(&mut terminate) => {}
            _ = Signal::recv(&mut interrupt) => {}
        }
    })
}
