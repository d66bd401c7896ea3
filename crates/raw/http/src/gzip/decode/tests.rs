use std::io::Read;

use flate2::{Compression, read::GzEncoder};
use http::{HeaderValue, header::CONTENT_ENCODING};
use http_body::Frame;
use towpath_testkit::within;

use super::*;
use crate::{BodyBudget, BodyLimits, BodyTimeouts, read_body};

/// A body in chunks that are all there.
struct InChunks(std::vec::IntoIter<Bytes>);

impl Body for InChunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn in_chunks(bytes: &[u8], size: usize) -> InChunks {
    InChunks(bytes.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>().into_iter())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    GzEncoder::new(bytes, Compression::default()).read_to_end(&mut encoded).expect("from memory");
    encoded
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))])
}

async fn read(encoded: &[u8], size: usize) -> Result<Bytes, BodyError> {
    let body = decode_body(&headers(), in_chunks(encoded, size)).expect("gzip");
    let budget = BodyBudget::new(BodyLimits::default()).expect("limits that agree");
    within(read_body(body, None, &budget, &BodyTimeouts::default())).await
}

#[tokio::test]
async fn a_body_is_what_it_was_however_it_is_cut() {
    let text: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7 * 31).to_le_bytes()).collect();
    for text in [&b""[..], b"{}", &text] {
        let encoded = gzip(text);
        for size in [1, 10, 1000, encoded.len()] {
            assert!(within(read(&encoded, size)).await.expect("valid") == text, "chunks of {size}");
        }
    }
    assert!(within(read(b"", 1)).await.expect("no body is none").is_empty());
}

#[tokio::test]
async fn a_bomb_costs_its_limit_and_a_chunk() {
    let encoded = gzip(&vec![0; 64 << 20]);
    assert!(encoded.len() < 70 << 10, "{} bytes are no bomb", encoded.len());
    for size in [100, encoded.len()] {
        let limits = BodyLimits::default().with_max_body_bytes(1 << 20);
        let budget = BodyBudget::new(limits).expect("limits that agree");
        let body = decode_body(&headers(), in_chunks(&encoded, size)).expect("gzip");
        let error = within(read_body(body, None, &budget, &BodyTimeouts::default())).await;
        let Err(BodyError::TooLarge(too_large)) = error else { panic!("{error:?}") };
        assert!(too_large.seen <= (1 << 20) + (64 << 10), "{} bytes were made", too_large.seen);
        assert!(budget.peak_bytes() <= 1 << 20);
    }
}

#[tokio::test]
async fn no_piece_is_large() {
    let encoded = gzip(&vec![0; 16 << 20]);
    let mut body = GunzipBody::new(in_chunks(&encoded, encoded.len()));
    let mut whole = 0;
    while let Some(piece) = within(std::future::poll_fn(|cx| body.poll_data(cx))).await {
        let piece = piece.expect("valid").len();
        assert!(piece <= 64 << 10, "{piece} bytes at once");
        whole += piece;
    }
    assert_eq!(whole, 16 << 20);
}

#[tokio::test]
async fn what_is_cut_or_damaged_or_goes_on_is_an_error() {
    let good = gzip(b"a text that is long enough to be cut");
    let mut damaged = good.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let more = [&good[..], b"more"].concat();
    let cut = &good[..good.len() - 1];
    for (what, bytes) in [("cut", cut), ("damaged", &damaged), ("more", &more), ("none", b"plain text")] {
        for size in [1, bytes.len()] {
            let error = within(read(bytes, size)).await.expect_err(what);
            assert!(matches!(&error, BodyError::Broken(why) if why.contains("gzip")), "{what}: {error}");
        }
    }
}

#[test]
fn other_encodings_are_refused_and_none_is_none() {
    let other = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("br"))]);
    let error = decode_body(&other, ()).expect_err("not known");
    assert_eq!((error.status().as_u16(), error.to_string().contains("br")), (415, true));
    let twice = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip, gzip"))]);
    decode_body(&twice, ()).expect_err("once is enough");
    let none = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("identity"))]);
    decode_body(&none, ()).expect("nothing to do");
}
