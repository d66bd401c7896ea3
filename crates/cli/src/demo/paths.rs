//! The ways to the example server.

use std::{env, io, path::PathBuf, sync::Arc, time::Duration};

use http::Uri;
use tokio::sync::watch;
use towpath::{
    ChildCommand, ChildLane, Client, ClientBuilder, ConnectError, Era, Implementation, Preference,
    client::HttpOptions,
    http::{ConnectLimits, ConnectTimeouts, HttpConnect},
    stdio::{ChildTimeouts, Environment},
};

use super::rows::NoRow;

/// A way to the example server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    /// A child process, over pipes.
    Stdio,
    /// A process of its own, over Streamable HTTP.
    Http,
    /// `towpath serve`, which puts the child process on HTTP.
    Bridge,
}

/// Every path that is shown.
pub(super) const PATHS: &[Path] = &[Path::Stdio, Path::Http, Path::Bridge];

/// A client, and the process that it is connected to, where that is not the connection itself.
pub(super) struct Reached {
    pub(super) client: Client,
    pub(super) server: Option<ChildLane>,
}

impl Path {
    pub(super) fn name(self) -> &'static str {
        match self {
            Path::Stdio => "stdio",
            Path::Http => "HTTP",
            Path::Bridge => "bridge",
        }
    }

    pub(super) async fn connect(self, era: Era) -> Result<Reached, NoRow> {
        let builder = Client::builder(&Implementation::new("towpath-demo", env!("CARGO_PKG_VERSION")))
            .preference(match era {
                Era::Legacy => Preference::LegacyOnly,
                _ => Preference::ModernOnly,
            });
        let own = env::current_exe().map_err(|error: io::Error| NoRow(error.to_string()))?;
        let listening = match self {
            Path::Stdio => {
                let lane = ours(&own).arg("demo-server").spawn();
                let lane = lane.map_err(|error| NoRow(error.to_string()))?;
                let client = builder.connect(lane).await.map_err(failed)?;
                return Ok(Reached { client, server: None });
            }
            Path::Http => listen(&own, &["demo-server", "--http"]).await?,
            Path::Bridge => {
                let program = own.to_string_lossy().into_owned();
                listen(&own, &["serve", "--port", "0", "--inherit-env", "--", &program, "demo-server"])
                    .await?
            }
        };
        over_http(builder, listening).await
    }
}

/// This program itself, which may have all of the environment that it has here.
fn ours(own: &PathBuf) -> ChildCommand {
    ChildCommand::new(own).environment(Environment::All)
}

/// A process that listens.
struct Listening {
    process: ChildLane,
    url: Uri,
}

/// Starts this program with arguments that make it listen, and waits until it says where.
async fn listen(own: &PathBuf, args: &[&str]) -> Result<Listening, NoRow> {
    let (said, mut heard) = watch::channel(None);
    // It reads nothing from its stdin, so the end of that says nothing to it.
    let timeouts = ChildTimeouts::default().with_exit_after_stdin_close(Duration::ZERO);
    let process = ours(own)
        .args(args)
        .child_timeouts(timeouts)
        .on_stderr_line(move |line| {
            let url = line.split_whitespace().next().and_then(|word| word.parse::<Uri>().ok());
            if let Some(url) = url.filter(|url| url.scheme().is_some()) {
                said.send_replace(Some(url));
            }
        })
        .spawn()
        .map_err(|error| NoRow(error.to_string()))?;
    let url = match heard.wait_for(Option::is_some).await {
        Ok(url) => url.clone(),
        Err(_) => None,
    };
    let url = url.ok_or_else(|| NoRow("the example server does not listen".into()))?;
    Ok(Listening { process, url })
}

async fn over_http(builder: ClientBuilder, listening: Listening) -> Result<Reached, NoRow> {
    let connect = HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default());
    let connect = Arc::new(connect.map_err(|error| NoRow(error.to_string()))?);
    let client =
        builder.connect_http(connect, listening.url, HttpOptions::default()).await.map_err(failed)?;
    Ok(Reached { client, server: Some(listening.process) })
}

fn failed(error: ConnectError) -> NoRow {
    NoRow(format!("the example server: {error}"))
}
