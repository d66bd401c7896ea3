//! Where the checks get their clients and servers from, whatever their types are; and what they share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, request, response};
use tokio::sync::mpsc;
use towpath_raw::{Accept, Arrival, Chunks, ChunksExt, Connect, ExchangeError};

use super::{Profile, Setup};

/// A client's and a server's side that are connected to each other.
#[derive(Clone, Debug)]
pub struct Ends<C, A> {
    /// The client's side.
    pub client: C,
    /// The server's side. Dropped, it is gone: with it goes whatever stands behind it.
    pub server: A,
    /// Where the client reaches the server; the checks choose paths of their own.
    pub uri: Uri,
}

/// Makes the ends for the checks, and knows what is particular about them.
pub struct Pairs<'a> {
    make: Box<dyn Make + 'a>,
    profile: Profile,
}

impl<'a> Pairs<'a> {
    /// Ends that `make` makes, of which `profile` says what they do by themselves.
    pub fn new<C: Connect, A: Accept>(
        profile: Profile,
        make: impl AsyncFn(Setup) -> Ends<C, A> + 'a,
    ) -> Self {
        Self { make: Box::new(Erasing(make, std::marker::PhantomData)), profile }
    }

    /// What is particular about them.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) async fn ends(&self, setup: Setup) -> (Client, Server) {
        self.make.make(setup).await
    }
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").field("profile", &self.profile).finish_non_exhaustive()
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Answer = Result<(response::Parts, Body), ExchangeError>;

trait Make {
    fn make(&self, setup: Setup) -> Pin<Box<dyn Future<Output = (Client, Server)> + '_>>;
}

struct Erasing<F, C, A>(F, std::marker::PhantomData<fn() -> (C, A)>);

impl<F: AsyncFn(Setup) -> Ends<C, A>, C: Connect, A: Accept> Make for Erasing<F, C, A> {
    fn make(&self, setup: Setup) -> Pin<Box<dyn Future<Output = (Client, Server)> + '_>> {
        Box::pin(async move {
            let Ends { client, server, uri } = (self.0)(setup).await;
            (Client { connect: Arc::new(client), uri }, Server(Box::new(server)))
        })
    }
}

trait AnyConnect: Send + Sync {
    fn exchange(&self, head: request::Parts, body: Bytes) -> Boxed<'_, Answer>;
}

impl<C: Connect> AnyConnect for C {
    fn exchange(&self, head: request::Parts, body: Bytes) -> Boxed<'_, Answer> {
        Box::pin(async move {
            let (head, body) = Connect::exchange(self, head, body).await?;
            Ok((head, Body(Box::new(body))))
        })
    }
}

trait AnyAccept: Send {
    fn accept(&mut self) -> Boxed<'_, Option<Box<dyn AnyArrival>>>;
}

impl<A: Accept> AnyAccept for A {
    fn accept(&mut self) -> Boxed<'_, Option<Box<dyn AnyArrival>>> {
        Box::pin(async move { Some(Box::new(Accept::accept(self).await?) as _) })
    }
}

/// An exchange that a client opened.
pub(super) trait AnyArrival: Send {
    fn head(&self) -> &request::Parts;
    fn body(&mut self) -> &mut dyn Chunks;
    fn respond(self: Box<Self>, head: response::Parts, body: Body);
}

impl<A: Arrival> AnyArrival for A {
    fn head(&self) -> &request::Parts {
        Arrival::head(self)
    }

    fn body(&mut self) -> &mut dyn Chunks {
        Arrival::body(self)
    }

    fn respond(self: Box<Self>, head: response::Parts, body: Body) {
        Arrival::respond(*self, head, body);
    }
}

/// A client's side and where it goes.
#[derive(Clone)]
pub(super) struct Client {
    connect: Arc<dyn AnyConnect>,
    uri: Uri,
}

impl Client {
    pub(super) fn head(&self, method: Method, path: &'static str) -> request::Parts {
        let mut uri = self.uri.clone().into_parts();
        uri.path_and_query = Some(path.parse().expect("a path"));
        let request = Request::builder().method(method).uri(Uri::from_parts(uri).expect("a URI"));
        request.body(()).expect("a head").into_parts().0
    }

    pub(super) fn exchange(&self, head: request::Parts, body: Bytes) -> Boxed<'_, Answer> {
        self.connect.exchange(head, body)
    }

    /// A POST that somebody else waits for; aborted, it is given up.
    pub(super) fn post(&self, body: Bytes) -> tokio::task::JoinHandle<Answer> {
        let (client, head) = (self.clone(), self.head(Method::POST, "/mcp"));
        tokio::spawn(async move { client.exchange(head, body).await })
    }
}

/// A server's side.
pub(super) struct Server(Box<dyn AnyAccept>);

impl Server {
    pub(super) async fn accept(&mut self) -> Box<dyn AnyArrival> {
        self.0.accept().await.expect("a client has opened one")
    }
}

/// A body of whatever type.
pub(super) struct Body(Box<dyn Chunks>);

impl Body {
    pub(super) fn new(chunks: impl Chunks + 'static) -> Self {
        Self(Box::new(chunks))
    }

    /// One that is there already.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }
}

impl Chunks for Body {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.0.poll_chunk(cx)
    }
}

/// A body that a check feeds, and that tells when it is dropped: then the feed is closed.
pub(super) struct Fed(mpsc::Receiver<Result<Bytes, ExchangeError>>);

pub(super) type Feed = mpsc::Sender<Result<Bytes, ExchangeError>>;

pub(super) fn fed() -> (Feed, Body) {
    let (feed, fed) = mpsc::channel(1);
    (feed, Body::new(Fed(fed)))
}

impl Chunks for Fed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        Poll::Ready(ready!(self.0.poll_recv(cx)).transpose())
    }
}

/// A body without an end, as fast as it is taken. It counts what was made of it, and tells when it is dropped.
pub(super) struct Endless {
    chunk: Bytes,
    made: Arc<AtomicUsize>,
    _alive: mpsc::Sender<()>,
}

pub(super) fn endless() -> (Body, Arc<AtomicUsize>, mpsc::Receiver<()>) {
    let (alive, gone) = mpsc::channel(1);
    let made = Arc::new(AtomicUsize::new(0));
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    (Body::new(Endless { chunk, made: Arc::clone(&made), _alive: alive }), made, gone)
}

impl Chunks for Endless {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.made.fetch_add(self.chunk.len(), Relaxed);
        Poll::Ready(Ok(Some(self.chunk.clone())))
    }
}

/// So many chunks, one after the other.
pub(super) struct Pieces(pub(super) std::vec::IntoIter<Bytes>);

impl Chunks for Pieces {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        Poll::Ready(Ok(self.0.next()))
    }
}

pub(super) fn ok() -> response::Parts {
    Response::new(()).into_parts().0
}

/// A head that says how long the body is.
pub(super) fn declaring(length: usize) -> response::Parts {
    let response = Response::builder().header(http::header::CONTENT_LENGTH, length);
    response.body(()).expect("a head").into_parts().0
}

/// The rest of a body.
pub(super) async fn all(body: &mut (impl Chunks + ?Sized)) -> Result<Vec<u8>, ExchangeError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// What an exchange has come to, which no check has given up.
pub(super) async fn answered(exchange: tokio::task::JoinHandle<Answer>) -> Answer {
    match exchange.await {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
