//! A server that is started: with what, and what it shows of itself beside its messages.

use std::{ffi::OsString, sync::Arc, time::Duration};

use towpath::{
    ChildCommand, ChildLane, Limits,
    raw::{Inbound, Level, Mutex},
    stdio::{ChildHandle, ChildTimeouts, Environment, SpawnError},
};

use crate::{args::ChildArgs, watch::Watch};

/// Starts a server.
pub(crate) fn spawn(
    command: &[OsString],
    args: &ChildArgs,
    limits: &Limits,
) -> Result<ChildLane, SpawnError> {
    let child_timeouts = ChildTimeouts::default()
        .with_exit_after_stdin_close(Duration::from_secs(1))
        .with_exit_after_terminate(Duration::from_millis(700));
    let mut child = ChildCommand::new(command.first().cloned().unwrap_or_default())
        .args(command.iter().skip(1))
        .limits(limits.lane.clone())
        .child_timeouts(child_timeouts);
    if args.inherit_env {
        child = child.environment(Environment::All);
    }
    for (name, value) in &args.env {
        child = child.env(name, value);
    }
    if let Some(directory) = &args.cwd {
        child = child.current_dir(directory);
    }
    child.spawn()
}

/// The program of a command.
pub(crate) fn program(command: &[OsString]) -> String {
    command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What was seen of a server, for whoever has to explain how it failed. It keeps the process alive, as a
/// [`ChildHandle`] does.
#[derive(Clone)]
pub(crate) struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    child: Option<ChildHandle>,
    /// Lines on its stdout that are no messages.
    skipped: u64,
    /// The first of them.
    first: String,
}

impl Default for Seen {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Level::Handler, "Seen::0", State::default())))
    }
}

impl Seen {
    /// To be shown this server.
    pub(crate) fn of(lane: &ChildLane) -> Self {
        let seen = Self::default();
        seen.look_at(lane);
        seen
    }

    /// Of which process it is; the rest is seen by whoever watches its lane.
    pub(crate) fn look_at(&self, lane: &ChildLane) {
        self.0.lock().child = Some(lane.handle());
    }

    pub(crate) fn child(&self) -> Option<ChildHandle> {
        self.0.lock().child.clone()
    }

    /// How many lines on its stdout were no messages, and the first of them.
    pub(crate) fn skipped(&self) -> (u64, String) {
        let state = self.0.lock();
        (state.skipped, state.first.clone())
    }
}

impl Watch for Seen {
    fn came(&self, inbound: &Inbound) {
        if let Inbound::Skipped(skipped) = inbound
            && !skipped.text.trim().is_empty()
        {
            let mut state = self.0.lock();
            state.skipped += 1;
            if state.skipped == 1 {
                state.first.clone_from(&skipped.text);
            }
        }
    }
}
