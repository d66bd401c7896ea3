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
    http2::{self, GOODBYE},
    io::Watched,
    limits::{ListenLimits, ListenTimeouts},
    phase::{Exchange, ExchangeBody, Phase, Phases},
};

/// Serves the exchanges of one connection, until it ends: HTTP/2 if it begins with the preface of that, else HTTP/1.1.
///
/// The connection ends when the peer closes it or breaks a rule of HTTP, and at the deadlines of `timeouts`; once
/// `shutdown` is ready it ends after the exchanges that are running, without a deadline. Why it ended is traced, with the
/// target `towpath::http`. How many connections there are is up to the caller, and so are the settings of TCP. A peer that still sends its body when it has its answer is read for up to
/// a second more, and what it sends is dropped: it might lose the answer otherwise.
///
/// # Cancel safety
///
/// Not cancel safe: dropped, it closes the connection, and drops what is being answered on it. With HTTP/2 each exchange
/// is a task, which the connection stops.
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
    let mut io = Watched::new(io, timeouts.write_stall, phases.clone());
    let mut shutdown = pin!(shutdown);
    let mut clock = Clock::new(phases.clone(), timeouts);
    let is_http2 = poll_fn(|cx| {
        if let Poll::Ready(is_http2) = io.poll_is_http2(cx) {
            return Poll::Ready(is_http2.map_err(Ended::Unread));
        }
        if shutdown.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(Ended::Unused));
        }
        clock.poll_expired(cx).map(|_| Err(Ended::Late))
    });
    let ended = match is_http2.await {
        Err(ended) => Err(ended),
        Ok(false) => {
            let service = Counted { service: TowerToHyperService::new(service), phases };
            let mut builder = http1::Builder::new();
            builder
                // Idle and reading a head are one thing to hyper, and two to us.
                .header_read_timeout(None)
                .max_header_size(limits.max_head_bytes)
                .max_buf_size(limits.max_head_bytes.max(LEAST_BUFFER_BYTES));
            // Pinned here: moved into another future, it would take its room twice.
            let connection = pin!(builder.serve_connection(TokioIo::new(io), service));
            drive(connection, |connection| connection.graceful_shutdown(), clock, shutdown).await
        }
        Ok(true) => {
            clock.goodbye = Some(GOODBYE);
            let connection = pin!(http2::connection(io, service, phases, limits, timeouts));
            drive(connection, http2::Http2::close, clock, shutdown).await
        }
    };
    match ended {
        Ok(()) | Err(Ended::Unused) => {}
        Err(Ended::Late) => {
            tracing::debug!(target: TARGET, "closed: no whole head came (setting: head_read)")
        }
        Err(Ended::Unread(error)) => {
            tracing::debug!(target: TARGET, %error, "a connection broke off before it was used");
        }
        Err(Ended::Failed(error)) => {
            tracing::debug!(target: TARGET, error = %chain(&error), "a connection broke off");
        }
    }
}

/// Drives a connection to its end, and closes it when it is time.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    close: impl Fn(Pin<&mut C>),
    mut clock: Clock<'_>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), Ended> {
    let mut is_closing = false;
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(Ended::Failed));
            }
            if !is_closing && shutdown.as_mut().poll(cx).is_ready() {
                is_closing = true;
                clock.close();
                close(connection.as_mut());
                continue;
            }
            match ready!(clock.poll_expired(cx)) {
                Phase::Idle if is_closing && clock.goodbye.is_some() => return Poll::Ready(Ok(())),
                // Politely: what is being written goes on, and so does a request that is just coming.
                Phase::Idle => {
                    is_closing = true;
                    clock.close();
                    close(connection.as_mut());
                }
                _ => return Poll::Ready(Err(Ended::Late)),
            }
        }
    });
    ended.await
}

enum Ended {
    Late,
    Unused,
    Unread(std::io::Error),
    Failed(hyper::Error),
}

/// The deadlines of a connection between its exchanges.
struct Clock<'a> {
    phases: Phases,
    timeouts: &'a ListenTimeouts,
    seen: Option<u32>,
    due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// How long a connection that is being closed may take for it: with HTTP/2 the peer has to say something.
    goodbye: Option<Duration>,
    is_closing: bool,
}

impl<'a> Clock<'a> {
    fn new(phases: Phases, timeouts: &'a ListenTimeouts) -> Self {
        Self { phases, timeouts, seen: None, due: None, timer: None, goodbye: None, is_closing: false }
    }

    fn close(&mut self) {
        self.is_closing = true;
        if self.goodbye.is_some() {
            self.seen = None;
        }
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
            Phase::Idle if self.is_closing && self.goodbye.is_some() => self.goodbye,
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
