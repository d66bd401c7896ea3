//! The lane itself.

use std::sync::Arc;

use http::Uri;
use towpath_raw::{Connect, Lane};

use super::{HttpOptions, HttpSink, HttpSource, wire::Wire};

/// MCP over Streamable HTTP as a lane, from the client's side (2025-03-26 to 2026-07-28, basic/transports).
///
/// Every message that is sent becomes a POST of its own, and what the server answers, as one JSON body or as an event
/// stream, comes back in frames. A request whose `_meta` names a revision is modern, and carries the headers of that
/// revision; every other message is legacy, and carries those of the session. So one lane carries both eras, and finding
/// out which one the server speaks needs no second one.
///
/// - A request that fails without an answer is [`Inbound::Failed`](towpath_raw::Inbound::Failed) on its route: the lane
///   lives on, as do the other requests.
/// - `notifications/cancelled` on the route of a request: a modern exchange is closed, which is how that era cancels, and
///   nothing is sent; a legacy one is told by POST, and closed after that.
/// - Once `notifications/initialized` was accepted, the standalone stream of a legacy session is opened, and again
///   whenever it ends, with growing pauses. A server that has none says so, and is not asked again.
/// - Nothing is sent after `notifications/initialized` before the server has answered it, and then not before the
///   standalone stream has its head, or [`HttpTimeouts::listen_first`](crate::HttpTimeouts::listen_first) has passed.
/// - A legacy session that the server has forgotten (404 to a request that named it) is opened anew: the handshake and
///   the subscriptions of resources are sent again as they were, the standalone stream is opened, and every request that
///   was refused for want of a session is sent in the new one, once. What else looks like that (400, an error −32001 or
///   −32600 that speaks of the session, 404 to the standalone stream) is followed by a ping first.
/// - A request of which no byte was written is sent once more, and so is one that was refused with 503 and a
///   `Retry-After` that is not too long, or with 401 or 403 when
///   [`HttpOptions::with_on_unauthorized`](crate::HttpOptions::with_on_unauthorized) says so.
/// - The arguments that a modern server's tools want in `Mcp-Param-*` headers are mirrored there, once a `tools/list` was
///   answered; when the server finds that they are out of date (−32020), the list is read anew, and the call made again.
/// - A request that the server has only accepted (202) may be answered on another stream of the session.
///
/// # What it does not do
///
/// It starts no task, and opens no connection before something is sent: its exchanges are driven by polling its halves,
/// so **both halves have to be polled**, as a link does. It does not repeat what the server may have executed.
///
/// # Dropped and closed
///
/// Dropped, its exchanges are closed with it. Closed, the session of a legacy server is ended with a DELETE, which has
/// [`HttpTimeouts::delete`](crate::HttpTimeouts::delete). A lane that is dropped without being closed leaves that DELETE
/// to one task of the runtime that it is dropped in, which ends by the same deadline; without a runtime, the session is
/// left to the server's own expiry.
pub struct HttpLane<C: Connect> {
    wire: Arc<Wire<C>>,
}

impl<C: Connect> HttpLane<C> {
    /// A lane to the MCP endpoint at `uri`. Nothing happens until something is sent.
    pub fn new(connect: Arc<C>, uri: Uri, options: HttpOptions) -> Self {
        Self { wire: Arc::new(Wire::new(connect, uri, options)) }
    }
}

impl<C: Connect> Lane for HttpLane<C> {
    type Source = HttpSource<C>;
    type Sink = HttpSink<C>;

    fn peer(&self) -> Arc<str> {
        Arc::clone(&self.wire.peer)
    }

    fn max_message_bytes(&self) -> usize {
        self.wire.options.limits.max_message_bytes
    }

    fn split(self) -> (HttpSource<C>, HttpSink<C>) {
        (HttpSource::new(Arc::clone(&self.wire)), HttpSink::new(self.wire))
    }
}

impl<C: Connect> std::fmt::Debug for HttpLane<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpLane").field("peer", &self.wire.peer).finish_non_exhaustive()
    }
}
