use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

use towpath_raw::{FrameSinkExt, FrameSourceExt};

use super::*;
use crate::within;

fn frame(length: usize) -> Frame {
    Frame::from(Bytes::from(vec![b'x'; length]))
}

fn one_way(limits: LaneLimits) -> (MemorySink, MemorySource) {
    let (left, right) = memory_pair(limits, LaneTimeouts::default());
    // The other direction is not needed, and its loss must not disturb this one.
    (left.split().1, right.split().0)
}

#[tokio::test]
async fn a_frame_of_one_segment_is_not_copied() {
    let (mut sink, mut source) = one_way(LaneLimits::default());
    let bytes = Bytes::from(vec![1; 100]);
    let address = bytes.as_ptr();
    within(sink.send(Frame::from(bytes))).await.expect("the peer is there");
    let Inbound::Frame(received) = within(source.receive()).await.expect("no error") else {
        panic!("not a frame");
    };
    assert_eq!(received.as_ptr(), address);
}

#[tokio::test]
async fn frames_wait_in_the_sink_until_the_flush() {
    let (mut sink, mut source) = one_way(LaneLimits::default());
    let mut cx = Context::from_waker(Waker::noop());
    for length in 1..=3 {
        sink.start_send(frame(length)).expect("there is room");
    }
    assert!(source.poll_frame(&mut cx).is_pending());
    assert_eq!((sink.queued_bytes(), sink.frames_begun()), (6, 0));
    within(sink.flush()).await.expect("the peer is there");
    assert_eq!((sink.queued_bytes(), sink.frames_begun()), (0, 3));
    for length in 1..=3 {
        assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(frame)) if frame.len() == length));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_fills_the_queue_and_ends_the_lane() {
    let limits = LaneLimits::default().with_write_queue_bytes(100).with_write_queue_frames(8);
    let (mut sink, source) = one_way(limits);
    let start = tokio::time::Instant::now();
    let mut begun = 0;
    let error = loop {
        match within(sink.send(frame(30))).await {
            Ok(()) => begun += 1,
            Err(error) => break error,
        }
        assert!(begun < 100, "the queue has no bound");
    };
    // Three frames are below 100 bytes, and the fourth may go over.
    assert_eq!((begun, sink.frames_begun()), (4, 4));
    let LaneError::PeerNotReading { after, unsent_bytes, .. } = &error else { panic!("{error}") };
    assert_eq!((*after, *unsent_bytes), (Duration::from_secs(30), 30));
    assert!(start.elapsed() >= Duration::from_secs(30));
    assert!(matches!(within(sink.send(frame(1))).await, Err(LaneError::PeerNotReading { .. })));
    drop(source);
}

#[tokio::test]
async fn the_number_of_frames_is_bounded_as_well() {
    let (mut sink, mut source) = one_way(LaneLimits::default().with_write_queue_frames(2));
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while sink.poll_ready(&mut cx).is_ready() {
        sink.start_send(frame(0)).expect("there is room");
        taken += 1;
        assert!(taken < 100, "the sink has no bound");
    }
    // Two in the queue, two in the sink.
    assert_eq!((taken, sink.frames_begun()), (4, 2));
    assert!(within(source.receive()).await.is_ok());
    within(poll_fn(|cx| sink.poll_ready(cx))).await.expect("the peer reads");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_restarts_the_stall_watch() {
    let limits = LaneLimits::default().with_write_queue_bytes(1).with_write_queue_frames(1);
    let (mut sink, mut source) = one_way(limits);
    let reader = tokio::spawn(async move {
        let mut frames = 0;
        while let Ok(Inbound::Frame(_)) = source.receive().await {
            frames += 1;
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        frames
    });
    for _ in 0..10 {
        crate::within_for(Duration::from_secs(100), sink.send(frame(1))).await.expect("the peer reads");
    }
    drop(sink);
    assert_eq!(crate::within_for(Duration::from_secs(1000), reader).await.expect("no panic"), 10);
}

#[tokio::test]
async fn an_oversize_frame_is_refused_on_either_side_and_its_siblings_live() {
    let small = LaneLimits::default().with_max_message_bytes(10);
    let (left, right) = memory_pair_uneven(LaneLimits::default(), small, LaneTimeouts::default());
    let ((mut left_source, mut left_sink), (mut source, mut sink)) = (left.split(), right.split());
    let refused = within(sink.send(frame(11))).await.expect_err("it is over the limit");
    assert!(refused.is_about_one_message(), "{refused}");
    within(sink.send(frame(10))).await.expect("it is at the limit");
    assert!(matches!(within(left_source.receive()).await, Ok(Inbound::Frame(f)) if f.len() == 10));
    for length in [11, 10] {
        within(left_sink.send(frame(length))).await.expect("within the sender's limit");
    }
    let rejected = within(source.receive()).await;
    let Ok(Inbound::Rejected(Rejected::TooLarge { size: too_large, .. })) = rejected else {
        panic!("{rejected:?}")
    };
    assert_eq!((too_large.limit, too_large.seen, too_large.exact), (10, 11, true));
    assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(f)) if f.len() == 10));
}

#[tokio::test]
async fn a_dropped_sink_is_an_end_after_what_was_handed_over() {
    let (mut sink, mut source) = one_way(LaneLimits::default());
    within(sink.send(frame(1))).await.expect("the peer is there");
    sink.start_send(frame(2)).expect("there is room");
    drop(sink);
    assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(f)) if f.len() == 1));
    for _ in 0..2 {
        assert!(matches!(within(source.receive()).await, Ok(Inbound::End(end)) if end.truncated_bytes == 0));
    }
}

#[tokio::test]
async fn a_dropped_source_wakes_a_writer_that_waits_with_closed() {
    let (mut sink, source) = one_way(LaneLimits::default().with_write_queue_frames(1));
    within(sink.send(frame(1))).await.expect("there is room");
    let writer = tokio::spawn(async move { sink.send(frame(1)).await });
    tokio::task::yield_now().await;
    drop(source);
    let error = within(writer).await.expect("no panic").expect_err("the peer is gone");
    assert!(matches!(error, LaneError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_direction_ends_and_takes_nothing_more() {
    let (mut sink, mut source) = one_way(LaneLimits::default());
    sink.start_send(frame(1)).expect("there is room");
    within(sink.close()).await.expect("the peer is there");
    within(sink.close()).await.expect("it can be closed again");
    assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(_))));
    assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
    assert!(sink.start_send(frame(1)).is_err());
}

#[tokio::test]
async fn a_batch_takes_one_wake() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (mut sink, mut source) = one_way(LaneLimits::default());
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(source.poll_frame(&mut Context::from_waker(&waker)).is_pending());
    for _ in 0..1000 {
        sink.start_send(frame(10)).expect("there is room");
    }
    within(sink.flush()).await.expect("the peer is there");
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    for _ in 0..1000 {
        assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(_))));
    }
}
