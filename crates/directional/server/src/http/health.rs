//! For whatever watches the process: does it live, and should it get requests?

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use tower_layer::Layer;
use tower_service::Service;

use super::closing::Closing;

/// Answers `/healthz` and `/readyz`: a `tower` layer around an [`HttpService`](super::HttpService), or around the router that
/// it is mounted in. [`HttpService::health`](super::HttpService::health) makes the one of an endpoint.
///
/// `/healthz` is 200 for as long as the process takes requests. `/readyz` is 200 while it should be sent some, and 503 with
/// the reason as text while it should not: while the endpoint drains, or when [`HealthLayer::ready`] says so. Neither looks
/// at the `Host` header, since probes come by address; what they say is for everybody who can reach them.
#[derive(Clone)]
pub struct HealthLayer {
    closing: Option<Arc<Closing>>,
    ready: Option<Arc<ReadyFn>>,
}

type ReadyFn = dyn Fn() -> Result<(), Cow<'static, str>> + Send + Sync;

impl HealthLayer {
    /// Ready from the beginning to the end.
    #[must_use]
    pub fn new() -> Self {
        Self { closing: None, ready: None }
    }

    pub(super) fn of(closing: Arc<Closing>) -> Self {
        Self { closing: Some(closing), ready: None }
    }

    /// Asked at each probe whether requests should be sent here, or why not; the reason is shown. It must not wait: a
    /// server that depends on another one notes when that has last answered, and compares here.
    #[must_use]
    pub fn ready(
        mut self,
        ready: impl Fn() -> Result<(), Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        self.ready = Some(Arc::new(ready));
        self
    }

    /// `None` for a request that is no probe.
    fn answer<B, R: From<Bytes>>(&self, request: &Request<B>) -> Option<Response<R>> {
        let state = match request.uri().path() {
            "/healthz" => Ok(()),
            "/readyz" => self.is_ready(),
            _ => return None,
        };
        let (status, text) = match state {
            _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                (StatusCode::METHOD_NOT_ALLOWED, Bytes::new())
            }
            Ok(()) => (StatusCode::OK, Bytes::from_static(b"ok\n")),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, Bytes::from(format!("{reason}\n"))),
        };
        let mut response = Response::new(R::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Some(response)
    }

    fn is_ready(&self) -> Result<(), Cow<'static, str>> {
        if self.closing.as_ref().is_some_and(|closing| closing.is_draining()) {
            return Err(Cow::Borrowed("the server is shutting down"));
        }
        self.ready.as_ref().map_or(Ok(()), |ready| ready())
    }
}

impl Default for HealthLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HealthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthLayer")
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = Health<S>;

    fn layer(&self, inner: S) -> Health<S> {
        Health { inner, layer: self.clone() }
    }
}

/// What [`HealthLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct Health<S> {
    inner: S,
    layer: HealthLayer,
}

impl<S, B, R> Service<Request<B>> for Health<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<R>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.layer.answer(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}
