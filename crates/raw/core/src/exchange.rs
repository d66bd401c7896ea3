//! The two sides of HTTP: a head and a body out, a head and a stream of chunks back.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{request, response};

use crate::{MessageTooLarge, Timeout};

/// The client's side: makes exchanges with one peer or many.
pub trait Connect: Send + Sync + 'static {
    /// The body of a response.
    type Body: Chunks + 'static;

    /// Sends a head and a body, and gives the head of the response and its body, which is still arriving.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the exchange is abandoned: its stream or connection is closed, and whether the peer has acted
    /// on it is unknown, unless no byte of it was written.
    fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> impl Future<Output = Result<(response::Parts, Self::Body), ExchangeError>> + Send;
}

/// The server's side: takes the exchanges that peers open.
pub trait Accept: Send + 'static {
    /// One exchange, to be answered.
    type Arrival: Arrival;

    /// The next exchange; `None` when no more can come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped accept takes no exchange.
    fn accept(&mut self) -> impl Future<Output = Option<Self::Arrival>> + Send;
}

/// One exchange that a peer opened.
pub trait Arrival: Send + 'static {
    /// The body of the request.
    type Body: Chunks + 'static;

    /// The head of the request.
    fn head(&self) -> &request::Parts;

    /// The body of the request, which may still be arriving.
    fn body(&mut self) -> &mut Self::Body;

    /// Answers with a body that yields as it goes; the exchange ends with it.
    fn respond(self, head: response::Parts, body: impl Chunks + 'static);
}

/// A body: chunks of bytes until there are no more. Dropped before its end, it closes the exchange.
pub trait Chunks: Send {
    /// The next chunk; `None` at the end, which is the declared one if a length was declared.
    ///
    /// # Errors
    ///
    /// [`ExchangeError`]: a body shorter than declared is an error, never an end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>>;
}

/// The async face of [`Chunks`].
pub trait ChunksExt: Chunks {
    /// The next chunk; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no chunk.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, ExchangeError>> + Send {
        poll_fn(|cx| self.poll_chunk(cx))
    }
}

impl<C: Chunks + ?Sized> ChunksExt for C {}

/// A body of one chunk, or none.
impl Chunks for Option<Bytes> {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        Poll::Ready(Ok(self.take()))
    }
}

/// Why an exchange failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No connection: no byte of the request was written.
    #[error("cannot reach {peer}: {reason}")]
    NotConnected {
        /// Who should have been reached.
        peer: Arc<str>,
        /// What the transport said.
        reason: Arc<str>,
    },
    /// The exchange broke off; whether the peer acted on the request is unknown.
    #[error("the exchange with {peer} broke off: {reason}")]
    Broken {
        /// The other side.
        peer: Arc<str>,
        /// What the transport said.
        reason: Arc<str>,
    },
    /// A head or a body was larger than its limit.
    #[error("{peer}: {source}")]
    TooLarge {
        /// The other side.
        peer: Arc<str>,
        /// The limit and the size.
        source: MessageTooLarge,
    },
    /// A deadline passed.
    #[error("{peer}: {source}")]
    Timeout {
        /// The other side.
        peer: Arc<str>,
        /// Which one.
        source: Timeout,
    },
}
