//! What happens to the frames of a lane beside delays and ends: changed, doubled, overtaken, lost, taken slowly.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use towpath_raw::{
    Frame, FrameSink, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts, Route,
};

use crate::{
    Corruption, Cut, FaultKind, FaultPlan, Faults, Which, memory_pair, scripted_lane, within, within_for,
};

const SECOND: Duration = Duration::from_secs(1);

fn message(number: usize) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{number},"result":"{}"}}"#, "x".repeat(number % 7)).into()
}

/// All that comes out of a lane with this plan, when these go in; one after the other with a pause, or at once.
async fn through(plan: &FaultPlan, frames: &[Bytes], pause: Option<Duration>, outbound: bool) -> Vec<Bytes> {
    let (left, right) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let (left, frames) = (plan.wrap(left), frames.to_vec());
    let sending = async move |mut sink: Box<dyn FrameSink>| {
        for frame in frames {
            // A lane that is cut takes no more, which is for the test to see.
            if sink.start_send(frame.into()).is_err() {
                return;
            }
            if let Some(pause) = pause {
                let _ = sink.flush().await;
                tokio::time::sleep(pause).await;
            }
        }
        let _ = sink.close().await;
    };
    let mut received = Vec::new();
    let mut receive = async |source: &mut dyn towpath_raw::FrameSource| {
        while let Ok(Inbound::Frame(frame)) = source.receive().await {
            received.push(frame);
        }
    };
    let ((left_source, left_sink), (right_source, right_sink)) = (left.split(), right.split());
    let (mut source, sink): (Box<dyn towpath_raw::FrameSource>, Box<dyn FrameSink>) = match outbound {
        true => (Box::new(right_source), Box::new(left_sink)),
        false => (Box::new(left_source), Box::new(right_sink)),
    };
    within_for(SECOND * 3600, async { tokio::join!(receive(&mut *source), sending(sink)) }).await;
    received
}

fn both(seed: u64, faults: Faults) -> FaultPlan {
    FaultPlan::new(seed).inbound(faults.clone()).outbound(faults)
}

#[tokio::test]
async fn a_corrupted_frame_is_another_one_and_its_siblings_are_whole() {
    let frames: Vec<_> = (0..3).map(message).collect();
    for (how, longer) in [
        (Corruption::FlipBit, 0),
        (Corruption::ChangeByte, 0),
        (Corruption::InsertByte, 1),
        (Corruption::RemoveByte, -1),
    ] {
        for (seed, outbound) in (0..20).flat_map(|seed| [(seed, false), (seed, true)]) {
            let plan = both(seed, Faults::none().corrupt(1, how));
            let received = within(through(&plan, &frames, None, outbound)).await;
            assert_eq!((&received[0], &received[2], received.len()), (&frames[0], &frames[2], 3));
            assert_ne!(received[1], frames[1], "{plan}");
            assert_eq!(received[1].len() as isize - frames[1].len() as isize, longer, "{plan}");
            assert!(!received[1].iter().any(|byte| matches!(byte, b'\n' | b'\r')), "{plan}");
            let bits = received[1].iter().zip(&frames[1]).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
            assert!(how != Corruption::FlipBit || bits == 1, "{bits} bits: {plan}");
            assert_eq!((plan.stats().of(FaultKind::Corrupt), plan.stats().total()), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_doubled_frame_comes_twice() {
    let frames: Vec<_> = (0..3).map(message).collect();
    for outbound in [false, true] {
        let plan = both(1, Faults::none().duplicate(1));
        let received = within(through(&plan, &frames, None, outbound)).await;
        assert_eq!(received, [0, 1, 1, 2].map(message));
        assert_eq!(plan.stats().of(FaultKind::Duplicate), 1);
    }
    // The exchange of a doubled answer ends with its double.
    let (lane, mut script) = scripted_lane(LaneLimits::default());
    let (_source, mut sink) = FaultPlan::new(1).outbound(Faults::none().duplicate(0)).wrap(lane).split();
    within(sink.send(Frame::from(message(1)).on(Route::new(7)).last())).await.expect("there is room");
    for last in [false, true] {
        let frame = within(script.take()).await.expect("a frame");
        assert_eq!((frame.route(), frame.is_last(), frame.len()), (Route::new(7), last, message(1).len()));
    }
}

#[tokio::test(start_paused = true)]
async fn exchanges_overtake_each_other_and_each_keeps_its_order() {
    let sent: Vec<_> =
        [(1, 0), (2, 1), (1, 2), (0, 3), (3, 4)].map(|(r, n)| (Route::new(r), message(n))).into();
    let expected = [(2, 1), (0, 3), (3, 4), (1, 0), (1, 2)].map(|(r, n)| (Route::new(r), message(n)));
    let plan = both(1, Faults::none().reorder(0, SECOND));

    let (lane, script) = scripted_lane(LaneLimits::default());
    let mut source = plan.wrap(lane).split().0;
    for (route, bytes) in &sent {
        let inbound = match *route {
            Route::LANE => Inbound::Frame(bytes.clone()),
            route => Inbound::Routed(route, bytes.clone()),
        };
        assert!(within(script.give(inbound)).await);
    }
    drop(script);
    let mut received = Vec::new();
    loop {
        received.push(match within(source.receive()).await.expect("no error") {
            Inbound::Frame(bytes) => (Route::LANE, bytes),
            Inbound::Routed(route, bytes) => (route, bytes),
            Inbound::End(_) => break,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(received, expected);

    let (lane, mut script) = scripted_lane(LaneLimits::default());
    let mut sink = plan.wrap(lane).split().1;
    for (route, bytes) in sent {
        sink.start_send(Frame::from(bytes).on(route)).expect("it is small");
    }
    within(sink.flush()).await.expect("it is taken");
    for expected in expected {
        let frame = within(script.take()).await.expect("a frame");
        assert_eq!((frame.route(), frame.into_bytes()), expected);
    }
    assert_eq!(sink.frames_begun(), 5);
    assert_eq!(plan.stats().of(FaultKind::Reorder), 2);
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_lane_overtake_each_other_only_if_asked_to() {
    let note = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/progress"}"#);
    let frames = [message(1), message(2), message(1), note.clone(), message(3)];
    for outbound in [false, true] {
        let plan = both(1, Faults::none().reorder(0, SECOND));
        assert_eq!(within(through(&plan, &frames, None, outbound)).await, frames);
        assert_eq!(plan.stats().total(), 0);

        let plan = both(1, Faults::none().reorder_messages(0, SECOND));
        let received = within(through(&plan, &frames, None, outbound)).await;
        // Nothing overtakes a notification, and messages with one id keep their order.
        assert_eq!(received, [message(2), message(1), message(1), note.clone(), message(3)]);
        assert_eq!(plan.stats().of(FaultKind::Reorder), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_set_aside_has_a_bound() {
    let (lane, script) = scripted_lane(LaneLimits::default());
    let plan = FaultPlan::new(1).inbound(Faults::none().reorder(Which::OneIn(1), SECOND));
    let mut source = plan.wrap(lane).split().0;
    for number in 1..=100 {
        assert!(within(script.give(Inbound::Routed(Route::new(number), message(0)))).await);
    }
    let start = Instant::now();
    for _ in 0..100 {
        assert!(matches!(within(source.receive()).await, Ok(Inbound::Routed(..))));
    }
    // The second half of them was taken only when the first had gone.
    assert!(start.elapsed() >= SECOND * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_a_half_open_cut_everything_is_taken_and_nothing_comes() {
    let (left, right) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let plan = both(1, Faults::none().half_open(1));
    let ((mut source, mut sink), (mut far_source, mut far_sink)) = (plan.wrap(left).split(), right.split());
    for number in 0..5 {
        within(sink.send(message(number).into())).await.expect("it is taken");
        within(far_sink.send(message(number).into())).await.expect("it is taken");
    }
    within(sink.close()).await.expect("it is taken");
    assert_eq!(sink.frames_begun(), 5);
    for source in [&mut source as &mut dyn towpath_raw::FrameSource, &mut far_source] {
        assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(bytes)) if bytes == message(0)));
    }
    within(far_sink.close()).await.expect("it is taken");
    let silence =
        async { tokio::join!(timeout(SECOND, source.receive()), timeout(SECOND, far_source.receive())) };
    assert!(matches!(within(silence).await, (Err(_), Err(_))), "not even the end comes");
    assert_eq!(plan.stats().of(FaultKind::HalfOpen), 8);
    // The far side is taken from, too.
    assert_eq!(far_sink.queued_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_takes_its_time_and_still_reads() {
    let frame = Bytes::from(vec![b'x'; 10_000]);
    for outbound in [false, true] {
        let start = Instant::now();
        // A hundred seconds for each, and no silence that is longer than the write stall of 30.
        let plan = both(1, Faults::none().slow(1000, SECOND * 10));
        let sent = [frame.clone(), frame.clone()];
        assert_eq!(within_for(SECOND * 300, through(&plan, &sent, None, outbound)).await, sent);
        assert!(start.elapsed() >= SECOND * 200 && start.elapsed() < SECOND * 201, "{:?}", start.elapsed());
        assert_eq!(plan.stats().of(FaultKind::Slow), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_the_same_frames_whatever_the_timing_and_another_one_gives_others() {
    let frames: Vec<_> = (0..100).map(message).collect();
    let plan = |seed| {
        let faults = Faults::none()
            .delay(Duration::ZERO..=SECOND)
            .in_pieces(3)
            .truncate(Which::OneIn(10))
            .corrupt(Which::OneIn(10), Corruption::Any)
            .duplicate(Which::OneIn(10))
            .stall(Which::OneIn(30), Some(SECOND))
            .cut(Which::OneIn(500), Cut::End);
        both(seed, faults).with_timeouts(LaneTimeouts::default().with_write_stall(None))
    };
    for outbound in [false, true] {
        let (once, again) = (plan(3), plan(3));
        let received = within_for(SECOND * 3600, through(&once, &frames, None, outbound)).await;
        let slowly = through(&again, &frames, Some(Duration::from_millis(300)), outbound);
        assert_eq!(received, within_for(SECOND * 3600, slowly).await);
        assert_eq!(once.stats(), again.stats());
        for kind in [FaultKind::Delay, FaultKind::Pieces, FaultKind::Truncate, FaultKind::Corrupt] {
            assert!(once.stats().of(kind) > 0, "{}", once.stats());
        }
        assert!(once.stats().of(FaultKind::Duplicate) > 0 && once.stats().of(FaultKind::Stall) > 0);
        assert_ne!(received, within_for(SECOND * 3600, through(&plan(4), &frames, None, outbound)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn chance_cuts_and_stalls_too() {
    let (left, right) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let plan = FaultPlan::new(1).outbound(Faults::none().cut(Which::OneIn(5), Cut::End));
    let (mut sink, _source) = (plan.wrap(left).split().1, right.split().0);
    let mut sent = 0;
    let error = loop {
        match within(sink.send(message(0).into())).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(sent < 100 && matches!(error, LaneError::Closed { .. }), "{sent}: {error}");
    assert_eq!(plan.stats().of(FaultKind::Cut), 1);
    let plan = FaultPlan::new(1).inbound(Faults::none().stall(Which::OneIn(1), Some(SECOND)));
    let start = Instant::now();
    assert_eq!(within(through(&plan, &[message(0), message(1)], None, false)).await.len(), 2);
    assert!(start.elapsed() >= SECOND * 2 && plan.stats().of(FaultKind::Stall) == 2);
}
