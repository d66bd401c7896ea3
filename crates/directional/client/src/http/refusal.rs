//! Answers that are none: HTTP errors, and bodies that hold no message.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use towpath_jsonrpc::{EnvelopeLimits, Kind, Message};
use towpath_raw::ExchangeError;

/// The peer answered with this head and a body that begins so.
pub(super) fn refused(
    peer: &Arc<str>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> ExchangeError {
    ExchangeError::Refused {
        peer: Arc::clone(peer),
        status: status.as_u16(),
        body: excerpt(body).into(),
        retry_after: retry_after(headers),
    }
}

/// The JSON-RPC error that a body holds, if it is nothing else.
pub(super) fn error_in(body: &Bytes) -> Option<Message> {
    let limits = EnvelopeLimits { max_message_bytes: body.len(), ..EnvelopeLimits::default() };
    Message::parse(body.clone(), &limits).ok().filter(|message| message.kind() == Kind::Error)
}

/// In seconds; a date is for browsers.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// How a body begins, made printable.
fn excerpt(body: &[u8]) -> String {
    let mut text = String::new();
    for part in String::from_utf8_lossy(body.get(..MOST_BYTES).unwrap_or(body)).trim().chars() {
        let shown = if part.is_control() { ' ' } else { part };
        if text.len() + shown.len_utf8() > MOST_BYTES {
            break;
        }
        text.push(shown);
    }
    text
}

const MOST_BYTES: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_excerpt_is_short_and_printable_and_never_cut_in_a_character() {
        assert_eq!(excerpt(b" no\r\n\x1b[31mentry\n"), "no   [31mentry");
        let long = "é".repeat(MOST_BYTES);
        assert_eq!(excerpt(long.as_bytes()), "é".repeat(MOST_BYTES / 2));
        // Each broken byte becomes a character of three.
        assert!(excerpt(&[0xff; 4096]).len() <= MOST_BYTES);
    }

    #[test]
    fn only_seconds_are_a_time_to_come_back() {
        let of = |value| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn only_an_error_of_json_rpc_is_one() {
        for (body, is_one) in [
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"}}"#, true),
            (r#"{"jsonrpc":"2.0","error":{"code":-32020,"message":"no"}}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, false),
            (r#"{"error":"invalid_token"}"#, false),
            ("<html>", false),
            ("", false),
        ] {
            assert_eq!(error_in(&Bytes::from(body)).is_some(), is_one, "{body}");
        }
    }
}
