//! An app in front of lanes of which the test writes every byte, and clients over HTTP.

use std::{convert::Infallible, future::Future, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;
use tower_service::Service;
use towpath_raw::{Explanation, LaneLimits, LaneTimeouts};
use towpath_relay::{AppOptions, RelayApp, StartError, Upstream};
use towpath_server::{EndpointSettings, HttpService, ResponseBody};
use towpath_testkit::{memory_pair, within};

use super::{Explained, Far, request, result};

/// Each lane that is opened has its far end given to the test.
pub struct Lanes {
    opened: mpsc::UnboundedSender<Far>,
}

impl Upstream for Lanes {
    type Lane = Explained;

    async fn open(&self) -> Result<Explained, Explanation> {
        let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
        match self.opened.send(far.into()) {
            Ok(()) => Ok(Explained(near)),
            Err(_) => Err(Arc::new(std::io::Error::other("/secret/path: no such file"))),
        }
    }
}

pub struct Servers(pub mpsc::UnboundedReceiver<Far>);

impl Servers {
    /// The far end of the next lane.
    pub async fn next(&mut self) -> Far {
        within(self.0.recv()).await.expect("the app opens a lane")
    }

    pub fn opened(&mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}

pub fn lanes() -> (Lanes, Servers) {
    let (opened, lanes) = mpsc::unbounded_channel();
    (Lanes { opened }, Servers(lanes))
}

pub type App = RelayApp<Lanes>;

/// Starts an app, while the test plays the server.
pub async fn start<F: Future<Output = ()>>(
    lanes: Lanes,
    options: AppOptions,
    server: F,
) -> Result<App, StartError> {
    let (app, ()) = within(async { tokio::join!(App::start(lanes, options), server) }).await;
    app
}

/// Says that it is modern, and speaks these.
pub async fn modern_probe(server: &mut Far, versions: &str) {
    let (id, method, _) = server.hear_request().await;
    assert_eq!(method, "server/discover");
    server
        .say(result(
            &id,
            &format!(r#"{{"resultType":"complete","supportedVersions":[{versions}],"capabilities":{{"tools":{{}}}}}}"#),
        ))
        .await;
}

/// Has no legacy revision: what a modern server that names none is asked on a lane of its own.
pub async fn refuse_initialize(server: &mut Far) {
    let (id, method, _) = server.hear_request().await;
    assert_eq!(method, "initialize");
    server.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"?"}}}}"#)).await;
}

/// Says that it is legacy, and speaks this.
pub async fn legacy_probe(server: &mut Far, version: &str) {
    let (id, method, _) = server.hear_request().await;
    assert_eq!(method, "server/discover");
    server.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"?"}}}}"#)).await;
    legacy_handshake(server, version).await;
}

pub async fn legacy_handshake(server: &mut Far, version: &str) {
    let (id, method, _) = server.hear_request().await;
    assert_eq!(method, "initialize");
    server.say(initialized(&id, version)).await;
    assert_eq!(server.hear().await.method(), "notifications/initialized");
}

pub fn initialized(id: &str, version: &str) -> String {
    result(
        id,
        &format!(
            r#"{{"protocolVersion":"{version}","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}"#
        ),
    )
}

/// A modern server, its shared lane, and what serves it over HTTP.
pub struct Modern {
    pub service: HttpService<App>,
    pub app: Arc<App>,
    pub server: Far,
    pub servers: Servers,
}

pub async fn modern(options: AppOptions, settings: EndpointSettings) -> Modern {
    let (lanes, mut servers) = lanes();
    let mut server = None;
    let app = start(lanes, options, async {
        let mut first = servers.next().await;
        modern_probe(&mut first, r#""2026-07-28""#).await;
        refuse_initialize(&mut servers.next().await).await;
        server = Some(first);
    })
    .await
    .expect("it starts");
    let app = Arc::new(app);
    let service = HttpService::new(Arc::clone(&app), settings);
    Modern { service, app, server: server.expect("it was probed"), servers }
}

/// A legacy server, and what serves it over HTTP.
pub async fn legacy(options: AppOptions) -> (HttpService<App>, Servers) {
    let (lanes, mut servers) = lanes();
    let app = start(lanes, options, async {
        let mut first = servers.next().await;
        legacy_probe(&mut first, "2025-11-25").await;
        assert!(first.hear_if_any().await.is_none(), "each session has a lane of its own");
    })
    .await
    .expect("it starts");
    (HttpService::new(Arc::new(app), EndpointSettings::new()), servers)
}

/// A response whose head is there.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: ResponseBody,
    read: String,
}

impl From<Response<ResponseBody>> for Answer {
    fn from(response: Response<ResponseBody>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body, read: String::new() }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The next message on an event stream, comments passed over; `None` at the end.
    pub async fn event(&mut self) -> Option<String> {
        // All of it: comments come for as long as nothing else does.
        within(self.next_event()).await
    }

    async fn next_event(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                let rest = self.read.split_off(end + 2);
                let event = std::mem::replace(&mut self.read, rest);
                let data = event.trim_end().lines().find_map(|line| line.strip_prefix("data: "));
                if let Some(data) = data {
                    return Some(data.to_owned());
                }
                continue;
            }
            let piece = self.body.frame().await?.expect("bodies do not fail").into_data().expect("data");
            self.read.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        }
    }

    pub async fn text(self) -> String {
        let whole = within(self.body.collect()).await.expect("bodies do not fail").to_bytes();
        String::from_utf8(whole.to_vec()).expect("UTF-8")
    }
}

pub fn send(
    service: &HttpService<App>,
    verb: &str,
    headers: &[(&str, &str)],
    body: String,
) -> impl Future<Output = Answer> + Send + use<> {
    let mut request = Request::builder()
        .method(verb)
        .uri("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = service.clone().call(request.body(Full::new(Bytes::from(body))).expect("a request"));
    async move {
        let response: Result<_, Infallible> = response.await;
        match response {
            Ok(response) => response.into(),
        }
    }
}

pub const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;

/// The params of a modern request, with these members in its `_meta`.
pub fn modern_params(meta: &str) -> String {
    let comma = if meta.is_empty() { "" } else { "," };
    format!(r#"{{"_meta":{{{META}{comma}{meta}}},"z":-0}}"#)
}

/// The future of the response to a modern request.
pub fn ask(
    service: &HttpService<App>,
    id: &str,
    method: &str,
    params: &str,
) -> impl Future<Output = Answer> + Send + use<> {
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    send(service, "POST", &headers, request(id, method, params))
}

/// A client in a legacy session.
pub struct Session {
    pub service: HttpService<App>,
    pub id: String,
}

impl Session {
    pub async fn open(service: &HttpService<App>, servers: &mut Servers) -> (Self, Far) {
        let params =
            r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"-0"}}"#;
        let opened = tokio::spawn(send(service, "POST", &[], request("0", "initialize", params)));
        let mut server = servers.next().await;
        let (id, method, passed) = server.hear_request().await;
        assert_eq!((method.as_str(), passed.as_str()), ("initialize", params));
        server.say(initialized(&id, "2025-06-18")).await;
        let answer = within(opened).await.expect("no panic");
        assert_eq!(answer.status, 200);
        let session = Self { service: service.clone(), id: answer.header("mcp-session-id").to_owned() };
        assert_eq!(answer.text().await, initialized("0", "2025-06-18"));
        (session, server)
    }

    pub fn send(&self, verb: &str, body: String) -> impl Future<Output = Answer> + Send + use<> {
        let headers = [("mcp-session-id", self.id.as_str()), ("mcp-protocol-version", "2025-06-18")];
        send(&self.service, verb, &headers, body)
    }
}
