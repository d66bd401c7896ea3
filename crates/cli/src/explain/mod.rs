//! What went wrong with a server, in the words of the command line.

mod end;
mod exchange;
mod socket;

use std::time::Duration;

use towpath::{
    CallError, ConnectError,
    mcp::{HandshakeError, Incompatible},
    stdio::SpawnError,
};

pub(crate) use self::{
    end::{Ended, shown},
    exchange::exchange_hint,
    socket::socket,
};
use crate::{
    args::EraChoice,
    child::Seen,
    exit::{Failure, Status},
};

/// Explains why a server cannot be spoken to.
pub(crate) struct Explain<'a> {
    /// The program, or the address.
    pub(crate) server: String,
    /// What was seen of it, if it was started here.
    pub(crate) seen: Option<&'a Seen>,
    /// Whether it has all of our environment.
    pub(crate) inherits: bool,
    pub(crate) era: EraChoice,
    /// How long it may take to say what it speaks, and the option that says so.
    pub(crate) within: (Duration, &'static str),
    /// The status of having taken longer.
    pub(crate) late: Status,
}

/// Why a program cannot be started, and what to try.
pub(crate) fn spawn(error: &SpawnError) -> Failure {
    let (cause, hint) = match error {
        SpawnError::NotFound { program, .. } if program.is_empty() => {
            ("the name of the program is empty".to_owned(), "is a variable after `--` not set?")
        }
        SpawnError::NotFound { program, has_directory: false } => {
            (format!("cannot start `{program}`: no such program in PATH"), "is it installed and on PATH?")
        }
        SpawnError::NotFound { program, .. } => (
            format!("cannot start `{program}`: no such program"),
            "is the path right? A script also needs the interpreter of its first line",
        ),
        SpawnError::Directory { program, directory, source } => (
            format!("cannot start `{program}` in {}: {source}", directory.display()),
            "--cwd must be a directory that may be entered",
        ),
        SpawnError::PermissionDenied { program } => (
            format!("cannot start `{program}`: permission denied"),
            "is it a program, and executable (chmod +x)?",
        ),
        SpawnError::Io { program, source } => (
            format!("cannot start `{program}`: {source}"),
            "check the limits on processes and open files (ulimit -u, -n)",
        ),
        other => (other.to_string(), "try to run it by itself"),
    };
    Failure::new(Status::NotConnected, cause).with_hint(hint)
}

impl Explain<'_> {
    /// Why nothing could be agreed with it.
    pub(crate) fn connect(&self, error: &ConnectError) -> Failure {
        let server = &self.server;
        match error {
            ConnectError::Timeout { .. } => self.silent(),
            ConnectError::Incompatible { source, .. } => self.incompatible(source),
            ConnectError::Exchange(error) => {
                let failure = Failure::new(Status::NotConnected, format!("no connection: {error}"));
                failure.with_hint(exchange_hint(error))
            }
            ConnectError::Handshake { source, .. } => {
                let hint = match source {
                    HandshakeError::Malformed(_) => {
                        "it does not keep to the protocol: report it to its maker"
                    }
                    HandshakeError::Refused(error)
                        if error.code == METHOD_NOT_FOUND && self.era != EraChoice::Legacy =>
                    {
                        "is it an MCP server? It knows neither `server/discover` nor `initialize`"
                    }
                    _ if self.era == EraChoice::Legacy => "try --era auto: it may be a modern server",
                    _ => "it speaks no revision in common: update it",
                };
                Failure::new(Status::NotConnected, format!("`{server}`: {source}")).with_hint(hint)
            }
            ConnectError::Lost(CallError::Closed { end, .. }) => {
                let ended = Ended::of(end, self.seen);
                let cause = format!("no connection to `{server}`: {ended}");
                Failure::new(Status::NotConnected, cause).with_hint(ended.hint(self.inherits))
            }
            ConnectError::Lost(error) => {
                let hint = match error {
                    CallError::TooLarge { .. } | CallError::AnswerTooLarge { .. } => {
                        "raise --max-message-size"
                    }
                    CallError::Malformed { .. } => NOT_THE_PROTOCOL,
                    _ => "-v shows more",
                };
                Failure::new(Status::NotConnected, format!("no connection to `{server}`: {error}"))
                    .with_hint(hint)
            }
            other => Failure::new(Status::NotConnected, other.to_string()),
        }
    }

    /// It has not said in time what it speaks.
    pub(crate) fn silent(&self) -> Failure {
        let (within, option) = self.within;
        let cause = format!(
            "no answer to the handshake from `{}` within {within:?} ({option}){}",
            self.server,
            shown(self.seen),
        );
        let hint = if self.seen.is_some_and(|seen| seen.skipped().0 > 0) {
            end::STDOUT_IS_FOR_MESSAGES.to_owned()
        } else {
            let how = if self.seen.is_some() { "over stdin and stdout" } else { "there" };
            format!("raise {option} if it is slow to start; else check that it speaks MCP {how}")
        };
        Failure::new(self.late, cause).with_hint(hint)
    }

    fn incompatible(&self, source: &Incompatible) -> Failure {
        let client = source.client.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let server = match source.server.as_slice() {
            [] => "no revision from 2026-07-28 on".to_owned(),
            revisions => revisions.join(", "),
        };
        let cause = format!("`{}` speaks {server}; asked for was {client}", self.server);
        let hint = match self.era {
            EraChoice::Modern => "--era auto speaks with legacy servers, too",
            EraChoice::Legacy => "--era auto speaks with modern servers, too",
            EraChoice::Auto => "update the server",
        };
        Failure::new(Status::NotConnected, cause).with_hint(hint)
    }
}

const METHOD_NOT_FOUND: i64 = towpath::jsonrpc::code::METHOD_NOT_FOUND;
pub(crate) const NOT_THE_PROTOCOL: &str = "it does not keep to the protocol: report it to its maker";
