//! The server of the cases that measure an HTTP client alone: hyper, and as little else as answers stateless clients.
//!
//! It looks for the id and the text where they must be, and gives Towpath's answer. It is no subject of its own.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;

use super::http_floor::whole;
use crate::http::{HttpCaller, Pattern, serve_hyper};
use crate::medium::BARE_SERVER;
use crate::{Answers, Case, Connection, Failure, Medium, Subject};

/// The bare server.
pub(crate) struct BareServer;

impl Subject for BareServer {
    const NAME: &'static str = BARE_SERVER;
    type Caller = HttpCaller;

    fn cases() -> Vec<Case> {
        Vec::new()
    }

    async fn connect(_: Medium, _: usize) -> Result<Connection<HttpCaller>, Failure> {
        Err("the bare server is not measured".into())
    }

    async fn serve() -> Result<(), Failure> {
        serve_hyper(service_fn(|request: Request<Incoming>| async move {
            let posted = request.method() == Method::POST;
            let body = whole(request.into_body()).await.unwrap_or_default();
            Ok::<_, Infallible>(if posted { answer(&body) } else { empty(StatusCode::METHOD_NOT_ALLOWED) })
        }))
        .await
    }
}

/// What a client must be told before it calls.
const DISCOVERED: &str = r#"{"jsonrpc":"2.0","id":{id},"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"towpath-bench","version":"0.1.0"}}}}"#;

fn answer(request: &[u8]) -> Response<Full<Bytes>> {
    let Some(id) = after(request, br#""id":"#, b",}") else { return empty(StatusCode::ACCEPTED) };
    let discovers = memchr::memmem::find(request, br#""server/discover""#).is_some();
    let pattern = if discovers { Pattern::new(DISCOVERED) } else { Answers::Json.answer() };
    // An answer without the text is one that its caller finds wrong.
    let text = after(request, br#""text":""#, b"\"").unwrap_or_default();
    let mut out = BytesMut::new();
    pattern.write(&mut out, id, text);
    let mut response = Response::new(Full::new(out.freeze()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What stands between a key and the first of these bytes after it.
fn after<'a>(request: &'a [u8], key: &[u8], ends: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(request, key)? + key.len();
    request[at..].split(|byte| ends.contains(byte)).next()
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_call_is_answered_with_its_id_and_its_text() {
        let mut request = BytesMut::new();
        Answers::Json.request().write(&mut request, b"1000000007", b"hello");
        let whole = timeout(Duration::from_secs(20), answer(&request).into_body().collect());
        let answered = whole.await.unwrap().unwrap().to_bytes();
        assert!(Answers::Json.answer().is(&answered, b"1000000007", b"hello"), "{answered:?}");
        let notified = answer(br#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
        assert_eq!(notified.status(), StatusCode::ACCEPTED);
    }
}
