//! Leaving when a signal asks for it.

use std::{
    fs,
    future::{pending, poll_fn},
    io, process,
    task::Poll,
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::exit::{Failure, Status};

/// Waits for SIGINT, SIGTERM and SIGHUP on a thread of its own, so that work which blocks cannot keep the command from
/// leaving.
pub(crate) struct Signals(watch::Receiver<Option<&'static str>>);

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(Status::NotConnected, format!("cannot listen to signals: {error}"))
                .with_hint("check the limits on processes and open files (ulimit -u, -n)")
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut listening = {
            let _inside = runtime.enter();
            let mut listening = Vec::new();
            let ignored = ignored();
            for (kind, name) in SIGNALS {
                let kind = kind();
                if ignored & (1 << (kind.as_raw_value() - 1)) == 0 {
                    listening.push((signal(kind).map_err(failed)?, *name));
                }
            }
            listening
        };
        let (tell, told) = watch::channel(None);
        thread::Builder::new()
            .name("towpath-signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    let first = poll_fn(|cx| {
                        let ready = listening
                            .iter_mut()
                            .find_map(|(signal, name)| signal.poll_recv(cx).is_ready().then_some(*name));
                        ready.map_or(Poll::Pending, Poll::Ready)
                    });
                    let _ = tell.send(Some(first.await));
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

    /// The name of the first signal; for ever if there is none.
    pub(crate) async fn received(&mut self) -> &'static str {
        match self.0.wait_for(Option::is_some).await.map(|name| *name) {
            Ok(Some(name)) => name,
            _ => pending().await,
        }
    }
}

/// The signals that this process was started not to hear, as `nohup` does and a shell does for what runs in the
/// background: a bit for each. None, where the system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// How to listen to a signal, and its name.
type Kind = (fn() -> SignalKind, &'static str);

const SIGNALS: &[Kind] =
    &[(SignalKind::interrupt, "SIGINT"), (SignalKind::terminate, "SIGTERM"), (SignalKind::hangup, "SIGHUP")];

/// How long leaving politely may take: more than the children are waited for.
const PATIENCE: Duration = Duration::from_secs(4);
