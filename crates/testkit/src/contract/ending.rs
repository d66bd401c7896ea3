//! Directions end: each by itself, and so that the other side can tell how.

use std::time::Duration;

use towpath_raw::{
    Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError, LaneTimeouts,
};

use super::{Setup, check, expect_frame, payload, shortened};

/// A dropped sink is seen as an end, clean, again and again, and after everything that was flushed before it.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_end_is_no_error_and_comes_after_what_was_sent<A: Lane, B: Lane>(
    make_pair: &impl AsyncFn(Setup) -> (A, B),
) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((left_source, mut sink), (mut source, _keep)) = (left.split(), right.split());
        for number in 0..100 {
            sink.send(Frame::from(payload(number, 50))).await.expect("the peer is there");
        }
        drop(sink);
        drop(left_source);
        for number in 0..100 {
            expect_frame(&mut source, &payload(number, 50), "what was sent before the end").await;
        }
        for _ in 0..3 {
            expect_end(&mut source).await;
        }
    })
    .await;
}

/// An end that has closed its sending direction still receives.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn half_closed_the_other_half_lives<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let ((mut left_source, mut left_sink), (mut source, mut sink)) = (left.split(), right.split());
        left_sink.start_send(Frame::from(payload(1, 50))).expect("there is room");
        left_sink.close().await.expect("the peer is there");
        expect_frame(&mut source, &payload(1, 50), "a close flushes").await;
        expect_end(&mut source).await;
        sink.send(Frame::from(payload(2, 50))).await.expect("only one direction is closed");
        expect_frame(&mut left_source, &payload(2, 50), "the open direction").await;
        drop(left_sink);
        sink.send(Frame::from(payload(3, 50))).await.expect("only one direction is gone");
        expect_frame(&mut left_source, &payload(3, 50), "the open direction").await;
    })
    .await;
}

/// To send to a peer that is gone fails with [`LaneError::Closed`], and goes on failing.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_peer_that_is_gone_is_closed_not_an_io_error<A: Lane, B: Lane>(
    make_pair: &impl AsyncFn(Setup) -> (A, B),
) {
    check(async {
        let (left, right) = make_pair(Setup::default()).await;
        let (_keep, mut sink) = left.split();
        drop(right.split());
        let error = until_error(&mut sink, 1000).await;
        assert!(matches!(error, LaneError::Closed { .. }), "a peer that is gone gave {error:?}");
        let again = until_error(&mut sink, 1).await;
        assert!(matches!(again, LaneError::Closed { .. }), "a closed lane then gave {again:?}");
    })
    .await;
}

/// A peer that takes no byte is [`LaneError::PeerNotReading`] after the write stall, and until then the sink holds
/// no more than its limits.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_peer_that_never_reads_ends_typed<A: Lane, B: Lane>(make_pair: &impl AsyncFn(Setup) -> (A, B)) {
    check(async {
        let stall = Duration::from_millis(100);
        let setup =
            Setup { timeouts: LaneTimeouts::default().with_write_stall(Some(stall)), ..Setup::default() };
        let limits = setup.left.clone();
        let (left, right) = make_pair(setup).await;
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
            LaneError::PeerNotReading { after, unsent_bytes, .. } => {
                assert_eq!(after, stall);
                assert!(unsent_bytes > 0, "nothing waited");
            }
            other => panic!("a peer that never reads gave {other:?}"),
        }
        drop(right);
    })
    .await;
}

async fn expect_end(source: &mut impl FrameSource) {
    match source.receive().await {
        Ok(Inbound::End(end)) => assert_eq!(end.truncated_bytes, 0, "a clean end was called truncated"),
        other => panic!("expected the end, and got {}", shortened(&other)),
    }
}

/// What the operating system had taken before it noticed is lost without a word, so more than one send may pass.
async fn until_error(sink: &mut impl FrameSink, sends: usize) -> LaneError {
    for number in 0..sends {
        if let Err(error) = sink.send(Frame::from(payload(number, 10_000))).await {
            return error;
        }
    }
    panic!("{sends} messages went to a peer that is gone")
}
