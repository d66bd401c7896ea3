//! The error object of a response.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::RawJson;

/// The error codes that JSON-RPC 2.0 defines.
pub mod code {
    /// The text is not JSON, or not UTF-8.
    pub const PARSE_ERROR: i64 = -32700;
    /// JSON, but not a JSON-RPC message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// Nothing answers to this method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The receiver failed.
    pub const INTERNAL_ERROR: i64 = -32603;
}

/// The `error` member of a response: `code`, `message` and, if there is any, `data`.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorObject {
    /// What went wrong, for programs: one of [`code`] or the peer's own.
    pub code: i64,
    /// What went wrong, for people.
    pub message: Cow<'static, str>,
    /// Anything more, as the sender wrote it. `data: null` is present, not absent.
    pub data: Option<RawJson>,
}

impl ErrorObject {
    /// An error without `data`.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same error with `data`.
    #[must_use]
    pub fn with_data(mut self, data: RawJson) -> Self {
        self.data = Some(data);
        self
    }

    /// Reads the object. Members other than these three are passed over; `data` is copied.
    ///
    /// # Errors
    ///
    /// When it is not an object with an integer `code` and a string `message`.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        Self::read(bytes, Bytes::copy_from_slice)
    }

    /// The same, but `data` is a slice of `text`.
    pub(crate) fn parse_shared(text: &Bytes) -> Result<Self, serde_json::Error> {
        // What serde borrows lies within what it was given, which is all that `slice_ref` asks for.
        Self::read(text, |data| text.slice_ref(data))
    }

    fn read(bytes: &[u8], keep: impl Fn(&[u8]) -> Bytes) -> Result<Self, serde_json::Error> {
        let wire: Wire<'_> = serde_json::from_slice(bytes)?;
        Ok(Self {
            code: wire.code,
            message: Cow::Owned(wire.message.into_owned()),
            data: wire.data.map(|data| RawJson::from_validated(keep(data.get().as_bytes()))),
        })
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    code: i64,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// serde reads `null` into an absent `Option`; here it is a value like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl fmt::Display for ErrorObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ErrorObject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_object_keeps_its_data_as_written() {
        let error =
            ErrorObject::parse(br#"{"message":"no \u0041","x":1,"code":-32000,"data":{"N":1E400}}"#).unwrap();
        assert_eq!((error.code, error.message.as_ref()), (-32000, "no A"));
        assert_eq!(error.data.unwrap().as_bytes(), br#"{"N":1E400}"#);
    }

    #[test]
    fn null_data_is_present() {
        let with = ErrorObject::parse(br#"{"code":1,"message":"m","data":null}"#).unwrap();
        assert_eq!(with, ErrorObject::new(1, "m").with_data(RawJson::null()));
        let without = ErrorObject::parse(br#"{"code":1,"message":"m"}"#).unwrap();
        assert_eq!(without, ErrorObject::new(1, "m"));
    }

    #[test]
    fn what_is_not_an_error_object_is_refused() {
        for text in ["{}", r#"{"code":"1","message":"m"}"#, r#"{"code":1}"#, "null", "[]"] {
            assert!(ErrorObject::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
