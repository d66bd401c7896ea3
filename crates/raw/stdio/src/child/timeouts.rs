//! How long the steps of a child's end may take.

use std::time::Duration;

/// How long a child may take to end, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildTimeouts {
    /// How long the tree may live on after its stdin was closed because nobody owns it. Default: 2 s.
    ///
    /// At the limit its process group gets the polite signal ([`ChildCommand::ends_with`](crate::ChildCommand::ends_with)). `Duration::MAX`: for ever. Worst case: a tree that is
    /// nobody's lives this long.
    pub exit_after_stdin_close: Duration,
    /// How long the tree may live on after the polite signal. Default: 2 s.
    ///
    /// At the limit its process group gets SIGKILL. `Duration::MAX`: for ever. Worst case: a tree that is
    /// nobody's lives this long after the signal.
    pub exit_after_terminate: Duration,
    /// How long the lane waits, after the end of the child's stdout or a write that failed, for the child's
    /// exit, so that the end is explained. Default: 500 ms.
    ///
    /// At the limit the lane ends without an explanation. Zero: only what is known already. Worst case: the
    /// news of the end comes this much later.
    pub explain_after_eof: Duration,
    /// How long the lane still reads when the child has exited and its stdout is open, because a process that it
    /// has left behind holds it. Default: 1 s.
    ///
    /// At the limit the lane ends with the exit as its explanation, as it does at the end of stdout; what was in the
    /// pipe when the child exited is read in any case. Zero: only that. `Duration::MAX`: until stdout ends. Worst
    /// case: a child's death is told this much later.
    pub drain_after_exit: Duration,
}

impl Default for ChildTimeouts {
    fn default() -> Self {
        Self {
            exit_after_stdin_close: Duration::from_secs(2),
            exit_after_terminate: Duration::from_secs(2),
            explain_after_eof: Duration::from_millis(500),
            drain_after_exit: Duration::from_secs(1),
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

    /// The same timeouts with another [`ChildTimeouts::drain_after_exit`].
    #[must_use]
    pub fn with_drain_after_exit(mut self, after: Duration) -> Self {
        self.drain_after_exit = after;
        self
    }
}
