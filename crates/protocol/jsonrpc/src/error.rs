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
///
/// One that was read keeps the text that it was read from, so that it can be passed on byte for byte, other members
/// and escapes included: see [`raw`](Self::raw). Two are equal when they say the same, however it was written.
#[derive(Debug, Clone)]
pub struct ErrorObject {
    /// What went wrong, for programs: one of [`code`] or the peer's own.
    pub code: i64,
    /// What went wrong, for people.
    pub message: Cow<'static, str>,
    /// Anything more, as the sender wrote it. `data: null` is present, not absent.
    pub data: Option<RawJson>,
    /// What it was read from. In a box, so that it does not make every error larger that has one of these in it.
    raw: Option<Box<RawJson>>,
}

impl ErrorObject {
    /// An error without `data`.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None, raw: None }
    }

    /// The same error with `data`. It is another one than that which was read: [`raw`](Self::raw) is gone.
    #[must_use]
    pub fn with_data(mut self, data: RawJson) -> Self {
        self.data = Some(data);
        self.raw = None;
        self
    }

    /// Reads the object from a copy of its text. Members other than these three are kept in [`raw`](Self::raw) only.
    ///
    /// # Errors
    ///
    /// When it is not an object with an integer `code` and a string `message`.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        Self::parse_shared(&Bytes::copy_from_slice(bytes.trim_ascii()))
    }

    /// The same without a copy: what it keeps are slices of `text`, which has no whitespace around it.
    pub(crate) fn parse_shared(text: &Bytes) -> Result<Self, serde_json::Error> {
        let wire: Wire<'_> = serde_json::from_slice(text)?;
        // What serde borrows lies within what it was given, which is all that `slice_ref` asks for.
        let data = wire.data.map(|data| RawJson::from_validated(text.slice_ref(data.get().as_bytes())));
        Ok(Self {
            code: wire.code,
            message: Cow::Owned(wire.message.into_owned()),
            data,
            raw: Some(Box::new(RawJson::from_validated(text.clone()))),
        })
    }

    /// The object as it was read, byte for byte; what [`encode::error`](crate::encode::error) writes. `None` for one
    /// that was made here, and for one of which a field was changed since: old bytes never speak for a new value.
    ///
    /// The text is read again to know that, so this takes time in proportion to its length.
    #[must_use]
    pub fn raw(&self) -> Option<&RawJson> {
        let raw = self.raw.as_deref()?;
        let wire: Wire<'_> = raw.deserialize().ok()?;
        let data = self.data.as_ref().map(RawJson::as_bytes);
        let unchanged = wire.code == self.code
            && wire.message == self.message
            && wire.data.map(|data| data.get().as_bytes()) == data;
        unchanged.then_some(raw)
    }
}

impl PartialEq for ErrorObject {
    fn eq(&self, other: &Self) -> bool {
        (self.code, &self.message, &self.data) == (other.code, &other.message, &other.data)
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
    fn an_error_that_was_read_is_written_byte_for_byte_until_it_is_changed() {
        let text = r#"{ "x":1e400,"message":"no \u0041","code" : -32000,"data":{"N":[]} }"#;
        let read = ErrorObject::parse(format!(" {text}\n").as_bytes()).unwrap();
        let written = |error: &ErrorObject| {
            let mut out = bytes::BytesMut::new();
            crate::encode::error(&mut out, Some(&crate::Id::from(1_u64)), error);
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(written(&read), format!(r#"{{"jsonrpc":"2.0","id":1,"error":{text}}}"#));
        let made = ErrorObject::new(-32000, "no A").with_data(read.data.clone().unwrap());
        assert_eq!(made.raw(), None);
        assert_eq!(made, read, "they say the same");
        let own = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no A","data":{"N":[]}}}"#;
        assert_eq!(written(&made), own);
        assert_eq!(written(&read.clone().with_data(read.data.clone().unwrap())), own, "data was given anew");
        for change in [
            |error: &mut ErrorObject| error.code = 1,
            |error: &mut ErrorObject| error.message = "other".into(),
            |error: &mut ErrorObject| error.data = None,
        ] {
            let mut changed = read.clone();
            change(&mut changed);
            assert_eq!(changed.raw(), None, "{changed:?}");
            assert_ne!(changed, read);
        }
    }

    #[test]
    fn what_is_not_an_error_object_is_refused() {
        for text in ["{}", r#"{"code":"1","message":"m"}"#, r#"{"code":1}"#, "null", "[]"] {
            assert!(ErrorObject::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
