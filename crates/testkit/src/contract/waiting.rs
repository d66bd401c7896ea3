//! Receives wait: for as long as somebody lets them, and without a loss when nobody does any more.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::timeout;
use towpath_raw::{Frame, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError};

use super::{Pairs, Setup, check, payload, sent, shortened};

/// While either end waits for a frame, either end can send one, and the wait ends with it.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_receive_that_waits_blocks_no_send(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
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
pub async fn a_dropped_receive_loses_nothing(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
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

/// A receive that a deadline ends, again and again, while a message comes in loses none of it.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_receive_that_times_out_loses_nothing(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((_keep, mut sink), (mut source, _keep_too)) = (left.split(), right.split());
        let sizes = [100, 300_000, 1, 1 << 20, 70_000];
        // Each is sent when the receiver has waited in vain.
        let (go, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let sending = tokio::spawn(async move {
            for (number, size) in sizes.into_iter().enumerate() {
                gone.recv().await;
                sink.send(Frame::from(payload(number, size))).await?;
            }
            Ok::<_, LaneError>(sink)
        });
        let at_most = Duration::from_millis(1);
        for (number, size) in sizes.into_iter().enumerate() {
            let early = timeout(at_most, source.receive()).await;
            assert!(early.is_err(), "before anything was sent came {}", shortened(&early));
            go.send(()).await.expect("it sends one for each");
            let inbound = loop {
                if let Ok(inbound) = timeout(at_most, source.receive()).await {
                    break inbound;
                }
            };
            let whole = matches!(&inbound, Ok(Inbound::Frame(frame)) if *frame == payload(number, size));
            assert!(whole, "after a deadline, {size} bytes came as {}", shortened(&inbound));
        }
        let _sink = sent(sending).await;
    })
    .await;
}
