//! The server's end of a lane.

use std::sync::Arc;

use towpath_jsonrpc::{Kind, Member, Message, RawJson};

use crate::admit::{Admit, Answer, Answered, Ignored};
use crate::fault::{Fault, Rejection, clip};
use crate::identity::ServerIdentity;
use crate::limits::SessionLimits;
use crate::method;
use crate::request::{ModernRequest, is_modern};
use crate::revision::{Era, Revision, Rules};
use crate::session::{Session, SessionState};

/// The server's end of a lane: it decides what each message of the client belongs to, and answers itself what
/// is the protocol's own. Both eras are served at once: a request is modern when its `_meta` says so, and
/// belongs to the lane's one legacy session otherwise.
#[derive(Debug)]
pub struct LaneEndpoint {
    server: Arc<ServerIdentity>,
    session: Session,
    answers_set_level: bool,
    discovered: RawJson,
}

impl LaneEndpoint {
    /// The end of a fresh lane.
    #[must_use]
    pub fn new(server: Arc<ServerIdentity>, limits: SessionLimits) -> LaneEndpoint {
        LaneEndpoint {
            session: Session::new(limits),
            answers_set_level: server.declares("logging"),
            discovered: server.discover_result(),
            server,
        }
    }

    /// Decides what to do with a message from the client.
    ///
    /// `logging/setLevel` is answered here when the server declares `logging`, and is the handler's otherwise.
    /// `resources/subscribe` and `resources/unsubscribe` are noted in the session and then are the handler's; when it
    /// refuses a subscription, undo it with [`Session::unsubscribe`].
    pub fn admit(&mut self, message: &Message) -> Admit {
        match message.kind() {
            Kind::Request => self.request(message),
            Kind::Notification => self.notification(message),
            Kind::Result | Kind::Error => self.response(),
        }
    }

    /// Whether a batch may come now: only in a session whose revision has batches.
    ///
    /// # Errors
    ///
    /// It may not; the answer has no id.
    pub fn admit_batch(&self) -> Result<(), Rejection> {
        match self.session.revision() {
            Some(revision) if revision.rules().batching => Ok(()),
            _ => Err(Fault::BatchNotAllowed.under(self.rules())),
        }
    }

    /// The lane's legacy session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The lane's legacy session.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// What the server says about itself.
    #[must_use]
    pub fn server(&self) -> &Arc<ServerIdentity> {
        &self.server
    }

    fn request(&mut self, message: &Message) -> Admit {
        let method = message.method();
        if self.server.speaks(Era::Modern) && (is_modern(message) || method == method::SERVER_DISCOVER) {
            return self.modern(message).unwrap_or_else(Admit::Reject);
        }
        let rules = self.rules();
        self.legacy(message).unwrap_or_else(|fault| Admit::Reject(fault.under(rules)))
    }

    fn modern(&self, message: &Message) -> Result<Admit, Rejection> {
        let request = ModernRequest::validate(message, &self.server.supported)?;
        let rules = request.revision.rules();
        let method = message.method();
        if !method::exists(method, rules) {
            // A client that opens with `initialize` cannot find out by itself what it should have done.
            let supported =
                if method == method::INITIALIZE { self.server.supported.clone() } else { Vec::new() };
            let fault = Fault::MethodNotFound { method: clip(method), supported };
            return Err(fault.under(rules));
        }
        if method == method::SERVER_DISCOVER {
            return Ok(answer(self.discovered.clone(), Answered::Discover));
        }
        Ok(Admit::Modern(request))
    }

    fn legacy(&mut self, message: &Message) -> Result<Admit, Fault> {
        let method = message.method();
        if !self.server.speaks(Era::Legacy) {
            return Err(self.without_legacy(message));
        }
        if method == method::INITIALIZE {
            let revision = self.session.initialize(message, &self.server.supported)?;
            return Ok(answer(self.server.initialize_result(revision), Answered::Initialize { revision }));
        }
        match self.session.admit(method) {
            // Where both eras are spoken, a request that belongs to neither is a modern one without metadata:
            // the modern revision is the one that names a code for it.
            Err(Fault::NotInitialized) if self.server.speaks(Era::Modern) => {
                return Err(ModernRequest::validate(message, &self.server.supported)
                    .err()
                    .map_or(Fault::NotInitialized, |rejection| rejection.fault));
            }
            admitted => admitted?,
        }
        match method {
            method::PING => Ok(answer(RawJson::empty_object(), Answered::Ping)),
            method::LOGGING_SET_LEVEL if self.answers_set_level => {
                let level = self.session.set_level(message)?;
                Ok(answer(RawJson::empty_object(), Answered::SetLevel { level }))
            }
            method::RESOURCES_SUBSCRIBE => self.session.subscribe(message).map(|()| Admit::Legacy),
            method::RESOURCES_UNSUBSCRIBE => {
                let uri = message.string(Member::Uri).ok_or(crate::session::URI_MISSING)?;
                self.session.unsubscribe(&uri);
                Ok(Admit::Legacy)
            }
            _ => Ok(Admit::Legacy),
        }
    }

    /// A request without modern metadata, where there is no session to belong to.
    fn without_legacy(&self, message: &Message) -> Fault {
        if message.method() == method::INITIALIZE {
            let requested = message.string(Member::ProtocolVersion).unwrap_or_default();
            return Fault::NoHandshake {
                requested: clip(&requested),
                supported: self.server.supported.clone(),
            };
        }
        match ModernRequest::validate(message, &self.server.supported) {
            Err(rejection) => rejection.fault,
            Ok(_) => Fault::NotInitialized,
        }
    }

    fn notification(&mut self, message: &Message) -> Admit {
        match (message.method(), self.session.state()) {
            (method::INITIALIZED, SessionState::Ready) => Admit::Ignore(Ignored::Repeated),
            (method::INITIALIZED, _) if self.session.initialized() => Admit::Initialized,
            (method::INITIALIZED, _) | (_, SessionState::Closed) => Admit::Ignore(Ignored::OutsideSession),
            (_, SessionState::Fresh) if !self.server.speaks(Era::Modern) => {
                Admit::Ignore(Ignored::OutsideSession)
            }
            _ => Admit::Notification,
        }
    }

    /// A modern client sends no responses, so before a session is open there is nothing to answer.
    fn response(&self) -> Admit {
        match (self.session.state(), self.session.revision()) {
            (SessionState::Initializing | SessionState::Ready, Some(revision))
                if revision.rules().client_responses =>
            {
                Admit::Response
            }
            _ => Admit::Ignore(Ignored::UnexpectedResponse),
        }
    }

    /// The rules for errors outside a modern request.
    fn rules(&self) -> &'static Rules {
        let newest = Revision::latest_in(Era::Modern, &self.server.supported);
        match (self.session.revision(), newest) {
            (Some(revision), _) | (None, Some(revision)) => revision.rules(),
            (None, None) => self.session.rules(),
        }
    }
}

fn answer(result: RawJson, to: Answered) -> Admit {
    Admit::Answer(Answer { result, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{message, raw};

    const MODERN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

    fn endpoint(supported: &[Revision]) -> LaneEndpoint {
        let capabilities = raw(r#"{"logging":{},"resources":{"subscribe":true}}"#);
        let server = ServerIdentity {
            supported: supported.to_vec(),
            ..ServerIdentity::new(raw(r#"{"name":"s","version":"1"}"#), capabilities)
        };
        LaneEndpoint::new(
            Arc::new(server),
            SessionLimits { max_subscribed_uris: 1, ..SessionLimits::default() },
        )
    }

    fn in_session(supported: &[Revision], version: &str) -> LaneEndpoint {
        let mut endpoint = endpoint(supported);
        let opened = word(&mut endpoint, "initialize", &format!(r#""protocolVersion":"{version}""#));
        assert_eq!(opened, format!("initialize {version}"));
        assert_eq!(notify(&mut endpoint, "notifications/initialized"), "initialized");
        endpoint
    }

    /// What becomes of a request with these members of `params`, in a word.
    fn word(endpoint: &mut LaneEndpoint, method: &str, params: &str) -> String {
        shown(&endpoint.admit(&message(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#
        ))))
    }

    fn notify(endpoint: &mut LaneEndpoint, method: &str) -> String {
        shown(&endpoint.admit(&message(&format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#))))
    }

    fn shown(admit: &Admit) -> String {
        match admit {
            Admit::Modern(request) => format!("modern {}", request.revision),
            Admit::Legacy => "legacy".into(),
            Admit::Answer(Answer { to: Answered::Initialize { revision }, .. }) => {
                format!("initialize {revision}")
            }
            Admit::Answer(Answer { to: Answered::Ping, .. }) => "pong".into(),
            Admit::Answer(Answer { to: Answered::Discover, .. }) => "discover".into(),
            Admit::Answer(Answer { to: Answered::SetLevel { level }, .. }) => format!("level {level}"),
            Admit::Notification => "notification".into(),
            Admit::Initialized => "initialized".into(),
            Admit::Response => "response".into(),
            Admit::Reject(rejection) => {
                let reply = rejection.reply();
                let data = reply.data.unwrap();
                let named = if data.as_str().contains("\"supported\"") { " naming versions" } else { "" };
                format!("{}{named}", reply.code)
            }
            Admit::Ignore(why) => format!("{why:?}"),
        }
    }

    #[test]
    fn a_request_goes_where_its_metadata_and_the_session_say() {
        let both = &Revision::ALL[..];
        let legacy = &Revision::ALL[..4];
        let modern = &Revision::ALL[4..];
        let old = "2025-06-18";
        let hello = r#""protocolVersion":"2025-06-18""#;
        // The server's revisions; its session, if one is open; the method; the params; what becomes of it.
        let table = [
            // Modern requests, whatever the session.
            (both, None, "tools/call", MODERN, "modern 2026-07-28"),
            (both, Some(old), "tools/call", MODERN, "modern 2026-07-28"),
            (modern, None, "x/own", MODERN, "modern 2026-07-28"),
            (both, None, "server/discover", MODERN, "discover"),
            (both, Some(old), "server/discover", MODERN, "discover"),
            (modern, None, "server/discover", "", "-32602"),
            (both, Some(old), "server/discover", "", "-32602"),
            // What the modern era no longer has.
            (both, None, "ping", MODERN, "-32601"),
            (both, Some(old), "logging/setLevel", MODERN, "-32601"),
            (modern, None, "resources/subscribe", MODERN, "-32601"),
            (modern, None, "resources/unsubscribe", MODERN, "-32601"),
            (both, None, "initialize", MODERN, "-32601 naming versions"),
            (modern, None, "initialize", MODERN, "-32601 naming versions"),
            // Without metadata, where there is no session.
            (modern, None, "initialize", hello, "-32602 naming versions"),
            (modern, None, "tools/call", "", "-32602"),
            (modern, None, "ping", "", "-32602"),
            (both, None, "tools/call", "", "-32602"),
            (both, None, "ping", "", "pong"),
            (both, None, "initialize", hello, "initialize 2025-06-18"),
            (legacy, None, "tools/call", "", "-32600"),
            (legacy, None, "ping", "", "pong"),
            (legacy, None, "tools/call", MODERN, "-32600"),
            (legacy, None, "server/discover", MODERN, "-32600"),
            (legacy, None, "initialize", r#""protocolVersion":"2026-07-28""#, "initialize 2025-11-25"),
            (legacy, None, "initialize", "", "-32602"),
            // In a session.
            (legacy, Some(old), "tools/call", "", "legacy"),
            (legacy, Some(old), "tools/call", MODERN, "legacy"),
            (both, Some(old), "tools/call", "", "legacy"),
            (both, Some(old), "ping", "", "pong"),
            (both, Some(old), "initialize", hello, "-32600"),
            (both, Some(old), "subscriptions/listen", "", "-32601"),
            (legacy, Some(old), "server/discover", MODERN, "-32601"),
            (both, Some(old), "logging/setLevel", r#""level":"error""#, "level error"),
            (both, Some(old), "logging/setLevel", r#""level":"loud""#, "-32602"),
            (both, Some(old), "resources/subscribe", r#""uri":"a""#, "legacy"),
            (both, Some(old), "resources/subscribe", "", "-32602"),
            (both, Some(old), "resources/unsubscribe", "", "-32602"),
        ];
        for (supported, session, method, params, expected) in table {
            let mut endpoint = match session {
                Some(version) => in_session(supported, version),
                None => endpoint(supported),
            };
            let label = format!("{method} {params} for {supported:?}, session {session:?}");
            assert_eq!(word(&mut endpoint, method, params), expected, "{label}");
        }
    }

    #[test]
    fn subscriptions_are_noted_within_the_limits_of_the_session() {
        let mut endpoint = in_session(&Revision::ALL, "2025-11-25");
        assert_eq!(word(&mut endpoint, "resources/subscribe", r#""uri":"a""#), "legacy");
        assert!(endpoint.session().is_subscribed("a"));
        assert_eq!(word(&mut endpoint, "resources/subscribe", r#""uri":"b""#), "-32600");
        assert_eq!(word(&mut endpoint, "resources/unsubscribe", r#""uri":"a""#), "legacy");
        assert!(!endpoint.session().is_subscribed("a"));
        assert_eq!(word(&mut endpoint, "resources/subscribe", r#""uri":"b""#), "legacy");
    }

    #[test]
    fn messages_without_an_answer_are_handed_on_or_counted() {
        let cancelled = "notifications/cancelled";
        let initialized = "notifications/initialized";
        let (both, legacy) = (&Revision::ALL[..], &Revision::ALL[..4]);
        assert_eq!(notify(&mut endpoint(both), cancelled), "notification");
        assert_eq!(notify(&mut endpoint(legacy), cancelled), "OutsideSession");
        assert_eq!(notify(&mut endpoint(both), initialized), "OutsideSession");
        let mut open = in_session(legacy, "2025-03-26");
        assert_eq!(notify(&mut open, cancelled), "notification");
        assert_eq!(notify(&mut open, initialized), "Repeated");
        open.session_mut().close();
        assert_eq!(notify(&mut open, cancelled), "OutsideSession");
        assert_eq!(word(&mut open, "tools/call", ""), "-32600");
        assert_eq!(word(&mut open, "ping", ""), "-32600");
    }

    #[test]
    fn a_client_answers_only_in_a_session() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
        ] {
            let response = message(text);
            assert_eq!(shown(&endpoint(&Revision::ALL).admit(&response)), "UnexpectedResponse");
            let mut open = in_session(&Revision::ALL, "2025-11-25");
            assert_eq!(shown(&open.admit(&response)), "response");
            open.session_mut().close();
            assert_eq!(shown(&open.admit(&response)), "UnexpectedResponse");
        }
    }

    #[test]
    fn only_a_session_of_2025_03_26_takes_a_batch() {
        assert!(endpoint(&Revision::ALL).admit_batch().is_err());
        for revision in &Revision::ALL[..4] {
            let admitted = in_session(&Revision::ALL, revision.as_str()).admit_batch();
            assert_eq!(admitted.is_ok(), *revision == Revision::V2025_03_26, "{revision}");
            if let Err(rejection) = admitted {
                assert_eq!(rejection.reply().code, -32600);
            }
        }
    }

    #[test]
    fn set_level_is_the_handlers_where_the_server_declares_no_logging() {
        let server = ServerIdentity::new(raw("{}"), raw(r#"{"tools":{}}"#));
        let mut endpoint = LaneEndpoint::new(Arc::new(server), SessionLimits::default());
        word(&mut endpoint, "initialize", r#""protocolVersion":"2025-11-25""#);
        assert_eq!(word(&mut endpoint, "logging/setLevel", r#""level":"error""#), "legacy");
    }
}
