//! From gzip, as much at a time as somebody takes.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flate2::write::GzDecoder;
use http::HeaderMap;
use http_body::Body;

use crate::{
    body::BodyError,
    decoded::{DecodedBody, encoding, is_gzip_encoding, shown},
};

/// The body of a request as it was meant, for [`read_body`](crate::read_body), which limits it decoded: give that no
/// `content_length`, because what the head declares is the size on the way.
///
/// It is decoded while it is read, up to 32 KiB at a time, however small it was made. So a body that grows a
/// thousandfold costs what its limit allows and one such chunk, and about 64 KiB for the decoder.
///
/// ```
/// use http::HeaderMap;
/// use towpath_http::{BodyBudget, BodyError, BodyLimits, BodyTimeouts, decode_body, read_body};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = BodyBudget::new(BodyLimits::default())?;
/// let body = http_body_util::Full::new(bytes::Bytes::from_static(b"hello"));
/// let body = decode_body(&HeaderMap::new(), body)?;
/// assert_eq!(read_body(body, None, &budget, &BodyTimeouts::default()).await?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`BodyError::Encoding`]: it is encoded with something else than gzip.
pub fn decode_body<B>(headers: &HeaderMap, body: B) -> Result<DecodedBody<B>, BodyError> {
    match encoding(headers) {
        None => Ok(DecodedBody::plain(body)),
        Some(encoding) if is_gzip_encoding(encoding) => Ok(DecodedBody::gzip(body)),
        Some(encoding) => Err(BodyError::Encoding(shown(encoding).into())),
    }
}

/// A body of gzip, decoded.
pub(crate) struct GunzipBody<B> {
    body: B,
    decoder: GzDecoder<Vec<u8>>,
    input: Bytes,
    has_begun: bool,
    is_over: bool,
}

impl<B> GunzipBody<B> {
    pub(crate) fn new(body: B) -> Self {
        let decoder = GzDecoder::new(Vec::new());
        Self { body, decoder, input: Bytes::new(), has_begun: false, is_over: false }
    }

    /// Decodes a piece of what has come; nothing when more has to come.
    fn decode(&mut self) -> Result<Option<Bytes>, Failed> {
        while !self.input.is_empty() {
            let taken = self.decoder.write(&self.input).map_err(failed)?;
            if taken == 0 {
                return Err(Failed("there is something after its end".into()));
            }
            self.input = self.input.split_off(taken);
            if let Some(piece) = self.piece() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Nothing more has come.
    fn finish(&mut self) -> Result<Option<Bytes>, Failed> {
        self.is_over = true;
        // An answer without a body may say all the same how one would be encoded.
        if self.has_begun {
            self.decoder.try_finish().map_err(failed)?;
        }
        Ok(self.piece())
    }

    fn piece(&mut self) -> Option<Bytes> {
        let piece = std::mem::take(self.decoder.get_mut());
        (!piece.is_empty()).then(|| piece.into())
    }
}

type Data = Option<Result<Bytes, Box<dyn Error + Send + Sync>>>;

impl<B> GunzipBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Data> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            match self.decode() {
                Ok(None) => {}
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.has_begun |= !chunk.is_empty();
                        self.input = chunk;
                    }
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => return Poll::Ready(self.finish().map_err(Into::into).transpose()),
            }
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for GunzipBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GunzipBody").field("body", &self.body).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it is no valid gzip: {0}")]
struct Failed(Arc<str>);

fn failed(error: io::Error) -> Failed {
    Failed(error.to_string().into())
}

#[cfg(test)]
mod tests;
