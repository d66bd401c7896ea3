//! One connection: hyper, and the deadlines that it does not have.

use std::{
    error::Error,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::TokioIo,
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};
use tower_service::Service;

use crate::reason::chain;

use super::{
    io::Watched,
    limits::{ListenLimits, ListenTimeouts},
    phase::{Exchange, ExchangeBody, Phase, Phases},
};

/// Serves the exchanges of one connection, until it ends.
///
/// The connection ends when the peer closes it or breaks a rule of HTTP, and at the deadlines of `timeouts`; once
/// `shutdown` is ready it ends after the exchange that is running, without a deadline. Why it ended is traced, with the
/// target `towpath::http`. Limits on connections are up to the caller; of `limits` only
/// [`ListenLimits::max_head_bytes`] counts here. A peer that still sends its body when it has its answer is read for up to
/// a second more, and what it sends is dropped: it might lose the answer otherwise.
///
/// # Cancel safety
///
/// Not cancel safe: dropped, it closes the connection, and drops what is being answered on it.
pub async fn serve_connection<I, S, B>(
    io: I,
    service: S,
    limits: &ListenLimits,
    timeouts: &ListenTimeouts,
    shutdown: impl Future<Output = ()> + Send,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let phases = Phases::default();
    let io = TokioIo::new(Watched::new(io, timeouts.write_stall, phases.clone()));
    let service = Counted { service: TowerToHyperService::new(service), phases: phases.clone() };
    let connection = http1::Builder::new()
        // Idle and reading a head are one thing to hyper, and two to us.
        .header_read_timeout(None)
        .max_header_size(limits.max_head_bytes)
        .max_buf_size(limits.max_head_bytes.max(LEAST_BUFFER_BYTES))
        .serve_connection(io, service);

    let mut connection = pin!(connection);
    let mut shutdown = pin!(shutdown);
    let mut clock = Clock::new(phases, timeouts);
    let mut is_closing = false;
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(Ended::Failed));
            }
            if !is_closing && shutdown.as_mut().poll(cx).is_ready() {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            match ready!(clock.poll_expired(cx)) {
                // Politely: what is being written goes on, and so does a request that is just coming.
                Phase::Idle => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ => return Poll::Ready(Err(Ended::Late)),
            }
        }
    });
    match ended.await {
        Ok(()) => {}
        Err(Ended::Late) => {
            tracing::debug!(target: TARGET, "closed: no whole head came (setting: head_read)")
        }
        Err(Ended::Failed(error)) => {
            tracing::debug!(target: TARGET, error = %chain(&error), "a connection broke off");
        }
    }
}

enum Ended {
    Late,
    Failed(hyper::Error),
}

/// The deadlines of a connection between its exchanges.
struct Clock<'a> {
    phases: Phases,
    timeouts: &'a ListenTimeouts,
    seen: Option<u32>,
    due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a> Clock<'a> {
    fn new(phases: Phases, timeouts: &'a ListenTimeouts) -> Self {
        Self { phases, timeouts, seen: None, due: None, timer: None }
    }

    /// Ready with the phase that has taken too long.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        loop {
            let (phase, change) = self.phases.now();
            if self.seen != Some(change) {
                self.seen = Some(change);
                self.due = self.limit(phase).map(|after| Instant::now() + after);
            }
            let Some(due) = self.due else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            // A timer that fires too early is moved when it fires, and not at every exchange.
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() < due {
                timer.as_mut().reset(due);
            } else {
                self.due = None;
                return Poll::Ready(phase);
            }
        }
    }

    fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::New | Phase::Head => self.timeouts.head_read,
            Phase::Idle => self.timeouts.keep_alive_idle,
            Phase::Busy => None,
        }
    }
}

/// A service whose exchanges change the phase of their connection.
struct Counted<S> {
    service: TowerToHyperService<S>,
    phases: Phases,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = Response<ExchangeBody<B>>;
    type Error = S::Error;
    type Future = CountedFuture<S>;

    fn call(&self, request: Request<Incoming>) -> CountedFuture<S> {
        let exchange = Some(self.phases.exchange());
        CountedFuture { future: self.service.call(request), exchange }
    }
}

pin_project! {
    struct CountedFuture<S: Service<Request<Incoming>>> {
        #[pin]
        future: TowerToHyperServiceFuture<S, Request<Incoming>>,
        exchange: Option<Exchange>,
    }
}

impl<S, B> Future for CountedFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Output = Result<Response<ExchangeBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let Some(exchange) = this.exchange.take() else { return Poll::Pending };
        Poll::Ready(Ok(response.map(|body| ExchangeBody::new(body, exchange))))
    }
}

/// What hyper asks for at least.
const LEAST_BUFFER_BYTES: usize = 8192;

pub(super) const TARGET: &str = "towpath::http";

#[cfg(test)]
mod tests;
