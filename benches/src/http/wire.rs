//! The messages that are exchanged, and the heads of the requests.

use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::pattern::Pattern;
use crate::Failure;

/// A stateless `echo` call.
const REQUEST: &str = r#"{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"towpath-bench","version":"0.1.0"},"io.modelcontextprotocol/clientCapabilities":{}},"name":"echo","arguments":{"text":"{text}"}}}"#;

/// The same that asks for reports of progress. This tool makes one, and then does as `echo`.
const REQUEST_WITH_PROGRESS: &str = r#"{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"towpath-bench","version":"0.1.0"},"io.modelcontextprotocol/clientCapabilities":{},"progressToken":{id}},"name":"tell","arguments":{"text":"{text}"}}}"#;

/// An `echo` call in a session.
const SESSION_REQUEST: &str = r#"{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{"name":"echo","arguments":{"text":"{text}"}}}"#;

/// What Towpath answers to each of them, and so how long the floor's answers are.
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":{id},"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"towpath-bench","version":"0.1.0"}},"content":[{"type":"text","text":"{text}"}]}}"#;
const EVENTS: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":{id},\"progress\":1}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"towpath-bench\",\"version\":\"0.1.0\"}},\"content\":[{\"type\":\"text\",\"text\":\"{text}\"}]}}\n\n";
const SESSION_ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[{"type":"text","text":"{text}"}]}}"#;

pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"towpath-bench","version":"0.1.0"}}}"#;
pub(super) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

impl crate::Answers {
    pub(crate) fn request(self) -> Pattern {
        Pattern::new(match self {
            Self::Json => REQUEST,
            Self::Events => REQUEST_WITH_PROGRESS,
            Self::Session => SESSION_REQUEST,
        })
    }

    /// What Towpath answers.
    pub(crate) fn answer(self) -> Pattern {
        Pattern::new(match self {
            Self::Json => ANSWER,
            Self::Events => EVENTS,
            Self::Session => SESSION_ANSWER,
        })
    }
}

/// Where the floor's echo gives as long an answer as Towpath does to an `echo` call of such a text, and with the same
/// headers: `/json/281`.
pub(crate) fn echo_path(answers: crate::Answers, text_bytes: usize) -> String {
    let form = if answers == crate::Answers::Events { "sse" } else { "json" };
    format!("/{form}/{}", answers.answer().length(HttpIds::BYTES, text_bytes))
}

/// The headers of every request.
pub(crate) fn plain_headers(host: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(host)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    Ok(headers)
}

/// The headers of a stateless call.
pub(crate) fn modern_headers(host: &str, answers: crate::Answers) -> Result<HeaderMap, Failure> {
    let tool = if answers == crate::Answers::Events { "tell" } else { "echo" };
    let mut headers = plain_headers(host)?;
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("2026-07-28"));
    headers.insert(METHOD, HeaderValue::from_static("tools/call"));
    headers.insert(NAME, HeaderValue::from_static(tool));
    Ok(headers)
}

/// The headers of what is sent in a session.
pub(super) fn session_headers(host: &str, session: HeaderValue) -> Result<HeaderMap, Failure> {
    let mut headers = plain_headers(host)?;
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("2025-11-25"));
    headers.insert(SESSION_ID, session);
    Ok(headers)
}

/// A session id as long as those of Towpath, for the echo that has no sessions.
pub(super) const NO_SESSION: HeaderValue =
    HeaderValue::from_static("0123456789012345678901234567890123456789012");

/// Ids that no two requests of a connection share, all of the same length.
pub(crate) struct HttpIds {
    next: u64,
    digits: itoa::Buffer,
}

impl HttpIds {
    /// The length of every id.
    pub(crate) const BYTES: usize = 10;

    /// The ids of the caller number `caller`, of 64 at most.
    pub(crate) fn of_caller(caller: usize) -> Self {
        Self { next: 1_000_000_000 + caller as u64 * 100_000_000, digits: itoa::Buffer::new() }
    }

    pub(crate) fn next(&mut self) -> &[u8] {
        self.next += 1;
        self.digits.format(self.next).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::HttpIds;

    #[test]
    fn all_ids_have_the_same_length() {
        for caller in [0, 63] {
            assert_eq!(HttpIds::of_caller(caller).next().len(), HttpIds::BYTES);
        }
    }
}
