//! Sends wait: for room, for a peer that reads, and not for ever.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use towpath_raw::{Frame, FrameSink, FrameSinkExt, FrameSource, Lane, LaneError, LaneTimeouts};

use super::{Pairs, Setup, check, expect_frame, payload, sent};

/// With far more in both directions than fits, everything arrives as long as both ends read.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn full_directions_do_not_wait_for_each_other(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((mut left_source, left_sink), (mut source, sink)) = (left.split(), right.split());
        const FRAMES: usize = 64;
        let sending = [left_sink, sink].map(|sink| tokio::spawn(send_all(sink, FRAMES, Arc::default())));
        let all = async |source: &mut Box<dyn FrameSource>| {
            for number in 0..FRAMES {
                expect_frame(source, &payload(number, LARGE), "both directions are full").await;
            }
        };
        tokio::join!(all(&mut left_source), all(&mut source));
        for sending in sending {
            let _sink = sent(sending).await;
        }
    })
    .await;
}

/// A sink that waited for room goes on when the peer reads again, and nothing is lost.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_peer_that_reads_again_gets_everything(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((_keep, sink), (mut source, _keep_too)) = (left.split(), right.split());
        const FRAMES: usize = 160;
        let progress = Arc::new(AtomicUsize::new(0));
        let sending = tokio::spawn(send_all(sink, FRAMES, Arc::clone(&progress)));
        // Until it is stuck, or as good as that: nothing went for a while.
        let mut quiet = 0;
        let mut before = 0;
        while quiet < 200 && before < FRAMES {
            tokio::task::yield_now().await;
            let now = progress.load(Relaxed);
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
        }
        for number in 0..FRAMES {
            expect_frame(&mut source, &payload(number, LARGE), "the peer reads again").await;
        }
        let _sink = sent(sending).await;
    })
    .await;
}

const LARGE: usize = 64 << 10;

async fn send_all(
    mut sink: Box<dyn FrameSink>,
    frames: usize,
    progress: Arc<AtomicUsize>,
) -> Result<Box<dyn FrameSink>, LaneError> {
    for number in 0..frames {
        sink.send(Frame::from(payload(number, LARGE))).await?;
        progress.store(number + 1, Relaxed);
    }
    Ok(sink)
}

/// A send that is dropped in the middle leaves its frame to go out whole with the next one.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_send_tears_no_frame(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
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

/// A peer that takes no byte is [`LaneError::PeerNotReading`] after the write stall, and until then the sink holds
/// no more than its limits.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_peer_that_never_reads_ends_typed(pairs: &Pairs<'_>) {
    check(async {
        let stall = Duration::from_millis(100);
        let setup =
            Setup { timeouts: LaneTimeouts::default().with_write_stall(Some(stall)), ..Setup::default() };
        let limits = setup.left.clone();
        let (left, right) = pairs.pair(setup).await;
        let named = left.peer();
        let (_keep, mut sink) = left.split();
        let frame = payload(1, 10_000);
        let mut sent = 0_usize;
        let error = loop {
            match sink.send(Frame::from(frame.clone())).await {
                Ok(()) => sent += frame.len(),
                Err(error) => break error,
            }
            assert!(sent < 256 << 20, "a peer that never reads took {sent} bytes");
            assert!(
                sink.queued_bytes() <= limits.write_queue_bytes + frame.len(),
                "the sink holds {} bytes, and its limit is {}",
                sink.queued_bytes(),
                limits.write_queue_bytes
            );
        };
        match error {
            LaneError::PeerNotReading { peer, after, unsent_bytes } => {
                assert_eq!((peer, after), (named, stall));
                assert!(unsent_bytes > 0, "nothing waited");
            }
            other => panic!("a peer that never reads gave {other:?}"),
        }
        drop(right);
    })
    .await;
}
