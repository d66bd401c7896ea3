//! Bodies of the two vocabularies, in each other's.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use towpath_raw::{Chunks, ExchangeError};

use crate::reason::chain;

/// [`Chunks`] as a body that hyper sends: one frame a chunk.
pub struct ChunksBody(Box<dyn Chunks>);

impl ChunksBody {
    /// A body of these chunks.
    pub fn new(chunks: impl Chunks + 'static) -> Self {
        Self(Box::new(chunks))
    }
}

impl Body for ChunksBody {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        Poll::Ready(ready!(self.0.poll_chunk(cx)).transpose().map(|chunk| chunk.map(Frame::data)))
    }
}

impl fmt::Debug for ChunksBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksBody").finish_non_exhaustive()
    }
}

/// A body as [`Chunks`]: its data, without trailers. Its end, or its error, is given again and again.
#[derive(Debug)]
pub struct BodyChunks<B> {
    body: B,
    peer: Arc<str>,
    ended: Option<Result<(), ExchangeError>>,
}

impl<B> BodyChunks<B>
where
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// The chunks of a body that `peer` sends.
    pub fn new(body: B, peer: Arc<str>) -> Self {
        Self { body, peer, ended: None }
    }
}

impl<B> Chunks for BodyChunks<B>
where
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(ended.clone().map(|()| None));
        }
        let ended = loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => break Ok(()),
                Some(Ok(frame)) => {
                    // HTTP/2 may end a body with an empty frame.
                    if let Some(chunk) = frame.into_data().ok().filter(|chunk| !chunk.is_empty()) {
                        return Poll::Ready(Ok(Some(chunk)));
                    }
                }
                Some(Err(error)) => {
                    let (peer, reason) = (Arc::clone(&self.peer), chain(&*error.into()));
                    break Err(ExchangeError::Broken { peer, reason });
                }
            }
        };
        self.ended = Some(ended.clone());
        Poll::Ready(ended.map(|()| None))
    }
}
