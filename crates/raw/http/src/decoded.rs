//! Bodies as they are meant, whatever they were made of to travel.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    response,
};
use http_body::{Body, Frame, SizeHint};

#[cfg(feature = "gzip")]
use crate::gzip::GunzipBody;

/// A body that is decoded while it is read, if it has to be.
#[cfg_attr(not(feature = "gzip"), expect(unreachable_pub, reason = "it is public with the feature"))]
#[derive(Debug)]
pub struct DecodedBody<B>(Kind<B>);

#[derive(Debug)]
enum Kind<B> {
    Plain(B),
    #[cfg(feature = "gzip")]
    Gzip(Box<GunzipBody<B>>),
}

impl<B> DecodedBody<B> {
    pub(crate) fn plain(body: B) -> Self {
        Self(Kind::Plain(body))
    }

    #[cfg(feature = "gzip")]
    pub(crate) fn gzip(body: B) -> Self {
        Self(Kind::Gzip(Box::new(GunzipBody::new(body))))
    }
}

impl<B> Body for DecodedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Kind::Plain(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            #[cfg(feature = "gzip")]
            Kind::Gzip(body) => body.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            #[cfg(feature = "gzip")]
            Kind::Gzip(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            #[cfg(feature = "gzip")]
            Kind::Gzip(_) => SizeHint::default(),
        }
    }
}

/// The response decoded, if it has to be and the client asked for that.
pub(crate) fn decoded<B>(
    head: response::Parts,
    body: B,
    is_gzip: bool,
) -> Result<(response::Parts, DecodedBody<B>), Arc<str>> {
    let Some(encoding) = encoding(&head.headers) else { return Ok((head, DecodedBody::plain(body))) };
    let media = head.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("text/event-stream") {
        let encoding = shown(encoding);
        return Err(
            format!("an event stream has to come as it is, and this one is encoded ({encoding})").into()
        );
    }
    if !is_gzip {
        return Ok((head, DecodedBody::plain(body)));
    }
    #[cfg(feature = "gzip")]
    if is_gzip_encoding(encoding) {
        let mut head = head;
        head.headers.remove(CONTENT_ENCODING);
        head.headers.remove(http::header::CONTENT_LENGTH);
        return Ok((head, DecodedBody::gzip(body)));
    }
    Err(format!("the answer has an encoding that was not asked for ({})", shown(encoding)).into())
}

/// What a body is encoded with, if it is.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let is_plain =
        |value: &&HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    encodings.find(|value| !is_plain(value))
}

#[cfg(feature = "gzip")]
pub(crate) fn is_gzip_encoding(encoding: &HeaderValue) -> bool {
    let encoding = encoding.as_bytes();
    encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip")
}

pub(crate) fn shown(encoding: &HeaderValue) -> &str {
    encoding.to_str().unwrap_or("not readable")
}
