//! The client's side, over reqwest.

mod body;
mod builder;
mod head;
#[cfg(feature = "hyper-client")]
mod hyper_client;
mod limits;
mod redirect;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH},
    request, response,
};
use reqwest::{Body, Client, ClientBuilder, Request, Url};
use tokio::time::timeout;
use towpath_raw::{Connect, ExchangeError, Operation, Timeout};

use crate::{decoded::decoded, reason::chain};

#[cfg(feature = "hyper-client")]
pub use self::hyper_client::{HyperBody, HyperConnect};
pub use self::{
    body::ConnectBody,
    builder::{HttpConnectBuilder, HttpConnectError},
    limits::{ConnectLimits, ConnectTimeouts},
};

/// Makes exchanges over HTTP/1.1, or HTTP/2 where it is told to, on connections that are kept between them. Clones share
/// the connections.
///
/// ```no_run
/// use towpath_http::{ConnectLimits, ConnectTimeouts, HttpConnect};
/// use towpath_raw::{ChunksExt, Connect};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let connect = HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default())?;
/// let (head, ()) = http::Request::post("http://127.0.0.1:8080/mcp").body(())?.into_parts();
/// let (head, mut body) = connect.exchange(head, "{}".into()).await?;
/// println!("{}", head.status);
/// while let Some(chunk) = body.chunk().await? {
///     println!("{} bytes", chunk.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpConnect {
    client: Client,
    limits: ConnectLimits,
    timeouts: ConnectTimeouts,
    is_gzip: bool,
}

impl HttpConnect {
    /// A client of HTTP/1.1 without connections. It uses no proxy, whatever the environment says.
    ///
    /// # Errors
    ///
    /// [`HttpConnectError`]: name lookup or TLS cannot be set up here.
    pub fn new(limits: ConnectLimits, timeouts: ConnectTimeouts) -> Result<Self, HttpConnectError> {
        Self::builder().limits(limits).timeouts(timeouts).build()
    }

    /// As [`HttpConnect::new`], with what else can be set on a `reqwest` client: see [`HttpConnectBuilder::client`].
    ///
    /// # Errors
    ///
    /// [`HttpConnectError`]: what was set is not possible.
    pub fn from_builder(
        builder: ClientBuilder,
        limits: ConnectLimits,
        timeouts: ConnectTimeouts,
    ) -> Result<Self, HttpConnectError> {
        Self::builder().client(builder).limits(limits).timeouts(timeouts).build()
    }

    /// What can be chosen, with its defaults.
    pub fn builder() -> HttpConnectBuilder {
        HttpConnectBuilder::default()
    }

    /// Sends, and sends again where it is redirected to.
    async fn follow(
        &self,
        head: request::Parts,
        body: Bytes,
        peer: &Arc<str>,
    ) -> Result<(response::Parts, ConnectBody), ExchangeError> {
        let request::Parts { method, uri, mut headers, .. } = head;
        let mut url = address(&uri).map_err(|reason| not_connected(peer, reason))?;
        if body.is_empty() && (method == Method::POST || method == Method::PUT) {
            // Some servers refuse a POST that does not say how long it is.
            headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        if self.is_gzip {
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        }
        let mut left = self.limits.max_redirects;
        loop {
            if left == 0 {
                return self.send(method, url, headers, body, peer).await;
            }
            left -= 1;
            let sent = self.send(method.clone(), url.clone(), headers.clone(), body.clone(), peer);
            let (head, response) = sent.await?;
            match redirect::target(&url, &head) {
                Some(target) => url = target,
                None => return Ok((head, response)),
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
        peer: &Arc<str>,
    ) -> Result<(response::Parts, ConnectBody), ExchangeError> {
        let taken = body::Taken::default();
        let has_body = !body.is_empty();
        let mut request = Request::new(method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = has_body.then(|| Body::wrap(taken.body(body)));
        let response = self.client.execute(request).await.map_err(|error| {
            if error.is_connect() && error.is_timeout() {
                return timed_out(peer, Operation::Connect, self.timeouts.connect);
            }
            if let Some(error) = head::unread(&error, peer, &self.limits) {
                return error;
            }
            // A body that was never taken was never written. Without one, only the client knows.
            let was_written = if has_body { taken.is_taken() } else { !error.is_connect() };
            let reason = chain(&error.without_url());
            if was_written { broken(peer, reason) } else { not_connected(peer, reason) }
        })?;
        let (head, body) = http::Response::<Body>::from(response).into_parts();
        head::check(&head, peer, &self.limits)?;
        let (head, body) = decoded(head, body, self.is_gzip).map_err(|reason| broken(peer, reason))?;
        Ok((head, ConnectBody::new(body, Arc::clone(peer))))
    }
}

impl Connect for HttpConnect {
    type Body = ConnectBody;

    fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> impl Future<Output = Result<(response::Parts, ConnectBody), ExchangeError>> + Send {
        let peer = label(&head.uri);
        async move {
            let exchange = self.follow(head, body, &peer);
            let Some(after) = self.timeouts.head else { return exchange.await };
            timeout(after, exchange).await.unwrap_or_else(|_| Err(timed_out(&peer, Operation::Head, after)))
        }
    }
}

/// Where to connect to.
fn address(uri: &Uri) -> Result<Url, Arc<str>> {
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return Err("https needs the feature `tls` of towpath-http, which is off".into()),
        _ => return Err("the address has to begin with http:// or https://".into()),
    }
    Url::parse(&uri.to_string()).map_err(|error| error.to_string().into())
}

/// Who the peer is, without what may be secret: no user, no password, no query.
fn label(uri: &Uri) -> Arc<str> {
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", uri.path()).into()
}

fn not_connected(peer: &Arc<str>, reason: Arc<str>) -> ExchangeError {
    ExchangeError::NotConnected { peer: Arc::clone(peer), reason }
}

fn broken(peer: &Arc<str>, reason: Arc<str>) -> ExchangeError {
    ExchangeError::Broken { peer: Arc::clone(peer), reason }
}

fn timed_out(peer: &Arc<str>, operation: Operation, after: std::time::Duration) -> ExchangeError {
    ExchangeError::Timeout { peer: Arc::clone(peer), source: Timeout { operation, after } }
}

#[cfg(test)]
mod tests;
