//! The server's end of HTTP.

use std::sync::Arc;

use http::{HeaderMap, Method, Uri};
use towpath_jsonrpc::{Kind, Member, Message, RawJson};

use super::gate::HttpGate;
use super::head::{HeadInfo, SessionHeader, Verb, VersionHeader};
use super::mirror;
use super::session_id::SessionId;
use crate::fault::{Fault, Rejection, clip};
use crate::identity::ServerIdentity;
use crate::method;
use crate::request::{self, ModernRequest, is_modern};
use crate::revision::{Era, Revision, Rules};

/// The server's end of HTTP: it decides what each request belongs to, first by its head, then by its message. It keeps
/// no sessions and so can be shared by all requests of a server.
///
/// A message is modern when its `_meta` names a revision, or when it is of no session and its
/// `MCP-Protocol-Version` header names a revision without a handshake. Whatever else is of no session has to be
/// `initialize`.
///
/// ```
/// use std::sync::Arc;
///
/// use http::{HeaderMap, HeaderValue, Method, Uri};
/// use towpath_jsonrpc::{EnvelopeLimits, Message, RawJson};
/// use towpath_mcp::{HttpAdmit, HttpEndpoint, Implementation, ServerIdentity};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let info = Implementation::new("example", "1.0.0").to_raw()?;
/// let server = ServerIdentity::new(info, RawJson::parse(r#"{"tools":{}}"#)?);
/// let endpoint = HttpEndpoint::new(Arc::new(server));
///
/// let mut headers = HeaderMap::new();
/// headers.insert("host", HeaderValue::from_static("localhost:8080"));
/// let head = endpoint.check_head(&Method::POST, &Uri::from_static("/mcp"), &headers)?;
///
/// let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
/// let message = Message::parse(body.into(), &EnvelopeLimits::default())?;
/// assert!(matches!(endpoint.admit(&head, &message), HttpAdmit::Initialize));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpEndpoint {
    server: Arc<ServerIdentity>,
    discovered: RawJson,
    gate: HttpGate,
    strict: bool,
}

/// What a message that came in a POST belongs to.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one; a box would cost an allocation a request"
)]
pub enum HttpAdmit {
    /// A modern request for the handler.
    Modern(ModernRequest),
    /// `server/discover`, and its result.
    Discover(RawJson),
    /// A modern notification: status 202, no body.
    ModernNotification,
    /// `initialize`, which opens a session: the new session decides about the rest of it.
    Initialize,
    /// A message of a legacy session: it is the session's to admit, if there is one of that name
    /// ([`Fault::SessionUnknown`] if there is none).
    InSession {
        /// The session that it says it belongs to.
        session: SessionId,
    },
    /// To be refused. A response or a notification gets the status, and an error without an id.
    Reject(Rejection),
}

impl HttpEndpoint {
    /// The end of a server, for clients of this machine.
    #[must_use]
    pub fn new(server: Arc<ServerIdentity>) -> HttpEndpoint {
        HttpEndpoint {
            discovered: server.discover_result(),
            server,
            gate: HttpGate::default(),
            strict: false,
        }
    }

    /// Decides who may ask at all.
    #[must_use]
    pub fn with_gate(mut self, gate: HttpGate) -> HttpEndpoint {
        self.gate = gate;
        self
    }

    /// Whether a POST must say in `Accept` that it takes both JSON and events, and in `Content-Type` that it is JSON.
    /// Default: no; a client that says nothing is served all the same.
    #[must_use]
    pub fn with_strict_media_types(mut self, strict: bool) -> HttpEndpoint {
        self.strict = strict;
        self
    }

    /// What the server says about itself.
    #[must_use]
    pub fn server(&self) -> &Arc<ServerIdentity> {
        &self.server
    }

    /// Decides about a request before its body is read. What it lets through still has to be admitted, by its
    /// [`Verb`].
    ///
    /// # Errors
    ///
    /// 403 for an origin or a host that is not allowed, 405, 406, 415.
    pub fn check_head(
        &self,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Result<HeadInfo, Rejection> {
        let checked = || {
            self.gate.check(target, headers)?;
            let verb = Verb::parse(method).ok_or_else(|| self.not_allowed())?;
            let head = HeadInfo::read(verb, headers);
            head.check_media(headers, self.strict)?;
            Ok(head)
        };
        checked().map_err(|fault: Fault| fault.under(self.rules()))
    }

    /// Decides what a message in a POST belongs to.
    #[must_use]
    pub fn admit(&self, head: &HeadInfo, message: &Message) -> HttpAdmit {
        let admitted = if self.takes_as_modern(head, message) {
            self.modern(head, message)
        } else {
            self.legacy(head, message).map_err(|fault| fault.under(self.rules()))
        };
        admitted.unwrap_or_else(HttpAdmit::Reject)
    }

    /// Whether a batch in a POST may be read: only in a session, whose revision decides further. Returns the session.
    ///
    /// # Errors
    ///
    /// It may not; the answer has no id.
    pub fn admit_batch(&self, head: &HeadInfo) -> Result<SessionId, Rejection> {
        let admitted = if head.session == SessionHeader::Absent || !self.server.speaks(Era::Legacy) {
            Err(Fault::BatchNotAllowed)
        } else {
            self.in_session(head)
        };
        admitted.map_err(|fault| fault.under(self.rules()))
    }

    /// Whether a GET may open the stream of a session. Returns the session.
    ///
    /// # Errors
    ///
    /// 405 where there are no sessions, 406, 400 without a session.
    pub fn admit_get(&self, head: &HeadInfo) -> Result<SessionId, Rejection> {
        self.of_legacy_only(head)
            .and_then(|()| head.check_listens())
            .and_then(|()| self.in_session(head))
            .map_err(|fault| fault.under(self.rules()))
    }

    /// Whether a DELETE may end a session. Returns the session.
    ///
    /// # Errors
    ///
    /// 405 where there are no sessions, 400 without one.
    pub fn admit_delete(&self, head: &HeadInfo) -> Result<SessionId, Rejection> {
        self.of_legacy_only(head)
            .and_then(|()| self.in_session(head))
            .map_err(|fault| fault.under(self.rules()))
    }

    fn takes_as_modern(&self, head: &HeadInfo, message: &Message) -> bool {
        if is_modern(message) || !self.server.speaks(Era::Modern) {
            return self.server.speaks(Era::Modern);
        }
        if !self.server.speaks(Era::Legacy) {
            // A client that opens with `initialize` learns best from an answer to just that.
            return message.method() != method::INITIALIZE;
        }
        head.session == SessionHeader::Absent
            && (head.version.is_modern() || message.method() == method::SERVER_DISCOVER)
    }

    fn modern(&self, head: &HeadInfo, message: &Message) -> Result<HttpAdmit, Rejection> {
        let newest = Revision::latest_in(Era::Modern, &self.server.supported).unwrap_or(Revision::LATEST);
        match message.kind() {
            Kind::Request => self.modern_request(head, message, newest.rules()),
            Kind::Notification => {
                self.modern_notification(head, message).map_err(|fault| fault.under(newest.rules()))
            }
            Kind::Result | Kind::Error => Err(Fault::UnexpectedResponse.under(newest.rules())),
        }
    }

    /// In the order of the specification: what is missing before what differs, and that before what is not
    /// supported.
    fn modern_request(
        &self,
        head: &HeadInfo,
        message: &Message,
        rules: &'static Rules,
    ) -> Result<HttpAdmit, Rejection> {
        let mirrored = || {
            mirror::check_version_is_there(head)?;
            let requested = request::required(message)?;
            mirror::check_version(head, &requested)
        };
        mirrored().map_err(|fault: Fault| fault.under(rules))?;
        let request = ModernRequest::validate(message, &self.server.supported)?;
        let rules = request.revision.rules();
        mirror::check_request(head, message).map_err(|fault| fault.under(rules))?;
        let method = message.method();
        if !method::exists(method, rules) {
            let opening = method == method::INITIALIZE;
            let supported = if opening { self.server.supported.clone() } else { Vec::new() };
            return Err(Fault::MethodNotFound { method: clip(method), supported }.under(rules));
        }
        if method == method::SERVER_DISCOVER {
            return Ok(HttpAdmit::Discover(self.discovered.clone()));
        }
        Ok(HttpAdmit::Modern(request))
    }

    /// The specification asks little of a notification, so only what it says is checked.
    fn modern_notification(&self, head: &HeadInfo, message: &Message) -> Result<HttpAdmit, Fault> {
        mirror::check_version_is_there(head)?;
        if let Some(named) = message.string(Member::MetaProtocolVersion) {
            mirror::check_version(head, &named)?;
        }
        match head.version {
            VersionHeader::Known(revision)
                if revision.era() == Era::Modern && self.server.supported.contains(&revision) => {}
            _ => return Err(Fault::unsupported_version(head.version.shown(), &self.server.supported)),
        }
        mirror::check_notification(head, message)?;
        Ok(HttpAdmit::ModernNotification)
    }

    fn legacy(&self, head: &HeadInfo, message: &Message) -> Result<HttpAdmit, Fault> {
        let opens = message.kind() == Kind::Request && message.method() == method::INITIALIZE;
        if !self.server.speaks(Era::Legacy) {
            let requested = message.string(Member::ProtocolVersion).unwrap_or_default();
            let supported = self.server.supported.clone();
            return Err(Fault::NoHandshake { requested: clip(&requested), supported });
        }
        if head.session != SessionHeader::Absent {
            return self.in_session(head).map(|session| HttpAdmit::InSession { session });
        }
        if head.version.is_modern() || (is_modern(message) && !opens) {
            return Err(Fault::EraNotSpoken { supported: self.server.supported.clone() });
        }
        if opens { Ok(HttpAdmit::Initialize) } else { Err(Fault::SessionRequired) }
    }

    /// The session that a request says it belongs to, if what it says can be true.
    fn in_session(&self, head: &HeadInfo) -> Result<SessionId, Fault> {
        let session = match &head.session {
            SessionHeader::Absent => return Err(Fault::SessionRequired),
            SessionHeader::Impossible => return Err(Fault::SessionUnknown),
            SessionHeader::Id(session) => session.clone(),
        };
        match head.version {
            VersionHeader::Absent => Ok(session),
            VersionHeader::Known(revision)
                if revision.era() == Era::Legacy && self.server.supported.contains(&revision) =>
            {
                Ok(session)
            }
            _ => Err(Fault::VersionHeader {
                requested: clip(head.version.shown()),
                supported: self.server.supported.clone(),
            }),
        }
    }

    /// GET and DELETE mean nothing in the modern era.
    fn of_legacy_only(&self, head: &HeadInfo) -> Result<(), Fault> {
        let modern = match head.version {
            VersionHeader::Known(_) => head.version.is_modern(),
            _ => head.version.is_modern() && head.session == SessionHeader::Absent,
        };
        if modern || !self.server.speaks(Era::Legacy) {
            return Err(Fault::MethodNotAllowed { allow: ALLOWED_MODERN });
        }
        Ok(())
    }

    fn not_allowed(&self) -> Fault {
        let allow = if self.server.speaks(Era::Legacy) { ALLOWED } else { ALLOWED_MODERN };
        Fault::MethodNotAllowed { allow }
    }

    /// The rules for errors outside a modern request.
    fn rules(&self) -> &'static Rules {
        let newest = Revision::latest_in(Era::Modern, &self.server.supported);
        newest.unwrap_or(Revision::LATEST_LEGACY).rules()
    }
}

const ALLOWED: &str = "GET, POST, DELETE";
const ALLOWED_MODERN: &str = "POST";

#[cfg(test)]
mod tests;
