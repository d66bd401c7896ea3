//! The processes of the server that is served.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use towpath::{
    ChildCommand, ChildLane, Limits,
    raw::{Explanation, LaneLimits, Level, Mutex},
    relay::Upstream,
    stdio::{ChildTimeouts, SpawnError},
};

use crate::{args::ServeArgs, guard::Guard, stderr};

/// Starts a process of the server for each conversation, and puts it under guard.
pub(super) struct Children {
    command: Vec<OsString>,
    env: Vec<(String, String)>,
    cwd: Option<PathBuf>,
    limits: LaneLimits,
    guard: SharedGuard,
}

/// The one guard of all processes.
#[derive(Clone)]
pub(super) struct SharedGuard(Arc<Mutex<Option<Guard>>>);

/// A process could not be started.
#[derive(Debug)]
pub(super) struct NoChild(SpawnError);

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
        let guard = Guard::start().map_err(|error| no_guard(&error)).ok();
        Self {
            command: args.command.clone(),
            env: args.env.clone(),
            cwd: args.cwd.clone(),
            limits: limits.lane.clone(),
            guard: SharedGuard(Arc::new(Mutex::new(Level::Handler, "SharedGuard::0", guard))),
        }
    }

    pub(super) fn guard(&self) -> SharedGuard {
        self.guard.clone()
    }

    fn spawn(&self) -> Result<ChildLane, SpawnError> {
        let program = self.command.first().cloned().unwrap_or_default();
        let child_timeouts = ChildTimeouts::default()
            .with_exit_after_stdin_close(Duration::from_secs(1))
            .with_exit_after_terminate(Duration::from_millis(700));
        let mut command = ChildCommand::new(program)
            .args(self.command.iter().skip(1))
            .limits(self.limits.clone())
            .child_timeouts(child_timeouts);
        for (name, value) in &self.env {
            command = command.env(name, value);
        }
        if let Some(directory) = &self.cwd {
            command = command.current_dir(directory);
        }
        command.spawn()
    }
}

impl Upstream for Children {
    type Lane = ChildLane;

    async fn open(&self) -> Result<ChildLane, Explanation> {
        let lane = self.spawn().map_err(|error| Arc::new(NoChild(error)) as Explanation)?;
        let mut guard = self.guard.0.lock();
        if let Some(Err(error)) = guard.as_mut().map(|guard| guard.watch(lane.handle().pid())) {
            no_guard(&error);
        }
        Ok(lane)
    }
}

impl SharedGuard {
    pub(super) fn take(&self) -> Option<Guard> {
        self.0.lock().take()
    }
}

/// The server can be served without one.
fn no_guard(error: &std::io::Error) {
    stderr::write(format!("no guard of the server's processes: {error}\n").into_bytes());
}
