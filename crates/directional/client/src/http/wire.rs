//! What both halves and every exchange of a lane have: the connector, the address, the options, the state.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, request, response};
use tokio::time::{Instant, sleep_until};
use towpath_jsonrpc::Message;
use towpath_mcp::{SessionHeaders, post_headers};
use towpath_raw::{Connect, ExchangeError};

use super::{
    HttpOptions,
    credentials::{Renewals, Unauthorized, mark_sensitive},
    inputs::Inputs,
    state::Shared,
    tools::Tools,
};

pub(super) struct Wire<C> {
    connect: Arc<C>,
    uri: Uri,
    pub(super) peer: Arc<str>,
    pub(super) options: HttpOptions,
    pub(super) shared: Shared,
    pub(super) tools: Tools,
    pub(super) inputs: Arc<Inputs>,
    renewals: Renewals,
}

/// Under what a request went out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Which session of the lane: each one that is opened counts.
    pub(super) session: u64,
    /// Whether there was one with an id.
    pub(super) named: bool,
    credentials: u64,
}

impl<C: Connect> Wire<C> {
    pub(super) fn new(connect: Arc<C>, uri: Uri, options: HttpOptions) -> Self {
        let peer = name(&uri);
        let tools = Tools::new(options.tool_headers.then_some(options.limits.max_tool_headers));
        let renewals = Renewals::new();
        Self { connect, uri, peer, options, shared: Shared::new(), tools, inputs: Inputs::new(), renewals }
    }

    /// Makes the exchange of a message; `sent` says afterwards under which session and credentials it went.
    pub(super) async fn post(
        &self,
        message: &Message,
        sent: &mut Sent,
    ) -> Result<(response::Parts, C::Body), ExchangeError> {
        let headers = self.headers(sent).await;
        let (session, generation) = self.shared.session();
        sent.session = generation;
        sent.named = session.session.is_some();
        let head = self.head(Method::POST, headers, |headers| {
            post_headers(message, &session, headers);
            self.tools.write(message, headers);
        });
        self.connect.exchange(head, message.bytes().clone()).await
    }

    /// As [`Wire::post`], and once more if no byte of it was written: a connection that was kept may have been closed
    /// by the server in the meantime.
    pub(super) async fn post_twice(
        &self,
        message: &Message,
        sent: &mut Sent,
    ) -> Result<(response::Parts, C::Body), ExchangeError> {
        match self.post(message, sent).await {
            Err(ExchangeError::NotConnected { .. }) => self.post(message, sent).await,
            answered => answered,
        }
    }

    /// Opens the stream of the session, or takes one up again behind an event.
    pub(super) async fn get(
        &self,
        last_event_id: Option<&HeaderValue>,
        sent: &mut Sent,
    ) -> Result<(response::Parts, C::Body), ExchangeError> {
        let headers = self.headers(sent).await;
        let (session, generation) = self.shared.session();
        sent.session = generation;
        sent.named = session.session.is_some();
        let head = self.head(Method::GET, headers, |headers| session.write_get(last_event_id, headers));
        self.connect.exchange(head, Bytes::new()).await
    }

    /// Ends a session.
    pub(super) async fn delete(
        &self,
        session: &SessionHeaders,
    ) -> Result<(response::Parts, C::Body), ExchangeError> {
        let headers = self.headers(&mut Sent::default()).await;
        let head = self.head(Method::DELETE, headers, |headers| session.write_delete(headers));
        self.connect.exchange(head, Bytes::new()).await
    }

    /// What the caller wants in every head.
    async fn headers(&self, sent: &mut Sent) -> HeaderMap {
        let mut headers = self.options.headers.clone();
        mark_sensitive(&mut headers, false);
        if let Some(provider) = &self.options.header_provider {
            sent.credentials = self.renewals.generation();
            let mut provided = provider().await;
            mark_sensitive(&mut provided, true);
            headers.extend(provided);
        }
        headers
    }

    fn head(
        &self,
        method: Method,
        mut headers: HeaderMap,
        write: impl FnOnce(&mut HeaderMap),
    ) -> request::Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method;
        head.uri = self.uri.clone();
        write(&mut headers);
        head.headers = headers;
        head
    }

    /// Whether a request that was refused because of who sent it is worth another try.
    pub(super) async fn may_repeat(&self, status: StatusCode, headers: &HeaderMap, sent: &Sent) -> bool {
        match (&self.options.on_unauthorized, Unauthorized::of(status, headers)) {
            (Some(told), Some(unauthorized)) => {
                self.renewals.renewed(told, unauthorized, sent.credentials).await
            }
            _ => false,
        }
    }

    /// The server does not speak what it was thought to.
    pub(super) fn forget_era(&self) {
        if let Some(cache) = &self.options.era_cache {
            cache.forget(&self.uri);
        }
    }

    pub(super) fn broken(&self, reason: impl Into<Arc<str>>) -> ExchangeError {
        ExchangeError::Broken { peer: Arc::clone(&self.peer), reason: reason.into() }
    }
}

/// The place of a request among those in flight.
pub(super) struct Seat<C: Connect> {
    pub(super) wire: Arc<Wire<C>>,
    pub(super) key: usize,
}

impl<C: Connect> Drop for Seat<C> {
    fn drop(&mut self) {
        self.wire.shared.finish(self.key);
    }
}

/// Waits before a stream is opened again; whoever drops it does not.
pub(super) async fn pause(length: Duration) {
    sleep_until(Instant::now() + length).await;
}

/// The address without what must not get into a log: user, password and query.
fn name(uri: &Uri) -> Arc<str> {
    let scheme = uri.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}{host}{port}{}", uri.path()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_neither_password_nor_query() {
        let uri = Uri::from_static("https://user:secret@example.com:8443/mcp?key=secret");
        assert_eq!(&*name(&uri), "https://example.com:8443/mcp");
    }
}
