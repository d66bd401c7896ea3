//! What can be wrong with a message, classed by blame.

use std::fmt::Write as _;
use std::time::Duration;

use towpath_jsonrpc::{EnvelopeError, ErrorObject, RawJson};

use crate::revision::{Revision, Rules};

/// Why a message gets an error as its answer. [`wire_reply`](crate::wire_reply) says what that answer is.
///
/// Text that came from the peer is cut at [`MAX_ECHO_BYTES`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not JSON, or not an envelope of JSON-RPC.
    #[error("{detail}")]
    Malformed {
        /// −32700 or −32600.
        code: i64,
        /// A word for programs.
        reason: &'static str,
        /// What is wrong, for people.
        detail: String,
    },
    /// A batch, in a revision that has none.
    #[error("a batch is only part of revision 2025-03-26, after `initialize` agreed on it")]
    BatchNotAllowed,
    /// A modern request without one of its required `_meta` members.
    #[error("`{key}` is missing: a request outside a session carries it in `params._meta`")]
    MissingMeta {
        /// The missing key; `_meta` when all of it is missing.
        key: &'static str,
    },
    /// A `_meta` member of the wrong type.
    #[error("`{key}` in `params._meta` must be {expected}")]
    InvalidMeta {
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member of `params`, other than `_meta`, that the protocol itself reads is missing or of the wrong type.
    #[error("`params.{member}` must be {expected}")]
    InvalidParams {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An HTTP header and the body disagree, or a required header is missing.
    #[error("header mismatch: {detail}")]
    HeaderMismatch {
        /// The name of the header, for programs.
        header: String,
        /// How, for people.
        detail: String,
    },
    /// The request needs a capability that the client did not declare.
    #[error("the request needs a capability that the client did not declare")]
    MissingCapability {
        /// The capabilities, as an object like the one that declares them.
        required: RawJson,
    },
    /// No such method in this revision.
    #[error("method not found: {method}")]
    MethodNotFound {
        /// The method.
        method: String,
        /// Named in the answer when not empty: what to tell a client that cannot find out by itself.
        supported: Vec<Revision>,
    },
    /// A request before the handshake.
    #[error("not initialized: send `initialize` first")]
    NotInitialized,
    /// A second `initialize`.
    #[error("already initialized: a session is initialized once")]
    AlreadyInitialized,
    /// No such session, or not this principal's.
    #[error("session not found: start again with `initialize`")]
    SessionUnknown,
    /// A message outside any session, over HTTP, that is neither modern nor `initialize`.
    #[error("the Mcp-Session-Id header is missing: open a session with `initialize` first")]
    SessionRequired,
    /// A response, where no request of the server can be in flight.
    #[error("a response answers nothing here: only a session has requests of the server")]
    UnexpectedResponse,
    /// The session has ended.
    #[error("the session is closed")]
    SessionClosed,
    /// The request comes from where it must not.
    #[error("forbidden: {what} is not allowed here")]
    Forbidden {
        /// The origin, or the host.
        what: &'static str,
    },
    /// A method of HTTP that means nothing here.
    #[error("this endpoint takes {allow}")]
    MethodNotAllowed {
        /// What it takes, as it stands in `Allow`.
        allow: &'static str,
    },
    /// Wrong `Accept` or `Content-Type`, over HTTP.
    #[error("{expected}")]
    HttpShape {
        /// 406 or 415.
        status: u16,
        /// What was expected.
        expected: &'static str,
    },
    /// The resource does not exist.
    #[error("resource not found: {uri}")]
    ResourceNotFound {
        /// Its URI.
        uri: String,
    },

    /// The peer asks for a revision that is not spoken here.
    #[error("unsupported protocol version {requested}; supported: {}", list(supported))]
    UnsupportedVersion {
        /// What it asked for.
        requested: String,
        /// What is spoken here.
        supported: Vec<Revision>,
    },
    /// `initialize`, where no revision with a handshake is spoken.
    #[error(
        "unsupported protocol version {requested}: this server has no `initialize`; it speaks {}",
        list(supported)
    )]
    NoHandshake {
        /// What it asked for.
        requested: String,
        /// What is spoken here.
        supported: Vec<Revision>,
    },

    /// A modern message, where only revisions with a handshake are spoken. Its answer must not look like that of a
    /// modern server: that is how clients tell which era a server speaks.
    #[error("send `initialize` first: this server speaks {}", list(supported))]
    EraNotSpoken {
        /// What is spoken here.
        supported: Vec<Revision>,
    },
    /// A message of a session whose `MCP-Protocol-Version` header names no revision that a session here can have.
    #[error(
        "no session here speaks {requested}, the MCP-Protocol-Version header; supported: {}",
        list(supported)
    )]
    VersionHeader {
        /// What the header says.
        requested: String,
        /// What is spoken here.
        supported: Vec<Revision>,
    },

    /// Larger than a size limit.
    #[error("{what} is larger than {limit_bytes} bytes (`{setting}`)")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit_bytes: usize,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// More than a count limit.
    #[error("no more than {limit} {what} (`{setting}`)")]
    LimitReached {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// This peer has too many requests in flight.
    #[error("no more than {limit} requests in flight (`{setting}`)")]
    TooManyRequests {
        /// The limit.
        limit: usize,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// All peers together ask for too much.
    #[error("overloaded: {what} (`{setting}`)")]
    Overloaded {
        /// What has run out.
        what: &'static str,
        /// The setting that changes it.
        setting: &'static str,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// A body that came too slowly.
    #[error("{what} took longer than {limit:?} (`{setting}`)")]
    TooSlow {
        /// What was too slow.
        what: &'static str,
        /// The limit.
        limit: Duration,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// No new work is taken.
    #[error("shutting down")]
    ShuttingDown,

    /// The handler did not answer in time.
    #[error("no answer within {limit:?} (`{setting}`)")]
    TimedOut {
        /// The limit.
        limit: Duration,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// The handler dropped its responder.
    #[error("the handler gave no answer")]
    Unanswered,
    /// A failure whose details are none of the peer's business.
    #[error("internal error")]
    Internal,
    /// The server behind this one was lost.
    #[error("the upstream server failed: {reason}")]
    Upstream {
        /// A word for programs.
        reason: &'static str,
    },
    /// The request was cancelled, and its binding needs an answer all the same.
    #[error("cancelled")]
    Cancelled,
    /// The handler's own error, passed on as it is.
    #[error("{0}")]
    Handler(ErrorObject),
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The peer broke the protocol.
    Peer,
    /// The peer speaks another revision.
    Incompatible,
    /// A limit was reached.
    Limit,
    /// This side, or what is behind it.
    Internal,
    /// Nobody's: the request was cancelled.
    Cancelled,
    /// The application's own answer.
    Handler,
}

impl Fault {
    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Fault::UnsupportedVersion { .. }
            | Fault::NoHandshake { .. }
            | Fault::EraNotSpoken { .. }
            | Fault::VersionHeader { .. } => Blame::Incompatible,
            Fault::TooLarge { .. }
            | Fault::LimitReached { .. }
            | Fault::TooManyRequests { .. }
            | Fault::Overloaded { .. }
            | Fault::TooSlow { .. }
            | Fault::ShuttingDown => Blame::Limit,
            Fault::TimedOut { .. } | Fault::Unanswered | Fault::Internal | Fault::Upstream { .. } => {
                Blame::Internal
            }
            Fault::Cancelled => Blame::Cancelled,
            Fault::Handler(_) => Blame::Handler,
            _ => Blame::Peer,
        }
    }

    /// An unknown method.
    #[must_use]
    pub fn method_not_found(method: &str) -> Fault {
        Fault::MethodNotFound { method: clip(method), supported: Vec::new() }
    }

    /// A revision that is not spoken here.
    #[must_use]
    pub fn unsupported_version(requested: &str, supported: &[Revision]) -> Fault {
        Fault::UnsupportedVersion { requested: clip(requested), supported: supported.to_vec() }
    }

    /// A resource that does not exist.
    #[must_use]
    pub fn resource_not_found(uri: &str) -> Fault {
        Fault::ResourceNotFound { uri: clip(uri) }
    }

    /// Refuses a request, with the reply that these rules give.
    #[must_use]
    pub fn under(self, rules: &'static Rules) -> Rejection {
        Rejection { fault: self, rules }
    }
}

impl From<&EnvelopeError> for Fault {
    fn from(error: &EnvelopeError) -> Self {
        Fault::Malformed { code: error.code(), reason: error.reason(), detail: clip(&error.to_string()) }
    }
}

/// A fault, and the rules under which it is answered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct Rejection {
    /// What is wrong.
    pub fault: Fault,
    /// The rules of the revision that the request belongs to.
    pub rules: &'static Rules,
}

impl Rejection {
    /// What goes over the wire.
    #[must_use]
    pub fn reply(&self) -> crate::WireReply {
        crate::wire_reply(&self.fault, self.rules)
    }
}

/// Text of the peer, cut to what an error message may carry of it.
pub(crate) fn clip(text: &str) -> String {
    if text.len() <= MAX_ECHO_BYTES {
        return text.to_owned();
    }
    let end = (0..=MAX_ECHO_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mut cut = text.get(..end).unwrap_or_default().to_owned();
    cut.push('…');
    cut
}

/// Revisions, for people.
pub(crate) fn list(revisions: &[Revision]) -> String {
    let mut text = String::new();
    for revision in revisions {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{revision}");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

/// How much of a peer's text an error repeats, in bytes.
pub const MAX_ECHO_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use towpath_jsonrpc::{EnvelopeLimits, Message};

    use super::*;

    #[test]
    fn the_peers_text_is_cut_between_characters() {
        assert_eq!(clip("short"), "short");
        let long = "ü".repeat(MAX_ECHO_BYTES);
        let cut = clip(&format!("x{long}"));
        assert!(cut.len() <= MAX_ECHO_BYTES + '…'.len_utf8());
        assert!(cut.ends_with("ü…"));
    }

    #[test]
    fn no_fault_repeats_a_long_text_of_the_peer() {
        let long = "y".repeat(1 << 20);
        let envelope = EnvelopeLimits { max_message_bytes: 1, ..EnvelopeLimits::default() };
        let too_long = Message::parse("{}".into(), &envelope).unwrap_err();
        let faults = [
            Fault::method_not_found(&long),
            Fault::unsupported_version(&long, &Revision::ALL),
            Fault::resource_not_found(&long),
            Fault::from(&too_long),
        ];
        for fault in faults {
            let reply = crate::wire_reply(&fault, Revision::LATEST.rules());
            let data = reply.data.map_or(0, |data| data.len());
            assert!(reply.message.len() + data < 4 * MAX_ECHO_BYTES, "{fault:?}");
        }
    }

    #[test]
    fn an_envelope_error_keeps_its_code_and_reason() {
        let error = Message::parse("{".into(), &EnvelopeLimits::default()).unwrap_err();
        let fault = Fault::from(&error);
        assert!(matches!(&fault, Fault::Malformed { code: -32700, .. }), "{fault:?}");
        let reply = crate::wire_reply(&fault, Revision::LATEST.rules());
        assert!(reply.data.unwrap().as_str().contains(error.reason()));
    }
}
