//! What becomes of a message from a client.

use towpath_jsonrpc::RawJson;

use crate::fault::Rejection;
use crate::level::LogLevel;
use crate::request::ModernRequest;
use crate::revision::Revision;

/// What to do with a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one; a box would cost an allocation a request"
)]
pub enum Admit {
    /// A modern request for the handler.
    Modern(ModernRequest),
    /// A request of the legacy session for the handler.
    Legacy,
    /// A request that the endpoint answers itself.
    Answer(Answer),
    /// A notification for the handler, or for whoever correlates cancellations and progress.
    Notification,
    /// `notifications/initialized`: the session is ready.
    Initialized,
    /// The client's answer to a request of the legacy session.
    Response,
    /// A request to be answered with an error.
    Reject(Rejection),
    /// A message without an answer that means nothing here: count it and go on.
    Ignore(Ignored),
}

/// An answer of the endpoint's own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The result.
    pub result: RawJson,
    /// What it answers.
    pub to: Answered,
}

/// What the endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// `initialize`.
    Initialize {
        /// The revision agreed on.
        revision: Revision,
    },
    /// `ping`.
    Ping,
    /// `server/discover`.
    Discover,
    /// `logging/setLevel`, noted in the session.
    SetLevel {
        /// The level.
        level: LogLevel,
    },
}

/// Why a message without an answer is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// A response, where no request of the server can be in flight.
    UnexpectedResponse,
    /// A notification of a session that is not there.
    OutsideSession,
    /// `notifications/initialized`, a second time.
    Repeated,
}
