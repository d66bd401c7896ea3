//! The client's side over hyper alone, for programs that want no reqwest around it.

use std::{error::Error, fmt, future::Future, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header::CONTENT_LENGTH, request, response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;
use towpath_raw::{Chunks, Connect, ExchangeError, Operation};

use crate::{
    chunks::BodyChunks,
    reason::chain,
    tcp::{QUESTIONS, Silence},
};

use super::{
    body::{SentBody, Taken},
    broken, head, label,
    limits::{ConnectLimits, ConnectTimeouts},
    not_connected, timed_out,
};

/// Makes exchanges over HTTP/1.1, as [`HttpConnect`](crate::HttpConnect) does, with less: no https, no proxy, no gzip,
/// and every redirect is an answer. Clones share the connections.
///
/// Of the limits, [`ConnectLimits::max_redirects`] has no meaning here.
///
/// ```no_run
/// use towpath_http::{ConnectLimits, ConnectTimeouts, HyperConnect};
/// use towpath_raw::Connect;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let connect = HyperConnect::new(ConnectLimits::default(), ConnectTimeouts::default());
/// let (head, ()) = http::Request::post("http://127.0.0.1:8080/mcp").body(())?.into_parts();
/// let (head, _) = connect.exchange(head, "{}".into()).await?;
/// println!("{}", head.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HyperConnect {
    client: Client<HttpConnector, SentBody>,
    limits: ConnectLimits,
    timeouts: ConnectTimeouts,
}

impl HyperConnect {
    /// A client without connections.
    pub fn new(limits: ConnectLimits, timeouts: ConnectTimeouts) -> Self {
        let silence = Silence::new(timeouts.keep_alive, timeouts.unacknowledged);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_keepalive(silence.questions.map(|(idle, _)| idle));
        connector.set_keepalive_interval(silence.questions.map(|(_, interval)| interval));
        connector.set_keepalive_retries(silence.questions.map(|_| QUESTIONS));
        #[cfg(any(target_os = "android", target_os = "linux"))]
        connector.set_tcp_user_timeout(silence.unacknowledged);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(timeouts.pool_idle)
            .pool_max_idle_per_host(limits.max_idle_connections_per_host)
            .build(connector);
        Self { client, limits, timeouts }
    }

    async fn send(
        &self,
        head: request::Parts,
        body: Bytes,
        peer: &Arc<str>,
    ) -> Result<(response::Parts, HyperBody), ExchangeError> {
        if head.uri.scheme_str() != Some("http") {
            return Err(not_connected(peer, "the address has to begin with http://".into()));
        }
        let taken = Taken::default();
        let has_body = !body.is_empty();
        let is_sized = has_body || !(head.method == Method::POST || head.method == Method::PUT);
        let mut request = Request::from_parts(head, taken.body(body));
        if !is_sized {
            // Some servers refuse a POST that does not say how long it is.
            request.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        let response = self.client.request(request).await.map_err(|error| {
            if let Some(error) = head::unread(&error, peer, &self.limits) {
                return error;
            }
            if error.is_connect() && was_too_long(&error) {
                return timed_out(peer, Operation::Connect, self.timeouts.connect);
            }
            // A body that was never taken was never written. Without one, only the client knows.
            let was_written = if has_body { taken.is_taken() } else { !error.is_connect() };
            let reason = chain(&error);
            if was_written { broken(peer, reason) } else { not_connected(peer, reason) }
        })?;
        let (head, body) = response.into_parts();
        head::check(&head, peer, &self.limits)?;
        Ok((head, HyperBody(BodyChunks::new(body, Arc::clone(peer)))))
    }
}

impl Connect for HyperConnect {
    type Body = HyperBody;

    fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> impl Future<Output = Result<(response::Parts, HyperBody), ExchangeError>> + Send {
        let peer = label(&head.uri);
        async move {
            let exchange = self.send(head, body, &peer);
            let Some(after) = self.timeouts.head else { return exchange.await };
            timeout(after, exchange).await.unwrap_or_else(|_| Err(timed_out(&peer, Operation::Head, after)))
        }
    }
}

/// The body of a response of [`HyperConnect`]. Dropped before its end, it closes its connection.
pub struct HyperBody(BodyChunks<Incoming>);

impl Chunks for HyperBody {
    fn poll_chunk(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Option<Bytes>, ExchangeError>> {
        self.0.poll_chunk(cx)
    }
}

impl fmt::Debug for HyperBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperBody").finish_non_exhaustive()
    }
}

fn was_too_long(error: &legacy::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}
