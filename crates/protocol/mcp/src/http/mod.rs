//! MCP over HTTP, as far as heads and messages go: who may ask, what a request belongs to, and what its headers
//! have to say.

mod answer;
mod authority;
pub mod cors;
mod endpoint;
mod gate;
mod head;
mod headers;
mod host;
mod mirror;
mod origin;
mod params;
mod session_id;
mod trace;
mod value;

pub use answer::{BodyKind, HttpAnswer, sniff, suggests_http_sse};
pub use endpoint::{HttpAdmit, HttpEndpoint};
pub use gate::HttpGate;
pub use head::{HeadInfo, Verb, VersionHeader};
pub use headers::{SessionHeaders, modern_headers, post_headers};
pub use host::{HostPolicy, InvalidHost};
pub use origin::{InvalidOrigin, OriginPolicy};
pub use params::{
    HeaderParams, HeaderParamsError, MAX_HEADER_PARAM_NAME_BYTES, MAX_HEADER_PARAMS, tool_arguments,
    without_bad_tools,
};
pub use session_id::{MAX_OWN_SESSION_ID_BYTES, MAX_SESSION_ID_BYTES, SessionId};
pub use value::{InvalidHeaderValue, decode_header_value, encode_header_value};

/// The names of the headers that MCP defines. `http` compares names without regard to case.
pub mod header {
    use http::HeaderName;

    /// The session that a legacy message belongs to.
    pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
    /// The revision of the message.
    pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
    /// The method of a modern request.
    pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
    /// What a modern request calls, gets or reads.
    pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
    /// What a header that mirrors an argument of a tool begins with.
    pub const PARAM_PREFIX: &str = "mcp-param-";
    /// The last event that a reader of a resumable stream has got.
    pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
    /// W3C Trace Context.
    pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    /// W3C Trace Context.
    pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    /// W3C Baggage.
    pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
}
