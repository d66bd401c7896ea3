//! Leaving when a signal asks for it.

use std::{future::pending, io, process, thread, time::Duration};

use tokio::{runtime, sync::watch};
use towpath::stdio::{Signal, Termination};

use crate::exit::{Failure, Status};

/// Waits for the signals that ask for the end on a thread of its own, so that work which blocks cannot keep the command
/// from leaving.
pub(crate) struct Signals(watch::Receiver<Option<Signal>>);

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::not_started(format!("cannot listen to signals: {error}"));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut termination = {
            let _inside = runtime.enter();
            Termination::listen().map_err(failed)?
        };
        let (tell, told) = watch::channel(None);
        thread::Builder::new()
            .name("towpath-signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    let _ = tell.send(Some(termination.received().await));
                    // allowed: it waits for the end of the process, which cuts it short.
                    tokio::time::sleep(PATIENCE).await;
                });
                // Something blocks, stdout perhaps: nobody is to be left behind all the same.
                towpath::wait_for_children(Duration::ZERO);
                process::exit(i32::from(Status::Interrupted as u8));
            })
            .map_err(failed)?;
        Ok(Self(told))
    }

    /// The first signal; for ever if there is none.
    pub(crate) async fn received(&mut self) -> Signal {
        match self.0.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => signal,
            _ => pending().await,
        }
    }
}

/// How long leaving politely may take: more than the children are waited for.
const PATIENCE: Duration = Duration::from_secs(4);
