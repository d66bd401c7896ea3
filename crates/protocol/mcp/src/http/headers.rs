//! The headers that a client sends.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use towpath_jsonrpc::{Member, Message};

use super::head::{EVENTS, JSON};
use super::header;
use super::mirror::name_source;
use super::session_id::SessionId;
use super::value::encode_header_value;
use crate::method;
use crate::request::is_modern;
use crate::revision::Revision;

/// What a client's legacy session puts into every head: nothing until `initialize` was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHeaders {
    /// The id that came with the answer to `initialize`, if one came.
    pub session: Option<SessionId>,
    /// The revision that was agreed on.
    pub revision: Option<Revision>,
}

impl SessionHeaders {
    /// The headers of a POST in the session, for messages that are not looked into: a batch.
    pub fn write_post(&self, out: &mut HeaderMap) {
        write_media_types(out);
        self.write(out);
    }

    /// The headers of a GET that opens the session's stream, or takes one up again behind an event.
    pub fn write_get(&self, last_event_id: Option<&HeaderValue>, out: &mut HeaderMap) {
        out.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(last) = last_event_id {
            out.insert(header::LAST_EVENT_ID, last.clone());
        }
        self.write(out);
    }

    /// The headers of the DELETE that ends the session.
    pub fn write_delete(&self, out: &mut HeaderMap) {
        self.write(out);
    }

    fn write(&self, out: &mut HeaderMap) {
        if let Some(session) = &self.session {
            out.insert(header::SESSION_ID, session.to_header());
        }
        if let Some(revision) = self.revision.filter(|revision| revision.rules().version_header) {
            out.insert(header::PROTOCOL_VERSION, HeaderValue::from_static(revision.as_str()));
        }
    }
}

/// Writes the headers of the POST that carries a message. A message whose `_meta` names a revision is modern and
/// belongs to no session; `initialize` belongs to none yet; every other belongs to `session`.
pub fn post_headers(message: &Message, session: &SessionHeaders, out: &mut HeaderMap) {
    let method = message.method();
    if is_modern(message) {
        let revision = message.string(Member::MetaProtocolVersion).unwrap_or_default();
        let name = name_source(method).and_then(|member| message.string(member));
        modern_headers(&revision, method, name.as_deref(), out);
    } else if method == method::INITIALIZE {
        write_media_types(out);
    } else {
        session.write_post(out);
    }
}

/// Writes the headers of a modern POST. `name` is `params.name` of `tools/call` and `prompts/get`, and `params.uri` of
/// `resources/read`; other methods have none.
///
/// A revision or a method that no header can carry is left out: only a name may be encoded, and the server says what
/// it misses.
pub fn modern_headers(revision: &str, method: &str, name: Option<&str>, out: &mut HeaderMap) {
    write_media_types(out);
    for (header, text) in [(header::PROTOCOL_VERSION, revision), (header::METHOD, method)] {
        if let Some(value) = plain(text) {
            out.insert(header, value);
        }
    }
    if let Some(name) = name {
        out.insert(header::NAME, encode_header_value(name));
    }
}

fn plain(text: &str) -> Option<HeaderValue> {
    if let Some(revision) = Revision::parse(text) {
        return Some(HeaderValue::from_static(revision.as_str()));
    }
    // `from_str` takes bytes that are no ASCII.
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then(|| HeaderValue::from_str(text).ok()).flatten()
}

fn write_media_types(out: &mut HeaderMap) {
    out.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    out.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    const MODERN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;

    fn written(write: impl FnOnce(&mut HeaderMap)) -> String {
        let mut headers = HeaderMap::new();
        write(&mut headers);
        let mut lines: Vec<String> = headers
            .iter()
            .filter(|(name, value)| {
                let usual = matches!(name.as_str(), "accept" | "content-type");
                assert!(!usual || !value.is_empty());
                !usual
            })
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join(" | ")
    }

    fn session(revision: Revision) -> SessionHeaders {
        let id = SessionId::parse(&HeaderValue::from_static("abc"));
        SessionHeaders { session: id, revision: Some(revision) }
    }

    #[test]
    fn a_post_says_in_its_head_what_its_revision_asks_for() {
        let newer = session(Revision::V2025_11_25);
        let older = session(Revision::V2025_03_26);
        let without_id = SessionHeaders { session: None, ..newer.clone() };
        let in_newer = "mcp-protocol-version: 2025-11-25 | mcp-session-id: abc";
        let named = |name: &str| format!(r#""name":{name},{MODERN}"#);
        let modern = |rest: &str| format!("mcp-method: {rest} | mcp-protocol-version: 2026-07-28");
        let with_name = |method: &str, name: &str| {
            format!("mcp-method: {method} | mcp-name: {name} | mcp-protocol-version: 2026-07-28")
        };
        // The session; the method; the parameters; the headers.
        let table = [
            (&newer, "tools/call", String::new(), in_newer.to_owned()),
            (&newer, "tools/call", r#""name":"add""#.to_owned(), in_newer.to_owned()),
            (&older, "tools/call", String::new(), "mcp-session-id: abc".to_owned()),
            (&without_id, "ping", String::new(), "mcp-protocol-version: 2025-11-25".to_owned()),
            (&newer, "initialize", r#""protocolVersion":"2025-11-25""#.to_owned(), String::new()),
            (&newer, "tools/list", MODERN.to_owned(), modern("tools/list")),
            (&newer, "tools/call", named(r#""add""#), with_name("tools/call", "add")),
            (&newer, "prompts/get", named(r#""greet""#), with_name("prompts/get", "greet")),
            (&newer, "tools/call", named(r#"" a""#), with_name("tools/call", "=?base64?IGE=?=")),
            (&newer, "tools/call", named(r#""\u00e9""#), with_name("tools/call", "=?base64?w6k=?=")),
            (
                &newer,
                "resources/read",
                format!(r#""uri":"test://a","name":"x",{MODERN}"#),
                with_name("resources/read", "test://a"),
            ),
            (&newer, "completion/complete", named(r#""x""#), modern("completion/complete")),
            (&newer, "tools/call", MODERN.to_owned(), modern("tools/call")),
            (&newer, "tools/call", named("7"), modern("tools/call")),
            (
                &newer,
                "x/own",
                MODERN.replace("2026-07-28", "2099-01-01"),
                "mcp-method: x/own | mcp-protocol-version: 2099-01-01".to_owned(),
            ),
            (&newer, "x\\u00e9", MODERN.to_owned(), "mcp-protocol-version: 2026-07-28".to_owned()),
            (&newer, "x\\r\\ny: z", MODERN.to_owned(), "mcp-protocol-version: 2026-07-28".to_owned()),
        ];
        for (session, method, params, expected) in table {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
            let headers = written(|out| post_headers(&message(&text), session, out));
            assert_eq!(headers, expected, "{text}");
        }
    }

    #[test]
    fn a_post_takes_both_kinds_of_answer_and_says_that_it_is_json() {
        let session = session(Revision::V2025_11_25);
        let params = [MODERN, r#""name":"x""#];
        for (method, params) in [("tools/list", params[0]), ("tools/list", params[1]), ("initialize", "")] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
            let mut out = HeaderMap::new();
            post_headers(&message(&text), &session, &mut out);
            assert_eq!(out[ACCEPT], "application/json, text/event-stream", "{text}");
            assert_eq!(out[CONTENT_TYPE], "application/json", "{text}");
        }
    }

    #[test]
    fn the_stream_and_the_end_of_a_session_name_it() {
        let session = session(Revision::V2025_11_25);
        let named = "mcp-protocol-version: 2025-11-25 | mcp-session-id: abc";
        assert_eq!(written(|out| session.write_post(out)), named);
        assert_eq!(written(|out| session.write_delete(out)), named);
        let last = HeaderValue::from_static("7");
        assert_eq!(written(|out| session.write_get(None, out)), named);
        assert_eq!(written(|out| session.write_get(Some(&last), out)), format!("last-event-id: 7 | {named}"));
        let mut out = HeaderMap::new();
        session.write_get(None, &mut out);
        assert_eq!(out[ACCEPT], "text/event-stream");
        assert!(!out.contains_key(CONTENT_TYPE));
        assert_eq!(written(|out| SessionHeaders::default().write_delete(out)), "");
    }
}
