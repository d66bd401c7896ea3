//! For pages in browsers: who may ask from another origin, and what it may send and read.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use tower_layer::Layer;
use tower_service::Service;
use towpath_mcp::{OriginPolicy, cors};

/// Lets pages of other origins use an endpoint: a `tower` layer around an [`HttpService`](super::HttpService), or around
/// the router that it is mounted in, before whatever checks credentials. [`HttpService::cors`](super::HttpService::cors)
/// makes the one that suits an endpoint.
///
/// It answers a browser's preflight itself, with what clients of both eras send; the other responses it tells the
/// browser to show to the page, `Mcp-Session-Id` included. A preflight of an origin that is not allowed gets 403; any other
/// request of such an origin is the endpoint's to refuse, and its response is shown to no page.
///
/// Cookies and other credentials that the browser has by itself are not allowed: a client sends `Authorization`.
#[derive(Clone, Debug)]
pub struct CorsLayer {
    origins: OriginPolicy,
    speaks_legacy: bool,
    max_age: Option<Duration>,
}

impl CorsLayer {
    /// For pages of these origins.
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self { origins, speaks_legacy: true, max_age: Some(Duration::from_secs(600)) }
    }

    /// Whether there are legacy sessions, which have GET and DELETE beside POST. Default: yes.
    #[must_use]
    pub fn speaks_legacy(mut self, speaks_legacy: bool) -> Self {
        self.speaks_legacy = speaks_legacy;
        self
    }

    /// For how long a browser may go without another preflight; in whole seconds, rounded down. Default: 10 min. `None`:
    /// the browser decides (usually 5 s).
    #[must_use]
    pub fn max_age(mut self, max_age: Option<Duration>) -> Self {
        self.max_age = max_age;
        self
    }

    /// The response to a preflight.
    fn preflight<R: Default>(&self, headers: &HeaderMap) -> Response<R> {
        let mut response = Response::new(R::default());
        *response.status_mut() = StatusCode::FORBIDDEN;
        let answer = response.headers_mut();
        for name in [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
            answer.append(VARY, HeaderValue::from(name));
        }
        let Some(origin) = self.allowed(headers) else { return response };
        let requested = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, cors::methods(self.speaks_legacy));
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, cors::allowed_headers(requested));
        if let Some(max_age) = self.max_age {
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age.as_secs()));
        }
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }

    /// The origin of a request, if its page may use the endpoint.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(ORIGIN).filter(|_| self.origins.admits(headers)).cloned()
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { inner, layer: self.clone() }
    }
}

/// What [`CorsLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
    layer: CorsLayer,
}

impl<S, B, R> Service<Request<B>> for Cors<S>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send + 'static>,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if cors::is_preflight(request.method(), request.headers()) {
            let response = self.layer.preflight(request.headers());
            return Box::pin(async move { Ok(response) });
        }
        let origin = self.layer.allowed(request.headers());
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            let headers = response.headers_mut();
            // What a cache keeps for one origin must not be shown to another.
            headers.append(VARY, HeaderValue::from(ORIGIN));
            if let Some(origin) = origin {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, cors::exposed_headers());
            }
            Ok(response)
        })
    }
}
