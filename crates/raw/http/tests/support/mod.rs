//! What the tests over sockets share. Each uses some of it.
#![allow(dead_code)]

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, request, response};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tower::util::BoxCloneService;
use towpath_http::{
    ChunksBody, ConnectLimits, ConnectTimeouts, HttpConnect, HttpServer, ListenLimits, ListenTimeouts,
};
use towpath_raw::{Chunks, ChunksExt, Drained, ExchangeError};
use towpath_testkit::within;

pub(crate) type TestService = BoxCloneService<Request<Incoming>, http::Response<ChunksBody>, Infallible>;

/// A service out of an async function.
pub(crate) fn service<F, Fut>(handle: F) -> TestService
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = http::Response<ChunksBody>> + Send + 'static,
{
    let handle = move |request| {
        let response = handle(request);
        async move { Ok::<_, Infallible>(response.await) }
    };
    BoxCloneService::new(tower::service_fn(handle))
}

pub(crate) fn text(text: &'static str) -> http::Response<ChunksBody> {
    http::Response::new(ChunksBody::new(Some(Bytes::from_static(text.as_bytes()))))
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) serving: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start(service: TestService, limits: ListenLimits, timeouts: ListenTimeouts) -> Self {
        Self::start_until(service, limits, timeouts, pending()).await
    }

    pub(crate) async fn start_until(
        service: TestService,
        limits: ListenLimits,
        timeouts: ListenTimeouts,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let server = within(HttpServer::bind("127.0.0.1:0", limits, timeouts)).await.expect("a free port");
        let address = server.local_addr();
        Self { address, serving: tokio::spawn(server.serve(service, shutdown)) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.expect("it listens")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn client() -> HttpConnect {
    HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default()).expect("a client")
}

pub(crate) fn post(url: &str) -> request::Parts {
    Request::post(url).body(()).expect("a head").into_parts().0
}

pub(crate) fn get(url: &str) -> request::Parts {
    Request::get(url).body(()).expect("a head").into_parts().0
}

pub(crate) fn status(head: &response::Parts) -> u16 {
    head.status.as_u16()
}

pub(crate) async fn all(body: &mut impl Chunks) -> Result<String, ExchangeError> {
    let mut whole = Vec::new();
    while let Some(chunk) = within(body.chunk()).await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(whole).expect("text"))
}

/// A body that never ends: without a word, or in a rush. It tells when it is dropped.
pub(crate) struct Endless {
    chunk: Option<Bytes>,
    _alive: mpsc::Sender<()>,
}

impl Endless {
    pub(crate) fn new(chunk: Option<&'static [u8]>) -> (Self, mpsc::Receiver<()>) {
        let (alive, gone) = mpsc::channel(1);
        (Self { chunk: chunk.map(Bytes::from_static), _alive: alive }, gone)
    }
}

impl Chunks for Endless {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.chunk.clone().map_or(Poll::Pending, |chunk| Poll::Ready(Ok(Some(chunk))))
    }
}

/// Says one word, and then keeps its peace.
pub(crate) struct OneWord(pub(crate) Endless, pub(crate) Option<Bytes>);

impl Chunks for OneWord {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        match self.1.take() {
            Some(word) => Poll::Ready(Ok(Some(word))),
            None => self.0.poll_chunk(cx),
        }
    }
}

/// A listener for a server that a test plays byte by byte.
pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    (listener, url)
}

pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    within(listener.accept()).await.expect("a connection").0
}

/// Reads one request with its declared body.
pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let headers: HashMap<_, _> = head.lines().filter_map(|line| line.split_once(": ")).collect();
            let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a number"));
            if body.len() >= length {
                return text;
            }
        }
        assert!(within(stream.read_buf(&mut seen)).await.expect("a request") > 0, "it ended: {text}");
    }
}

pub(crate) async fn write(stream: &mut TcpStream, text: &str) {
    within(stream.write_all(text.as_bytes())).await.expect("it is read");
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    let _ = within(stream.read_to_end(&mut text)).await;
    String::from_utf8_lossy(&text).into_owned()
}
