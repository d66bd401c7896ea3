//! How text that is no plain header value travels in a header.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// What a header value means: itself, or what the Base64 between `=?base64?` and `?=` decodes to. Blanks around it
/// do not belong to it; the markers are case-sensitive, and what has only one of them is plain text.
///
/// This is for `Mcp-Name` and `Mcp-Param-*`; no other header may be encoded.
///
/// # Errors
///
/// A byte that is not printable ASCII, a space or a tab; Base64 with a wrong alphabet, padding or trailing bits;
/// decoded bytes that are not UTF-8.
pub fn decode_header_value(value: &HeaderValue) -> Result<Cow<'_, str>, InvalidHeaderValue> {
    let plain = plain_header_value(value)?;
    let Some(encoded) = plain.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) else {
        return Ok(Cow::Borrowed(plain));
    };
    let decoded = STANDARD.decode(encoded).map_err(|_| InvalidHeaderValue::Base64)?;
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| InvalidHeaderValue::NotUtf8)
}

/// The text of a header value that is never encoded, without the blanks around it.
pub(crate) fn plain_header_value(value: &HeaderValue) -> Result<&str, InvalidHeaderValue> {
    let text = value.to_str().map_err(|_| InvalidHeaderValue::Character)?;
    Ok(text.trim_matches([' ', '\t']))
}

/// The header value for a text: the text itself where that is safe, else `=?base64?…?=`. Encoded is whatever has a
/// character other than printable ASCII, a space at one of its ends, or the look of an encoded value.
#[must_use]
pub fn encode_header_value(text: &str) -> HeaderValue {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let ambiguous = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    let value = if printable && !padded && !ambiguous {
        HeaderValue::from_str(text)
    } else {
        let mut encoded = String::from(PREFIX);
        STANDARD.encode_string(text, &mut encoded);
        encoded.push_str(SUFFIX);
        HeaderValue::try_from(encoded)
    };
    // Both are printable ASCII, so this is never the other value.
    value.unwrap_or_else(|_| HeaderValue::from_static(""))
}

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// A header value that means no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHeaderValue {
    /// Neither printable ASCII nor a space nor a tab.
    #[error("has a character that no header value may have")]
    Character,
    /// Not Base64 between the markers.
    #[error("is not valid Base64 between `=?base64?` and `?=`")]
    Base64,
    /// The Base64 is no text.
    #[error("is Base64 of something that is not UTF-8")]
    NotUtf8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_plain_unless_both_markers_stand_around_it() {
        use InvalidHeaderValue::{Base64, Character, NotUtf8};
        let table: [(&[u8], Result<&str, InvalidHeaderValue>); 24] = [
            (b"us-west1", Ok("us-west1")),
            (b"a b", Ok("a b")),
            (b" \tpadded\t ", Ok("padded")),
            (b"", Ok("")),
            (b"=?base64?SGVsbG8sIOS4lueVjA==?=", Ok("Hello, \u{4e16}\u{754c}")),
            (b"=?base64?IHBhZGRlZCA=?=", Ok(" padded ")),
            (b"=?base64?bGluZTEKbGluZTI=?=", Ok("line1\nline2")),
            (b"=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Ok("=?base64?literal?=")),
            (b"  =?base64?YQ==?=  ", Ok("a")),
            (b"=?base64??=", Ok("")),
            // Plain: a marker is missing, or is not written as it must be.
            (b"=?base64?YQ==", Ok("=?base64?YQ==")),
            (b"YQ==?=", Ok("YQ==?=")),
            (b"=?BASE64?YQ==?=", Ok("=?BASE64?YQ==?=")),
            (b"=?base64?=", Ok("=?base64?=")),
            (b"x=?base64?YQ==?=", Ok("x=?base64?YQ==?=")),
            // No Base64: padding, alphabet, bits beyond the end, blanks.
            (b"=?base64?YQ?=", Err(Base64)),
            (b"=?base64?YQ=?=", Err(Base64)),
            (b"=?base64?YQ===?=", Err(Base64)),
            (b"=?base64?_-8=?=", Err(Base64)),
            (b"=?base64?YR==?=", Err(Base64)),
            (b"=?base64? YQ==?=", Err(Base64)),
            (b"=?base64?YQ==YQ==?=", Err(Base64)),
            (b"=?base64?/w==?=", Err(NotUtf8)),
            (b"caf\xc3\xa9", Err(Character)),
        ];
        for (value, expected) in table {
            let header = HeaderValue::from_bytes(value).unwrap();
            let decoded = decode_header_value(&header);
            assert_eq!(decoded.as_deref(), expected.as_ref().copied(), "{header:?}");
        }
    }

    #[test]
    fn a_text_is_encoded_only_where_it_must_be() {
        let table = [
            ("us-west1", "us-west1"),
            ("a b:c", "a b:c"),
            ("", ""),
            ("=?base64?", "=?base64?"),
            ("Hello, \u{4e16}\u{754c}", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded", "=?base64?IHBhZGRlZA==?="),
            ("padded ", "=?base64?cGFkZGVkIA==?="),
            ("a\tb", "=?base64?YQli?="),
            ("a\r\nEvil: 1", "=?base64?YQ0KRXZpbDogMQ==?="),
            ("\u{7f}", "=?base64?fw==?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("=?base64?=", "=?base64?PT9iYXNlNjQ/PQ==?="),
        ];
        for (text, expected) in table {
            assert_eq!(encode_header_value(text), expected, "{text:?}");
        }
    }
}
