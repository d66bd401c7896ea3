//! HTTP+SSE (MCP 2024-11-05) as a lane: the client's side.

mod connect;
mod endpoint;
mod post;
mod shared;
mod sink;
mod source;

use std::sync::Arc;

use http::{HeaderMap, Uri};
use towpath_raw::{Connect, Lane, LaneLimits};

pub use self::{connect::SseConnectError, endpoint::EndpointError, sink::SseSink, source::SseSource};
use crate::SseLaneTimeouts;

/// The client's side of HTTP+SSE, the transport of MCP 2024-11-05.
///
/// What the server sends are the `message` events of one stream, which a GET opened. What goes to the server is POSTed to
/// the endpoint that the first event of the stream names, one message after the other. No task stands behind it:
/// the halves drive the stream and the POSTs when they are polled.
#[derive(Debug)]
pub struct SseLane<C: Connect> {
    source: SseSource<C::Body>,
    sink: SseSink<C>,
}

impl<C: Connect> SseLane<C> {
    /// Opens the stream at `url`, and waits until the server has named the endpoint for messages.
    ///
    /// The headers go with the GET and with every POST. The endpoint must be of the same origin as `url`: else a server
    /// could have messages, and credentials with them, sent anywhere.
    ///
    /// # Errors
    ///
    /// [`SseConnectError`]; the stream is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is closed.
    pub async fn connect(
        connect: Arc<C>,
        url: Uri,
        headers: HeaderMap,
        limits: &LaneLimits,
        timeouts: &SseLaneTimeouts,
    ) -> Result<Self, SseConnectError> {
        connect::connect(connect, url, headers, limits, timeouts).await
    }

    /// Where messages are sent to.
    pub fn endpoint(&self) -> &Uri {
        self.sink.endpoint()
    }
}

impl<C: Connect> Lane for SseLane<C> {
    type Source = SseSource<C::Body>;
    type Sink = SseSink<C>;

    fn peer(&self) -> Arc<str> {
        Arc::clone(self.source.peer())
    }

    fn max_message_bytes(&self) -> usize {
        self.sink.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        (self.source, self.sink)
    }
}

#[cfg(test)]
mod tests;
