//! What a page in a browser may send and read (cross-origin resource sharing). Which pages is
//! [`OriginPolicy`](crate::OriginPolicy)'s to say.
//!
//! Plain lists and functions, for whatever answers a browser's preflight. A preflight has no credentials and no body,
//! so it is answered before authentication and before anything is admitted.

use http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::header;

/// The headers of a request that a client of either era sends. `Mcp-Param-*` headers come on top of them; only
/// [`allowed_headers`] knows these.
pub const REQUEST_HEADERS: [HeaderName; 11] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    header::LAST_EVENT_ID,
    header::METHOD,
    header::NAME,
    header::PROTOCOL_VERSION,
    header::SESSION_ID,
    header::TRACEPARENT,
    header::TRACESTATE,
    header::BAGGAGE,
];

/// The headers of a response that a client has to read, beyond those that every page may.
pub const EXPOSED_HEADERS: [HeaderName; 4] =
    [header::SESSION_ID, header::PROTOCOL_VERSION, RETRY_AFTER, WWW_AUTHENTICATE];

/// The most bytes of `Access-Control-Request-Headers` that [`allowed_headers`] looks at. More of them and none that
/// only the request names is allowed.
pub const MAX_REQUESTED_HEADERS_BYTES: usize = 16 * 1024;

/// Whether a request is a preflight: a browser's question, not a client's request.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The value of `Access-Control-Allow-Methods`: sessions of the legacy era have GET and DELETE beside POST.
#[must_use]
pub fn methods(speaks_legacy: bool) -> HeaderValue {
    HeaderValue::from_static(if speaks_legacy { "GET, POST, DELETE" } else { "POST" })
}

/// The value of `Access-Control-Expose-Headers`.
#[must_use]
pub fn exposed_headers() -> HeaderValue {
    list(EXPOSED_HEADERS.iter().map(HeaderName::as_str))
}

/// The value of `Access-Control-Allow-Headers`: [`REQUEST_HEADERS`], and whichever `Mcp-Param-*` headers the preflight
/// asks for in `Access-Control-Request-Headers`, since no list can name them.
#[must_use]
pub fn allowed_headers(requested: Option<&HeaderValue>) -> HeaderValue {
    let requested = requested
        .filter(|requested| requested.len() <= MAX_REQUESTED_HEADERS_BYTES)
        .and_then(|requested| requested.to_str().ok())
        .unwrap_or_default();
    let asked = requested.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| is_param(name));
    list(REQUEST_HEADERS.iter().map(HeaderName::as_str).chain(asked))
}

fn is_param(name: &str) -> bool {
    name.get(..header::PARAM_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(header::PARAM_PREFIX))
        && name.len() > header::PARAM_PREFIX.len()
        && HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// Names of headers are values of headers, so this is never the empty one.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> HeaderValue {
    let names: Vec<&str> = names.collect();
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Revision, SessionHeaders, SessionId, TraceContext, modern_headers};

    fn names(value: &HeaderValue) -> Vec<String> {
        value.to_str().unwrap().split(", ").map(str::to_ascii_lowercase).collect()
    }

    #[test]
    fn whatever_a_client_writes_may_be_sent_and_what_it_reads_may_be_read() {
        let session = SessionHeaders {
            session: SessionId::parse(&HeaderValue::from_static("abc")),
            revision: Some(Revision::V2025_11_25),
        };
        let trace = TraceContext::new(
            Some("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"),
            Some("a=1"),
            Some("b=2"),
        );
        let mut sent = HeaderMap::new();
        modern_headers("2026-07-28", "tools/call", Some("add"), &mut sent);
        session.write_post(&mut sent);
        session.write_get(Some(&HeaderValue::from_static("7.0")), &mut sent);
        session.write_delete(&mut sent);
        trace.write_headers(&mut sent);
        sent.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        let allowed = names(&allowed_headers(None));
        for name in sent.keys() {
            assert!(allowed.iter().any(|allowed| allowed == name.as_str()), "{name}");
        }
        assert_eq!(allowed.len(), sent.keys().count());
        let exposed = names(&exposed_headers());
        assert_eq!(exposed, ["mcp-session-id", "mcp-protocol-version", "retry-after", "www-authenticate"]);
    }

    #[test]
    fn of_what_a_preflight_asks_for_only_mirrored_arguments_are_allowed_on_top() {
        let long = format!("mcp-param-{}", "a".repeat(MAX_REQUESTED_HEADERS_BYTES));
        let table: [(&str, &[&str]); 9] = [
            ("mcp-param-region", &["mcp-param-region"]),
            ("content-type, Mcp-Param-Region ,\tmcp-param-b", &["mcp-param-region", "mcp-param-b"]),
            ("x-evil, cookie, mcp-param", &[]),
            ("mcp-param-", &[]),
            ("xmcp-param-a", &[]),
            ("mcp-param-a b, mcp-param-a:b", &[]),
            ("*", &[]),
            ("", &[]),
            (&long, &[]),
        ];
        let listed = REQUEST_HEADERS.len();
        for (requested, expected) in table {
            let requested = HeaderValue::from_str(requested).unwrap();
            let allowed = names(&allowed_headers(Some(&requested)));
            assert_eq!(&allowed[listed..], expected, "{requested:?}");
        }
        let strange = HeaderValue::from_bytes(b"mcp-param-a, \xff").unwrap();
        assert_eq!(names(&allowed_headers(Some(&strange))).len(), listed);
    }

    #[test]
    fn a_preflight_is_told_from_other_requests_and_learns_the_methods_of_both_eras() {
        let with = |names: &[HeaderName]| -> HeaderMap {
            names.iter().map(|name| (name.clone(), HeaderValue::from_static("x"))).collect()
        };
        let asks = [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD];
        assert!(is_preflight(&Method::OPTIONS, &with(&asks)));
        assert!(!is_preflight(&Method::POST, &with(&asks)));
        assert!(!is_preflight(&Method::OPTIONS, &with(&asks[..1])));
        assert!(!is_preflight(&Method::OPTIONS, &with(&asks[1..])));
        assert_eq!([methods(true), methods(false)], ["GET, POST, DELETE", "POST"]);
    }
}
