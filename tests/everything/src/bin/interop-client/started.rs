//! A server that was started, or that is there, and what it says on stderr.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use towpath::{
    ChildCommand, ChildExit, Client, ClientBuilder, Implementation,
    client::HttpOptions,
    http::HttpConnect,
    stdio::{ChildHandle, Environment},
};

use crate::{Args, cases::Failure};

/// A server with a client of it.
pub(crate) struct Started {
    pub(crate) client: Client,
    process: Option<ChildHandle>,
    heard: Heard,
}

/// Where the server says that a request was cancelled: `cancelled ` and its id, on a line of stderr.
enum Heard {
    Lines(watch::Receiver<u32>),
    /// Somebody else has started it, and keeps what it says here.
    File(PathBuf),
    Nowhere,
}

impl Started {
    /// Connects, and starts the server for it if it is not there. It must come to the era that was asked for.
    pub(crate) async fn new(args: &Args) -> Result<Self, Failure> {
        let builder = Client::builder(&Implementation::new("towpath-interop", env!("CARGO_PKG_VERSION")))
            .preference(args.era.preference());
        let started = match &args.url {
            Some(url) => {
                let connect = Arc::new(HttpConnect::new(Default::default(), Default::default())?);
                let client = builder.connect_http(connect, url.clone(), HttpOptions::default()).await?;
                let heard = env::var_os("TOWPATH_INTEROP_SERVER_LOG")
                    .map_or(Heard::Nowhere, |log| Heard::File(log.into()));
                Self { client, process: None, heard }
            }
            None => Self::start(args, builder).await?,
        };
        let (found, wanted) = (started.client.server().revision.era(), args.era.era(args.peer));
        if found != wanted {
            return Err(format!("{found:?} was negotiated instead of {wanted:?}").into());
        }
        Ok(started)
    }

    async fn start(args: &Args, builder: ClientBuilder) -> Result<Self, Failure> {
        let (program, rest) = args.command.split_first().ok_or("no command")?;
        let (count, cancelled) = watch::channel(0);
        let count = Arc::new(count);
        let lane = ChildCommand::new(program)
            .args(rest)
            // The servers of others are started by tools that need more than a server should.
            .environment(Environment::All)
            .on_stderr_line(move |line| {
                eprintln!("{line}");
                if line.starts_with("cancelled ") {
                    count.send_modify(|count| *count += 1);
                }
            })
            .spawn()?;
        let process = lane.handle();
        let client = builder.connect(lane).await?;
        // What is between this client and the server may keep its words to itself.
        let heard = match env::var_os("TOWPATH_INTEROP_SERVER_LOG") {
            Some(log) => Heard::File(log.into()),
            None => Heard::Lines(cancelled),
        };
        Ok(Self { client, process: Some(process), heard })
    }

    /// How many requests the server has said to be cancelled; `None` where nobody can hear it.
    pub(crate) fn cancelled(&self) -> Option<u32> {
        match &self.heard {
            Heard::Lines(count) => Some(*count.borrow()),
            Heard::File(log) => {
                let lines = BufReader::new(File::open(log).ok()?).lines().map_while(Result::ok);
                u32::try_from(lines.filter(|line| line.contains("cancelled ")).count()).ok()
            }
            Heard::Nowhere => None,
        }
    }

    /// Waits until the server has said it so often.
    pub(crate) async fn wait_for_cancelled(&self, count: u32) -> Result<(), Failure> {
        let said = async {
            // A file rings no bell.
            let mut look = tokio::time::interval(Duration::from_millis(10));
            while self.cancelled().is_some_and(|said| said < count) {
                look.tick().await;
            }
        };
        match timeout(PATIENCE, said).await {
            Ok(()) => Ok(()),
            Err(_) => Err("the server did not say that the request was cancelled".into()),
        }
    }

    /// Closes the connection, and gives the exit of a server that was started here, if it ends by itself.
    pub(crate) async fn close(&self) -> Closed {
        self.client.close().await;
        match &self.process {
            Some(process) => timeout(PATIENCE, process.exit()).await.map_or(Closed::LivesOn, Closed::Exited),
            None => Closed::NotOurs,
        }
    }
}

/// What became of the server after the connection.
pub(crate) enum Closed {
    Exited(ChildExit),
    LivesOn,
    NotOurs,
}

/// How long the server may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(10);
