//! What to start, and how it is to end.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use towpath_raw::{LaneLimits, LaneTimeouts};

use super::{ChildLane, SpawnError, log::OnLine};

/// How long a child may take to end, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildTimeouts {
    /// How long the tree may live on after its stdin was closed because nobody owns it. Default: 2 s.
    ///
    /// At the limit its process group gets SIGTERM. `Duration::MAX`: for ever. Worst case: a tree that is
    /// nobody's lives this long.
    pub exit_after_stdin_close: Duration,
    /// How long the tree may live on after SIGTERM. Default: 2 s.
    ///
    /// At the limit its process group gets SIGKILL. `Duration::MAX`: for ever. Worst case: a tree that is
    /// nobody's lives this long after SIGTERM.
    pub exit_after_terminate: Duration,
    /// How long the lane waits, after the end of the child's stdout or a write that failed, for the child's
    /// exit, so that the end is explained. Default: 500 ms.
    ///
    /// At the limit the lane ends without an explanation. Zero: only what is known already. Worst case: the
    /// news of the end comes this much later.
    pub explain_after_eof: Duration,
}

impl Default for ChildTimeouts {
    fn default() -> Self {
        Self {
            exit_after_stdin_close: Duration::from_secs(2),
            exit_after_terminate: Duration::from_secs(2),
            explain_after_eof: Duration::from_millis(500),
        }
    }
}

impl ChildTimeouts {
    /// The same timeouts with another [`ChildTimeouts::exit_after_stdin_close`].
    #[must_use]
    pub fn with_exit_after_stdin_close(mut self, after: Duration) -> Self {
        self.exit_after_stdin_close = after;
        self
    }

    /// The same timeouts with another [`ChildTimeouts::exit_after_terminate`].
    #[must_use]
    pub fn with_exit_after_terminate(mut self, after: Duration) -> Self {
        self.exit_after_terminate = after;
        self
    }

    /// The same timeouts with another [`ChildTimeouts::explain_after_eof`].
    #[must_use]
    pub fn with_explain_after_eof(mut self, after: Duration) -> Self {
        self.explain_after_eof = after;
        self
    }
}

/// A program to be started as a lane.
///
/// The child leads a process group of its own, and the whole group ends with it and with its lane: see
/// [`ChildLane`].
#[derive(Clone)]
pub struct ChildCommand {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) clears_env: bool,
    pub(super) env: Vec<(OsString, Option<OsString>)>,
    pub(super) current_dir: Option<PathBuf>,
    pub(super) limits: LaneLimits,
    pub(super) timeouts: LaneTimeouts,
    pub(super) child_timeouts: ChildTimeouts,
    pub(super) on_stderr_line: Option<OnLine>,
    pub(super) dies_with_us: bool,
    pub(super) pipe_bytes: Option<usize>,
}

impl ChildCommand {
    /// A program, looked for in `PATH` unless it has a slash in it.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            clears_env: false,
            env: Vec::new(),
            current_dir: None,
            limits: LaneLimits::default(),
            timeouts: LaneTimeouts::default(),
            child_timeouts: ChildTimeouts::default(),
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

    /// Sets a variable in the child's environment, which is ours otherwise.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable out of the child's environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// The child inherits no variable of ours.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.clears_env = true;
        self.env.clear();
        self
    }

    /// Where the child runs. Default: where we do.
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
