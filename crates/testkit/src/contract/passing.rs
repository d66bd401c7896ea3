//! Frames pass: whole, in order, all of them, whatever else goes on.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use towpath_raw::{
    Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits,
    Rejected,
};

use super::{Setup, check, expect_frame, payload, shortened};

/// Messages of 1 byte, around `buffer` bytes and of 1 MiB pass unchanged.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn every_size_passes_whole<A: Lane, B: Lane>(
    make_pair: &impl AsyncFn(Setup) -> (A, B),
    buffer: usize,
) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let sizes = [1, 2, buffer - 1, buffer, buffer + 1, 2 * buffer, 1 << 20];
        let sending = tokio::spawn(async move {
            for (number, size) in sizes.into_iter().enumerate() {
                sink.send(Frame::from(payload(number, size))).await?;
            }
            Ok::<_, LaneError>(sink)
        });
        for (number, size) in sizes.into_iter().enumerate() {
            expect_frame(&mut source, &payload(number, size), "every size passes").await;
        }
        let sink = sent(sending).await;
        assert_eq!(sink.frames_begun(), sizes.len() as u64, "every frame that arrived was begun");
        assert_eq!(sink.queued_bytes(), 0, "nothing is queued after a flush");
    })
    .await;
}

/// A frame without a byte passes or is passed over; its neighbours arrive.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_empty_frame_harms_no_neighbour<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        for frame in [payload(1, 10), Bytes::new(), payload(2, 10)] {
            sink.send(Frame::from(frame)).await.expect("an empty frame ended the lane");
        }
        expect_frame(&mut source, &payload(1, 10), "the one before an empty frame").await;
        loop {
            match source.receive().await {
                Ok(Inbound::Frame(frame)) if frame.is_empty() => {}
                Ok(Inbound::Skipped(skipped)) if skipped.length == 0 => {}
                Ok(Inbound::Frame(frame)) if frame == payload(2, 10) => break,
                other => panic!("after an empty frame came {}", shortened(&other)),
            }
        }
    })
    .await;
}

/// The segments of a frame arrive as one message.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn segments_arrive_joined<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let whole = payload(1, 10_000);
        for (one, two) in [(1, 9_999), (0, 10_000), (0, 0), (3, 3), (5_000, 10_000)] {
            let frame = Frame::segmented(whole.slice(..one), whole.slice(one..two), whole.slice(two..));
            sink.send(frame).await.expect("a frame of segments was refused");
            expect_frame(&mut source, &whole, "segments arrive joined").await;
        }
    })
    .await;
}

/// Many frames, flushed in batches of any size, arrive in order.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn order_is_kept<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        const FRAMES: usize = 5_000;
        let sending = tokio::spawn(async move {
            for number in 0..FRAMES {
                std::future::poll_fn(|cx| sink.poll_ready(cx)).await?;
                sink.start_send(Frame::from(payload(number, 20 + number % 100)))?;
                if number % 7 == 0 || number % 1000 < 10 {
                    sink.flush().await?;
                }
            }
            sink.flush().await?;
            Ok::<_, LaneError>(sink)
        });
        for number in 0..FRAMES {
            expect_frame(&mut source, &payload(number, 20 + number % 100), "order is kept").await;
        }
        assert_eq!(sent(sending).await.frames_begun(), FRAMES as u64);
    })
    .await;
}

/// A message over the sender's limit is refused before a byte of it is written, and the next one passes.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_oversize_message_out_is_refused_alone<A: Lane, B: Lane>(
    make_pair: &impl AsyncFn(Setup) -> (A, B),
) {
    check(async {
        let left = LaneLimits::default().with_max_message_bytes(1000);
        let (left, right) = make_pair(Setup { left, ..Setup::default() }).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let error =
            sink.start_send(Frame::from(payload(1, 1001))).expect_err("1001 bytes passed a limit of 1000");
        let LaneError::TooLarge { source: size, .. } = &error else {
            panic!("an oversize message out gave {error}");
        };
        assert_eq!((size.limit, size.seen), (1000, 1001));
        assert_eq!((sink.queued_bytes(), sink.frames_begun()), (0, 0), "a refused message was taken");
        sink.send(Frame::from(payload(2, 1000))).await.expect("a message at the limit was refused");
        expect_frame(&mut source, &payload(2, 1000), "the one after a refused one").await;
        assert_eq!(sink.frames_begun(), 1);
    })
    .await;
}

/// A message over the receiver's limit is reported and passed over, and the next one arrives.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_oversize_message_in_is_rejected_alone<A: Lane, B: Lane>(
    make_pair: &impl AsyncFn(Setup) -> (A, B),
) {
    check(async {
        let right = LaneLimits::default().with_max_message_bytes(1000);
        let (left, right) = make_pair(Setup { right, ..Setup::default() }).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let sizes = [1000, 1001, 999, 300_000, 1, 1001, 1001, 1000];
        let sending = tokio::spawn(async move {
            for (number, size) in sizes.into_iter().enumerate() {
                sink.send(Frame::from(payload(number, size))).await?;
            }
            Ok::<_, LaneError>(sink)
        });
        for (number, size) in sizes.into_iter().enumerate() {
            if size <= 1000 {
                expect_frame(&mut source, &payload(number, size), "a sibling of an oversize message").await;
                continue;
            }
            match source.receive().await {
                Ok(Inbound::Rejected(Rejected::TooLarge { size: too_large, .. })) => {
                    assert_eq!(too_large.limit, 1000);
                    assert!(too_large.seen > 1000 && too_large.seen <= size, "{too_large} of {size}");
                }
                other => panic!("{size} bytes met a limit of 1000, and gave {}", shortened(&other)),
            }
        }
        let _sink = sent(sending).await;
    })
    .await;
}

/// While either end waits for a frame, either end can send one, and the wait ends with it.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_receive_that_waits_blocks_no_send<A: Lane, B: Lane>(
    make_pair: &impl AsyncFn(Setup) -> (A, B),
) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((mut left_source, mut left_sink), (mut source, mut sink)) = (left.split(), right.split());
        for number in 0..10 {
            let there = payload(number, 100);
            let back = payload(number + 100, 100);
            let mut at_left = pin!(left_source.receive());
            let mut at_right = pin!(source.receive());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(at_left.as_mut().poll(&mut cx).is_pending(), "nothing was sent yet");
            assert!(at_right.as_mut().poll(&mut cx).is_pending(), "nothing was sent yet");
            left_sink.send(Frame::from(there.clone())).await.expect("a pending receive ended a send");
            assert!(matches!(at_right.await, Ok(Inbound::Frame(frame)) if frame == there));
            sink.send(Frame::from(back.clone())).await.expect("a pending receive ended a send");
            assert!(matches!(at_left.await, Ok(Inbound::Frame(frame)) if frame == back));
        }
    })
    .await;
}

/// A receive that is dropped in the middle of anything takes no frame and tears none.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_receive_loses_nothing<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let sizes = [1, 100, 70_000, 5, 300_000, 8_192, 8_191, 2, 65_536, 1 << 20];
        let sending = tokio::spawn(async move {
            for (number, size) in sizes.into_iter().enumerate() {
                sink.send(Frame::from(payload(number, size))).await?;
            }
            Ok::<_, LaneError>(sink)
        });
        for (number, size) in sizes.into_iter().enumerate() {
            // Each receive is polled once, and dropped when it was not ready.
            let inbound = loop {
                let polled = std::future::poll_fn(|cx| Poll::Ready(source.poll_frame(cx))).await;
                match polled {
                    Poll::Ready(inbound) => break inbound,
                    Poll::Pending => tokio::task::yield_now().await,
                }
            };
            let whole = matches!(&inbound, Ok(Inbound::Frame(frame)) if *frame == payload(number, size));
            assert!(whole, "after dropped receives, {size} bytes came as {}", shortened(&inbound));
        }
        let _sink = sent(sending).await;
    })
    .await;
}

/// A send that is dropped in the middle leaves its frame to go out whole with the next one.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_send_tears_no_frame<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let frames = [payload(0, 1 << 20), payload(1, 10), payload(2, 200_000), payload(3, 10)];
        let mut queued = Vec::new();
        for frame in &frames {
            let before = (sink.queued_bytes(), sink.frames_begun());
            let mut cx = Context::from_waker(Waker::noop());
            let dropped = pin!(sink.send(Frame::from(frame.clone()))).as_mut().poll(&mut cx);
            assert!(!matches!(dropped, Poll::Ready(Err(_))), "a send failed: {dropped:?}");
            // Dropped before there was room, nothing of it was sent.
            if dropped.is_ready() || (sink.queued_bytes(), sink.frames_begun()) != before {
                queued.push(frame.clone());
            }
        }
        assert!(!queued.is_empty(), "the first send found no room");
        queued.push(payload(4, 10));
        let sending = tokio::spawn(async move {
            sink.send(Frame::from(payload(4, 10))).await?;
            Ok::<_, LaneError>(sink)
        });
        for frame in &queued {
            expect_frame(&mut source, frame, "after dropped sends").await;
        }
        let _sink = sent(sending).await;
    })
    .await;
}

async fn sent<S>(sending: tokio::task::JoinHandle<Result<S, LaneError>>) -> S {
    match sending.await {
        Ok(Ok(sink)) => sink,
        Ok(Err(error)) => panic!("the lane ended while it was sending: {error}"),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
