//! HTTP/2 on one connection: the tasks of its exchanges, and what hyper does not watch.

use std::{
    cell::Cell,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tower_service::Service;
use towpath_raw::{Level, Mutex, StallWatch};

use super::{
    connection::TARGET,
    io::Watched,
    limits::{ListenLimits, ListenTimeouts},
    phase::{Phase, Phases},
};

/// A connection with the tasks of its exchanges. Dropped, it stops them.
pub(super) struct Http2<C> {
    connection: Pin<Box<C>>,
    tasks: Arc<Tasks>,
    phases: Phases,
}

type Tasks = Mutex<JoinSet<()>>;

type Connection<I, S> = http2::Connection<TokioIo<Watched<I>>, Split<S>, Spawn>;

pub(super) fn connection<I, S, B>(
    io: Watched<I>,
    service: S,
    phases: Phases,
    limits: &ListenLimits,
    timeouts: &ListenTimeouts,
) -> Http2<Connection<I, S>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let tasks = Arc::new(Mutex::new(Level::Handler, "Http2::tasks", JoinSet::new()));
    let spawn = Spawn { tasks: Arc::downgrade(&tasks), write_stall: timeouts.write_stall };
    let window = limits.http2_window_bytes.clamp(1, MOST_WINDOW_BYTES);
    let mut builder = http2::Builder::new(spawn);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_http2_streams)
        .max_pending_accept_reset_streams(limits.max_pending_resets)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(window)
        .initial_connection_window_size(window.max(CONNECTION_WINDOW_BYTES))
        .max_send_buf_size(SENT_AT_ONCE_BYTES)
        .keep_alive_interval(timeouts.http2_ping);
    if let Some(after) = timeouts.http2_ping {
        builder.keep_alive_timeout(after);
    }
    let service = Split(TowerToHyperService::new(service));
    Http2 { connection: Box::pin(builder.serve_connection(TokioIo::new(io), service)), tasks, phases }
}

impl<I, S, B> Http2<Connection<I, S>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// No more exchanges are taken, and the peer is told so; those that run go on.
    pub(super) fn close(mut self: Pin<&mut Self>) {
        self.connection.as_mut().graceful_shutdown();
    }
}

impl<C: Future<Output = hyper::Result<()>>> Future for Http2<C> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let ended = self.connection.as_mut().poll(cx);
        // What has come and gone since the last look is a change, too: so it is looked at before and after.
        let mut tasks = self.tasks.lock();
        self.phases.exchanges(tasks.len());
        while let Poll::Ready(Some(task)) = tasks.poll_join_next(cx) {
            if let Err(error) = task {
                tracing::error!(target: TARGET, %error, "the task of an exchange failed");
            }
        }
        self.phases.exchanges(tasks.len());
        ended
    }
}

impl Phases {
    /// An HTTP/2 connection has so many exchanges now. A head that is coming goes first: it has a deadline.
    fn exchanges(&self, running: usize) {
        let phase = match (self.now().0, running) {
            (Phase::Head, _) | (Phase::New, 0) => return,
            (_, 0) => Phase::Idle,
            _ => Phase::Busy,
        };
        if self.now().0 != phase {
            self.enter(phase);
        }
    }
}

/// Makes a task of each exchange, so that they run side by side, and that one that panics ends alone.
///
/// The tasks know it, so it must not keep them.
#[derive(Clone, Debug)]
pub(super) struct Spawn {
    tasks: Weak<Tasks>,
    write_stall: Option<Duration>,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, exchange: F) {
        let Some(tasks) = self.tasks.upgrade() else { return };
        let stall = StallWatch::new(self.write_stall);
        let watched = Stalling { exchange, stall };
        tasks.lock().spawn(GIVEN.scope(Cell::new(Given::default()), watched));
    }
}

tokio::task_local! {
    /// What the body of this task's exchange has given to hyper.
    static GIVEN: Cell<Given>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Given {
    times: u32,
    /// Whether hyper has a piece, and has not asked for the next.
    waits_for_peer: bool,
}

/// Nobody asks outside of a task of an exchange.
fn given(has_piece: bool) {
    let _ = GIVEN.try_with(|given| {
        given.set(Given { times: given.get().times.wrapping_add(1), waits_for_peer: has_piece });
    });
}

pin_project! {
    /// An exchange that ends when its peer makes no room for its body: each has a window of its own, and a peer that
    /// takes what the connection carries may leave one of them shut for ever. Dropped, hyper's future resets it.
    struct Stalling<F> {
        #[pin]
        exchange: F,
        stall: StallWatch,
    }
}

impl<F: Future<Output = ()>> Future for Stalling<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let before = GIVEN.with(Cell::get);
        if this.exchange.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let given = GIVEN.with(Cell::get);
        if given != before || !given.waits_for_peer {
            this.stall.progress();
        }
        if given.waits_for_peer {
            ready!(this.stall.poll_stalled(cx));
            tracing::debug!(target: TARGET, "an exchange is reset: its peer takes nothing (setting: write_stall)");
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// A service whose bodies are given in small pieces.
pub(super) struct Split<S>(TowerToHyperService<S>);

impl<S, B> hyper::service::Service<Request<Incoming>> for Split<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = Response<Pieces<B>>;
    type Error = S::Error;
    type Future = SplitFuture<S>;

    fn call(&self, request: Request<Incoming>) -> SplitFuture<S> {
        SplitFuture { future: self.0.call(request) }
    }
}

pin_project! {
    pub(super) struct SplitFuture<S: Service<Request<Incoming>>> {
        #[pin]
        future: TowerToHyperServiceFuture<S, Request<Incoming>>,
    }
}

impl<S, B> Future for SplitFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Output = Result<Response<Pieces<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().future.poll(cx))?;
        Poll::Ready(Ok(response.map(|body| Pieces { body, rest: Bytes::new() })))
    }
}

pin_project! {
    /// A body in pieces that are small enough to say whether a slow peer takes anything. They are not copied.
    pub(super) struct Pieces<B> {
        #[pin]
        body: B,
        rest: Bytes,
    }
}

impl<B: Body<Data = Bytes>> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if this.rest.is_empty() {
            let frame = this.body.poll_frame(cx);
            given(matches!(&frame, Poll::Ready(Some(Ok(_)))));
            match ready!(frame).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Ok(data)) => *this.rest = data,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
            }
        } else {
            given(true);
        }
        let piece = this.rest.split_to(this.rest.len().min(SENT_AT_ONCE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// How long a peer has to end an HTTP/2 connection that has no exchange and is being closed.
pub(super) const GOODBYE: Duration = Duration::from_secs(10);
const SENT_AT_ONCE_BYTES: usize = 16 << 10;
/// What all exchanges of a connection may have sent that nobody has read.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// The most that HTTP/2 has.
const MOST_WINDOW_BYTES: u32 = (1 << 31) - 1;

#[cfg(test)]
mod tests;
