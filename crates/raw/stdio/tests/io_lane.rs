//! The lane over any reader and writer, in memory.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex, split},
    time::{Instant, timeout},
};
use towpath_raw::{
    Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits,
    LaneTimeouts, Rejected,
};
use towpath_stdio::{IoLane, LineSink, LineSource};

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(3600), future).await.expect("it hung")
}

fn frame(text: impl Into<String>) -> Frame {
    Bytes::from(text.into()).into()
}

/// Moves at most a few bytes at a time, and waits before each.
struct Reluctant<T> {
    inner: T,
    waits: bool,
    most: usize,
}

impl<T> Reluctant<T> {
    fn new(inner: T, most: usize) -> Self {
        Self { inner, waits: false, most }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Reluctant<&'static [u8]> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_turn(cx));
        let taken = self.most.min(buf.remaining()).min(self.inner.len());
        let (now, later) = self.inner.split_at(taken);
        buf.put_slice(now);
        self.inner = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reluctant<Vec<u8>> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_turn(cx));
        let taken = self.most.min(buf.len());
        self.inner.extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_receive_dropped_at_every_point_loses_nothing() {
    let input = b"{\"id\":1}\nbanner\n{\"id\":2}\n{\"id\":3}";
    let mut source = LineSource::new(Reluctant::new(input.as_slice(), 3), "peer", &LaneLimits::default());
    let mut cx = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    let mut dropped = 0;
    loop {
        // Each future is polled once and dropped.
        match pin!(source.receive()).poll(&mut cx) {
            Poll::Pending => dropped += 1,
            Poll::Ready(Ok(Inbound::Frame(frame))) => frames.push(frame),
            Poll::Ready(Ok(Inbound::Skipped(skipped))) => assert_eq!(skipped.text, "banner"),
            Poll::Ready(Ok(Inbound::End(end))) => {
                assert_eq!(end.truncated_bytes, 0);
                break;
            }
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(frames, ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"]);
    assert!(dropped > input.len() / 3, "the reader never waited");
}

/// Gives what it takes to the test.
struct Tee(Reluctant<Vec<u8>>, std::sync::mpsc::Sender<Vec<u8>>);

impl AsyncWrite for Tee {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = std::task::ready!(Pin::new(&mut self.0).poll_write(cx, buf))?;
        self.1.send(buf[..taken].to_vec()).expect("the test listens");
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_send_dropped_at_every_point_tears_no_frame() {
    let (seen, wire) = std::sync::mpsc::channel();
    let limits = LaneLimits::default().with_write_queue_bytes(16);
    let timeouts = LaneTimeouts::default().with_write_stall(None);
    let mut sink = LineSink::new(Tee(Reluctant::new(Vec::new(), 3), seen), "peer", &limits, &timeouts);
    let mut cx = Context::from_waker(Waker::noop());
    let mut sent = Vec::new();
    for id in 0..100 {
        let text = format!("{{\"id\":{id}}}");
        let queued = sink.queued_bytes();
        let poll = pin!(sink.send(frame(text.clone()))).poll(&mut cx);
        assert!(!matches!(poll, Poll::Ready(Err(_))));
        // Either it was taken whole, or there was no room and nothing was.
        if poll.is_ready() || sink.queued_bytes() > queued {
            sent.push(text);
        }
    }
    assert!(sent.len() < 100, "there was always room");
    while pin!(sink.close()).poll(&mut cx).is_pending() {}
    assert_eq!(sink.frames_begun(), sent.len() as u64);
    drop(sink);
    let wire: Vec<u8> = wire.into_iter().flatten().collect();
    assert_eq!(String::from_utf8(wire).expect("text"), sent.join("\n") + "\n");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_ends_the_lane_after_write_stall() {
    let (writer, _held) = duplex(8);
    let after = Duration::from_secs(7);
    let timeouts = LaneTimeouts::default().with_write_stall(Some(after));
    let mut sink = LineSink::new(writer, "a wall", &LaneLimits::default(), &timeouts);
    let start = Instant::now();
    let stalled = within(sink.send(frame("{\"id\":12345}"))).await;
    let Err(LaneError::PeerNotReading { peer, after: told, unsent_bytes }) = stalled else {
        panic!("{stalled:?}")
    };
    assert_eq!((&*peer, told, unsent_bytes), ("a wall", after, 5));
    assert_eq!(start.elapsed(), after);
    assert_eq!(sink.frames_begun(), 1);
    // It stays ended, and a frame after it has certainly not begun.
    assert!(matches!(sink.start_send(frame("{}")), Err(LaneError::PeerNotReading { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_now_and_then_is_not_stalled() {
    let (writer, mut reader) = duplex(1);
    let timeouts = LaneTimeouts::default().with_write_stall(Some(Duration::from_secs(7)));
    let mut sink = LineSink::new(writer, "peer", &LaneLimits::default(), &timeouts);
    let slow = async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(6)).await;
            reader.read_u8().await.expect("a byte");
        }
        reader
    };
    let (sent, _reader) = within(async { tokio::join!(sink.send(frame("{ }")), slow) }).await;
    sent.expect("it was taken in the end");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_not_ready_until_the_peer_reads() {
    let by_bytes = LaneLimits::default().with_write_queue_bytes(8);
    let by_frames = LaneLimits::default().with_write_queue_frames(2);
    for limits in [by_bytes, by_frames] {
        let (writer, mut reader) = duplex(4);
        let mut sink = LineSink::new(writer, "peer", &limits, &LaneTimeouts::default());
        // Four bytes fit into the pipe, so ten bytes in two frames wait.
        for _ in 0..2 {
            within(poll_fn(|cx| sink.poll_ready(cx))).await.expect("room");
            sink.start_send(frame("{ \"\" }")).expect("queued");
            let _ = poll_fn(|cx| Poll::Ready(sink.poll_flush(cx))).await;
        }
        assert_eq!(sink.queued_bytes(), 10);
        let full = poll_fn(|cx| Poll::Ready(sink.poll_ready(cx))).await;
        assert!(full.is_pending(), "{limits:?}");
        let mut taken = [0; 8];
        let ready = poll_fn(|cx| sink.poll_ready(cx));
        let (ready, read) = within(async { tokio::join!(ready, reader.read_exact(&mut taken)) }).await;
        ready.expect("room");
        read.expect("eight bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn an_oversized_message_fails_alone_in_both_directions() {
    let (here, there) = duplex(1 << 10);
    let limits = LaneLimits::default().with_max_message_bytes(32);
    let (reader, writer) = split(here);
    let lane = IoLane::new(reader, writer, "peer", limits, LaneTimeouts::default());
    assert_eq!(&*lane.peer(), "peer");
    let (mut source, mut sink) = lane.split();
    let (mut reader, mut writer) = split(there);

    let long = format!("[{}]", "1".repeat(100));
    let refused = within(sink.send(frame(long.clone()))).await.expect_err("it passed");
    assert!(refused.is_about_one_message(), "{refused:?}");
    within(sink.send(frame("{}"))).await.expect("its sibling passes");
    let mut wire = [0; 3];
    within(reader.read_exact(&mut wire)).await.expect("three bytes");
    assert_eq!(&wire, b"{}\n");

    writer.write_all(format!("{long}\n{{}}\n").as_bytes()).await.expect("it is read");
    let rejected = within(source.receive()).await.expect("the lane lives");
    let Inbound::Rejected(Rejected::TooLarge { size, .. }) = rejected else { panic!("{rejected:?}") };
    assert_eq!((size.limit, size.seen, size.exact), (32, 102, true));
    assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(frame)) if frame == "{}"));
}

#[tokio::test(start_paused = true)]
async fn each_direction_closes_by_itself_and_the_end_is_repeated() {
    let (here, there) = duplex(1 << 10);
    let lane = |io| {
        let (reader, writer) = split(io);
        IoLane::new(reader, writer, "peer", LaneLimits::default(), LaneTimeouts::default()).split()
    };
    let (mut source, mut sink) = lane(here);
    let (mut far_source, mut far_sink) = lane(there);
    within(sink.send(frame("{\"id\":1}"))).await.expect("sent");
    within(sink.close()).await.expect("closed");
    within(sink.close()).await.expect("closing is repeatable");
    assert!(matches!(sink.start_send(frame("{}")), Err(LaneError::Closed { .. })));
    assert!(matches!(within(far_source.receive()).await, Ok(Inbound::Frame(_))));
    for _ in 0..2 {
        assert!(matches!(within(far_source.receive()).await, Ok(Inbound::End(_))));
    }
    within(far_sink.send(frame("{\"id\":2}"))).await.expect("the other direction is open");
    assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(_))));
    drop((source, sink));
    let closed = within(far_sink.send(frame("{}"))).await;
    assert!(matches!(closed, Err(LaneError::Closed { .. })), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pending_receive_does_not_block_a_send() {
    let (here, mut there) = duplex(1 << 10);
    let (reader, writer) = split(here);
    let lane = IoLane::new(reader, writer, "peer", LaneLimits::default(), LaneTimeouts::default());
    let (mut source, mut sink) = lane.split();
    let mut receive = pin!(source.receive());
    assert!(poll_fn(|cx| Poll::Ready(receive.as_mut().poll(cx).is_pending())).await);
    within(sink.send(frame("{\"id\":1}"))).await.expect("sent");
    there.write_all(b"{\"id\":1}\n").await.expect("written");
    assert!(matches!(within(receive).await, Ok(Inbound::Frame(_))));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_an_error_and_stays_one() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("the wire is cut")))
        }
    }
    let mut source = LineSource::new(Broken, "peer", &LaneLimits::default());
    for _ in 0..2 {
        let failed = within(poll_fn(|cx| source.poll_frame(cx))).await.expect_err("it was read");
        assert_eq!(failed.to_string(), "reading from peer failed: the wire is cut");
    }
}
