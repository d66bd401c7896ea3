//! What went wrong, in the words of the command line.

use std::{collections::VecDeque, error::Error, sync::Arc};

use towpath::{
    CallError, ChildExit, Client, ConnectError, LinkEnd, Phase,
    mcp::{HandshakeError, Incompatible},
    raw::{ExchangeError, LaneError, Level, Mutex},
    stdio::{ChildStatus, SpawnError},
};

use crate::{
    args::{CallArgs, EraChoice, call_hint},
    exit::{Failure, Status},
    units::show_size,
};

/// The last lines that the server wrote to stderr, for errors while it lives. One that has exited is explained by its
/// exit.
#[derive(Clone)]
pub(super) struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl Default for LastWords {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Level::Handler, "LastWords::0", VecDeque::new())))
    }
}

impl LastWords {
    pub(super) fn push(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock();
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(LAST_CHARS).collect());
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.0.lock().iter().cloned().collect();
        match lines.is_empty() {
            true => "it wrote nothing to stderr".into(),
            false => format!("its last words on stderr: {}", lines.join("\n")),
        }
    }
}

/// Explains the errors of one call.
pub(super) struct Explain<'a> {
    pub(super) args: &'a CallArgs,
    pub(super) last_words: &'a LastWords,
}

impl Explain<'_> {
    pub(super) fn spawn(&self, error: &SpawnError) -> Failure {
        let (cause, hint) = match error {
            SpawnError::NotFound { program, has_directory: false } => {
                (format!("cannot start `{program}`: no such program in PATH"), "is it installed and on PATH?")
            }
            SpawnError::NotFound { program, .. } => (
                format!("cannot start `{program}`: no such program"),
                "is the path right? A script also needs the interpreter of its first line",
            ),
            SpawnError::Directory { directory, source, .. } => (
                format!("cannot start `{}` in {}: {source}", self.program(), directory.display()),
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

    pub(super) fn connect(&self, error: &ConnectError) -> Failure {
        let program = self.program();
        match error {
            ConnectError::Timeout { .. } => {
                let cause = format!(
                    "no answer to the handshake from `{program}` within {:?} (--timeout); {}",
                    self.args.timeout,
                    self.last_words.text(),
                );
                let hint = "raise --timeout if it is slow to start; else check that it speaks MCP over stdin and stdout";
                Failure::new(Status::TimedOut, cause).with_hint(hint)
            }
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
                    _ if self.args.era == EraChoice::Legacy => "try --era auto: it may be a modern server",
                    _ => "it speaks no revision in common: update it",
                };
                Failure::new(Status::NotConnected, format!("`{program}`: {source}")).with_hint(hint)
            }
            ConnectError::Lost(CallError::Closed { end, .. }) => {
                let cause = format!("no connection to `{program}`: {}", self.end(end));
                let failure = Failure::new(Status::NotConnected, cause);
                failure.with_hint(match exit_of(end).map(|exit| exit.status) {
                    Some(ChildStatus::Code(127)) => "127 mostly says that a shell did not find a command",
                    Some(_) => "run the command by itself to see what it needs; is it an MCP server?",
                    None => "is it an MCP server that speaks over stdin and stdout?",
                })
            }
            ConnectError::Lost(error) => {
                Failure::new(Status::NotConnected, format!("no connection to `{program}`: {error}"))
                    .with_hint(self.other_hint(error))
            }
            other => Failure::new(Status::NotConnected, other.to_string()),
        }
    }

    fn incompatible(&self, source: &Incompatible) -> Failure {
        let client = source.client.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let server = match source.server.as_slice() {
            [] => "no revision from 2026-07-28 on".to_owned(),
            revisions => revisions.join(", "),
        };
        let cause = format!("`{}` speaks {server}; asked for was {client}", self.program());
        let hint = match self.args.era {
            EraChoice::Modern => "--era auto speaks with legacy servers, too",
            EraChoice::Legacy => "--era auto speaks with modern servers, too",
            EraChoice::Auto => "update the server",
        };
        Failure::new(Status::NotConnected, cause).with_hint(hint)
    }

    pub(super) fn call(&self, error: &CallError, client: &Client) -> Failure {
        let (program, method) = (self.program(), &self.args.method);
        match error {
            CallError::Answered { error, .. } => {
                let data = error.data.as_ref().map(|data| format!(", data {data}")).unwrap_or_default();
                let cause = format!("`{program}` answered `{method}` with an error: {error}{data}");
                Failure::new(Status::Refused, cause).with_hint(match error.code {
                    METHOD_NOT_FOUND => "`server/discover` or `initialize` says what it can do",
                    INVALID_PARAMS => "check PARAMS_JSON; `tools/list` and the like say what is expected",
                    _ => "-v shows what it writes to stderr meanwhile",
                })
            }
            CallError::Timeout { .. } => {
                let mut cause = format!(
                    "no answer to `{method}` from `{program}` within {:?} (--timeout)",
                    self.args.timeout,
                );
                if client.peer().stats().oversized > 0 {
                    let limit = show_size(self.args.max_message_size);
                    cause.push_str(&format!("; a message of more than {limit} was passed over"));
                    return Failure::new(Status::TimedOut, cause).with_hint("raise --max-message-size");
                }
                cause.push_str(&format!("; {}", self.last_words.text()));
                Failure::new(Status::TimedOut, cause)
                    .with_hint("raise --timeout; the server was told that the request is cancelled")
            }
            CallError::Exchange { source, phase, .. } => {
                let cause = format!("no answer to `{method}`: {source}");
                let failure = Failure::new(Status::Lost, cause);
                failure.with_hint(match phase {
                    Phase::OutcomeUnknown => SENT,
                    _ => exchange_hint(source),
                })
            }
            CallError::Closed { end, phase, .. } => {
                let cause = format!("lost `{program}` before its answer to `{method}`: {}", self.end(end));
                Failure::new(Status::Lost, cause).with_hint(match phase {
                    Phase::NotSent => "the request was not sent: it is safe to repeat",
                    _ => SENT,
                })
            }
            other => {
                let status = if other.phase() == Phase::NotSent { Status::Usage } else { Status::Lost };
                Failure::new(status, other.to_string()).with_hint(self.other_hint(other))
            }
        }
    }

    /// Nobody has taken the result in time.
    pub(super) fn unread(&self) -> Failure {
        let cause = format!(
            "the result was not taken from stdout within {:?} (--timeout), or not all of it",
            self.args.timeout,
        );
        Failure::new(Status::TimedOut, cause)
            .with_hint("read stdout, or raise --timeout; the server has answered, and may have acted")
    }

    fn other_hint(&self, error: &CallError) -> String {
        match error {
            CallError::TooLarge { .. } | CallError::AnswerTooLarge { .. } => {
                "raise --max-message-size".into()
            }
            CallError::Unsendable { .. } => call_hint(),
            CallError::Malformed { .. } => NOT_THE_PROTOCOL.into(),
            _ => "-v shows more".into(),
        }
    }

    /// Why the connection ended: by the exit of the server, if that is known.
    fn end(&self, end: &LinkEnd) -> String {
        match exit_of(end) {
            Some(exit) => exit.to_string(),
            None => format!("{end}; {}", self.last_words.text()),
        }
    }

    fn program(&self) -> String {
        if let Some(url) = &self.args.url {
            return url.to_string();
        }
        self.args.command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// What to do about an exchange that has failed.
fn exchange_hint(error: &ExchangeError) -> &'static str {
    match error {
        ExchangeError::NotConnected { .. } => "is the address right, and does the server run?",
        ExchangeError::Refused { status: 401 | 403, .. } => {
            "it wants credentials: --header 'Authorization: …'"
        }
        ExchangeError::Refused { status: 404 | 405, .. } => "is the path right? It mostly ends with /mcp",
        ExchangeError::Refused { status: 429 | 503, .. } => "it is busy: try again later",
        ExchangeError::Refused { .. } => "is there an MCP server at this address?",
        ExchangeError::TooLarge { .. } => "raise --max-message-size",
        _ => "-v shows more",
    }
}

fn exit_of(end: &LinkEnd) -> Option<&ChildExit> {
    let explanation: &(dyn Error + Send + Sync) = match end {
        LinkEnd::PeerClosed(end) => end.explanation.as_deref()?,
        LinkEnd::Failed(LaneError::Closed { explanation, .. }) => explanation.as_deref()?,
        _ => return None,
    };
    explanation.downcast_ref()
}

const SENT: &str = "the request was sent: mind that the server may have acted before you call again";
const NOT_THE_PROTOCOL: &str = "it does not keep to the protocol: report it to its maker";
const METHOD_NOT_FOUND: i64 = towpath::jsonrpc::code::METHOD_NOT_FOUND;
const INVALID_PARAMS: i64 = towpath::jsonrpc::code::INVALID_PARAMS;
const LAST_LINES: usize = 8;
const LAST_CHARS: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_few_and_short() {
        let words = LastWords::default();
        assert_eq!(words.text(), "it wrote nothing to stderr");
        for line in 0..20 {
            words.push(&format!("line {line}"));
            words.push("  ");
        }
        assert!(words.text().starts_with("its last words on stderr: line 12\n"), "{}", words.text());
        words.push(&"é".repeat(5000));
        assert!(words.text().len() < 2 * LAST_CHARS + 200);
    }
}
