//! What can stand behind the endpoint.

use std::{any::Any, future::Future, sync::Arc};

use towpath_jsonrpc::Message;
use towpath_link::{Admission, Errand, LinkLimits, LinkTimeouts, Peer, Service};
use towpath_mcp::{Fault, ServerIdentity};

use super::{Exchange, SessionStreams};

/// What stands behind an [`HttpService`](super::HttpService): a [`Server`](crate::Server), or a relay to one that is
/// somewhere else.
pub trait HttpApp: Send + Sync + 'static {
    /// What serves one legacy session.
    type Session: Service + Unpin;

    /// The revisions that are spoken here, and what `server/discover` says.
    fn identity(&self) -> &Arc<ServerIdentity>;

    /// Whether `server/discover` is answered from [`HttpApp::identity`]; it is by default. Else it comes to
    /// [`HttpApp::modern`].
    fn answers_discover(&self) -> bool {
        true
    }

    /// A modern request, its metadata validated; `subscriptions/listen` is one of them. [`Exchange::message`] is the
    /// request, [`Exchange::request`] its metadata.
    ///
    /// What it returns runs in the future of the HTTP response, and is dropped with it; it is polled once before this
    /// service knows whether the answer becomes one JSON body or an event stream. A panic answers this request
    /// with an internal error.
    ///
    /// # Errors
    ///
    /// The fault that the client is answered with, and that picks the HTTP status. An error that is an
    /// [`Admission::Now`] gets the status of a handler's own error.
    fn modern(self: Arc<Self>, exchange: Exchange) -> Result<Admission, Fault>;

    /// A modern notification. By default nothing happens.
    ///
    /// The client has its 202 before the errand has ended.
    fn notification(self: Arc<Self>, exchange: Exchange) -> Errand {
        let _ = exchange;
        Errand::Nothing
    }

    /// A session is to be opened by this `initialize`, which will be the first request that the session's service gets.
    ///
    /// # Errors
    ///
    /// The fault that the client is answered with.
    ///
    /// # Cancel safety
    ///
    /// Dropped when the client goes away while it waits.
    fn open(
        self: Arc<Self>,
        initialize: Message,
    ) -> impl Future<Output = Result<OpenedSession<Self::Session>, Fault>> + Send;
}

/// A legacy session that is about to begin.
pub struct OpenedSession<S> {
    pub(crate) service: S,
    pub(crate) limits: LinkLimits,
    pub(crate) timeouts: LinkTimeouts,
    pub(crate) joined: Box<dyn FnOnce(Peer) -> Box<dyn Any + Send> + Send>,
    pub(crate) streams: Box<dyn FnOnce(SessionStreams) + Send>,
}

impl<S> OpenedSession<S> {
    /// A session that this service serves.
    pub fn new(service: S) -> Self {
        Self {
            service,
            limits: LinkLimits::default(),
            timeouts: LinkTimeouts::default(),
            joined: Box::new(|_| Box::new(())),
            streams: Box::new(|_| ()),
        }
    }

    /// The limits of the session's link. Of `max_requests_from_peer` and
    /// [`EndpointLimits::max_requests_per_session`](super::EndpointLimits::max_requests_per_session) the lower one counts.
    #[must_use]
    pub fn limits(mut self, limits: LinkLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The timeouts of the session's link.
    #[must_use]
    pub fn timeouts(mut self, timeouts: LinkTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Called once, before the first message, with what can be done with the session's event streams.
    #[must_use]
    pub fn streams(mut self, streams: impl FnOnce(SessionStreams) + Send + 'static) -> Self {
        self.streams = Box::new(streams);
        self
    }

    /// Called once, before the first message, with the handle to the session's client. What it returns is kept for as
    /// long as the session lives, and dropped when it ends, however it ends: a child process, a place in a list.
    #[must_use]
    pub fn joined<G: Send + 'static>(mut self, joined: impl FnOnce(Peer) -> G + Send + 'static) -> Self {
        self.joined = Box::new(|peer| Box::new(joined(peer)));
        self
    }
}
