//! What to start, and how it is to end.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use towpath_raw::{LaneLimits, LaneTimeouts};

use super::{
    ChildLane, ChildTimeouts, Environment, SpawnError,
    environment::{Change, Variables},
    log::OnLine,
};
use crate::signals::Signal;

/// A program to be started as a lane.
///
/// The child leads a process group of its own, and the whole group ends with it and with its lane: see
/// [`ChildLane`].
#[derive(Clone)]
pub struct ChildCommand {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) variables: Variables,
    pub(super) current_dir: Option<PathBuf>,
    pub(super) limits: LaneLimits,
    pub(super) timeouts: LaneTimeouts,
    pub(super) child_timeouts: ChildTimeouts,
    pub(super) ends_with: Signal,
    pub(super) on_stderr_line: Option<OnLine>,
    pub(super) dies_with_us: bool,
    pub(super) pipe_bytes: Option<usize>,
}

impl ChildCommand {
    /// A program, looked for in `PATH` unless it has a slash in it.
    ///
    /// That is the `PATH` which the child gets: ours, unless [`env`](Self::env) sets another. A child that gets none
    /// is looked for where the system looks then, mostly `/bin` and `/usr/bin`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            variables: Variables::default(),
            current_dir: None,
            limits: LaneLimits::default(),
            timeouts: LaneTimeouts::default(),
            child_timeouts: ChildTimeouts::default(),
            ends_with: Signal::Terminate,
            on_stderr_line: None,
            dies_with_us: true,
            pipe_bytes: Some(256 << 10),
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Which of our variables the child gets. Default: [`Environment::Listed`].
    ///
    /// It is the ground on which [`env`](Self::env), [`env_remove`](Self::env_remove) and
    /// [`inherit_env`](Self::inherit_env) build, whether they are called before or after it. Our environment is read
    /// when the child is started.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.variables.ground = environment;
        self
    }

    /// The child gets this variable of ours too, as it is, if we have it.
    #[must_use]
    pub fn inherit_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.changes.push((name.as_ref().to_owned(), Change::Inherit));
        self
    }

    /// Sets a variable in the child's environment. Of several settings of one variable the last one holds.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.changes.push((name.as_ref().to_owned(), Change::Set(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable out of the child's environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.changes.push((name.as_ref().to_owned(), Change::Remove));
        self
    }

    /// Where the child runs. Default: where we do.
    ///
    /// A path that is not absolute is taken from where we are. A program with a slash in it that is not absolute,
    /// `./server` say, is taken from this directory, and so is what is not absolute in `PATH`.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.current_dir = Some(directory.as_ref().to_owned());
        self
    }

    /// What the lane may hold.
    #[must_use]
    pub fn limits(mut self, limits: LaneLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long the lane waits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: LaneTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long the child may take to end.
    #[must_use]
    pub fn child_timeouts(mut self, timeouts: ChildTimeouts) -> Self {
        self.child_timeouts = timeouts;
        self
    }

    /// The signal that asks the child and its group to end, before SIGKILL. Default: [`Signal::Terminate`].
    ///
    /// It is sent when the tree has outlived its stdin for
    /// [`exit_after_stdin_close`](ChildTimeouts::exit_after_stdin_close), by
    /// [`ChildHandle::terminate`](super::ChildHandle::terminate), and to what a child leaves behind when it exits.
    #[must_use]
    pub fn ends_with(mut self, signal: Signal) -> Self {
        self.ends_with = signal;
        self
    }

    /// Calls `on_line` with each line that the child writes to stderr, made printable; a line over 4 KiB comes
    /// in pieces.
    ///
    /// It is called on a thread that all children of this process share, where they are traced too, and may
    /// block, start children, or end them. While it is busy 1 MiB of lines wait for all children together;
    /// more are dropped, and one line says how many. If it panics, it is not called again.
    #[must_use]
    pub fn on_stderr_line(mut self, on_line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_stderr_line = Some(Arc::new(on_line));
        self
    }

    /// Whether the system kills the child when this process dies without ending it, by SIGKILL say. Default:
    /// yes.
    ///
    /// That holds for the child itself. Its own children are not killed by it, and see the end of their pipes
    /// at most; a program that must not leave them behind when it is killed needs a guard process. A child
    /// that gains privileges when it starts loses the setting.
    #[must_use]
    pub fn dies_with_us(mut self, dies: bool) -> Self {
        self.dies_with_us = dies;
        self
    }

    /// The size of the pipes to and from the child that is asked for. Default: 256 KiB; `None`: the system's
    /// own, mostly 64 KiB.
    ///
    /// Large messages pass faster through larger pipes. The system grants a sum for each user, and is not asked
    /// when more than 32 children live; a refusal is ignored. Worst case: twice this size in kernel memory a
    /// child.
    #[must_use]
    pub fn pipe_bytes(mut self, bytes: Option<usize>) -> Self {
        self.pipe_bytes = bytes;
        self
    }

    /// Starts the program. It blocks until the system has, about a millisecond, and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] says why it could not be started, and what to try.
    pub fn spawn(self) -> Result<ChildLane, SpawnError> {
        super::spawn::spawn(self)
    }
}

impl fmt::Debug for ChildCommand {
    /// Without the environment and the arguments: secrets travel there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildCommand")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("current_dir", &self.current_dir)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .field("child_timeouts", &self.child_timeouts)
            .finish_non_exhaustive()
    }
}
