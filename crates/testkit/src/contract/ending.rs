//! Directions end: each by itself, and so that the other side can tell how.

use std::{future::poll_fn, task::Poll};

use towpath_raw::{Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError};

use super::{Closing, Pairs, Setup, Unfinished, check, expect_end, expect_frame, payload, sent, shortened};

/// A dropped sink is seen as an end, clean, again and again, and after everything that was flushed before it.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_end_is_no_error_and_comes_after_what_was_sent(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((left_source, mut sink), (mut source, _keep)) = (left.split(), right.split());
        let sending = tokio::spawn(async move {
            for number in 0..100 {
                sink.send(Frame::from(payload(number, 50))).await?;
            }
            drop(sink);
            drop(left_source);
            Ok::<_, LaneError>(())
        });
        for number in 0..100 {
            expect_frame(&mut source, &payload(number, 50), "what was sent before the end").await;
        }
        for _ in 0..3 {
            expect_end(&mut source).await;
        }
        sent(sending).await;
    })
    .await;
}

/// A lane that is dropped in the middle of a frame gives what came before, then an end or an error, and never a part of
/// that frame, unless its [`Nature`](super::Nature) says so.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_lane_tears_no_frame(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((left_source, mut sink), (mut source, _keep)) = (left.split(), right.split());
        sink.send(Frame::from(payload(1, 50))).await.expect("the peer is there");
        // More than anybody takes that does not read.
        let cut = payload(2, 12 << 20);
        sink.start_send(Frame::from(cut.clone())).expect("it is within the limit");
        for _ in 0..20 {
            let _ = poll_fn(|cx| Poll::Ready(sink.poll_flush(cx))).await;
            tokio::task::yield_now().await;
        }
        drop((sink, left_source));
        expect_frame(&mut source, &payload(1, 50), "what was sent before").await;
        let mut fragments = 0;
        loop {
            match source.receive().await {
                Ok(Inbound::End(_)) | Err(LaneError::Io { .. }) => break,
                Ok(Inbound::Frame(frame)) if frame == cut => {}
                Ok(Inbound::Frame(frame))
                    if pairs.profile().right.unfinished == Unfinished::Given && cut.starts_with(&frame) =>
                {
                    fragments += 1;
                    assert_eq!(fragments, 1, "a part of a frame was not the last one");
                }
                other => panic!("of a frame that was cut came {}", shortened(&other)),
            }
        }
    })
    .await;
}

/// An end that has closed its sending direction still receives; or what its [`Closing`] says instead.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn half_closed_the_other_half_lives(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((mut left_source, mut left_sink), (mut source, mut sink)) = (left.split(), right.split());
        left_sink.start_send(Frame::from(payload(1, 50))).expect("there is room");
        left_sink.close().await.expect("the peer is there");
        expect_frame(&mut source, &payload(1, 50), "a close flushes").await;
        let closing = pairs.profile().left.closing;
        if closing == Closing::EndsBoth {
            expect_end(&mut source).await;
            let error = until_error(&mut sink, 1000).await;
            assert!(
                matches!(error, LaneError::Closed { .. }),
                "the other direction has ended, too: {error:?}"
            );
            return;
        }
        if closing == Closing::Half {
            expect_end(&mut source).await;
        }
        sink.send(Frame::from(payload(2, 50))).await.expect("only one direction is closed");
        expect_frame(&mut left_source, &payload(2, 50), "the open direction").await;
        drop(left_sink);
        sink.send(Frame::from(payload(3, 50))).await.expect("only one direction is gone");
        expect_frame(&mut left_source, &payload(3, 50), "the open direction").await;
        if closing == Closing::Silent {
            let early = poll_fn(|cx| Poll::Ready(source.poll_frame(cx))).await;
            assert!(early.is_pending(), "a close that tells nothing told {}", shortened(&early));
            drop(left_source);
            expect_end(&mut source).await;
        }
    })
    .await;
}

/// To close again is done at once, and to send on a closed sink fails and is seen by nobody.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_closed_sink_stays_closed(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let ((left_source, mut sink), (mut source, _keep)) = (left.split(), right.split());
        sink.send(Frame::from(payload(1, 50))).await.expect("the peer is there");
        for _ in 0..3 {
            sink.close().await.expect("to close again is no error");
        }
        match sink.send(Frame::from(payload(2, 50))).await {
            Err(error) if !error.is_about_one_message() => {}
            other => panic!("to send on a closed sink gave {other:?}"),
        }
        drop((sink, left_source));
        expect_frame(&mut source, &payload(1, 50), "what was sent before the close").await;
        expect_end(&mut source).await;
    })
    .await;
}

/// To send to a peer that is gone fails with [`LaneError::Closed`], and goes on failing.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_peer_that_is_gone_is_closed_not_an_io_error(pairs: &Pairs<'_>) {
    check(async {
        let (left, right) = pairs.pair(Setup::default()).await;
        let named = left.peer();
        let (_keep, mut sink) = left.split();
        drop(right.split());
        let error = until_error(&mut sink, 1000).await;
        assert!(
            matches!(&error, LaneError::Closed { peer, .. } if *peer == named),
            "a peer that is gone gave {error:?}"
        );
        let again = until_error(&mut sink, 1).await;
        assert!(matches!(again, LaneError::Closed { .. }), "a closed lane then gave {again:?}");
    })
    .await;
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
