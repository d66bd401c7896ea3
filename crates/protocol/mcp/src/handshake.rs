//! The client's side of `initialize`.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use towpath_jsonrpc::{ErrorObject, RawJson};

use crate::fault::{clip, list};
use crate::revision::{Era, Revision};

/// How long a handshake may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeTimeouts {
    /// From sending `initialize` to its answer; default 30 s. When it has passed, the handshake fails and the
    /// connection is to be closed: `initialize` is the one request that is never cancelled. Worst case: a silent
    /// server costs this long before the caller hears of it.
    pub initialize: Duration,
}

impl Default for HandshakeTimeouts {
    fn default() -> Self {
        HandshakeTimeouts { initialize: Duration::from_secs(30) }
    }
}

/// The client's side of `initialize`.
///
/// ```text
/// Send ── poll_action ──▶ Waiting ── answer ──▶ Answered ── poll_action ──▶ Done
///                            └── refusal, timeout ──▶ Failed
/// ```
#[derive(Debug)]
pub struct Handshake {
    state: State,
    offer: Revision,
    supported: Vec<Revision>,
    deadline: Instant,
    timeouts: HandshakeTimeouts,
}

#[derive(Debug)]
enum State {
    Send,
    Waiting,
    Answered(Box<Negotiated>),
    Finish(Box<Negotiated>),
    Failed(HandshakeError),
    Done,
}

/// What the driver of a [`Handshake`] has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum HandshakeAction {
    /// Send `initialize`, offering this revision.
    SendInitialize {
        /// The revision to offer.
        revision: Revision,
    },
    /// Send `notifications/initialized`.
    SendInitialized,
    /// The session is open.
    Done(Box<Negotiated>),
    /// There will be no session: close the connection.
    Failed(HandshakeError),
}

/// What the handshake agreed on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The revision of the session.
    pub revision: Revision,
    /// What the server can do: a JSON object.
    pub capabilities: RawJson,
    /// Who the server says it is.
    pub server_info: Option<RawJson>,
    /// Advice for the model.
    pub instructions: Option<String>,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server answered with a revision that is not spoken here.
    #[error("the server offers revision {offered}; this client speaks {}", list(supported))]
    IncompatibleRevision {
        /// The server's.
        offered: String,
        /// The client's.
        supported: Vec<Revision>,
    },
    /// The server refused.
    #[error("the server refused `initialize`: {0}")]
    Refused(#[source] ErrorObject),
    /// The answer is no result of `initialize`.
    #[error("the server's answer to `initialize` is malformed: {0}")]
    Malformed(String),
    /// No answer.
    #[error("no answer to `initialize` within {limit:?} (`HandshakeTimeouts::initialize`)")]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
}

/// No revision with a handshake was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the supported revisions has a handshake")]
pub struct NoLegacyRevision;

impl Handshake {
    /// Begins a handshake that offers the newest legacy revision in `supported`.
    ///
    /// # Errors
    ///
    /// `supported` has no legacy revision.
    pub fn new(
        now: Instant,
        supported: &[Revision],
        timeouts: HandshakeTimeouts,
    ) -> Result<Handshake, NoLegacyRevision> {
        let offer = Revision::latest_in(Era::Legacy, supported).ok_or(NoLegacyRevision)?;
        let supported = supported.iter().copied().filter(|revision| revision.era() == Era::Legacy).collect();
        let deadline = now + timeouts.initialize;
        Ok(Handshake { state: State::Send, offer, supported, deadline, timeouts })
    }

    /// Takes the answer to `initialize`. One that comes after the end is ignored.
    pub fn handle_answer(&mut self, answer: Result<RawJson, ErrorObject>) {
        if !matches!(self.state, State::Waiting) {
            return;
        }
        self.state = match answer.map_err(HandshakeError::Refused).and_then(|result| self.read(&result)) {
            Ok(negotiated) => State::Answered(Box::new(negotiated)),
            Err(error) => State::Failed(error),
        };
    }

    /// Notes that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.deadline && matches!(self.state, State::Send | State::Waiting) {
            self.state = State::Failed(HandshakeError::TimedOut { limit: self.timeouts.initialize });
        }
    }

    /// When to call [`Handshake::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        matches!(self.state, State::Send | State::Waiting).then_some(self.deadline)
    }

    /// The next thing to do. Call until `None`.
    pub fn poll_action(&mut self) -> Option<HandshakeAction> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Send => {
                self.state = State::Waiting;
                Some(HandshakeAction::SendInitialize { revision: self.offer })
            }
            State::Answered(negotiated) => {
                self.state = State::Finish(negotiated);
                Some(HandshakeAction::SendInitialized)
            }
            State::Finish(negotiated) => Some(HandshakeAction::Done(negotiated)),
            State::Failed(error) => Some(HandshakeAction::Failed(error)),
            State::Waiting => {
                self.state = State::Waiting;
                None
            }
            State::Done => None,
        }
    }

    fn read(&self, result: &RawJson) -> Result<Negotiated, HandshakeError> {
        let malformed = |error: serde_json::Error| HandshakeError::Malformed(clip(&error.to_string()));
        let result: InitializeResult = result.deserialize().map_err(malformed)?;
        let revision = Revision::parse(&result.protocol_version)
            .filter(|revision| self.supported.contains(revision))
            .ok_or_else(|| HandshakeError::IncompatibleRevision {
                offered: clip(&result.protocol_version),
                supported: self.supported.clone(),
            })?;
        Ok(Negotiated {
            revision,
            capabilities: result.capabilities.map_or_else(RawJson::empty_object, RawJson::from),
            server_info: result.server_info.map(RawJson::from),
            instructions: result.instructions,
        })
    }
}

/// Lax about what some servers leave out; strict about the revision.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult {
    protocol_version: String,
    capabilities: Option<Box<RawValue>>,
    server_info: Option<Box<RawValue>>,
    instructions: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::raw;

    const LEGACY: [Revision; 2] = [Revision::V2025_03_26, Revision::V2025_06_18];

    fn begun(now: Instant) -> Handshake {
        let mut handshake = Handshake::new(now, &LEGACY, HandshakeTimeouts::default()).unwrap();
        let revision = Revision::V2025_06_18;
        assert_eq!(handshake.poll_action(), Some(HandshakeAction::SendInitialize { revision }));
        assert_eq!(handshake.poll_action(), None);
        handshake
    }

    fn rest(handshake: &mut Handshake) -> Vec<HandshakeAction> {
        std::iter::from_fn(|| handshake.poll_action()).collect()
    }

    #[test]
    fn a_supported_answer_is_confirmed_and_opens_the_session() {
        for version in ["2025-06-18", "2025-03-26"] {
            let mut handshake = begun(Instant::now());
            let answer = format!(
                r#"{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s"}},"instructions":"i"}}"#
            );
            handshake.handle_answer(Ok(raw(&answer)));
            let negotiated = Negotiated {
                revision: version.parse().unwrap(),
                capabilities: raw(r#"{"tools":{}}"#),
                server_info: Some(raw(r#"{"name":"s"}"#)),
                instructions: Some("i".into()),
            };
            let expected = [HandshakeAction::SendInitialized, HandshakeAction::Done(Box::new(negotiated))];
            assert_eq!(rest(&mut handshake), expected);
            assert_eq!(handshake.poll_timeout(), None);
        }
    }

    #[test]
    fn any_other_answer_fails_without_initialized() {
        let refusal = ErrorObject::new(-32602, "no");
        let incompatible = |offered: &str| HandshakeError::IncompatibleRevision {
            offered: offered.into(),
            supported: LEGACY.to_vec(),
        };
        let table = [
            (Ok(raw(r#"{"protocolVersion":"2025-11-25"}"#)), Some(incompatible("2025-11-25"))),
            (Ok(raw(r#"{"protocolVersion":"2099-01-01"}"#)), Some(incompatible("2099-01-01"))),
            (Err(refusal.clone()), Some(HandshakeError::Refused(refusal))),
            (Ok(raw("{}")), None),
            (Ok(raw("[]")), None),
        ];
        for (answer, error) in table {
            let mut handshake = begun(Instant::now());
            handshake.handle_answer(answer.clone());
            match (rest(&mut handshake).as_slice(), error) {
                ([HandshakeAction::Failed(found)], Some(error)) => assert_eq!(*found, error),
                ([HandshakeAction::Failed(HandshakeError::Malformed(_))], None) => {}
                (other, _) => panic!("{answer:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_initialize_timeout_fails_the_handshake_and_sends_nothing() {
        let now = Instant::now();
        let limit = Duration::from_secs(3);
        let mut handshake = Handshake::new(now, &LEGACY, HandshakeTimeouts { initialize: limit }).unwrap();
        handshake.poll_action();
        assert_eq!(handshake.poll_timeout(), Some(now + limit));
        handshake.handle_timeout(now + limit - Duration::from_nanos(1));
        assert_eq!(handshake.poll_action(), None);
        handshake.handle_timeout(now + limit);
        handshake.handle_answer(Ok(raw(r#"{"protocolVersion":"2025-06-18"}"#)));
        assert_eq!(rest(&mut handshake), [HandshakeAction::Failed(HandshakeError::TimedOut { limit })]);
        assert_eq!(handshake.poll_timeout(), None);
    }

    #[test]
    fn a_modern_only_client_has_no_handshake() {
        let refused = Handshake::new(Instant::now(), &[Revision::LATEST], HandshakeTimeouts::default());
        assert_eq!(refused.err(), Some(NoLegacyRevision));
    }
}
