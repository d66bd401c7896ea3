//! `Accept` over hyper: the exchanges of a service, taken one by one.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request, response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};
use tower_service::Service;
use towpath_raw::{Accept, Arrival, Chunks};

use crate::chunks::{BodyChunks, ChunksBody};

/// Two ends: a service that takes requests, and an [`Acceptor`] that has them come out as arrivals.
///
/// `queued_exchanges`, at least 1, wait to be accepted; beyond them the service waits, and with it each its connection.
pub fn acceptor<B>(queued_exchanges: usize) -> (AcceptService<B>, Acceptor<B>) {
    let (open, opened) = mpsc::channel(queued_exchanges.max(1));
    (AcceptService { open }, Acceptor { opened })
}

/// The exchanges that peers open. Dropped, it has those that come be answered 503.
///
/// ```
/// use towpath_http::{ListenLimits, HttpServer, ListenTimeouts, acceptor};
/// use towpath_raw::{Accept, Arrival};
///
/// # async fn run() -> std::io::Result<()> {
/// let (service, mut acceptor) = acceptor(64);
/// let server = HttpServer::bind("127.0.0.1:0", ListenLimits::default(), ListenTimeouts::default()).await?;
/// let serving = tokio::spawn(server.serve(service, std::future::pending()));
/// while let Some(arrival) = acceptor.accept().await {
///     let (head, ()) = http::Response::new(()).into_parts();
///     arrival.respond(head, Some(bytes::Bytes::from_static(b"hello")));
/// }
/// # drop(serving);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Acceptor<B = Incoming> {
    opened: mpsc::Receiver<HttpArrival<B>>,
}

impl<B> Accept for Acceptor<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Arrival = HttpArrival<B>;

    async fn accept(&mut self) -> Option<HttpArrival<B>> {
        self.opened.recv().await
    }
}

/// One exchange that a peer opened. Dropped without an answer, it is answered 500.
#[derive(Debug)]
pub struct HttpArrival<B = Incoming> {
    head: request::Parts,
    body: BodyChunks<B>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Response<ChunksBody>;

impl<B> HttpArrival<B> {
    /// Waits until the peer has given up waiting for an answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn abandoned(&mut self) {
        self.answer.closed().await;
    }
}

impl<B> Arrival for HttpArrival<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Body = BodyChunks<B>;

    fn head(&self) -> &request::Parts {
        &self.head
    }

    fn body(&mut self) -> &mut BodyChunks<B> {
        &mut self.body
    }

    fn respond(self, head: response::Parts, body: impl Chunks + 'static) {
        // The body is polled where the connection is; a peer that is gone takes nothing.
        let _ = self.answer.send(Response::from_parts(head, ChunksBody::new(body)));
    }
}

/// The service whose exchanges an [`Acceptor`] gives out. Clones are the same.
#[derive(Debug)]
pub struct AcceptService<B = Incoming> {
    open: mpsc::Sender<HttpArrival<B>>,
}

impl<B> Clone for AcceptService<B> {
    fn clone(&self) -> Self {
        Self { open: self.open.clone() }
    }
}

impl<B> Service<Request<B>> for AcceptService<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Waiting is part of the call: each connection has one.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let open = self.open.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let (answer, answered) = oneshot::channel();
            let body = BodyChunks::new(body, Arc::from(PEER));
            if open.send(HttpArrival { head, body, answer }).await.is_err() {
                return Ok(without_answer(StatusCode::SERVICE_UNAVAILABLE));
            }
            Ok(answered.await.unwrap_or_else(|_| without_answer(StatusCode::INTERNAL_SERVER_ERROR)))
        })
    }
}

fn without_answer(status: StatusCode) -> Answer {
    let mut answer = Response::new(ChunksBody::new(None));
    *answer.status_mut() = status;
    answer
}

const PEER: &str = "the HTTP client";

#[cfg(test)]
mod tests;
