//! The bodies of an exchange: what is sent, and what comes.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use towpath_raw::{Chunks, ExchangeError};

use crate::{chunks::BodyChunks, decoded::DecodedBody};

/// Whether the HTTP client has begun to take the body of a request; before that, nothing of it can have been sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Arc<AtomicBool>);

impl Taken {
    pub(super) fn is_taken(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// The body to send, in one piece.
    pub(super) fn body(&self, bytes: Bytes) -> SentBody {
        SentBody { bytes, taken: self.clone() }
    }
}

/// A body in one piece that notes when it is taken.
#[derive(Debug)]
pub(super) struct SentBody {
    bytes: Bytes,
    taken: Taken,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.0.store(true, Relaxed);
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// The body of a response. Dropped before its end, it closes its connection.
pub struct ConnectBody(BodyChunks<DecodedBody<reqwest::Body>>);

impl ConnectBody {
    pub(super) fn new(body: DecodedBody<reqwest::Body>, peer: Arc<str>) -> Self {
        Self(BodyChunks::new(body, peer))
    }
}

impl Chunks for ConnectBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.0.poll_chunk(cx)
    }
}

impl fmt::Debug for ConnectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectBody").finish_non_exhaustive()
    }
}
