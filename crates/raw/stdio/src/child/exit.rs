//! How a child process ended.

use std::{error::Error, fmt, iter, time::Duration};

use towpath_raw::Explanation;

/// How a child process ended, when, and what it said last.
///
/// It is the explanation of the end of its lane, and of a write that failed because the child is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildExit {
    /// Its exit code, or the signal that ended it.
    pub status: ChildStatus,
    /// How long it lived.
    pub after: Duration,
    /// The end of what it wrote to stderr: at most 8 lines and 2 KiB, made printable.
    pub stderr_tail: String,
}

/// The ways in which a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChildStatus {
    /// It ended by itself, with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It ended, and other code of this process took the news of how: it waits for every child there is
    /// (`waitpid(-1)`), or ignores SIGCHLD.
    ///
    /// Then nothing keeps the system from giving the number of the child to another process. What it has left
    /// behind is signalled only while its group has a member of our session that was seen before, which leaves a
    /// moment between that look and the signal. A program that starts children had better not do it.
    Unknown,
}

impl ChildExit {
    pub(super) fn new(status: ChildStatus, after: Duration, stderr_tail: String) -> Self {
        Self { status, after, stderr_tail }
    }

    /// The exit that caused this error, if one did: the first one among the error and its sources.
    ///
    /// Each error that the death of a child causes, of the lane or of a layer above, has it there.
    ///
    /// # Example
    ///
    /// ```
    /// use towpath_raw::{Frame, FrameSinkExt, Lane};
    /// use towpath_stdio::{ChildCommand, ChildExit, ChildStatus};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lane = ChildCommand::new("false").spawn()?;
    /// lane.handle().exit().await;
    /// let (_source, mut sink) = lane.split();
    /// let error = sink.send(Frame::from(bytes::Bytes::from("{}"))).await.unwrap_err();
    /// let exit = ChildExit::cause_of(&error).unwrap();
    /// assert_eq!(exit.status, ChildStatus::Code(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ChildExit> {
        iter::successors(Some(error), |&error| error.source()).find_map(|error| {
            // An explanation is an error that is shared, and of its own type.
            error.downcast_ref().or_else(|| error.downcast_ref::<Explanation>()?.downcast_ref())
        })
    }

    /// Whether it ended by itself, with code 0.
    pub fn is_success(&self) -> bool {
        self.status == ChildStatus::Code(0)
    }
}

impl fmt::Display for ChildStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildStatus::Code(code) => write!(f, "exited with status {code}"),
            ChildStatus::Signal(signal) => match SIGNALS.iter().find(|(number, _)| number == signal) {
                Some((_, name)) => write!(f, "was ended by signal {signal} ({name})"),
                None => write!(f, "was ended by signal {signal}"),
            },
            ChildStatus::Unknown => f.write_str("ended in a way that is not known"),
        }
    }
}

impl fmt::Display for ChildExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, but a child that died at once must not seem to have lived for no time.
        let after = Duration::from_millis(self.after.as_millis().max(1) as u64);
        write!(f, "the child {} after {after:?}", self.status)?;
        if self.stderr_tail.is_empty() {
            f.write_str("; it wrote nothing to stderr")
        } else {
            write!(f, "; its last words on stderr: {}", self.stderr_tail)
        }
    }
}

impl Error for ChildExit {}

/// Those that users meet; the numbers are the same on every architecture that Linux has these for.
const SIGNALS: &[(i32, &str)] = &[
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_says_status_time_and_last_words() {
        let exit = ChildExit::new(ChildStatus::Code(3), Duration::from_micros(120_400), "no token".into());
        assert_eq!(
            exit.to_string(),
            "the child exited with status 3 after 120ms; its last words on stderr: no token"
        );
        assert!(!exit.is_success());
        let exit = ChildExit::new(ChildStatus::Signal(9), Duration::ZERO, String::new());
        let text = exit.to_string();
        assert_eq!(text, "the child was ended by signal 9 (SIGKILL) after 1ms; it wrote nothing to stderr");
    }
}
