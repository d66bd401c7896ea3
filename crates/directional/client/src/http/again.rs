//! When a request is sent once more: only if the server has not executed it.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use towpath_jsonrpc::{Kind, Message, code};
use towpath_raw::{ExchangeError, Inbound};

use super::{refusal::retry_after, wire::Sent};

/// Why a request is sent once more. Each reason counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No byte of it was written.
    Connection,
    /// Its session was forgotten, and there is another one now.
    Session,
    /// The server had no time (503, `Retry-After`).
    Busy,
    /// Who asks was not accepted, and is another now (401, 403).
    Caller,
    /// The headers did not say what the body says (−32020), and are others now.
    Headers,
}

/// The reasons for which a request was sent again.
#[derive(Debug, Default)]
pub(super) struct Repeats(u8);

impl Repeats {
    /// Whether this is the first time.
    pub(super) fn first(&mut self, why: Why) -> bool {
        let bit = 1 << why as u8;
        let first = self.0 & bit == 0;
        self.0 |= bit;
        first
    }

    pub(super) fn has(&self, why: Why) -> bool {
        self.0 & (1 << why as u8) != 0
    }
}

/// What a refusal says about the session that the request named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Certainly,
    /// The server has to be asked.
    Perhaps,
}

/// What becomes of a request if nothing can be done about it.
pub(super) type Verdict = Result<Inbound, ExchangeError>;

/// Whether an HTTP refusal is one of the session. `said` is the error of JSON-RPC in its body.
pub(super) fn refused_session(
    status: StatusCode,
    said: Option<&Message>,
    request: &Message,
    sent: &Sent,
) -> Option<Gone> {
    if !sent.named {
        return None;
    }
    let answers = said.is_some_and(|said| said.id().is_some() && said.id() == request.id());
    let error = said.and_then(Message::error).map(|error| error.code);
    match status {
        // Some servers say in this way that there is no such method, as the later revision does.
        StatusCode::NOT_FOUND if answers && error == Some(code::METHOD_NOT_FOUND) => None,
        StatusCode::NOT_FOUND => Some(Gone::Certainly),
        StatusCode::BAD_REQUEST if !answers => Some(Gone::Perhaps),
        _ => said.filter(|said| is_about_the_session(said)).map(|_| Gone::Perhaps),
    }
}

/// Whether an error of JSON-RPC says that there is no such session, as servers say it that have no status for it.
pub(super) fn is_about_the_session(answer: &Message) -> bool {
    answer.kind() == Kind::Error
        && answer.error().is_some_and(|error| {
            [SESSION_NOT_FOUND, code::INVALID_REQUEST].contains(&error.code)
                && error.message.to_ascii_lowercase().contains("session")
        })
}

/// How long a server that has no time wants to be left alone, if that is not too long.
pub(super) fn busy(status: StatusCode, headers: &HeaderMap, longest: Duration) -> Option<Duration> {
    let busy = status == StatusCode::SERVICE_UNAVAILABLE;
    busy.then(|| retry_after(headers)).flatten().filter(|after| *after <= longest && !longest.is_zero())
}

const SESSION_NOT_FOUND: i64 = -32001;
