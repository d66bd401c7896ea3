//! The floor over HTTP: hyper at both ends, which read a body whole and send one, and look at nothing in it.
//!
//! The answer is the request, cut to the length that Towpath's answer has, with the headers that it has.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;

use crate::http::{self as bench, HttpCaller, HttpServer, serve_hyper};
use crate::{Case, Connection, Failure, Medium, Subject};

/// The floor of an HTTP server.
pub(crate) struct HttpFloor;

impl HttpFloor {
    /// The name of the echo as a child process.
    pub(crate) const SERVED: &'static str = "floor-http";
}

impl Subject for HttpFloor {
    const NAME: &'static str = "floor";
    const SERVER: &'static str = Self::SERVED;
    type Caller = HttpCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_SERVER.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<HttpCaller>, Failure> {
        let Medium::Http(answers) = medium else { return Err("this floor is for HTTP servers".into()) };
        let server = HttpServer::start(Self::SERVER).await?;
        let callers = HttpCaller::open_echo(server.address, answers, callers).await?;
        Ok(Connection { callers, owner: Box::new(server) })
    }

    async fn serve() -> Result<(), Failure> {
        serve_hyper(service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(echo(request).await)
        }))
        .await
    }
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let (form, length) = parts.uri.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    // A body that breaks off, and a path without a length, get no answer that anybody takes for one.
    let body = whole(body).await.unwrap_or_default();
    let length = length.parse().unwrap_or(0);
    let mut response = Response::new(Full::new(bench::cut(body, length)));
    let headers = response.headers_mut();
    if form == "sse" {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// The whole body, in one piece: as it came if it came in one, else copied once.
pub(super) async fn whole(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(length);
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
