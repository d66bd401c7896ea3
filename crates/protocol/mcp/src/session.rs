//! The server's side of a legacy session.

use std::collections::BTreeSet;

use bytes::Bytes;
use towpath_jsonrpc::{Member, Message, RawJson};

use crate::fault::Fault;
use crate::level::LogLevel;
use crate::limits::SessionLimits;
use crate::method;
use crate::request::is_object;
use crate::revision::{Revision, Rules, negotiate};
use crate::scan;

/// The server's side of a legacy session.
///
/// ```text
/// Fresh ── initialize ──▶ Initializing ── notifications/initialized ──▶ Ready
///   └──────────────────────── close() ─────────▶ Closed ◀──────────────────┘
/// ```
///
/// Requests are admitted from `Initializing` on: the client has its answer by then, and over HTTP its first
/// request may overtake `notifications/initialized`. Only what the *server* sends waits for `Ready`, see
/// [`Session::may_send_request`].
#[derive(Debug)]
pub struct Session {
    state: State,
    limits: SessionLimits,
    client: Option<Client>,
    log_level: Option<LogLevel>,
    subscribed: BTreeSet<Box<str>>,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Before `initialize`.
    Fresh,
    /// `initialize` was answered.
    Initializing,
    /// The client said that it is initialized.
    Ready,
    /// Ended.
    Closed,
}

use SessionState as State;

/// What `initialize` agreed on.
#[derive(Clone, Debug)]
struct Client {
    revision: Revision,
    capabilities: RawJson,
    info: Option<RawJson>,
}

impl Session {
    /// A session before its handshake.
    #[must_use]
    pub fn new(limits: SessionLimits) -> Session {
        Session { state: State::Fresh, limits, client: None, log_level: None, subscribed: BTreeSet::new() }
    }

    /// Takes an `initialize` request. Returns the revision to answer with.
    ///
    /// Capabilities and name card may be missing, for the sake of lax clients; what is there must be objects.
    ///
    /// # Errors
    ///
    /// A second `initialize`, malformed parameters, `max_client_bytes`, or no legacy revision in `supported`. The
    /// session stays as it was.
    pub fn initialize(&mut self, request: &Message, supported: &[Revision]) -> Result<Revision, Fault> {
        match self.state {
            State::Fresh => {}
            State::Initializing | State::Ready => return Err(Fault::AlreadyInitialized),
            State::Closed => return Err(Fault::SessionClosed),
        }
        let requested = request
            .string(Member::ProtocolVersion)
            .ok_or(Fault::InvalidParams { member: "protocolVersion", expected: "a string" })?;
        let revision = negotiate(&requested, supported).ok_or_else(|| Fault::NoHandshake {
            requested: crate::fault::clip(&requested),
            supported: supported.to_vec(),
        })?;
        let (capabilities, info) = self.read_client(request)?;
        self.client =
            Some(Client { revision, capabilities: capabilities.unwrap_or_else(RawJson::empty_object), info });
        self.state = State::Initializing;
        Ok(revision)
    }

    /// Takes `notifications/initialized`. Returns whether the session became ready by it.
    pub fn initialized(&mut self) -> bool {
        let becomes_ready = self.state == State::Initializing;
        if becomes_ready {
            self.state = State::Ready;
        }
        becomes_ready
    }

    /// Whether a request other than `initialize` is admitted now. `ping` always is, until the session closes.
    ///
    /// # Errors
    ///
    /// The session is not initialized or is closed, or its revision has no such method.
    pub fn admit(&self, method: &str) -> Result<(), Fault> {
        match (self.state, &self.client) {
            (State::Closed, _) => Err(Fault::SessionClosed),
            (_, Some(client)) if method::exists(method, client.revision.rules()) => Ok(()),
            (_, Some(_)) => Err(Fault::method_not_found(method)),
            (_, None) if method == method::PING => Ok(()),
            (_, None) => Err(Fault::NotInitialized),
        }
    }

    /// Takes `logging/setLevel`.
    ///
    /// # Errors
    ///
    /// The level is missing or unknown.
    pub fn set_level(&mut self, request: &Message) -> Result<LogLevel, Fault> {
        let level = member_string(request, "level")
            .and_then(|name| LogLevel::parse(&name))
            .ok_or(Fault::InvalidParams { member: "level", expected: crate::request::LEVEL_EXPECTED })?;
        self.log_level = Some(level);
        Ok(level)
    }

    /// Takes `resources/subscribe`. Take it back with [`Session::unsubscribe`] when the handler refuses.
    ///
    /// # Errors
    ///
    /// The URI is missing, or past a limit.
    pub fn subscribe(&mut self, request: &Message) -> Result<(), Fault> {
        let uri = request.string(Member::Uri).ok_or(URI_MISSING)?;
        if uri.len() > self.limits.max_uri_bytes {
            return Err(Fault::TooLarge {
                what: "a resource URI",
                limit_bytes: self.limits.max_uri_bytes,
                setting: "SessionLimits::max_uri_bytes",
            });
        }
        if self.subscribed.contains(uri.as_ref()) {
            return Ok(());
        }
        if self.subscribed.len() >= self.limits.max_subscribed_uris {
            return Err(Fault::LimitReached {
                what: "subscribed resources in a session",
                limit: self.limits.max_subscribed_uris,
                setting: "SessionLimits::max_subscribed_uris",
            });
        }
        self.subscribed.insert(Box::from(uri.as_ref()));
        Ok(())
    }

    /// Ends the subscription to a resource. Returns whether there was one.
    pub fn unsubscribe(&mut self, uri: &str) -> bool {
        self.subscribed.remove(uri)
    }

    /// Ends the session.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.subscribed.clear();
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// The revision that `initialize` agreed on.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.client.as_ref().map(|client| client.revision)
    }

    /// The rules of the session's revision; before the handshake, those of the newest one that has any.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.revision().unwrap_or(Revision::LATEST_LEGACY).rules()
    }

    /// What the client can do: a JSON object.
    #[must_use]
    pub fn client_capabilities(&self) -> Option<&RawJson> {
        self.client.as_ref().map(|client| &client.capabilities)
    }

    /// Who the client says it is: a JSON object.
    #[must_use]
    pub fn client_info(&self) -> Option<&RawJson> {
        self.client.as_ref().and_then(|client| client.info.as_ref())
    }

    /// Whether a log message of this level may be sent: all may, until the client sets a level.
    #[must_use]
    pub fn allows_log(&self, level: LogLevel) -> bool {
        self.log_level.is_none_or(|least| level >= least)
    }

    /// Whether the server may send this request now: all of them when the session is ready, `ping` before that.
    #[must_use]
    pub fn may_send_request(&self, method: &str) -> bool {
        match self.state {
            State::Ready => self.rules().server_requests,
            State::Fresh | State::Initializing => method == method::PING,
            State::Closed => false,
        }
    }

    /// Whether the client is subscribed to this resource.
    #[must_use]
    pub fn is_subscribed(&self, uri: &str) -> bool {
        self.subscribed.contains(uri)
    }

    /// The capabilities and the name card, copied: a slice would keep the whole message.
    fn read_client(&self, request: &Message) -> Result<(Option<RawJson>, Option<RawJson>), Fault> {
        let Some(params) = request.params() else { return Ok((None, None)) };
        let (mut capabilities, mut info) = (None, None);
        let text = params.as_bytes();
        let _ = scan::object(text, |key, span| {
            let value = text.get(span).unwrap_or_default();
            if scan::key_is(key, "capabilities") {
                capabilities = Some(value);
            } else if scan::key_is(key, "clientInfo") {
                info = Some(value);
            }
        });
        for (member, value) in [("capabilities", capabilities), ("clientInfo", info)] {
            if value.is_some_and(|value| !is_object(value)) {
                return Err(Fault::InvalidParams { member, expected: "an object" });
            }
        }
        let size = capabilities.map_or(0, <[u8]>::len) + info.map_or(0, <[u8]>::len);
        if size > self.limits.max_client_bytes {
            return Err(Fault::TooLarge {
                what: "what the client says about itself",
                limit_bytes: self.limits.max_client_bytes,
                setting: "SessionLimits::max_client_bytes",
            });
        }
        let copy = |value: &[u8]| RawJson::from_validated(Bytes::copy_from_slice(value));
        Ok((capabilities.map(copy), info.map(copy)))
    }
}

/// A string member of `params` that the message does not index.
fn member_string(message: &Message, name: &str) -> Option<String> {
    let params = message.params()?;
    let text = params.as_bytes();
    let mut found = None;
    let _ = scan::object(text, |key, span| {
        if scan::key_is(key, name) {
            found = text.get(span).and_then(|value| serde_json::from_slice(value).ok());
        }
    });
    found
}

pub(crate) const URI_MISSING: Fault = Fault::InvalidParams { member: "uri", expected: "a string" };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    fn initialize(params: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#))
    }

    fn good() -> Message {
        initialize(
            r#"{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},"clientInfo":{"name":"c"}}"#,
        )
    }

    fn request(method: &str, params: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#))
    }

    fn session(limits: SessionLimits) -> Session {
        let mut session = Session::new(limits);
        session.initialize(&good(), &Revision::ALL).unwrap();
        session
    }

    /// A session in each state.
    fn in_state(state: SessionState) -> Session {
        let mut session = Session::new(SessionLimits::default());
        if state != State::Fresh {
            session.initialize(&good(), &Revision::ALL).unwrap();
        }
        if state == State::Ready {
            assert!(session.initialized());
        }
        if state == State::Closed {
            session.close();
        }
        assert_eq!(session.state(), state);
        session
    }

    #[test]
    fn each_state_admits_what_belongs_to_it() {
        use State::{Closed, Fresh, Initializing, Ready};
        let closed = Err(Fault::SessionClosed);
        // State; `initialize`; `ping`; a request; a modern method; `initialized` makes it ready; and what the
        // server may send: `ping`, another request.
        let table = [
            (Fresh, Ok(Revision::V2025_06_18), Ok(()), Err(Fault::NotInitialized), false, [true, false]),
            (Initializing, Err(Fault::AlreadyInitialized), Ok(()), Ok(()), true, [true, false]),
            (Ready, Err(Fault::AlreadyInitialized), Ok(()), Ok(()), false, [true, true]),
            (Closed, Err(Fault::SessionClosed), closed.clone(), closed, false, [false, false]),
        ];
        for (state, initialize, ping, request, becomes_ready, sends) in table {
            assert_eq!(in_state(state).initialize(&good(), &Revision::ALL), initialize, "{state:?}");
            assert_eq!(in_state(state).admit(method::PING), ping, "{state:?}");
            assert_eq!(in_state(state).admit(method::TOOLS_CALL), request, "{state:?}");
            assert_eq!(in_state(state).initialized(), becomes_ready, "{state:?}");
            let may_send = [method::PING, method::ROOTS_LIST].map(|m| in_state(state).may_send_request(m));
            assert_eq!(may_send, sends, "{state:?}");
        }
        let modern_method = in_state(Ready).admit(method::SUBSCRIPTIONS_LISTEN);
        assert_eq!(modern_method, Err(Fault::method_not_found(method::SUBSCRIPTIONS_LISTEN)));
    }

    #[test]
    fn initialize_keeps_what_was_agreed() {
        let session = session(SessionLimits::default());
        assert_eq!(session.revision(), Some(Revision::V2025_06_18));
        assert_eq!(session.client_capabilities().unwrap().as_str(), r#"{"roots":{}}"#);
        assert_eq!(session.client_info().unwrap().as_str(), r#"{"name":"c"}"#);
        assert_eq!(session.rules().revision, Revision::V2025_06_18);
    }

    #[test]
    fn a_malformed_initialize_leaves_the_session_fresh() {
        let invalid = |member, expected| Fault::InvalidParams { member, expected };
        let all = &Revision::ALL[..];
        let table = [
            (r#"{}"#, all, invalid("protocolVersion", "a string")),
            (r#"{"protocolVersion":1}"#, all, invalid("protocolVersion", "a string")),
            (r#"{"protocolVersion":"x","capabilities":[]}"#, all, invalid("capabilities", "an object")),
            (r#"{"protocolVersion":"x","clientInfo":"c"}"#, all, invalid("clientInfo", "an object")),
            (
                r#"{"protocolVersion":"x"}"#,
                &[Revision::V2026_07_28],
                Fault::NoHandshake { requested: "x".into(), supported: vec![Revision::V2026_07_28] },
            ),
        ];
        for (params, supported, fault) in table {
            let mut session = Session::new(SessionLimits::default());
            assert_eq!(session.initialize(&initialize(params), supported), Err(fault), "{params}");
            assert_eq!(session.state(), State::Fresh);
            assert_eq!(session.initialize(&good(), all), Ok(Revision::V2025_06_18));
        }
        let mut lax = Session::new(SessionLimits::default());
        let bare = initialize(r#"{"protocolVersion":"1999-01-01"}"#);
        assert_eq!(lax.initialize(&bare, all), Ok(Revision::V2025_11_25));
        assert_eq!(lax.client_capabilities().unwrap().as_str(), "{}");
    }

    #[test]
    fn max_client_bytes_bounds_what_a_client_says_about_itself() {
        let said = r#"{"roots":{}}{"name":"c"}"#.len();
        for (max_client_bytes, fits) in [(said, true), (said - 1, false)] {
            let mut session = Session::new(SessionLimits { max_client_bytes, ..SessionLimits::default() });
            let outcome = session.initialize(&good(), &Revision::ALL);
            assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
        }
    }

    #[test]
    fn max_subscribed_uris_bounds_the_subscriptions() {
        let limits = SessionLimits { max_subscribed_uris: 2, ..SessionLimits::default() };
        let mut session = session(limits);
        let mut subscribe = |uri: &str| {
            session.subscribe(&request(method::RESOURCES_SUBSCRIBE, &format!("{{\"uri\":\"{uri}\"}}")))
        };
        assert_eq!(subscribe("a"), Ok(()));
        assert_eq!(subscribe("b"), Ok(()));
        assert_eq!(subscribe("a"), Ok(()), "a repetition is no new one");
        assert!(matches!(subscribe("c"), Err(Fault::LimitReached { limit: 2, .. })));
        assert!(session.is_subscribed("a") && !session.is_subscribed("c"));
        assert!(session.unsubscribe("a") && !session.unsubscribe("a"));
        assert_eq!(session.subscribe(&request("x", r#"{"uri":"\u0063"}"#)), Ok(()));
        assert!(session.is_subscribed("c"));
        assert_eq!(session.subscribe(&request("x", "{}")), Err(URI_MISSING));
    }

    #[test]
    fn max_uri_bytes_bounds_a_uri() {
        let mut session = session(SessionLimits { max_uri_bytes: 3, ..SessionLimits::default() });
        assert_eq!(session.subscribe(&request("x", r#"{"uri":"abc"}"#)), Ok(()));
        let over = session.subscribe(&request("x", r#"{"uri":"abcd"}"#));
        assert!(matches!(over, Err(Fault::TooLarge { limit_bytes: 3, .. })), "{over:?}");
    }

    #[test]
    fn the_log_level_holds_from_when_it_is_set() {
        let mut session = session(SessionLimits::default());
        assert!(session.allows_log(LogLevel::Debug));
        let level = session.set_level(&request("x", r#"{"level":"error"}"#));
        assert_eq!(level, Ok(LogLevel::Error));
        assert!(!session.allows_log(LogLevel::Warning) && session.allows_log(LogLevel::Error));
        for params in [r#"{"level":"loud"}"#, r#"{"level":1}"#, "{}"] {
            assert!(matches!(
                session.set_level(&request("x", params)),
                Err(Fault::InvalidParams { member: "level", .. })
            ));
        }
        assert!(!session.allows_log(LogLevel::Warning), "a refused level changes nothing");
    }
}
