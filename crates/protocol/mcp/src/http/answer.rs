//! What a client makes of the head of a response.

use http::{HeaderValue, StatusCode};

use super::head::{EVENTS, JSON, media_type};

/// What a client makes of the head of a response to a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpAnswer {
    /// The answer is in the body. What the head says about its kind is a hint: some servers send one kind under the
    /// other's name, so look at the first bytes with [`sniff`]; `None` when the head says nothing.
    Body(Option<BodyKind>),
    /// The message was taken, and there is nothing to read.
    Accepted,
    /// The message was refused. The body may have a JSON-RPC error that says why.
    Refused(StatusCode),
}

/// The two kinds of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// One message, or a batch.
    Json,
    /// A stream of events.
    Events,
}

impl HttpAnswer {
    /// Reads status and `Content-Type` of a response. A message that expects no answer, a notification or a response,
    /// was taken with any status of success, whatever is in the body. A request that was taken without an answer may
    /// still get one on another stream of its session.
    #[must_use]
    pub fn classify(
        status: StatusCode,
        content_type: Option<&HeaderValue>,
        expects_answer: bool,
    ) -> HttpAnswer {
        if !status.is_success() {
            return HttpAnswer::Refused(status);
        }
        if !expects_answer || matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return HttpAnswer::Accepted;
        }
        HttpAnswer::Body(content_type.and_then(BodyKind::of))
    }
}

impl BodyKind {
    /// The kind that a `Content-Type` names.
    #[must_use]
    pub fn of(content_type: &HeaderValue) -> Option<BodyKind> {
        let named = media_type(content_type)?;
        if named.eq_ignore_ascii_case(JSON) {
            Some(BodyKind::Json)
        } else if named.eq_ignore_ascii_case(EVENTS) {
            Some(BodyKind::Events)
        } else {
            None
        }
    }
}

/// The kind of a body by its first bytes: no field of an event begins like a JSON object or array. `None` as long as
/// there are only blanks, lines without anything in them and a byte order mark.
#[must_use]
pub fn sniff(prefix: &[u8]) -> Option<BodyKind> {
    let rest = prefix.strip_prefix(BYTE_ORDER_MARK).unwrap_or(prefix);
    if rest.len() == prefix.len() && BYTE_ORDER_MARK.starts_with(prefix) {
        return None;
    }
    match rest.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'{' | b'[' => Some(BodyKind::Json),
        _ => Some(BodyKind::Events),
    }
}

/// Whether a server that refuses `initialize` with this status may be one of 2024-11-05, to be tried with a GET that
/// opens its stream. Only if the body has no error of a modern server
/// ([`Probe::handle_http_refusal`](crate::Probe::handle_http_refusal) knows).
#[must_use]
pub fn suggests_http_sse(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_where_the_answer_is() {
        use BodyKind::{Events, Json};
        use HttpAnswer::{Accepted, Body};
        let refused = |status| HttpAnswer::Refused(StatusCode::from_u16(status).unwrap());
        // Status; content type; what becomes of a request, and of a message without an answer.
        let table = [
            (200, Some("application/json"), Body(Some(Json)), Accepted),
            (200, Some("Application/JSON; charset=utf-8"), Body(Some(Json)), Accepted),
            (200, Some("text/event-stream"), Body(Some(Events)), Accepted),
            (200, Some(" text/event-stream ;charset=utf-8"), Body(Some(Events)), Accepted),
            (200, Some("text/html"), Body(None), Accepted),
            (200, Some("application/jsonx"), Body(None), Accepted),
            (200, None, Body(None), Accepted),
            (201, Some("application/json"), Body(Some(Json)), Accepted),
            (202, Some("application/json"), Accepted, Accepted),
            (202, None, Accepted, Accepted),
            (204, None, Accepted, Accepted),
            (302, Some("application/json"), refused(302), refused(302)),
            (400, Some("application/json"), refused(400), refused(400)),
            (404, None, refused(404), refused(404)),
            (503, Some("text/html"), refused(503), refused(503)),
        ];
        for (status, content_type, request, other) in table {
            let status = StatusCode::from_u16(status).unwrap();
            let content_type = content_type.map(HeaderValue::from_static);
            let classified =
                [true, false].map(|expects| HttpAnswer::classify(status, content_type.as_ref(), expects));
            assert_eq!(classified, [request, other], "{status} {content_type:?}");
        }
    }

    #[test]
    fn a_body_shows_its_kind_with_its_first_bytes() {
        use BodyKind::{Events, Json};
        let table: [(&[u8], Option<BodyKind>); 13] = [
            (b"{\"jsonrpc\"", Some(Json)),
            (b" \r\n\t[", Some(Json)),
            (b"\xef\xbb\xbf{", Some(Json)),
            (b"data: {}", Some(Events)),
            (b"event: message\n", Some(Events)),
            (b"\n\nid: 1", Some(Events)),
            (b": comment", Some(Events)),
            (b"\xef\xbb\xbfdata:", Some(Events)),
            (b"<html>", Some(Events)),
            (b"", None),
            (b"\xef\xbb", None),
            (b"\xef\xbb\xbf", None),
            (b" \n", None),
        ];
        for (prefix, kind) in table {
            assert_eq!(sniff(prefix), kind, "{:?}", String::from_utf8_lossy(prefix));
        }
    }

    #[test]
    fn three_statuses_suggest_the_oldest_transport() {
        for status in 100..600 {
            let suggested = suggests_http_sse(StatusCode::from_u16(status).unwrap());
            assert_eq!(suggested, matches!(status, 400 | 404 | 405), "{status}");
        }
    }
}
