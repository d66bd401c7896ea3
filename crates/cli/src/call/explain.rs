//! What went wrong with a call, in the words of the command line.

use towpath::{CallError, Client, Phase};

use crate::{
    args::{CallArgs, call_hint},
    exit::{Failure, Status},
    explain::{self, Ended, NOT_THE_PROTOCOL, exchange_hint},
    units::show_size,
};

/// Explains the errors of one call.
pub(super) struct Explain<'a> {
    pub(super) args: &'a CallArgs,
    /// Those before it.
    pub(super) start: explain::Explain<'a>,
}

impl Explain<'_> {
    pub(super) fn call(&self, error: &CallError, client: &Client) -> Failure {
        let (server, method) = (&self.start.server, &self.args.method);
        match error {
            CallError::Answered { error, .. } => {
                let data = error.data.as_ref().map(|data| format!(", data {data}")).unwrap_or_default();
                let cause = format!("`{server}` answered `{method}` with an error: {error}{data}");
                Failure::new(Status::Refused, cause).with_hint(match error.code {
                    METHOD_NOT_FOUND => "`server/discover` or `initialize` says what it can do",
                    INVALID_PARAMS => "check PARAMS_JSON; `tools/list` and the like say what is expected",
                    _ => "-v shows what it writes to stderr meanwhile",
                })
            }
            CallError::Timeout { .. } => {
                let mut cause = format!(
                    "no answer to `{method}` from `{server}` within {:?} (--timeout)",
                    self.args.timeout,
                );
                if client.peer().stats().oversized > 0 {
                    let limit = show_size(self.args.max_message_size);
                    cause.push_str(&format!("; a message of more than {limit} was passed over"));
                    return Failure::new(Status::TimedOut, cause).with_hint("raise --max-message-size");
                }
                cause.push_str(&explain::shown(self.start.seen));
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
                let cause = format!(
                    "lost `{server}` before its answer to `{method}`: {}",
                    Ended::of(end, self.start.seen)
                );
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
}

const SENT: &str = "the request was sent: mind that the server may have acted before you call again";
const METHOD_NOT_FOUND: i64 = towpath::jsonrpc::code::METHOD_NOT_FOUND;
const INVALID_PARAMS: i64 = towpath::jsonrpc::code::INVALID_PARAMS;
