//! What both halves and every exchange of a lane have: the connector, the address, the options, the state.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, request, response};
use tokio::time::{Instant, sleep_until};
use towpath_jsonrpc::Message;
use towpath_mcp::{SessionHeaders, post_headers};
use towpath_raw::{Connect, ExchangeError};

use super::{HttpOptions, state::Shared};

pub(super) struct Wire<C> {
    connect: Arc<C>,
    uri: Uri,
    pub(super) peer: Arc<str>,
    pub(super) options: HttpOptions,
    pub(super) shared: Shared,
}

impl<C: Connect> Wire<C> {
    pub(super) fn new(connect: Arc<C>, uri: Uri, options: HttpOptions) -> Self {
        let peer = name(&uri);
        Self { connect, uri, peer, options, shared: Shared::new() }
    }

    /// Makes the exchange of a message.
    pub(super) fn post(
        &self,
        message: &Message,
    ) -> impl Future<Output = Result<(response::Parts, C::Body), ExchangeError>> + Send + use<'_, C> {
        let session = self.shared.session();
        let head = self.head(Method::POST, |headers| post_headers(message, &session, headers));
        self.connect.exchange(head, message.bytes().clone())
    }

    /// Opens the stream of the session, or takes one up again behind an event.
    pub(super) fn get(
        &self,
        last_event_id: Option<&HeaderValue>,
    ) -> impl Future<Output = Result<(response::Parts, C::Body), ExchangeError>> + Send + use<'_, C> {
        let session = self.shared.session();
        let head = self.head(Method::GET, |headers| session.write_get(last_event_id, headers));
        self.connect.exchange(head, Bytes::new())
    }

    /// Ends a session.
    pub(super) fn delete(
        &self,
        session: &SessionHeaders,
    ) -> impl Future<Output = Result<(response::Parts, C::Body), ExchangeError>> + Send + use<'_, C> {
        let head = self.head(Method::DELETE, |headers| session.write_delete(headers));
        self.connect.exchange(head, Bytes::new())
    }

    fn head(&self, method: Method, write: impl FnOnce(&mut HeaderMap)) -> request::Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method;
        head.uri = self.uri.clone();
        head.headers = self.options.headers.clone();
        write(&mut head.headers);
        head
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
