//! Values of HTTP headers: `encode_header_value`, `decode_header_value`.

use http::HeaderValue;
use towpath_mcp::{SessionId, decode_header_value, encode_header_value};

/// All of this module, for any bytes: as a text, and as the value of a header.
pub fn holds(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        every_text_comes_back(text);
    }
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    if let Ok(text) = decode_header_value(&value) {
        every_text_comes_back(&text);
    }
    if let Some(id) = SessionId::parse(&value) {
        assert_eq!(id.to_header(), value, "a session id is never rewritten");
    }
}

/// Every text comes back through a header, which is printable ASCII.
pub fn every_text_comes_back(text: &str) {
    let value = encode_header_value(text);
    assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')), "{value:?}");
    assert_eq!(decode_header_value(&value).as_deref(), Ok(text), "{value:?}");
}
