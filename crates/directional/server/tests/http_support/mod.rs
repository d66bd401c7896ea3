//! A client over HTTP of which the test writes every header, in front of the service itself.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_service::Service;
use towpath_server::{EndpointSettings, HttpApp, HttpService, ResponseBody, Server, ServerBuilder};
use towpath_testkit::within;

use crate::support::{META, Script, Seen, builder, initialize, script};

/// An endpoint, and what can be seen of its handlers.
pub(crate) struct Endpoint {
    pub(crate) server: Server<Script>,
    pub(crate) service: HttpService<Server<Script>>,
    pub(crate) seen: Arc<Seen>,
}

pub(crate) fn endpoint() -> Endpoint {
    endpoint_with(builder(), EndpointSettings::new())
}

pub(crate) fn endpoint_with(builder: ServerBuilder, settings: EndpointSettings) -> Endpoint {
    let (script, seen) = script();
    let server = builder.build(script);
    let service = server.http_with(settings);
    Endpoint { server, service, seen }
}

/// A response whose head is there.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
    /// The id of the event that was read last.
    pub(crate) last_id: Option<String>,
    read: String,
}

/// The fields of an event, or of a comment, which has none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sse {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) retry: Option<String>,
    pub(crate) data: Option<String>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type") == "text/event-stream"
    }

    /// The next piece of the body, as it comes.
    pub(crate) async fn piece(&mut self) -> Option<Bytes> {
        let frame = within(self.body.frame()).await?;
        Some(frame.expect("bodies do not fail").into_data().expect("data"))
    }

    /// The next event's or comment's text, without its last empty line; `None` at the end.
    pub(crate) async fn event_text(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                let rest = self.read.split_off(end + 2);
                let mut event = std::mem::replace(&mut self.read, rest);
                event.truncate(end);
                return Some(event);
            }
            let piece = self.piece().await?;
            self.read.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        }
    }

    /// The next event, as it stands there; `None` at the end.
    pub(crate) async fn sse(&mut self) -> Option<Sse> {
        let text = self.event_text().await?;
        let field = |name: &str| {
            let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value = values.next().map(|value| value.trim_start().to_owned());
            assert!(values.next().is_none(), "{name} once: {text}");
            value
        };
        let sse = Sse { id: field("id"), event: field("event"), retry: field("retry"), data: field("data") };
        let said = [&sse.id, &sse.event, &sse.retry, &sse.data].into_iter().flatten().count();
        assert!(
            said == text.lines().count() || text.starts_with(':'),
            "neither an event nor a comment: {text:?}"
        );
        if sse.id.is_some() {
            self.last_id.clone_from(&sse.id);
        }
        Some(sse)
    }

    /// The next message on an event stream, all else passed over; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        // All of it: comments come for as long as nothing else does.
        within(async {
            loop {
                let sse = self.sse().await?;
                match sse.data {
                    Some(data) if sse.event.is_none() && !data.is_empty() => {
                        return Some(serde_json::from_str(&data).expect("servers send JSON"));
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// The ids of all events that are there still.
    pub(crate) async fn events_with_ids(&mut self) -> Vec<Option<String>> {
        let mut ids = Vec::new();
        while let Some(sse) = self.sse().await {
            if sse.data.is_some() {
                ids.push(sse.id);
            }
        }
        ids
    }

    pub(crate) async fn events(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    pub(crate) async fn text(self) -> String {
        let whole = within(self.body.collect()).await.expect("bodies do not fail").to_bytes();
        String::from_utf8(whole.to_vec()).expect("UTF-8")
    }

    pub(crate) async fn json(self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.text().await).expect("servers send JSON")
    }

    /// The word for programs of an error.
    pub(crate) async fn reason(self) -> String {
        self.json().await["error"]["data"]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl From<Response<ResponseBody>> for Answer {
    fn from(response: Response<ResponseBody>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body, last_id: None, read: String::new() }
    }
}

pub(crate) fn request(
    method: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri("/mcp").header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).expect("a request")
}

/// The future of a response, not polled yet.
pub(crate) fn send<A: HttpApp, B>(
    service: &HttpService<A>,
    request: Request<B>,
) -> impl Future<Output = Answer> + Send + use<A, B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response = service.clone().call(request);
    async move {
        let response: Result<_, Infallible> = response.await;
        match response {
            Ok(response) => response.into(),
        }
    }
}

/// The headers of a POST, beside what says what it belongs to.
const POST: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

pub(crate) fn post_request(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let headers: Vec<_> = POST.iter().chain(headers).copied().collect();
    request("POST", &headers, body)
}

pub(crate) async fn post<A: HttpApp>(
    service: &HttpService<A>,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    within(send(service, post_request(headers, body))).await
}

/// A modern request: its method, and the members of `params` beside the metadata.
pub(crate) fn modern_request(id: u64, method: &str, params: &str) -> Request<Full<Bytes>> {
    let comma = if params.is_empty() { "" } else { "," };
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{META}{comma}{params}}}}}"#);
    let parsed: Value = serde_json::from_str(&body).expect("a message");
    let name =
        ["name", "uri"].iter().find_map(|key| parsed["params"][key].as_str()).unwrap_or_default().to_owned();
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    post_request(&headers, body)
}

pub(crate) async fn modern<A: HttpApp>(
    service: &HttpService<A>,
    id: u64,
    method: &str,
    params: &str,
) -> Answer {
    within(send(service, modern_request(id, method, params))).await
}

/// A call of one of the script's tools.
pub(crate) async fn call<A: HttpApp>(service: &HttpService<A>, tool: &str) -> Answer {
    modern(service, 1, "tools/call", &format!(r#""name":"{tool}""#)).await
}

pub(crate) fn call_request(tool: &str) -> Request<Full<Bytes>> {
    modern_request(1, "tools/call", &format!(r#""name":"{tool}""#))
}

/// A client in a legacy session.
pub(crate) struct Client<A: HttpApp> {
    pub(crate) service: HttpService<A>,
    pub(crate) id: String,
    pub(crate) version: String,
}

impl<A: HttpApp> Client<A> {
    /// Opens a session, and says that it is initialized.
    pub(crate) async fn open(service: &HttpService<A>, version: &str) -> Self {
        let answer = open(service, version).await;
        assert_eq!(answer.status, 200);
        let id = answer.header("mcp-session-id").to_owned();
        assert_eq!(answer.json().await["result"]["protocolVersion"], version);
        let client = Self { service: service.clone(), id, version: version.to_owned() };
        let told = client.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        assert_eq!(told.status, 202);
        client
    }

    pub(crate) fn headers(&self) -> [(&str, &str); 2] {
        [("mcp-session-id", &self.id), ("mcp-protocol-version", &self.version)]
    }

    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Answer {
        post(&self.service, &self.headers(), body).await
    }

    /// The future of a response, not polled yet.
    pub(crate) fn posting(&self, body: String) -> impl Future<Output = Answer> + Send + use<A> {
        send(&self.service, post_request(&self.headers(), body))
    }

    pub(crate) async fn call(&self, id: u64, tool: &str) -> Answer {
        self.post(call_text(id, tool)).await
    }

    pub(crate) async fn get(&self) -> Answer {
        let headers: Vec<_> = [("accept", "text/event-stream")].into_iter().chain(self.headers()).collect();
        within(send(&self.service, request("GET", &headers, ""))).await
    }

    /// Goes on with a stream after this event.
    pub(crate) async fn resume(&self, last: &str) -> Answer {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last)];
        let headers: Vec<_> = headers.into_iter().chain(self.headers()).collect();
        within(send(&self.service, request("GET", &headers, ""))).await
    }

    pub(crate) async fn delete(&self) -> Answer {
        within(send(&self.service, request("DELETE", &self.headers(), ""))).await
    }
}

pub(crate) fn call_text(id: u64, tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "_meta": {"progressToken": id}}})
        .to_string()
}

/// Posts `initialize`.
pub(crate) async fn open<A: HttpApp>(service: &HttpService<A>, version: &str) -> Answer {
    let params = initialize(version);
    let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{{params}}}}}"#);
    post(service, &[], body).await
}
