//! Lanes go: without a runtime, and without leaving anything.

use std::{future::poll_fn, task::Poll, thread, time::Duration};

use towpath_raw::{Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane};

use super::{Closing, Pairs, Setup, check, expect_end, expect_frame, payload};
use crate::leak::{Baseline, CountingAllocator};

/// Both halves can be dropped on a thread without a runtime, in any order, and the peer sees the end.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn halves_are_dropped_without_a_runtime(pairs: &Pairs<'_>) {
    let orders = if pairs.profile().once { 1 } else { 2 };
    for order in 0..orders {
        check(async {
            let (left, right) = pairs.pair(Setup::default()).await;
            let ((mut left_source, mut sink), (mut source, _keep)) = (left.split(), right.split());
            sink.send(Frame::from(payload(1, 50))).await.expect("the peer is there");
            let early = poll_fn(|cx| Poll::Ready(left_source.poll_frame(cx))).await;
            assert!(early.is_pending(), "nothing was sent yet");
            let dropping = thread::spawn(move || {
                if order == 0 {
                    drop(left_source);
                    drop(sink);
                } else {
                    drop(sink);
                    drop(left_source);
                }
            });
            if let Err(panic) = dropping.join() {
                std::panic::resume_unwind(panic);
            }
            expect_frame(&mut source, &payload(1, 50), "what was sent before the drop").await;
            expect_end(&mut source).await;
        })
        .await;
    }
}

/// Opened, used and closed politely, again and again, it leaves no task, descriptor, child process or memory. It counts
/// what the process has: call it in one of its own.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn nothing_is_left_after_a_close(pairs: &Pairs<'_>) {
    check(leaves_nothing(pairs, async |_| {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((mut left_source, mut left_sink), (mut source, mut sink)) = (left.split(), right.split());
        for (number, size) in [100, 100_000].into_iter().enumerate() {
            let message = payload(number, size);
            pass(&mut left_sink, &mut source, &message).await;
            pass(&mut sink, &mut left_source, &message).await;
        }
        left_sink.close().await.expect("the peer is there");
        if pairs.profile().left.closing != Closing::Silent {
            expect_end(&mut source).await;
        }
        // One that ends both may have ended this one.
        let _ = sink.close().await;
        if pairs.profile().right.closing != Closing::Silent {
            until_end(&mut left_source).await;
        }
    }))
    .await;
}

/// Dropped in the middle of a read and of a write, again and again, it leaves no task, descriptor, child process or
/// memory. It counts what the process has: call it in one of its own.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn nothing_is_left_after_a_drop(pairs: &Pairs<'_>) {
    check(leaves_nothing(pairs, async |round| {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((mut left_source, mut left_sink), (mut source, sink)) = (left.split(), right.split());
        let waiting = tokio::spawn(async move {
            let _ = left_source.receive().await;
        });
        for number in 0..3 {
            left_sink.start_send(Frame::from(payload(number, 1 << 20))).expect("it is within the limit");
        }
        for _ in 0..3 {
            // A part of them is written, and a part of the first is read.
            let _ = poll_fn(|cx| Poll::Ready(left_sink.poll_flush(cx))).await;
            let _ = poll_fn(|cx| Poll::Ready(source.poll_frame(cx))).await;
            tokio::task::yield_now().await;
        }
        waiting.abort();
        if round % 2 == 0 {
            drop((left_sink, sink, source));
        } else {
            drop((source, sink, left_sink));
        }
        let _ = waiting.await;
    }))
    .await;
}

/// Whether what was there before the rounds is there after them, and nothing else.
async fn leaves_nothing(pairs: &Pairs<'_>, round: impl AsyncFn(usize)) {
    let profile = pairs.profile();
    let (warming_up, rounds) = if profile.once { (0, 1) } else { (3, profile.rounds) };
    warm_up(warming_up, &round).await;
    let mut baseline = baseline(profile.slack_bytes, profile.settle);
    if profile.once {
        baseline = baseline.without_standard_streams();
    }
    for number in 0..rounds {
        round(number).await;
    }
    baseline.check().await;
}

/// So many rounds before anything is counted, and until they have come to their end.
pub(super) async fn warm_up(rounds: usize, round: &impl AsyncFn(usize)) {
    for number in 0..rounds {
        round(number).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// What there is now.
pub(super) fn baseline(slack_bytes: usize, settle: Duration) -> Baseline {
    let baseline = Baseline::take().settling_within(settle);
    if CountingAllocator::is_installed() { baseline.and_live_bytes(slack_bytes) } else { baseline }
}

async fn pass(sink: &mut impl FrameSink, source: &mut impl FrameSource, message: &bytes::Bytes) {
    let sending = async { sink.send(Frame::from(message.clone())).await.expect("the peer is there") };
    let ((), ()) = tokio::join!(sending, expect_frame(source, message, "before the close"));
}

async fn until_end(source: &mut impl FrameSource) {
    while !matches!(source.receive().await, Ok(Inbound::End(_)) | Err(_)) {}
}
