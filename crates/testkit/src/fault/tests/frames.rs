use std::{io::ErrorKind, task::Waker, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts};

use crate::{
    Cut, FaultPlan, FaultSink, FaultSource, Faults, MemorySink, MemorySource, contract, memory_pair,
    memory_pair_uneven, within, within_for,
};

fn frame(number: usize) -> Frame {
    Frame::from(Bytes::from(vec![b'0' + number as u8; 20]))
}

/// Frames come into the faulty lane.
async fn inbound(faults: Faults, frames: usize) -> (FaultSource<MemorySource>, MemorySink) {
    let (left, right) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let source = FaultPlan::new(1).inbound(faults).wrap(left).split().0;
    let mut sink = right.split().1;
    for number in 0..frames {
        within(sink.send(frame(number))).await.expect("there is room");
    }
    (source, sink)
}

/// Frames go out through the faulty lane.
fn outbound(faults: Faults) -> (FaultSink<MemorySink>, MemorySource) {
    let (left, right) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let sink = FaultPlan::new(1).outbound(faults).wrap(left).split().1;
    (sink, right.split().0)
}

fn is(inbound: Result<Inbound, LaneError>, number: usize) -> bool {
    matches!(inbound, Ok(Inbound::Frame(bytes)) if bytes == frame(number).into_bytes())
}

#[tokio::test]
async fn frames_in_pieces_keep_the_contract() {
    for pieces in [0, 3] {
        contract::run(async |setup: contract::Setup| {
            let (left, right) = memory_pair_uneven(setup.left.clone(), setup.right, setup.timeouts.clone());
            let faults = Faults::none().in_pieces(pieces);
            let plan = FaultPlan::unseeded().inbound(faults.clone()).outbound(faults);
            (plan.with_limits(setup.left).with_timeouts(setup.timeouts).wrap(left), right)
        })
        .await;
    }
}

#[tokio::test]
async fn pieces_take_several_polls() {
    let (mut source, _sink) = inbound(Faults::none().in_pieces(3), 9).await;
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let mut polls = Vec::new();
    for number in 0..9 {
        let mut waited = 0;
        loop {
            match towpath_raw::FrameSource::poll_frame(&mut source, &mut cx) {
                std::task::Poll::Ready(inbound) => break assert!(is(inbound, number)),
                std::task::Poll::Pending => waited += 1,
            }
            assert!(waited <= 3, "it waits for more polls than planned");
        }
        polls.push(waited);
    }
    assert!(polls.iter().any(|waited| *waited > 0), "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_draws_the_same_delays() {
    async fn delays(seed: u64) -> Vec<Duration> {
        let (left, right) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
        let range = Duration::from_secs(1)..=Duration::from_secs(3);
        let mut source =
            FaultPlan::new(seed).inbound(Faults::none().delay(range.clone())).wrap(left).split().0;
        let mut sink = right.split().1;
        let mut delays = Vec::new();
        for number in 0..5 {
            within(sink.send(frame(number))).await.expect("there is room");
            let start = Instant::now();
            assert!(is(within(source.receive()).await, number));
            delays.push(start.elapsed());
        }
        // Tokio's timer has a granularity of a millisecond.
        assert!(delays.iter().all(|delay| range.contains(&(*delay - Duration::from_millis(1)))));
        delays
    }
    assert_eq!(delays(3).await, delays(3).await);
    assert_ne!(delays(3).await, delays(4).await);
}

#[tokio::test]
async fn one_frame_is_cut_short_and_its_siblings_are_whole() {
    let (mut source, _sink) = inbound(Faults::none().truncate(1), 3).await;
    assert!(is(within(source.receive()).await, 0));
    let short = within(source.receive()).await;
    assert!(matches!(&short, Ok(Inbound::Frame(bytes)) if (1..20).contains(&bytes.len())), "{short:?}");
    assert!(is(within(source.receive()).await, 2));

    let (mut sink, mut source) = outbound(Faults::none().truncate(0));
    within(sink.send(frame(0))).await.expect("there is room");
    let short = within(source.receive()).await;
    assert!(matches!(&short, Ok(Inbound::Frame(bytes)) if (1..20).contains(&bytes.len())), "{short:?}");
}

#[tokio::test]
async fn a_cut_inbound_ends_as_planned_and_the_peer_notices() {
    for how in [Cut::End, Cut::MidFrame, Cut::Error(ErrorKind::ConnectionReset)] {
        let (mut source, mut sink) = inbound(Faults::none().cut(2, how), 3).await;
        assert!(is(within(source.receive()).await, 0) && is(within(source.receive()).await, 1));
        for _ in 0..2 {
            match (how, within(source.receive()).await) {
                (Cut::End, Ok(Inbound::End(end))) => assert_eq!(end.truncated_bytes, 0),
                (Cut::MidFrame, Ok(Inbound::End(end))) => assert!((1..20).contains(&end.truncated_bytes)),
                (Cut::Error(kind), Err(LaneError::Io { source, .. })) => assert_eq!(source.kind(), kind),
                (_, other) => panic!("{how:?} gave {other:?}"),
            }
        }
        assert!(matches!(within(sink.send(frame(3))).await, Err(LaneError::Closed { .. })));
    }
    // A peer that says nothing is cut as well.
    let (mut source, _sink) = inbound(Faults::none().cut(0, Cut::End), 0).await;
    assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
}

#[tokio::test]
async fn a_cut_outbound_ends_as_planned_and_the_peer_sees_the_end() {
    for how in [Cut::End, Cut::MidFrame, Cut::Error(ErrorKind::ConnectionReset)] {
        let (mut sink, mut source) = outbound(Faults::none().cut(1, how));
        within(sink.send(frame(0))).await.expect("before the cut");
        for _ in 0..2 {
            let error = within(sink.send(frame(1))).await.expect_err("after the cut");
            match (how, &error) {
                (Cut::Error(kind), LaneError::Io { source, .. }) => assert_eq!(source.kind(), kind),
                (Cut::End | Cut::MidFrame, LaneError::Closed { .. }) => {}
                _ => panic!("{how:?} gave {error}"),
            }
        }
        assert!(is(within(source.receive()).await, 0));
        let mut begun = 1;
        if how == Cut::MidFrame {
            let short = within(source.receive()).await;
            assert!(matches!(&short, Ok(Inbound::Frame(bytes)) if (1..20).contains(&bytes.len())));
            begun = 2;
        }
        assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
        assert_eq!(towpath_raw::FrameSink::frames_begun(&sink), begun);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_lasts_as_long_as_planned() {
    let hour = Duration::from_secs(3600);
    let (mut source, _sink) = inbound(Faults::none().stall(1, Some(hour)), 3).await;
    assert!(is(within(source.receive()).await, 0));
    let start = Instant::now();
    assert!(is(within_for(hour * 2, source.receive()).await, 1));
    assert!(start.elapsed() >= hour);
    assert!(is(within(source.receive()).await, 2));

    let (mut source, sink) = inbound(Faults::none().stall(1, None), 3).await;
    assert!(is(within(source.receive()).await, 0));
    drop(sink);
    assert!(tokio::time::timeout(hour, source.receive()).await.is_err(), "not even the end passes");
}

#[tokio::test(start_paused = true)]
async fn a_stall_outbound_is_a_peer_that_does_not_read() {
    let (mut sink, mut source) = outbound(Faults::none().stall(1, None));
    within(sink.send(frame(0))).await.expect("before the stall");
    let error = within_for(Duration::from_secs(60), sink.send(frame(1))).await.expect_err("it stalls");
    assert!(matches!(error, LaneError::PeerNotReading { unsent_bytes: 20, .. }), "{error}");
    assert!(is(within(source.receive()).await, 0));
}
