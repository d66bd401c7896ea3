//! The error codes that MCP defines beside those of JSON-RPC.

/// An HTTP header and the body disagree, or a required header is missing.
pub const HEADER_MISMATCH: i64 = -32020;
/// The request needs a capability that the client did not declare.
pub const MISSING_CAPABILITY: i64 = -32021;
/// The server does not speak the revision of the request.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// A resource was not found, up to 2025-11-25; see `Rules::resource_not_found`.
pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;

/// Whether an error with this code can only come from a modern server.
#[must_use]
pub const fn is_modern(code: i64) -> bool {
    matches!(code, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION)
}
