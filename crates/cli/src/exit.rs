//! How the command ends: a status, and one line that says why.

use std::{fmt, process::ExitCode};

use crate::{stderr, text::one_line};

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Done = 0,
    Refused = 1,
    Usage = 2,
    NotConnected = 3,
    Lost = 4,
    TimedOut = 5,
    NotWritten = 6,
    Interrupted = 130,
}

/// What each status means; the help of `towpath call` shows it.
pub(crate) const TABLE: &[(Status, &str)] = &[
    (Status::Done, "the result is on stdout"),
    (Status::Refused, "the server answered with an error, or the tool says that it failed (isError)"),
    (Status::Usage, "the command line is wrong, or the request cannot be made"),
    (Status::NotConnected, "the server could not be started or connected, or speaks no revision in common"),
    (Status::Lost, "the connection was lost before the answer came, or the answer was too large"),
    (Status::TimedOut, "there was no answer in time, or nobody took the result in time"),
    (Status::NotWritten, "the result could not be written to stdout"),
    (Status::Interrupted, "interrupted, by SIGINT, SIGTERM or SIGHUP"),
];

/// The table, for `--help`.
pub(crate) fn help() -> String {
    let rows = TABLE.iter().map(|(status, meaning)| format!("  {:>3}  {meaning}\n", *status as u8));
    format!("Exit status:\n{}", rows.collect::<String>())
}

/// Why the command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    cause: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: Status, cause: impl Into<String>) -> Self {
        Self { status, cause: cause.into(), hint: None }
    }

    /// What the user can do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn interrupted(signal: impl fmt::Display) -> Self {
        Self::new(Status::Interrupted, format!("interrupted by {signal}"))
    }

    /// The system has no room for what the command needs.
    pub(crate) fn not_started(error: impl fmt::Display) -> Self {
        Self::new(Status::NotConnected, format!("cannot start: {error}"))
            .with_hint("check the limits on processes and open files (ulimit -u, -n)")
    }

    /// The cause on one line, and the hint on the next.
    fn lines(&self) -> String {
        let mut lines = format!("error: {}\n", one_line(&self.cause));
        if let Some(hint) = &self.hint {
            lines.push_str(&format!("hint: {}\n", one_line(hint)));
        }
        lines
    }

    /// Says it on stderr, if there is room; the command goes on.
    pub(crate) fn warn(&self) {
        stderr::write(self.lines().into_bytes());
    }

    /// Says it on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        stderr::write_cause(self.lines().into_bytes());
        ExitCode::from(self.status as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_a_hint() {
        let failure = Failure::new(Status::Lost, "it\nended \u{7}").with_hint("try\nagain");
        assert_eq!(failure.lines(), "error: it | ended ?\nhint: try | again\n");
        assert_eq!(Failure::interrupted("SIGINT").lines(), "error: interrupted by SIGINT\n");
    }

    #[test]
    fn every_status_is_in_the_help_once() {
        let help = help();
        for (status, meaning) in TABLE {
            assert_eq!(help.matches(&format!("{:>3}  {meaning}", *status as u8)).count(), 1, "{help}");
        }
    }
}
