//! To gzip, where it pays.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY},
    response,
};

use crate::decoded::encoding;

/// The body of a response, compressed if the request (`asked` are its headers) accepts gzip and it pays; `head` then
/// says so.
///
/// It pays for JSON of more than 1 KiB that becomes smaller. Everything else stays as it is, event streams and what is
/// encoded already in particular; but `head` says that such a body depends on what was asked for (`Vary`). It is done on
/// the spot, by the fastest level, and the time that it takes grows with the body.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, HeaderValue, Response, header};
/// use towpath_http::encode_body;
///
/// let mut asked = HeaderMap::new();
/// asked.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
/// let json = HeaderValue::from_static("application/json");
/// let (mut head, ()) = Response::new(()).into_parts();
/// head.headers.insert(header::CONTENT_TYPE, json);
/// let body = encode_body(&asked, &mut head, Bytes::from("[0,0".repeat(1000)));
/// assert_eq!(head.headers[header::CONTENT_ENCODING], "gzip");
/// assert!(body.len() < 100);
/// ```
pub fn encode_body(asked: &HeaderMap, head: &mut response::Parts, body: Bytes) -> Bytes {
    if body.len() <= LEAST_BYTES || !is_json(&head.headers) || encoding(&head.headers).is_some() {
        return body;
    }
    // What stands between must not give this one to somebody who asks for another.
    head.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if !accepts_gzip(asked) {
        return body;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let Ok(encoded) = encoder.write_all(&body).and_then(|()| encoder.finish()) else { return body };
    if encoded.len() >= body.len() {
        return body;
    }
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    if head.headers.contains_key(CONTENT_LENGTH) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(encoded.len()));
    }
    // A strong tag is for the bytes that it was made of.
    head.headers.remove(ETAG);
    encoded.into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Whether gzip is accepted: named, or else by a star, and not with the weight 0.
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let (mut named, mut star) = (None, None);
    for choice in lines.flat_map(|line| line.split(',')) {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let is_wanted =
            weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0));
        match name {
            "*" => star = Some(is_wanted),
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                named = Some(is_wanted);
            }
            _ => {}
        }
    }
    named.or(star).unwrap_or(false)
}

/// Smaller ones fit into a packet or two as they are.
const LEAST_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(accepts: &'static str, media: &'static str, body: &Bytes) -> (response::Parts, Bytes) {
        let mut asked = HeaderMap::new();
        asked.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepts));
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let body = encode_body(&asked, &mut head, body.clone());
        assert_eq!(head.headers[CONTENT_LENGTH], body.len().to_string());
        (head, body)
    }

    #[test]
    fn only_what_pays_and_is_accepted_is_encoded() {
        let (large, small) = (Bytes::from(vec![b' '; 1025]), Bytes::from(vec![b' '; 1024]));
        let random: Bytes = (0..4096).map(|_| fastrand_byte()).collect();
        let json = "application/json; charset=utf-8";
        for (accepts, media, body, is_encoded) in [
            ("gzip", json, &large, true),
            ("br;q=1.0, GZIP;q=0.5", json, &large, true),
            ("*", json, &large, true),
            ("gzip;q=0, *", json, &large, false),
            ("br", json, &large, false),
            ("", json, &large, false),
            ("gzip", "text/event-stream", &large, false),
            ("gzip", json, &small, false),
            ("gzip", json, &random, false),
        ] {
            let (head, out) = encoded(accepts, media, body);
            assert_eq!(head.headers.contains_key(CONTENT_ENCODING), is_encoded, "{accepts}, {media}");
            assert_eq!(out != *body, is_encoded, "{accepts}, {media}");
        }
        let (head, _) = encoded("br", json, &large);
        assert_eq!(head.headers[VARY], "accept-encoding");
    }

    #[test]
    fn what_is_encoded_already_stays_as_it_is() {
        let mut asked = HeaderMap::new();
        asked.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        let body = Bytes::from(vec![b' '; 4096]);
        assert_eq!(encode_body(&asked, &mut head, body.clone()), body);
        assert_eq!(head.headers[CONTENT_ENCODING], "br");
    }

    /// No byte that could be foreseen by a compressor.
    fn fastrand_byte() -> u8 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0) as u8
    }
}
