//! How a server ended: with what status, when, and what it had to say.

use std::{error::Error, fmt, time::Duration};

use towpath::{ChildExit, LinkEnd, raw::LaneError, stdio::ChildStatus};

use crate::child::Seen;

/// The end of a connection, by the end of the process behind it where there is one.
pub(crate) struct Ended {
    how: How,
    /// What it wrote that was no message, and its last words.
    shown: String,
    has_skipped: bool,
}

enum How {
    Exited(ChildExit),
    /// Its stdout or stdin has ended, and it has not.
    Closed(&'static str),
    Otherwise(LinkEnd),
}

impl Ended {
    pub(crate) fn of(end: &LinkEnd, seen: Option<&Seen>) -> Self {
        let is_child = seen.is_some_and(|seen| seen.child().is_some());
        // Its exit by now may have come of the end of its lane: what counts is what was known then.
        let how = match (exit_of(end), end) {
            (Some(exit), _) => How::Exited(exit.clone()),
            (None, LinkEnd::PeerClosed(_)) if is_child => How::Closed("stdout"),
            (None, LinkEnd::Failed(LaneError::Closed { .. })) if is_child => How::Closed("stdin"),
            _ => How::Otherwise(end.clone()),
        };
        let has_skipped = seen.is_some_and(|seen| seen.skipped().0 > 0);
        Self { shown: shown(seen), how, has_skipped }
    }

    /// What to try.
    pub(crate) fn hint(&self, inherits: bool) -> String {
        let status = match &self.how {
            How::Exited(exit) => exit.status,
            _ if self.has_skipped => return STDOUT_IS_FOR_MESSAGES.into(),
            How::Closed(_) => {
                return "a server keeps both open until its stdin ends: does it go on in the background?"
                    .into();
            }
            How::Otherwise(_) => return "is it an MCP server that speaks over stdin and stdout?".into(),
        };
        match status {
            ChildStatus::Code(127) => "127 mostly says that a shell did not find a command".into(),
            ChildStatus::Code(126) => "126 mostly says that a shell may not execute a command (chmod +x)".into(),
            _ if self.has_skipped => STDOUT_IS_FOR_MESSAGES.into(),
            ChildStatus::Code(0) => {
                "it ended as if it had nothing to do: does it need an argument to speak MCP over stdin and stdout?"
                    .into()
            }
            ChildStatus::Code(_) if inherits => "run the command by itself to see what it needs".into(),
            ChildStatus::Code(_) => {
                "run the command by itself to see what it needs; if that works, it may need more of our environment: \
                 --env NAME, or --inherit-env for all of it"
                    .into()
            }
            ChildStatus::Signal(SIGKILL) => {
                "somebody has killed it, or the system, if memory was short; run the command by itself".into()
            }
            ChildStatus::Signal(signal) if CRASHES.contains(&signal) => {
                "it has crashed: run the command by itself, and report it to its maker".into()
            }
            _ => "run the command by itself to see what ends it".into(),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            How::Exited(exit) => {
                // Rounded, but one that died at once must not seem to have lived for no time.
                let after = Duration::from_millis(exit.after.as_millis().max(1) as u64);
                write!(f, "it {} after {after:?}", exit.status)?;
            }
            How::Closed(which) => write!(f, "it has closed its {which}, and lives on")?,
            How::Otherwise(end) => write!(f, "{end}")?,
        }
        f.write_str(&self.shown)
    }
}

/// What a server has shown beside its messages, to be put after what happened to it.
pub(crate) fn shown(seen: Option<&Seen>) -> String {
    let Some(seen) = seen else { return String::new() };
    let (skipped, first) = seen.skipped();
    let lines = match skipped {
        0 => String::new(),
        1 => format!("; it wrote a line to stdout that is no message: {first}"),
        _ => format!("; it wrote {skipped} lines to stdout that are no messages, the first: {first}"),
    };
    let tail = seen.child().map(|child| child.stderr_tail()).unwrap_or_default();
    let words = match tail.as_str() {
        "" => "; it wrote nothing to stderr".to_owned(),
        tail => format!("; its last words on stderr: {tail}"),
    };
    lines + &words
}

fn exit_of(end: &LinkEnd) -> Option<&ChildExit> {
    let explanation: &(dyn Error + Send + Sync) = match end {
        LinkEnd::PeerClosed(end) => end.explanation.as_deref()?,
        LinkEnd::Failed(LaneError::Closed { explanation, .. }) => explanation.as_deref()?,
        _ => return None,
    };
    explanation.downcast_ref()
}

pub(super) const STDOUT_IS_FOR_MESSAGES: &str = "stdout is for messages alone: does it need an argument to speak MCP \
    over stdin and stdout? One that listens on a port is reached by its URL";
const SIGKILL: i32 = 9;
/// SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV and SIGSYS.
const CRASHES: &[i32] = &[4, 5, 6, 7, 8, 11, 31];
