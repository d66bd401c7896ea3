//! Messages written straight into a buffer.
//!
//! Bodies are JSON text and are not looked at. Where a body is large, write a `*_head`, the body and [`TAIL`]
//! as segments of one vectored write instead of copying it.

use bytes::BytesMut;

use crate::text::plain_run;
use crate::{ErrorObject, Id, Member, Message};

/// What closes every message, after its body.
pub const TAIL: &[u8] = b"}";

/// Appends a request up to where the value of `params` begins, or up to [`TAIL`] if there is none.
pub fn request_head(out: &mut BytesMut, id: &Id, method: &str, has_params: bool) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    id.write(out);
    out.extend_from_slice(br#","method":"#);
    write_string(out, method);
    if has_params {
        out.extend_from_slice(br#","params":"#);
    }
}

/// Appends a request.
pub fn request(out: &mut BytesMut, id: &Id, method: &str, params: Option<&[u8]>) {
    request_head(out, id, method, params.is_some());
    out.extend_from_slice(params.unwrap_or_default());
    out.extend_from_slice(TAIL);
}

/// Appends a notification up to where the value of `params` begins, or up to [`TAIL`] if there is none.
pub fn notification_head(out: &mut BytesMut, method: &str, has_params: bool) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"#);
    write_string(out, method);
    if has_params {
        out.extend_from_slice(br#","params":"#);
    }
}

/// Appends a notification.
pub fn notification(out: &mut BytesMut, method: &str, params: Option<&[u8]>) {
    notification_head(out, method, params.is_some());
    out.extend_from_slice(params.unwrap_or_default());
    out.extend_from_slice(TAIL);
}

/// Appends a response up to where the value of `result` begins.
pub fn result_head(out: &mut BytesMut, id: &Id) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    id.write(out);
    out.extend_from_slice(br#","result":"#);
}

/// Appends a response with a result.
pub fn result(out: &mut BytesMut, id: &Id, result: &[u8]) {
    result_head(out, id);
    out.extend_from_slice(result);
    out.extend_from_slice(TAIL);
}

/// Appends a response with an error: byte for byte as it was read, if it was ([`ErrorObject::raw`]). Without an id the
/// member is left out; it is never null.
pub fn error(out: &mut BytesMut, id: Option<&Id>, error: &ErrorObject) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0""#);
    if let Some(id) = id {
        out.extend_from_slice(br#","id":"#);
        id.write(out);
    }
    out.extend_from_slice(br#","error":"#);
    if let Some(raw) = error.raw() {
        out.extend_from_slice(raw.as_bytes());
        out.extend_from_slice(TAIL);
        return;
    }
    out.extend_from_slice(br#"{"code":"#);
    out.extend_from_slice(itoa::Buffer::new().format(error.code).as_bytes());
    out.extend_from_slice(br#","message":"#);
    write_string(out, &error.message);
    if let Some(data) = &error.data {
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(data.as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Appends the message with another id; every other byte stays as it is.
///
/// Returns whether the message had an `id` member (null included). One that had none is appended unchanged.
pub fn replace_id(out: &mut BytesMut, message: &Message, id: &Id) -> bool {
    let bytes = message.bytes();
    let Some(span) = message.span(Member::Id) else {
        out.extend_from_slice(bytes);
        return false;
    };
    out.reserve(bytes.len() + 24);
    out.extend_from_slice(bytes.get(..span.start).unwrap_or_default());
    id.write(out);
    out.extend_from_slice(bytes.get(span.end..).unwrap_or_default());
    true
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut BytesMut, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.extend_from_slice(b"\"");
    let mut from = 0;
    loop {
        let stop = plain_run(bytes, from, bytes.len());
        out.extend_from_slice(bytes.get(from..stop).unwrap_or_default());
        let Some(&byte) = bytes.get(stop) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 0xf)]);
            }
        }
        from = stop + 1;
    }
    out.extend_from_slice(b"\"");
}
