//! JSON text that is known to be valid.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{EnvelopeError, EnvelopeLimits, scan};

/// One JSON value as its text, without whitespace around it. A clone shares the bytes.
///
/// Two of them are equal when their bytes are: `1.0` is not `1`, and the order of members counts.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl RawJson {
    /// `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// `{}`.
    #[must_use]
    pub const fn empty_object() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// The text that `value` serialises to.
    ///
    /// # Errors
    ///
    /// When `value` refuses, or has a map whose keys are not strings.
    pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(|text| Self(text.into()))
    }

    /// Validates one JSON value of any type. Whitespace around it is cut off. There is no limit but that of
    /// 4 GiB: the bytes are already here.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] when it is not JSON, not UTF-8, or longer than 4 GiB.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, EnvelopeError> {
        let text = text.into();
        let span =
            scan::value(&text, &EnvelopeLimits { max_message_bytes: usize::MAX, ..Default::default() })?;
        Ok(Self(text.slice(span)))
    }

    /// Takes text that was validated before, such as a slice of a parsed [`Message`](crate::Message). It is not
    /// looked at; other text makes messages that no peer can read.
    #[must_use]
    pub const fn from_validated(text: Bytes) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text. It is checked for UTF-8 again, so this takes time in proportion to its length; prefer
    /// [`as_bytes`](Self::as_bytes) where bytes will do. Text that is not UTF-8, which only
    /// [`from_validated`](Self::from_validated) lets in, shows as `null`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// The text, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The length of the text in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "JSON text is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads it as a `T`, which may borrow from it.
    ///
    /// # Errors
    ///
    /// When it is not a `T`.
    pub fn deserialize<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl AsRef<[u8]> for RawJson {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<RawJson> for Bytes {
    fn from(json: RawJson) -> Self {
        json.0
    }
}

impl From<Box<RawValue>> for RawJson {
    fn from(value: Box<RawValue>) -> Self {
        let text: Box<str> = value.into();
        Self(Bytes::from(text.into_string()))
    }
}

impl TryFrom<serde_json::Value> for RawJson {
    type Error = serde_json::Error;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        Self::serialize(&value)
    }
}

/// As a raw value: with `serde_json` the text is written as it stands. It is validated once more on the way; on a
/// hot path, write the bytes with [`encode`](crate::encode) instead.
impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// From `serde_json` only, whose raw values keep the text.
impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// At most the first 200 bytes: bodies can be large, and logs are read by people.
impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES: usize = 200;
        match self.0.get(..SHOWN_BYTES) {
            Some(start) if self.len() > SHOWN_BYTES => {
                let start = match std::str::from_utf8(start) {
                    Ok(start) => start,
                    // The cut can fall inside a character.
                    Err(error) => start
                        .get(..error.valid_up_to())
                        .and_then(|start| std::str::from_utf8(start).ok())
                        .unwrap_or_default(),
                };
                write!(f, "RawJson({start}… {} bytes)", self.len())
            }
            _ => write!(f, "RawJson({})", self.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_value_passes_through_serde_as_its_text() {
        #[derive(Serialize, Deserialize)]
        struct Holder {
            body: RawJson,
        }
        let text = r#"{"body":{"b":1e400,"a":[18446744073709551616,"\ud800"]}}"#;
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!(holder.body.as_str(), r#"{"b":1e400,"a":[18446744073709551616,"\ud800"]}"#);
        assert_eq!(serde_json::to_string(&holder).unwrap(), text);
        let boxed = RawValue::from_string("[1, 2]".to_owned()).unwrap();
        assert_eq!(RawJson::from(boxed).as_bytes(), b"[1, 2]");
    }

    #[test]
    fn any_value_parses_and_loses_the_whitespace_around_it() {
        for value in ["1", "\"x\"", "null", "[1, 2]", "{\"a\" : 1,\"a\":2}", "-0.0e-0"] {
            let json = RawJson::parse(format!(" \r\n{value}\t ")).unwrap();
            assert_eq!(json.as_str(), value);
        }
        for text in ["", " ", "1 2", "[1,]", "nul", "01", "\"\n\"", "{\"a\"}", "[", "+1", "\u{feff}1"] {
            assert!(RawJson::parse(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn values_go_in_and_out_of_types() {
        let json = RawJson::serialize(&[1, 2, 3]).unwrap();
        assert_eq!(json.deserialize::<Vec<u8>>().unwrap(), [1, 2, 3]);
        assert_eq!(RawJson::try_from(serde_json::json!({"a": 1})).unwrap().as_bytes(), br#"{"a":1}"#);
        assert_eq!(RawJson::serialize("ab").unwrap().deserialize::<&str>().unwrap(), "ab");
        assert_eq!(RawJson::null().deserialize::<Option<u8>>().unwrap(), None);
        assert_eq!(RawJson::empty_object().into_bytes(), "{}");
    }

    #[test]
    fn the_debug_form_of_a_large_body_is_short() {
        let json = RawJson::serialize(&"é".repeat(10_000)).unwrap();
        let shown = format!("{json:?}");
        assert!(
            shown.len() < 300 && shown.starts_with("RawJson(\"ééé") && shown.ends_with("20002 bytes)"),
            "{shown}"
        );
        assert_eq!(format!("{:?}", RawJson::null()), "RawJson(null)");
    }
}
