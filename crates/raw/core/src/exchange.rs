//! The two sides of HTTP: a head and a body out, a head and a stream of chunks back.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{request, response};

use crate::{MessageTooLarge, Operation, Timeout};

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
    /// The peer answered with an HTTP status that is no success, and with nothing that could be read as a message.
    #[error("{peer} answered with HTTP status {status}{}", shown(body))]
    Refused {
        /// The other side.
        peer: Arc<str>,
        /// The status.
        status: u16,
        /// How the body begins: at most 1 KiB, made printable.
        body: Arc<str>,
        /// When to come back, if it said so (`Retry-After` in seconds).
        retry_after: Option<Duration>,
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

impl ExchangeError {
    /// Whether any of the request may have reached the peer. If not, it is safe to repeat.
    pub fn was_sent(&self) -> bool {
        match self {
            ExchangeError::NotConnected { .. } => false,
            ExchangeError::Timeout { source, .. } => source.operation != Operation::Connect,
            ExchangeError::Broken { .. } | ExchangeError::TooLarge { .. } | ExchangeError::Refused { .. } => {
                true
            }
        }
    }
}

fn shown(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_reached_the_peer_is_told_from_what_may_have() {
        let peer: Arc<str> = "http://peer/mcp".into();
        let timeout = |operation| ExchangeError::Timeout {
            peer: Arc::clone(&peer),
            source: Timeout { operation, after: Duration::from_secs(1) },
        };
        assert!(!timeout(Operation::Connect).was_sent());
        assert!(timeout(Operation::ReceiveTotal).was_sent());
        assert!(
            !ExchangeError::NotConnected { peer: Arc::clone(&peer), reason: "refused".into() }.was_sent()
        );
        let refused =
            ExchangeError::Refused { peer, status: 502, body: "bad gateway".into(), retry_after: None };
        assert!(refused.was_sent());
        assert_eq!(refused.to_string(), "http://peer/mcp answered with HTTP status 502: bad gateway");
    }
}
