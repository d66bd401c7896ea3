//! The one place that picks the wire reply for an error.

use std::borrow::Cow;
use std::time::Duration;

use bytes::BytesMut;
use towpath_jsonrpc::{ErrorObject, RawJson, code as jsonrpc};

use crate::code;
use crate::encode::write_string;
use crate::fault::Fault;
use crate::revision::{Era, Revision, Rules};

/// What goes over the wire for an error.
#[derive(Clone, Debug, PartialEq)]
pub struct WireReply {
    /// The JSON-RPC code.
    pub code: i64,
    /// What happened, for people.
    pub message: Cow<'static, str>,
    /// `reason`, a word for programs, and what belongs to the code. An error of the handler keeps its own.
    pub data: Option<RawJson>,
    /// The HTTP status, where the binding is HTTP and the response has not begun.
    pub http_status: u16,
    /// Whether the connection ends after this reply.
    pub close: bool,
    /// For `Retry-After`.
    pub retry_after: Option<Duration>,
    /// For `Allow`, which belongs to status 405.
    pub allow: Option<&'static str>,
}

impl WireReply {
    /// The error object of the response.
    #[must_use]
    pub fn into_error(self) -> ErrorObject {
        let error = ErrorObject::new(self.code, self.message);
        match self.data {
            Some(data) => error.with_data(data),
            None => error,
        }
    }
}

/// Picks the reply.
///
/// A request that was admitted has an answer, so its errors travel with status 200: in a legacy session 404
/// would end the session and 400 would put it in doubt. What the specification gives a status keeps it.
/// Overload and limits are −32603 and −32600; `data.reason` tells them apart.
#[must_use]
pub fn wire_reply(fault: &Fault, rules: &Rules) -> WireReply {
    let Row { code, reason, http_status } = row(fault, rules);
    let (message, data) = match fault {
        Fault::Handler(error) => (error.message.clone(), error.data.clone()),
        _ => (Cow::Owned(fault.to_string()), Some(data(fault, reason))),
    };
    WireReply {
        code,
        message,
        data,
        http_status,
        // Nothing else leaves the stream of messages in a state that cannot be read on.
        close: matches!(fault, Fault::TooSlow { .. }),
        retry_after: match fault {
            Fault::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        },
        allow: match fault {
            Fault::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        },
    }
}

struct Row {
    code: i64,
    reason: &'static str,
    http_status: u16,
}

fn row(fault: &Fault, rules: &Rules) -> Row {
    use jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};
    let of = |code, reason, http_status| Row { code, reason, http_status };
    let admitted = rules.rejection_status;
    match fault {
        Fault::Malformed { code, reason, .. } => of(*code, reason, 400),
        Fault::BatchNotAllowed => of(INVALID_REQUEST, "batch_not_allowed", 400),
        Fault::MissingMeta { .. } => of(INVALID_PARAMS, "missing_meta", 400),
        Fault::InvalidMeta { .. } => of(INVALID_PARAMS, "invalid_meta", admitted),
        Fault::InvalidParams { .. } => of(INVALID_PARAMS, "invalid_params", admitted),
        Fault::HeaderMismatch { .. } => of(code::HEADER_MISMATCH, "header_mismatch", 400),
        Fault::MissingCapability { .. } => of(code::MISSING_CAPABILITY, "missing_capability", 400),
        Fault::MethodNotFound { .. } => {
            of(METHOD_NOT_FOUND, "method_not_found", rules.method_not_found_status)
        }
        Fault::NotInitialized => of(INVALID_REQUEST, "not_initialized", 400),
        Fault::AlreadyInitialized => of(INVALID_REQUEST, "already_initialized", 400),
        Fault::SessionUnknown => of(INVALID_REQUEST, "session_unknown", 404),
        Fault::SessionClosed => of(INVALID_REQUEST, "session_closed", 404),
        Fault::Forbidden { .. } => of(INVALID_REQUEST, "forbidden", 403),
        Fault::SessionRequired => of(INVALID_REQUEST, "session_required", 400),
        Fault::UnexpectedResponse => of(INVALID_REQUEST, "unexpected_response", 400),
        Fault::MethodNotAllowed { .. } => of(INVALID_REQUEST, "http", 405),
        Fault::HttpShape { status, .. } => of(INVALID_REQUEST, "http", *status),
        Fault::ResourceNotFound { .. } => of(rules.resource_not_found, "resource_not_found", 200),
        Fault::UnsupportedVersion { .. } => of(code::UNSUPPORTED_VERSION, "unsupported_version", 400),
        Fault::NoHandshake { .. } => of(INVALID_PARAMS, "no_handshake", 400),
        Fault::EraNotSpoken { .. } => of(INVALID_REQUEST, "era_not_spoken", 400),
        Fault::VersionHeader { .. } => of(INVALID_REQUEST, "version_header", 400),
        Fault::TooLarge { .. } => of(INVALID_REQUEST, "too_large", 413),
        Fault::LimitReached { .. } => of(INVALID_REQUEST, "limit_reached", admitted),
        Fault::TooManyRequests { .. } => of(INVALID_REQUEST, "too_many_requests", 429),
        Fault::Overloaded { .. } => of(INTERNAL_ERROR, "overloaded", 503),
        Fault::TooSlow { .. } => of(INVALID_REQUEST, "too_slow", 408),
        Fault::ShuttingDown => of(INTERNAL_ERROR, "shutting_down", 503),
        Fault::TimedOut { .. } => of(INTERNAL_ERROR, "timed_out", 200),
        Fault::Unanswered => of(INTERNAL_ERROR, "unanswered", 200),
        Fault::Internal => of(INTERNAL_ERROR, "internal", 200),
        Fault::Upstream { reason } => of(INTERNAL_ERROR, reason, 200),
        Fault::Cancelled => of(INTERNAL_ERROR, "cancelled", 200),
        Fault::Handler(error) => of(error.code, "handler", handler_status(error.code, rules)),
    }
}

/// The statuses that a modern client reads an era or a missing method from.
fn handler_status(code: i64, rules: &Rules) -> u16 {
    match (rules.era, code) {
        (_, jsonrpc::METHOD_NOT_FOUND) => rules.method_not_found_status,
        (Era::Modern, code) if code::is_modern(code) => 400,
        _ => 200,
    }
}

fn data(fault: &Fault, reason: &str) -> RawJson {
    let mut out = BytesMut::with_capacity(64);
    out.extend_from_slice(b"{\"reason\":");
    write_string(&mut out, reason);
    match fault {
        Fault::UnsupportedVersion { requested, supported }
        | Fault::NoHandshake { requested, supported }
        | Fault::VersionHeader { requested, supported } => {
            write_supported(&mut out, supported);
            out.extend_from_slice(b",\"requested\":");
            write_string(&mut out, requested);
        }
        Fault::MethodNotFound { supported, .. } if !supported.is_empty() => {
            write_supported(&mut out, supported);
        }
        Fault::EraNotSpoken { supported } => write_supported(&mut out, supported),
        Fault::HeaderMismatch { header, .. } => {
            out.extend_from_slice(b",\"header\":");
            write_string(&mut out, header);
        }
        Fault::MissingCapability { required } => {
            out.extend_from_slice(b",\"requiredCapabilities\":");
            out.extend_from_slice(required.as_bytes());
        }
        Fault::ResourceNotFound { uri } => {
            out.extend_from_slice(b",\"uri\":");
            write_string(&mut out, uri);
        }
        Fault::TooLarge { setting, .. }
        | Fault::LimitReached { setting, .. }
        | Fault::TooManyRequests { setting, .. }
        | Fault::Overloaded { setting, .. }
        | Fault::TooSlow { setting, .. }
        | Fault::TimedOut { setting, .. } => {
            out.extend_from_slice(b",\"setting\":");
            write_string(&mut out, setting);
        }
        _ => {}
    }
    out.extend_from_slice(b"}");
    RawJson::from_validated(out.freeze())
}

fn write_supported(out: &mut BytesMut, supported: &[Revision]) {
    out.extend_from_slice(b",\"supported\":");
    crate::encode::write_revisions(out, supported);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blame;

    const SETTING: &str = "Limits::x";

    /// Fault; blame; code, reason; HTTP status in a legacy session and in the modern era; whether it closes.
    type Line = (Fault, Blame, i64, &'static str, [u16; 2], bool);

    fn table() -> Vec<Line> {
        let second = Duration::from_secs(1);
        let supported = vec![Revision::V2026_07_28];
        let required = RawJson::from_validated(bytes::Bytes::from_static(b"{\"sampling\":{}}"));
        let requested = || "1.0".to_owned();
        let own = |code| Fault::Handler(ErrorObject::new(code, "own"));
        use Blame::{Cancelled, Handler, Incompatible, Internal, Limit, Peer};
        vec![
            (
                Fault::Malformed { code: -32700, reason: "not_json", detail: "d".into() },
                Peer,
                -32700,
                "not_json",
                [400, 400],
                false,
            ),
            (Fault::BatchNotAllowed, Peer, -32600, "batch_not_allowed", [400, 400], false),
            (Fault::MissingMeta { key: "_meta" }, Peer, -32602, "missing_meta", [400, 400], false),
            (Fault::InvalidMeta { key: "k", expected: "e" }, Peer, -32602, "invalid_meta", [200, 400], false),
            (
                Fault::InvalidParams { member: "m", expected: "e" },
                Peer,
                -32602,
                "invalid_params",
                [200, 400],
                false,
            ),
            (
                Fault::HeaderMismatch { header: "Mcp-Name".into(), detail: "d".into() },
                Peer,
                -32020,
                "header_mismatch",
                [400, 400],
                false,
            ),
            (Fault::MissingCapability { required }, Peer, -32021, "missing_capability", [400, 400], false),
            (Fault::method_not_found("m"), Peer, -32601, "method_not_found", [200, 404], false),
            (Fault::NotInitialized, Peer, -32600, "not_initialized", [400, 400], false),
            (Fault::AlreadyInitialized, Peer, -32600, "already_initialized", [400, 400], false),
            (Fault::SessionUnknown, Peer, -32600, "session_unknown", [404, 404], false),
            (Fault::SessionClosed, Peer, -32600, "session_closed", [404, 404], false),
            (Fault::Forbidden { what: "origin" }, Peer, -32600, "forbidden", [403, 403], false),
            (Fault::SessionRequired, Peer, -32600, "session_required", [400, 400], false),
            (Fault::UnexpectedResponse, Peer, -32600, "unexpected_response", [400, 400], false),
            (Fault::MethodNotAllowed { allow: "POST" }, Peer, -32600, "http", [405, 405], false),
            (Fault::HttpShape { status: 406, expected: "e" }, Peer, -32600, "http", [406, 406], false),
            (Fault::resource_not_found("u"), Peer, 0, "resource_not_found", [200, 200], false),
            (
                Fault::unsupported_version("1.0", &supported),
                Incompatible,
                -32022,
                "unsupported_version",
                [400, 400],
                false,
            ),
            (
                Fault::EraNotSpoken { supported: supported.clone() },
                Incompatible,
                -32600,
                "era_not_spoken",
                [400, 400],
                false,
            ),
            (
                Fault::VersionHeader { requested: requested(), supported: supported.clone() },
                Incompatible,
                -32600,
                "version_header",
                [400, 400],
                false,
            ),
            (
                Fault::NoHandshake { requested: requested(), supported },
                Incompatible,
                -32602,
                "no_handshake",
                [400, 400],
                false,
            ),
            (
                Fault::TooLarge { what: "w", limit_bytes: 1, setting: SETTING },
                Limit,
                -32600,
                "too_large",
                [413, 413],
                false,
            ),
            (
                Fault::LimitReached { what: "w", limit: 1, setting: SETTING },
                Limit,
                -32600,
                "limit_reached",
                [200, 400],
                false,
            ),
            (
                Fault::TooManyRequests { limit: 1, setting: SETTING },
                Limit,
                -32600,
                "too_many_requests",
                [429, 429],
                false,
            ),
            (
                Fault::Overloaded { what: "w", setting: SETTING, retry_after: Some(second) },
                Limit,
                -32603,
                "overloaded",
                [503, 503],
                false,
            ),
            (
                Fault::TooSlow { what: "w", limit: second, setting: SETTING },
                Limit,
                -32600,
                "too_slow",
                [408, 408],
                true,
            ),
            (Fault::ShuttingDown, Limit, -32603, "shutting_down", [503, 503], false),
            (
                Fault::TimedOut { limit: second, setting: SETTING },
                Internal,
                -32603,
                "timed_out",
                [200, 200],
                false,
            ),
            (Fault::Unanswered, Internal, -32603, "unanswered", [200, 200], false),
            (Fault::Internal, Internal, -32603, "internal", [200, 200], false),
            (
                Fault::Upstream { reason: "upstream_lost" },
                Internal,
                -32603,
                "upstream_lost",
                [200, 200],
                false,
            ),
            (Fault::Cancelled, Cancelled, -32603, "cancelled", [200, 200], false),
            (own(-32601), Handler, -32601, "", [200, 404], false),
            (own(-32021), Handler, -32021, "", [200, 400], false),
            (own(-32602), Handler, -32602, "", [200, 200], false),
            (own(-32002), Handler, -32002, "", [200, 200], false),
            (own(7), Handler, 7, "", [200, 200], false),
        ]
    }

    #[test]
    fn each_fault_has_its_reply() {
        for (fault, blame, code, reason, statuses, close) in table() {
            assert_eq!(fault.blame(), blame, "{fault:?}");
            for (revision, status) in [Revision::LATEST_LEGACY, Revision::LATEST].into_iter().zip(statuses) {
                let reply = wire_reply(&fault, revision.rules());
                let code = if code == 0 { revision.rules().resource_not_found } else { code };
                assert_eq!((reply.code, reply.http_status, reply.close), (code, status, close), "{fault:?}");
                assert!(!reply.message.is_empty());
                let Some(data) = reply.data else {
                    assert_eq!(reason, "", "{fault:?} has no data");
                    continue;
                };
                let data: serde_json::Value = data.deserialize().unwrap();
                assert_eq!(data["reason"], reason, "{fault:?}");
                // A limit says which setting changes it.
                let text = fault.to_string();
                if text.contains(SETTING) {
                    assert_eq!(data["setting"], SETTING, "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn no_code_of_our_own_is_in_the_reserved_range() {
        for (fault, ..) in table() {
            for revision in Revision::ALL {
                let code = wire_reply(&fault, revision.rules()).code;
                let defined = code::is_modern(code) || code == revision.rules().resource_not_found;
                let own = matches!(fault, Fault::Handler(_));
                assert!(own || defined || !(-32099..=-32000).contains(&code), "{fault:?}: {code}");
            }
        }
    }

    #[test]
    fn only_a_method_that_is_not_allowed_says_what_is() {
        for (fault, ..) in table() {
            let allow = matches!(fault, Fault::MethodNotAllowed { .. }).then_some("POST");
            assert_eq!(wire_reply(&fault, Revision::LATEST.rules()).allow, allow, "{fault:?}");
        }
    }

    #[test]
    fn what_belongs_to_a_code_is_in_its_data() {
        let modern = Revision::LATEST.rules();
        let data = |fault: Fault| wire_reply(&fault, modern).data.unwrap().as_str().to_owned();
        let supported = [Revision::V2026_07_28, Revision::V2025_11_25];
        assert_eq!(
            data(Fault::unsupported_version("1\"0", &supported)),
            r#"{"reason":"unsupported_version","supported":["2026-07-28","2025-11-25"],"requested":"1\"0"}"#
        );
        let required = RawJson::from_validated(bytes::Bytes::from_static(b"{\"sampling\":{}}"));
        assert_eq!(
            data(Fault::MissingCapability { required }),
            r#"{"reason":"missing_capability","requiredCapabilities":{"sampling":{}}}"#
        );
        assert_eq!(
            data(Fault::EraNotSpoken { supported: vec![Revision::V2025_11_25] }),
            r#"{"reason":"era_not_spoken","supported":["2025-11-25"]}"#
        );
        assert_eq!(
            data(Fault::VersionHeader { requested: "x".into(), supported: vec![Revision::V2025_11_25] }),
            r#"{"reason":"version_header","supported":["2025-11-25"],"requested":"x"}"#
        );
        let named = Fault::MethodNotFound { method: "initialize".into(), supported: supported.to_vec() };
        assert_eq!(data(named), r#"{"reason":"method_not_found","supported":["2026-07-28","2025-11-25"]}"#);
        assert_eq!(data(Fault::resource_not_found("a:b")), r#"{"reason":"resource_not_found","uri":"a:b"}"#);
    }

    #[test]
    fn the_handlers_own_error_is_passed_on_as_it_is() {
        let data = RawJson::from_validated(bytes::Bytes::from_static(b"{\"n\":9e999}"));
        let error = ErrorObject::new(-32002, "gone").with_data(data);
        let reply = wire_reply(&Fault::Handler(error.clone()), Revision::LATEST.rules());
        assert_eq!(reply.into_error(), error);
    }

    #[test]
    fn an_overloaded_server_says_when_to_come_back() {
        let retry_after = Some(Duration::from_secs(3));
        let fault = Fault::Overloaded { what: "bodies being read", setting: SETTING, retry_after };
        assert_eq!(wire_reply(&fault, Revision::LATEST.rules()).retry_after, retry_after);
    }
}
