//! Request ids, exactly as the peer wrote them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::BytesMut;

use crate::text::{self, Lone};

/// The most bytes that an id may take on the wire, its quotes included.
pub const MAX_ID_BYTES: usize = 1024;

/// Strings up to this length live inside the [`Id`].
const SHORT_BYTES: usize = 22;

/// The id of a request: a JSON integer or a JSON string.
///
/// * `1` and `"1"` are different ids.
/// * An integer is kept and compared as its text, whatever its size: 2⁶³ and 10⁴⁰ survive, and `-0` is not `0`.
/// * Strings are equal when they decode to the same text, and are written as they came in, escapes included.
///
/// An id never borrows from the message it was read from, so keeping one does not keep a large message alive.
/// Integers within `i64` and strings of up to 22 bytes without escapes need no allocation; clones never do.
#[derive(Clone)]
pub struct Id(Repr);

#[derive(Clone)]
enum Repr {
    /// An integer whose text is what `itoa` writes.
    Int(i64),
    /// Any other integer, as its text.
    Big(Arc<str>),
    /// The inside of a string without escapes.
    Short {
        len: u8,
        text: [u8; SHORT_BYTES],
    },
    /// The inside of a string without escapes.
    Long(Arc<str>),
    Escaped(Arc<Escaped>),
}

struct Escaped {
    token: Box<str>,
    /// Lone surrogates keep their own bytes, so two different ids never become one.
    decoded: Box<[u8]>,
}

/// What makes two ids equal.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'a> {
    Int(i64),
    Big(&'a str),
    Text(&'a [u8]),
}

impl Id {
    /// Reads one JSON token, without whitespace around it.
    ///
    /// # Errors
    ///
    /// [`IdError`] for anything but an integer or a string of at most [`MAX_ID_BYTES`].
    #[inline]
    pub fn parse_token(token: &[u8]) -> Result<Self, IdError> {
        // The ids that nearly everybody counts with.
        if let [b'1'..=b'9', rest @ ..] = token
            && token.len() <= 18
            && rest.iter().all(u8::is_ascii_digit)
        {
            let value = token.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
            return Ok(Self(Repr::Int(value)));
        }
        Self::parse_any_token(token)
    }

    fn parse_any_token(token: &[u8]) -> Result<Self, IdError> {
        if token.len() > MAX_ID_BYTES {
            return Err(IdError::TooLong { len: token.len() });
        }
        match token {
            b"null" => Err(IdError::Null),
            [b'"', ..] => Self::parse_string(token),
            [b'-' | b'0'..=b'9', ..] => Self::parse_number(token),
            _ => Err(IdError::WrongType),
        }
    }

    fn parse_string(token: &[u8]) -> Result<Self, IdError> {
        let inner = text::unquoted(token).filter(|_| text::is_string(token)).ok_or(IdError::WrongType)?;
        if memchr::memchr(b'\\', inner).is_none() {
            let inner = std::str::from_utf8(inner).map_err(|_| IdError::WrongType)?;
            return Ok(Self::plain(inner));
        }
        let token = std::str::from_utf8(token).map_err(|_| IdError::WrongType)?;
        let decoded = text::decode(inner, Lone::Kept).into();
        Ok(Self(Repr::Escaped(Arc::new(Escaped { token: token.into(), decoded }))))
    }

    fn parse_number(token: &[u8]) -> Result<Self, IdError> {
        let digits = token.strip_prefix(b"-").unwrap_or(token);
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(IdError::NotAnInteger);
        }
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with(b"0")) {
            return Err(IdError::WrongType);
        }
        let text = std::str::from_utf8(token).map_err(|_| IdError::WrongType)?;
        Ok(Self(match text.parse::<i64>() {
            Ok(value) if token != b"-0" => Repr::Int(value),
            _ => Repr::Big(text.into()),
        }))
    }

    /// A string that is written as it stands: no escapes needed.
    fn plain(inner: &str) -> Self {
        let mut short = [0; SHORT_BYTES];
        match short.get_mut(..inner.len()) {
            Some(room) => {
                room.copy_from_slice(inner.as_bytes());
                Self(Repr::Short { len: inner.len() as u8, text: short })
            }
            None => Self(Repr::Long(inner.into())),
        }
    }

    /// The value, if it is an integer from 0 to 2⁶⁴ − 1.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match &self.0 {
            Repr::Int(value) => u64::try_from(*value).ok(),
            // `-0` parses as no unsigned integer.
            Repr::Big(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_string(&self) -> bool {
        matches!(self.identity(), Identity::Text(_))
    }

    /// Appends the JSON token.
    pub fn write(&self, out: &mut BytesMut) {
        match &self.0 {
            Repr::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
            Repr::Big(text) => out.extend_from_slice(text.as_bytes()),
            Repr::Escaped(escaped) => out.extend_from_slice(escaped.token.as_bytes()),
            Repr::Short { .. } | Repr::Long(_) => {
                out.extend_from_slice(b"\"");
                out.extend_from_slice(self.plain_text());
                out.extend_from_slice(b"\"");
            }
        }
    }

    fn plain_text(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, text } => text.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Long(text) => text.as_bytes(),
            _ => &[],
        }
    }

    fn identity(&self) -> Identity<'_> {
        match &self.0 {
            Repr::Int(value) => Identity::Int(*value),
            Repr::Big(text) => Identity::Big(text),
            Repr::Short { .. } | Repr::Long(_) => Identity::Text(self.plain_text()),
            Repr::Escaped(escaped) => Identity::Text(&escaped.decoded),
        }
    }
}

impl From<i64> for Id {
    fn from(value: i64) -> Self {
        Self(Repr::Int(value))
    }
}

impl From<u64> for Id {
    fn from(value: u64) -> Self {
        Self(match i64::try_from(value) {
            Ok(value) => Repr::Int(value),
            Err(_) => Repr::Big(itoa::Buffer::new().format(value).into()),
        })
    }
}

impl From<&str> for Id {
    /// An id of our own making: its length is the caller's concern, [`MAX_ID_BYTES`] is not checked.
    fn from(value: &str) -> Self {
        if text::plain_run(value.as_bytes(), 0, value.len()) == value.len() {
            return Self::plain(value);
        }
        let mut token = BytesMut::new();
        crate::encode::write_string(&mut token, value);
        let token = String::from_utf8_lossy(&token).into();
        Self(Repr::Escaped(Arc::new(Escaped { token, decoded: value.as_bytes().into() })))
    }
}

impl From<String> for Id {
    fn from(value: String) -> Self {
        Self::from(value.as_str())
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// The JSON token.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Int(value) => value.fmt(f),
            Repr::Big(text) => f.write_str(text),
            Repr::Escaped(escaped) => f.write_str(&escaped.token),
            Repr::Short { .. } | Repr::Long(_) => {
                write!(f, "\"{}\"", String::from_utf8_lossy(self.plain_text()))
            }
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// Why a JSON token is not a request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// `null`, which names no request.
    #[error("the id is null")]
    Null,
    /// A number with a fraction or an exponent.
    #[error("the id is a number, but not written as an integer")]
    NotAnInteger,
    /// Neither an integer nor a string.
    #[error("the id is neither an integer nor a string")]
    WrongType,
    /// Longer than [`MAX_ID_BYTES`], which no setting changes.
    #[error("the id takes {len} bytes, the most is {MAX_ID_BYTES}")]
    TooLong {
        /// Its length on the wire.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn id(token: &str) -> Id {
        Id::parse_token(token.as_bytes()).unwrap()
    }

    #[test]
    fn a_number_and_a_string_of_the_same_digits_are_different_ids() {
        assert_ne!(id("1"), id("\"1\""));
        let calls = HashMap::from([(id("1"), "number"), (id("\"1\""), "string")]);
        assert_eq!(calls.get(&Id::from(1u64)), Some(&"number"));
        assert_eq!(calls.get(&Id::from("1")), Some(&"string"));
    }

    #[test]
    fn every_id_is_written_as_it_came_in() {
        for token in [
            "0",
            "-1",
            "-0",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "10000000000000000000000000000000000000000",
            "\"\"",
            "\"exactly-22-bytes-long!\"",
            "\"one-more-than-22-bytes!\"",
            "\"\\u0061\\/b\"",
            "\"\\ud800\"",
            "\"höhe\"",
        ] {
            let mut out = BytesMut::new();
            id(token).write(&mut out);
            assert_eq!(out, token.as_bytes());
            assert_eq!(id(token).to_string(), token);
            assert_eq!(id(token), id(token).clone());
        }
    }

    #[test]
    fn large_integers_keep_every_digit() {
        assert_eq!(id("9223372036854775808").as_u64(), Some(1 << 63));
        assert_eq!(id("18446744073709551615").as_u64(), Some(u64::MAX));
        assert_eq!(id("18446744073709551616").as_u64(), None);
        assert_eq!(id("-1").as_u64(), None);
        assert_eq!(id("-0").as_u64(), None);
        assert_ne!(id("9007199254740992"), id("9007199254740993"));
        assert_eq!(Id::from(u64::MAX), id("18446744073709551615"));
        assert_eq!(Id::from(i64::MIN), id("-9223372036854775808"));
    }

    #[test]
    fn strings_are_equal_by_what_they_decode_to() {
        assert_eq!(id(r#""\u0061bc""#), id("\"abc\""));
        assert_eq!(id(r#""\ud83d\ude00""#), id("\"😀\""));
        assert_eq!(id(r#""a\/b""#), Id::from("a/b"));
        assert_eq!(Id::from("a\"b\n"), id(r#""a\"b\n""#));
        let long = "x".repeat(40);
        assert_eq!(id(&format!("\"\\u0078{}\"", &long[1..])), Id::from(long));
        let seen = HashMap::from([(id(r#""\u0061""#), ())]);
        assert!(seen.contains_key(&Id::from("a")));
    }

    #[test]
    fn different_lone_surrogates_are_different_ids() {
        assert_ne!(id(r#""\ud800""#), id(r#""\udfff""#));
        assert_ne!(id(r#""\ud800""#), id("\"\u{fffd}\""));
        assert_eq!(id(r#""\ud800""#), id(r#""\uD800""#));
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_its_reason() {
        for (token, error) in [
            ("null", IdError::Null),
            ("1.0", IdError::NotAnInteger),
            ("1e3", IdError::NotAnInteger),
            ("true", IdError::WrongType),
            ("{}", IdError::WrongType),
            ("[1]", IdError::WrongType),
            ("", IdError::WrongType),
            ("-", IdError::WrongType),
            ("01", IdError::WrongType),
            ("\"", IdError::WrongType),
            ("\"a\"b\"", IdError::WrongType),
            ("\"a\\\"", IdError::WrongType),
            ("\"\\u12g4\"", IdError::WrongType),
            ("\"\n\"", IdError::WrongType),
        ] {
            assert_eq!(Id::parse_token(token.as_bytes()), Err(error), "{token}");
        }
    }

    #[test]
    fn an_id_has_at_most_1024_bytes() {
        let longest = format!("\"{}\"", "x".repeat(MAX_ID_BYTES - 2));
        assert!(Id::parse_token(longest.as_bytes()).is_ok());
        let digits = "1".repeat(MAX_ID_BYTES + 1);
        assert_eq!(Id::parse_token(digits.as_bytes()), Err(IdError::TooLong { len: MAX_ID_BYTES + 1 }));
    }
}
