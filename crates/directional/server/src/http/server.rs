//! A server behind the endpoint.

use std::sync::Arc;

use futures_util::FutureExt;
use towpath_jsonrpc::Message;
use towpath_link::{Admission, Errand};
use towpath_mcp::{Fault, ServerIdentity, method};

use super::{EndpointSettings, Exchange, HttpApp, HttpService, OpenedSession, service::Drains};
use crate::{
    Context, Handler, Notification, Server,
    hub::ServedLane,
    lane::{LaneService, listener, modern_handler},
    listen::Told,
};

impl<H: Handler> Server<H> {
    /// The HTTP face of the server, with the server's own limits of messages and its handler deadline, for clients of
    /// this machine. [`Server::drain`] drains it, too.
    pub fn http(&self) -> HttpService<Self> {
        let mut settings = EndpointSettings::default();
        settings.limits.envelope = self.core.limits.envelope;
        settings.timeouts.handler = self.core.timeouts.handler;
        self.http_with(settings)
    }

    /// As [`Server::http`], set up otherwise.
    pub fn http_with(&self, settings: EndpointSettings) -> HttpService<Self> {
        let service = HttpService::new(Arc::new(self.clone()), settings);
        let shared: Arc<dyn Drains> = service.drains();
        self.core.hub.add_endpoint(Arc::downgrade(&shared));
        service
    }
}

impl<H: Handler> HttpApp for Server<H> {
    type Session = LaneService<H>;

    fn identity(&self) -> &Arc<ServerIdentity> {
        &self.core.identity
    }

    fn modern(self: Arc<Self>, exchange: Exchange) -> Result<Admission, Fault> {
        let context = Context::of_exchange(exchange.clone());
        let message = exchange.message();
        if message.method() == method::SUBSCRIPTIONS_LISTEN {
            let told = Told::Exchange(exchange.clone());
            return listener(&self.core, message, told, context).map(Admission::Run);
        }
        Ok(Admission::Run(modern_handler(&self.core, message.clone(), context)))
    }

    fn notification(self: Arc<Self>, exchange: Exchange) -> Errand {
        let notification = Notification::new(exchange.message().clone());
        let context = Context::of_exchange(exchange);
        let core = Arc::clone(&self.core);
        Errand::Run(async move { core.handler.notification(notification, context).await }.boxed())
    }

    async fn open(self: Arc<Self>, _: Message) -> Result<OpenedSession<LaneService<H>>, Fault> {
        let service = LaneService::new(Arc::clone(&self.core));
        let conversation = service.conversation();
        let hub = Arc::clone(&self.core.hub);
        let streams = Arc::clone(&conversation);
        Ok(OpenedSession::new(service)
            .limits(self.core.limits.clone())
            .timeouts(self.core.timeouts.clone())
            .streams(move |handle| streams.set_streams(handle))
            .joined(move |peer| hub.serve(ServedLane { peer, conversation })))
    }
}
