//! A server that was started, and what it says on stderr.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use towpath::{ChildCommand, ChildExit, Client, Implementation, stdio::ChildHandle};

use crate::{Args, cases::Failure};

/// A server with a client of it.
pub(crate) struct Started {
    pub(crate) client: Client,
    process: ChildHandle,
    cancelled: watch::Receiver<u32>,
}

impl Started {
    /// Starts the server and connects. It must come to the era that was asked for.
    pub(crate) async fn new(args: &Args) -> Result<Self, Failure> {
        let (program, rest) = args.command.split_first().ok_or("no command")?;
        let (count, cancelled) = watch::channel(0);
        let count = Arc::new(count);
        let lane = ChildCommand::new(program)
            .args(rest)
            .on_stderr_line(move |line| {
                eprintln!("{line}");
                if line.starts_with("cancelled ") {
                    count.send_modify(|count| *count += 1);
                }
            })
            .spawn()?;
        let process = lane.handle();
        let client = Client::builder(&Implementation::new("towpath-interop", env!("CARGO_PKG_VERSION")))
            .preference(args.era.preference())
            .connect(lane)
            .await?;
        let (found, wanted) = (client.server().revision.era(), args.era.era(args.peer));
        if found != wanted {
            return Err(format!("{found:?} was negotiated instead of {wanted:?}").into());
        }
        Ok(Self { client, process, cancelled })
    }

    /// How many requests the server has said to be cancelled.
    pub(crate) fn cancelled(&self) -> u32 {
        *self.cancelled.borrow()
    }

    /// Waits until the server has said it so often.
    pub(crate) async fn wait_for_cancelled(&self, count: u32) -> Result<(), Failure> {
        let mut cancelled = self.cancelled.clone();
        match timeout(PATIENCE, cancelled.wait_for(|said| *said >= count)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err("the server did not say that the request was cancelled".into()),
        }
    }

    /// Closes the connection, and gives the exit of the server if it ends by itself.
    pub(crate) async fn close(&self) -> Option<ChildExit> {
        self.client.close().await;
        timeout(PATIENCE, self.process.exit()).await.ok()
    }
}

/// How long the server may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(10);
