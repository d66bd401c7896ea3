//! A client's and a server's side with one fault.
#![allow(clippy::mem_forget, reason = "to leave something behind is the fault")]

use std::{
    collections::VecDeque,
    future::pending,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, StatusCode, Uri, request, response};
use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};
use towpath_raw::{Accept, Arrival, Chunks, Connect, ExchangeError, Level, Mutex};

/// What is wrong with the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    OneValue,
    NoQuery,
    OtherStatus,
    ShortResponse,
    ShortRequest,
    GathersResponse,
    OneAtATime,
    MixesUp,
    AnswersOnlyRead,
    ErrorIsEnd,
    ErrorOnce,
    KeepsRequest,
    KeepsResponse,
    KeepsArrival,
    AnswersDropped,
    LosesAccepted,
    AlwaysBroken,
    NoLimits,
    Bottomless,
    LeavesTask,
    LeavesMemory,
}

pub(super) struct SabotagedConnect<C> {
    connect: Arc<C>,
    fault: Fault,
    one: Semaphore,
    swapped: Mutex<Option<Bytes>>,
}

impl<C: Connect> SabotagedConnect<C> {
    pub(super) fn new(connect: C, fault: Fault) -> Self {
        let swapped = Mutex::new(Level::Handler, "SabotagedConnect::swapped", None);
        Self { connect: Arc::new(connect), fault, one: Semaphore::new(1), swapped }
    }
}

impl<C: Connect> Connect for SabotagedConnect<C> {
    type Body = SabotagedBody<C::Body>;

    async fn exchange(
        &self,
        mut head: request::Parts,
        mut body: Bytes,
    ) -> Result<(response::Parts, Self::Body), ExchangeError> {
        let fault = self.fault;
        let _one = match fault {
            Fault::OneAtATime => Some(self.one.acquire().await.expect("it is never closed")),
            _ => None,
        };
        match fault {
            Fault::OneValue => head.headers = one_value(&head.headers),
            Fault::NoQuery => head.uri = head.uri.path().parse::<Uri>().expect("a path"),
            // Each goes out with the body of the one before.
            Fault::MixesUp => body = self.swapped.lock().replace(body).unwrap_or_default(),
            Fault::LeavesTask => drop(tokio::spawn(pending::<()>())),
            Fault::LeavesMemory => std::mem::forget(vec![1_u8; 64 << 10]),
            _ => {}
        }
        let connect = Arc::clone(&self.connect);
        let exchange = async move { connect.exchange(head, body).await };
        let answer = if fault == Fault::KeepsRequest {
            // Goes on though nobody waits, and what comes of it is kept.
            let (done, answer) = oneshot::channel();
            tokio::spawn(async move { std::mem::forget(done.send(exchange.await)) });
            answer.await.expect("no panic")
        } else {
            exchange.await
        };
        match answer {
            Ok((mut head, body)) => {
                if fault == Fault::OtherStatus {
                    head.status = StatusCode::OK;
                }
                let shortens = fault == Fault::ShortResponse;
                Ok((head, SabotagedBody::new(body, fault, shortens)))
            }
            Err(ExchangeError::NotConnected { peer, reason }) if fault == Fault::AlwaysBroken => {
                Err(ExchangeError::Broken { peer, reason })
            }
            Err(error) => Err(error),
        }
    }
}

fn one_value(headers: &HeaderMap) -> HeaderMap {
    headers.keys().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

/// Leaks what it holds where the fault is that a drop goes unseen.
pub(super) struct SabotagedBody<B> {
    body: Option<B>,
    fault: Fault,
    shortens: bool,
    errors: usize,
    gathered: Option<VecDeque<Bytes>>,
}

impl<B> SabotagedBody<B> {
    fn new(body: B, fault: Fault, shortens: bool) -> Self {
        Self { body: Some(body), fault, shortens, errors: 0, gathered: None }
    }
}

impl<B> Drop for SabotagedBody<B> {
    fn drop(&mut self) {
        if self.fault == Fault::KeepsResponse {
            std::mem::forget(self.body.take());
        }
    }
}

impl<B: Chunks> Chunks for SabotagedBody<B> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let body = self.body.as_mut().expect("it is taken at the drop");
        if self.fault == Fault::GathersResponse {
            let gathered = self.gathered.get_or_insert_default();
            while let Some(chunk) = ready!(body.poll_chunk(cx))? {
                gathered.push_back(chunk);
            }
            return Poll::Ready(Ok(gathered.pop_front()));
        }
        let chunk = ready!(body.poll_chunk(cx));
        Poll::Ready(match chunk {
            Ok(Some(chunk)) if self.shortens && chunk.len() > 1000 => Ok(Some(chunk.slice(1..))),
            Err(_) if self.fault == Fault::ErrorIsEnd => Ok(None),
            Err(error) => {
                self.errors += 1;
                if self.fault == Fault::ErrorOnce && self.errors > 1 { Ok(None) } else { Err(error) }
            }
            chunk => chunk,
        })
    }
}

pub(super) struct SabotagedAccept<A> {
    accept: A,
    fault: Fault,
}

impl<A> SabotagedAccept<A> {
    pub(super) fn new(accept: A, fault: Fault) -> Self {
        Self { accept, fault }
    }
}

impl<A: Accept> Accept for SabotagedAccept<A> {
    type Arrival = SabotagedArrival<A::Arrival>;

    async fn accept(&mut self) -> Option<Self::Arrival> {
        let arrival = self.accept.accept().await?;
        if self.fault == Fault::LosesAccepted {
            // Dropped here, the exchange that was taken is lost.
            tokio::task::yield_now().await;
        }
        Some(SabotagedArrival { arrival: Some(arrival), fault: self.fault, is_read: false })
    }
}

/// An arrival that is its own body.
pub(super) struct SabotagedArrival<A: Arrival> {
    arrival: Option<A>,
    fault: Fault,
    is_read: bool,
}

impl<A: Arrival> Arrival for SabotagedArrival<A> {
    type Body = Self;

    fn head(&self) -> &request::Parts {
        self.arrival.as_ref().expect("it was not answered").head()
    }

    fn body(&mut self) -> &mut Self {
        self
    }

    fn respond(mut self, head: response::Parts, body: impl Chunks + 'static) {
        let arrival = self.arrival.take().expect("it was not answered");
        if self.fault != Fault::AnswersOnlyRead || self.is_read {
            arrival.respond(head, body);
        }
    }
}

impl<A: Arrival> Chunks for SabotagedArrival<A> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let arrival = self.arrival.as_mut().expect("it was not answered");
        let chunk = ready!(arrival.body().poll_chunk(cx));
        self.is_read |= matches!(chunk, Ok(None));
        Poll::Ready(match chunk {
            Ok(Some(chunk)) if self.fault == Fault::ShortRequest && chunk.len() > 1000 => {
                Ok(Some(chunk.slice(1..)))
            }
            chunk => chunk,
        })
    }
}

impl<A: Arrival> Drop for SabotagedArrival<A> {
    fn drop(&mut self) {
        match (self.fault, self.arrival.take()) {
            (Fault::KeepsArrival, arrival) => std::mem::forget(arrival),
            (Fault::AnswersDropped, Some(arrival)) => {
                let (head, ()) = ::http::Response::new(()).into_parts();
                arrival.respond(head, None);
            }
            _ => {}
        }
    }
}
