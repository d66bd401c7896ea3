//! Frames pass: whole, in order, all of them, whatever else goes on.

use bytes::Bytes;
use towpath_raw::{
    Frame, FrameSink, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, Rejected,
};

use super::{Pairs, Setup, check, expect_frame, payload, sent, shortened};

/// Messages of 1 byte, around each buffer of the [`Profile`](super::Profile) and of 1 MiB pass unchanged.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn every_size_passes_whole(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let buffers = &pairs.profile().buffers;
        let around = buffers.iter().flat_map(|buffer| [buffer - 1, *buffer, buffer + 1, 2 * buffer]);
        let sizes: Vec<usize> = [1, 2, 1 << 20, 1].into_iter().chain(around).collect();
        let to_send = sizes.clone();
        let sending = tokio::spawn(async move {
            for (number, size) in to_send.into_iter().enumerate() {
                sink.send(Frame::from(payload(number, size))).await?;
            }
            Ok::<_, LaneError>(sink)
        });
        for (number, size) in sizes.iter().copied().enumerate() {
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
pub async fn an_empty_frame_harms_no_neighbour(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
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
pub async fn segments_arrive_joined(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let whole = payload(1, 10_000);
        for (one, two) in [(1, 9_999), (0, 10_000), (0, 0), (3, 3), (5_000, 10_000)] {
            let frame = Frame::segmented(whole.slice(..one), whole.slice(one..two), whole.slice(two..));
            let sending = async { sink.send(frame).await.expect("a frame of segments was refused") };
            let ((), ()) = tokio::join!(sending, expect_frame(&mut source, &whole, "segments arrive joined"));
        }
    })
    .await;
}

/// Many frames, flushed in batches of any size, arrive in order.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn order_is_kept(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
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
pub async fn an_oversize_message_out_is_refused_alone(pairs: &Pairs<'_>) {
    check(async {
        let left = LaneLimits::default().with_max_message_bytes(1000);
        let (left, right) = pairs.pair(Setup { left, ..Setup::default() }).await;
        let named = left.peer();
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let error =
            sink.start_send(Frame::from(payload(1, 1001))).expect_err("1001 bytes passed a limit of 1000");
        let LaneError::TooLarge { peer, source: size } = &error else {
            panic!("an oversize message out gave {error}");
        };
        assert_eq!(*peer, named, "the error names another peer than the lane");
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
pub async fn an_oversize_message_in_is_rejected_alone(pairs: &Pairs<'_>) {
    check(async {
        let right = LaneLimits::default().with_max_message_bytes(1000);
        let (left, right) = pairs.pair(Setup { right, ..Setup::default() }).await;
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
