//! The contract that every lane keeps, over HTTP+SSE: the client's side is the lane of this crate, and the server's side is
//! played here, over exchanges in memory. It passes what is POSTed to it, and what it is to say, through a lane in memory,
//! whose other end is the far end of the contract.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header::CONTENT_TYPE, request, response};
use tokio::sync::{mpsc, oneshot};
use towpath_raw::{
    Accept, Arrival, Chunks, ChunksExt, Connect, ExchangeError, Frame, FrameSink, FrameSinkExt, FrameSource,
    FrameSourceExt, Inbound, Lane, LaneError,
};
use towpath_sse::{SseLane, SseLaneTimeouts, write_event};
use towpath_testkit::{
    MemoryAccept, MemoryBody, MemoryConnect, MemoryLane, MemorySink, MemorySource,
    contract::{Closing, Nature, Profile, Setup, Unfinished},
    contract_tests,
    leak::CountingAllocator,
    memory_http, memory_pair_uneven, within,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Refuses connections once nobody has the far end any more.
struct Door {
    connect: MemoryConnect,
    is_shut: Arc<AtomicBool>,
}

impl Connect for Door {
    type Body = MemoryBody;

    async fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> Result<(response::Parts, MemoryBody), ExchangeError> {
        if self.is_shut.load(Relaxed) {
            let reason = "nobody listens there".into();
            return Err(ExchangeError::NotConnected { peer: "peer".into(), reason });
        }
        self.connect.exchange(head, body).await
    }
}

/// The far end: a lane in memory that shuts the door when both of its halves are gone.
struct Far(MemoryLane, Arc<Shut>);

struct Shut(Arc<AtomicBool>);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

struct Half<H>(H, #[allow(dead_code)] Arc<Shut>);

impl Lane for Far {
    type Source = Half<MemorySource>;
    type Sink = Half<MemorySink>;

    fn peer(&self) -> Arc<str> {
        self.0.peer()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let (source, sink) = self.0.split();
        (Half(source, self.1.clone()), Half(sink, self.1))
    }
}

impl FrameSource for Half<MemorySource> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        self.0.poll_frame(cx)
    }
}

impl FrameSink for Half<MemorySink> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.0.poll_ready(cx)
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.0.start_send(frame)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.0.poll_close(cx)
    }

    fn queued_bytes(&self) -> usize {
        self.0.queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        self.0.frames_begun()
    }
}

/// The stream of events. It tells when all of it was taken, or nobody takes any more.
struct Events(mpsc::Receiver<Bytes>, #[allow(dead_code)] oneshot::Sender<()>);

impl Chunks for Events {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.0.poll_recv(cx).map(Ok)
    }
}

fn event(name: &str, data: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    write_event(&mut out, None, Some(name), data);
    out.freeze()
}

/// Says what the lane gives, until the lane ends or the client is gone.
async fn say(mut source: MemorySource, events: mpsc::Sender<Bytes>) {
    loop {
        let inbound = tokio::select! {
            () = events.closed() => return,
            inbound = source.receive() => inbound,
        };
        let Ok(Inbound::Frame(frame)) = inbound else { return };
        if events.send(event("message", &frame)).await.is_err() {
            return;
        }
    }
}

/// Takes what is POSTed, one after the other; each is accepted once the lane has it.
async fn listen(mut accept: MemoryAccept, mut sink: MemorySink) {
    while let Some(mut arrival) = accept.accept().await {
        let mut message = BytesMut::new();
        while let Ok(Some(chunk)) = arrival.body().chunk().await {
            message.extend_from_slice(&chunk);
        }
        if sink.send(Frame::from(message.freeze())).await.is_err() {
            break;
        }
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = StatusCode::ACCEPTED;
        arrival.respond(head, None);
    }
    pending().await
}

/// Answers the GET, and goes on until the client or the lane is gone.
async fn serve(mut accept: MemoryAccept, lane: MemoryLane) {
    let Some(get) = accept.accept().await else { return };
    let (mut head, ()) = Response::new(()).into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let ((events, body), (taking, taken)) = (mpsc::channel(4), oneshot::channel());
    get.respond(head, Events(body, taking));
    let (source, sink) = lane.split();
    if events.send(event("endpoint", b"/messages")).await.is_ok() {
        let said = async {
            say(source, events).await;
            // It goes with the server.
            let _ = taken.await;
        };
        tokio::select! {
            () = said => {}
            () = listen(accept, sink) => {}
        }
    }
}

async fn pair(setup: Setup) -> (SseLane<Door>, Far) {
    let (connect, accept) = memory_http();
    let unlimited = setup.right.clone().with_max_message_bytes(usize::MAX);
    let (near, far) = memory_pair_uneven(unlimited, setup.right, setup.timeouts.clone());
    tokio::spawn(serve(accept, near));
    let is_shut = Arc::new(AtomicBool::new(false));
    let far = Far(far, Arc::new(Shut(Arc::clone(&is_shut))));
    let connect = Door { connect, is_shut };
    let timeouts = SseLaneTimeouts::default().with_write_stall(setup.timeouts.write_stall);
    let url = Uri::from_static("http://peer/sse");
    let connecting = SseLane::connect(Arc::new(connect), url, HeaderMap::new(), &setup.left, &timeouts);
    (within(connecting).await.expect("the server is there"), far)
}

contract_tests!(
    http_sse,
    // Only the end of the stream ends it, and that is the server's. An event without its blank line is given.
    Profile::default()
        .left(Nature::default().closing(Closing::Silent).unfinished(Unfinished::Given))
        .right(Nature::default().closing(Closing::EndsBoth)),
    async |setup: Setup| pair(setup).await
);
