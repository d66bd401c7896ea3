//! Why there is no connection, or no subscription.

use std::sync::Arc;

use towpath_jsonrpc::RawJson;
use towpath_link::CallError;
use towpath_mcp::{HandshakeError, Incompatible};
use towpath_raw::{ExchangeError, Timeout};

/// Why a client could not connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server and this client speak no common revision.
    #[error("{peer}: {source}")]
    Incompatible {
        /// The server.
        peer: Arc<str>,
        /// What each of them speaks, and what to change.
        source: Incompatible,
    },
    /// The server refused the handshake, or answered it with nonsense.
    #[error("{peer}: {source}")]
    Handshake {
        /// The server.
        peer: Arc<str>,
        /// What happened.
        source: HandshakeError,
    },
    /// The handshake was not done in time. Setting:
    /// [`ClientTimeouts::handshake`](crate::ClientTimeouts::handshake).
    #[error("{peer}: {source}")]
    Timeout {
        /// The server.
        peer: Arc<str>,
        /// The deadline that passed.
        source: Timeout,
    },
    /// An HTTP exchange of the opening failed: nobody is there, or the server, or something before it, refused with a
    /// status that says nothing about what it speaks. [`ExchangeError::Refused`] has the status, the beginning of the
    /// body, and when to come back.
    #[error("cannot connect: {0}")]
    Exchange(#[source] ExchangeError),
    /// The connection failed before the handshake was done.
    #[error("the connection failed before the handshake was done: {0}")]
    Lost(#[source] CallError),
}

/// Why a client cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The request failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server answered at once, instead of acknowledging.
    #[error("{peer} ended the subscription before it acknowledged it: {answer}")]
    NotAcknowledged {
        /// The server.
        peer: Arc<str>,
        /// What it answered.
        answer: RawJson,
    },
    /// The acknowledgement cannot be read.
    #[error("{peer} acknowledged the subscription with something that is no filter")]
    Malformed {
        /// The server.
        peer: Arc<str>,
    },
}
