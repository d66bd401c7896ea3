//! The processes of the server that is served.

use std::{
    ffi::OsString,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use towpath::{
    ChildLane, Limits,
    raw::{Explanation, Level, Mutex},
    relay::{AppOptions, RelayApp, StartError, Upstream},
    stdio::SpawnError,
};

use super::loss::Loss;
use crate::{
    args::{ChildArgs, EraChoice, ServeArgs},
    child::{self, Seen},
    exit::{Failure, Status},
    explain,
    guard::Guard,
    stderr,
    watch::Watched,
};

/// Starts a process of the server for each conversation, and puts it under guard. Clones share that.
#[derive(Clone)]
pub(super) struct Children(Arc<Inner>);

struct Inner {
    command: Vec<OsString>,
    args: ChildArgs,
    limits: Limits,
    guard: Mutex<Option<Guard>>,
    /// What was seen of the process that was started last, until the server is known.
    latest: Mutex<Option<Seen>>,
    /// Whether the server is known: from there on losses are told.
    is_known: Arc<AtomicBool>,
}

/// Lets go of the process that was started last. One that is still wanted then is told to end: whoever gives up its start
/// does not wait for it to see the end of its stdin.
struct Latest<'a>(&'a Mutex<Option<Seen>>);

impl Latest<'_> {
    fn take(&self) -> Option<Seen> {
        self.0.lock().take()
    }
}

impl Drop for Latest<'_> {
    fn drop(&mut self) {
        if let Some(child) = self.take().and_then(|seen| seen.child()) {
            child.terminate();
        }
    }
}

/// A process could not be started.
#[derive(Debug)]
struct NoChild(SpawnError);

impl std::fmt::Display for NoChild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NoChild {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Children {
    pub(super) fn new(args: &ServeArgs, limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            command: args.command.clone(),
            args: args.child.clone(),
            limits: limits.clone(),
            guard: Mutex::new(Level::Handler, "Children::guard", None),
            latest: Mutex::new(Level::Handler, "Children::latest", None),
            is_known: Arc::default(),
        }))
    }

    /// Starts the guard, and the server to find out what it speaks.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it takes the processes of the server with it.
    pub(super) async fn start(
        &self,
        args: &ServeArgs,
        options: AppOptions,
    ) -> Result<RelayApp<Self>, Failure> {
        let guard = Guard::start().map_err(|error| no_guard(&error)).ok();
        *self.0.guard.lock() = guard;
        let latest = Latest(&self.0.latest);
        let started = RelayApp::start(self.clone(), options).await;
        let seen = latest.take();
        let app = started.map_err(|error| self.not_started(args, &error, seen.as_ref()))?;
        self.0.is_known.store(true, Relaxed);
        Ok(app)
    }

    /// Starts a process.
    pub(super) fn spawn(&self) -> Result<Watched<ChildLane, Loss>, SpawnError> {
        let inner = &*self.0;
        let lane = child::spawn(&inner.command, &inner.args, &inner.limits)?;
        {
            let mut guard = inner.guard.lock();
            if let Some(Err(error)) = guard.as_mut().map(|guard| guard.watch(lane.handle().pid())) {
                no_guard(&error);
            }
        }
        let seen = Seen::of(&lane);
        if !inner.is_known.load(Relaxed) {
            let before = inner.latest.lock().replace(seen.clone());
            // It may be the last owner of a process.
            drop(before);
        }
        let loss = Loss::new(self.program(), seen, inner.args.inherit_env, Arc::clone(&inner.is_known));
        Ok(Watched::new(lane, Arc::new(loss)))
    }

    /// The program, for messages.
    pub(super) fn program(&self) -> String {
        child::program(&self.0.command)
    }

    /// Ends the guard, once the processes are gone.
    pub(super) fn finish(&self) {
        let guard = self.0.guard.lock().take();
        if let Some(guard) = guard {
            guard.finish();
        }
    }

    fn not_started(&self, args: &ServeArgs, error: &StartError, seen: Option<&Seen>) -> Failure {
        let server = self.program();
        let explain = explain::Explain {
            server: server.clone(),
            seen,
            inherits: args.child.inherit_env,
            era: EraChoice::Auto,
            within: (args.start_timeout, "--start-timeout"),
            late: Status::NotConnected,
        };
        match error {
            StartError::NotOpened(reason) => match reason.downcast_ref() {
                Some(NoChild(error)) => explain::spawn(error),
                None => Failure::new(Status::NotConnected, format!("cannot start `{server}`: {reason}")),
            },
            StartError::Timeout(_) => explain.silent(),
            StartError::NotUnderstood(error) => explain.connect(error),
            other => Failure::new(Status::NotConnected, format!("`{server}`: {other}")),
        }
    }
}

impl Upstream for Children {
    type Lane = Watched<ChildLane, Loss>;

    async fn open(&self) -> Result<Self::Lane, Explanation> {
        self.spawn().map_err(|error| Arc::new(NoChild(error)) as Explanation)
    }
}

/// The server can be served without one.
fn no_guard(error: &std::io::Error) {
    stderr::write(format!("no guard of the server's processes: {error}\n").into_bytes());
}
