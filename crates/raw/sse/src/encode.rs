//! Writes events, comments and reconnection times.

use std::{io::Write, time::Duration};

use bytes::{BufMut, BytesMut};
use memchr::{memchr2, memchr3};

/// What completes an event after [`write_event_head`] and data without line breaks.
pub const EVENT_END: &[u8] = b"\n\n";

/// Writes one whole event.
///
/// Data that holds line breaks becomes as many data lines; CR and CRLF arrive as LF. Line breaks and NUL cannot stand in
/// an id or in a type: they are left out.
pub fn write_event(out: &mut BytesMut, id: Option<&str>, event: Option<&str>, data: &[u8]) {
    out.reserve(data.len() + 64);
    write_fields(out, id, event);
    let mut rest = data;
    loop {
        let end = memchr2(b'\r', b'\n', rest);
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        if line.is_empty() {
            out.extend_from_slice(b"data:\n");
        } else {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.put_u8(b'\n');
        }
        rest = match after {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => break,
        };
    }
    out.put_u8(b'\n');
}

/// Writes an event up to its data, for data that is to follow without being copied: it must have no line break, and
/// [`EVENT_END`] goes after it.
pub fn write_event_head(out: &mut BytesMut, id: Option<&str>, event: Option<&str>) {
    write_fields(out, id, event);
    out.extend_from_slice(b"data: ");
}

/// Writes a comment. It means nothing to the peer, except that the stream is alive; line breaks in it are left out.
pub fn write_comment(out: &mut BytesMut, text: &str) {
    if text.is_empty() {
        out.extend_from_slice(b":\n\n");
    } else {
        write_field(out, b":", text);
        out.put_u8(b'\n');
    }
}

/// Writes how long the peer is to wait, in whole milliseconds, before it connects again. It holds at once and is part
/// of no event.
pub fn write_retry(out: &mut BytesMut, after: Duration) {
    // Writing into a buffer that grows does not fail.
    let _ = write!(out.writer(), "retry: {}\n\n", after.as_millis());
}

/// Writes an event with an id and empty data: it says nothing, and gives the peer an id to resume from before anything
/// else was said. MCP servers begin a stream that can be resumed with it.
pub fn write_priming_event(out: &mut BytesMut, id: &str) {
    write_event(out, Some(id), None, b"");
}

fn write_fields(out: &mut BytesMut, id: Option<&str>, event: Option<&str>) {
    if let Some(id) = id {
        write_field(out, b"id:", id);
    }
    if let Some(event) = event {
        write_field(out, b"event:", event);
    }
}

fn write_field(out: &mut BytesMut, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    out.put_u8(b' ');
    let mut rest = value.as_bytes();
    // What could end the line would let its author write fields of his own.
    while let Some(at) = memchr3(b'\r', b'\n', 0, rest) {
        let (clean, after) = rest.split_at(at);
        out.extend_from_slice(clean);
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, SseEvent, SseLimits};

    fn decode(bytes: BytesMut) -> (Vec<SseEvent>, Decoder) {
        let mut decoder = Decoder::new(&SseLimits::default().with_strict_end(true));
        decoder.push(bytes.freeze());
        let mut events = Vec::new();
        while let Some(event) = decoder.next_event().unwrap() {
            events.push(event);
        }
        assert!(decoder.is_between_events());
        (events, decoder)
    }

    #[test]
    fn an_event_is_written_as_it_is_known() {
        let mut out = BytesMut::new();
        write_event(&mut out, Some("4"), Some("message"), b"{}");
        write_event(&mut out, None, None, b"{}");
        write_priming_event(&mut out, "0");
        write_comment(&mut out, "alive");
        write_comment(&mut out, "");
        write_retry(&mut out, Duration::from_millis(1500));
        let expected =
            "id: 4\nevent: message\ndata: {}\n\ndata: {}\n\nid: 0\ndata:\n\n: alive\n\n:\n\nretry: 1500\n\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_head_and_an_end_around_data_are_an_event() {
        let (mut whole, mut parts) = (BytesMut::new(), BytesMut::new());
        write_event(&mut whole, Some("4"), None, b"{}");
        write_event_head(&mut parts, Some("4"), None);
        parts.extend_from_slice(b"{}");
        parts.extend_from_slice(EVENT_END);
        assert_eq!(whole, parts);
    }

    #[test]
    fn nothing_that_is_written_can_forge_a_field() {
        let mut out = BytesMut::new();
        write_event(
            &mut out,
            Some("1\n\ndata: forged\n\n\0"),
            Some("a\rdata: forged\r\n"),
            b"b\n\nid: forged\n",
        );
        write_comment(&mut out, "c\n\ndata: forged");
        let (events, decoder) = decode(out);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].data, "b\n\nid: forged\n");
        assert_eq!(events[0].name, "adata: forged");
        assert_eq!(decoder.last_event_id(), b"1data: forged");
        assert_eq!(decoder.comments(), 1);
    }
}
