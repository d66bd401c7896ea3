use std::{io::ErrorKind, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    time::{Instant, timeout},
};

use crate::{Corruption, Cut, FaultKind, FaultStream, StreamFaults, StreamPlan, Which, within, within_for};

const SECOND: Duration = Duration::from_secs(1);

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| if at % 40 == 39 { b'\n' } else { b'a' + (at % 23) as u8 }).collect()
}

fn pair(plan: &StreamPlan) -> (FaultStream<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(64 << 10);
    (plan.wrap(near), far)
}

fn both(seed: u64, faults: StreamFaults) -> StreamPlan {
    StreamPlan::new(seed).reading(faults.clone()).writing(faults)
}

/// What comes out when this text goes in, by writes and reads of so many bytes.
async fn through(plan: &StreamPlan, text: &[u8], at_once: usize, writing: bool) -> Vec<u8> {
    async fn copy(
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        text: &[u8],
        at_once: usize,
    ) -> Vec<u8> {
        let send = async move {
            for part in text.chunks(at_once) {
                if to.write_all(part).await.is_err() {
                    return;
                }
            }
            let _ = to.shutdown().await;
        };
        let receive = async {
            let mut received = Vec::new();
            let mut space = vec![0; at_once];
            while let Ok(count @ 1..) = from.read(&mut space).await {
                received.extend_from_slice(&space[..count]);
            }
            received
        };
        within_for(SECOND * 3600, async { tokio::join!(send, receive) }).await.1
    }
    let (near, far) = pair(plan);
    match writing {
        true => copy(far, near, text, at_once).await,
        false => copy(near, far, text, at_once).await,
    }
}

#[tokio::test]
async fn bytes_pass_in_parts_and_all_of_them_pass() {
    let text = text(5000);
    for (seed, up_to) in [(1, 1), (2, 7), (3, 4096)] {
        for writing in [false, true] {
            let plan = both(seed, StreamFaults::none().chunks(up_to).in_pieces(2));
            assert_eq!(within(through(&plan, &text, 512, writing)).await, text);
            assert!(plan.stats().of(FaultKind::Pieces) > 0);
        }
    }
    let (mut near, mut far) = pair(&both(1, StreamFaults::none().chunks(3)));
    let mut parts = Vec::new();
    for _ in 0..50 {
        let written = within(near.write(&text)).await.expect("there is room");
        within(far.write_all(&text[..4])).await.expect("there is room");
        let mut space = [0; 64];
        let read = within(near.read(&mut space)).await.expect("it is there");
        assert!((1..=3).contains(&written) && (1..=3).contains(&read));
        parts.push((written, read));
    }
    assert!((1..=3).all(|length| parts.iter().any(|(written, read)| *written == length && *read > 0)));
}

#[tokio::test]
async fn bytes_are_corrupted_by_their_place_whatever_is_read_at_once() {
    let text = text(5000);
    for writing in [false, true] {
        for (how, longer) in
            [(Corruption::FlipBit, 0), (Corruption::InsertByte, 1), (Corruption::RemoveByte, -1)]
        {
            let plan = both(1, StreamFaults::none().corrupt(4321, how));
            let received = within(through(&plan, &text, 100, writing)).await;
            assert_eq!(received[..4321], text[..4321]);
            assert_eq!(received.len() as isize - text.len() as isize, longer);
            assert_eq!(received[received.len() - 678..], text[4322..], "only one place is changed");
            assert_ne!(received, text);
            assert_eq!(plan.stats().of(FaultKind::Corrupt), 1);
        }
        let plan =
            |seed| both(seed, StreamFaults::none().chunks(9).corrupt(Which::OneIn(50), Corruption::Any));
        let (first, second) = (plan(1), plan(1));
        let received = within(through(&first, &text, 1, writing)).await;
        assert_eq!(received, within(through(&second, &text, 5000, writing)).await);
        let corrupted = first.stats().of(FaultKind::Corrupt);
        assert_eq!(corrupted, second.stats().of(FaultKind::Corrupt));
        assert!((50..200).contains(&corrupted), "{corrupted} of 5000, one in 50");
        assert_ne!(received, within(through(&plan(2), &text, 5000, writing)).await);
    }
}

#[tokio::test]
async fn a_cut_comes_at_its_byte() {
    for writing in [false, true] {
        let plan = both(1, StreamFaults::none().cut(100, Cut::End));
        assert_eq!(within(through(&plan, &text(500), 64, writing)).await, text(100));
        assert_eq!(plan.stats().of(FaultKind::Cut), 1);
        // Byte 119 ends a line, so the next is the first that may be missing within one.
        let plan = both(1, StreamFaults::none().cut(120, Cut::MidFrame));
        assert_eq!(within(through(&plan, &text(500), 64, writing)).await, text(121));
    }
    let (mut near, mut far) = pair(&both(1, StreamFaults::none().cut(2, Cut::End)));
    within(near.write_all(b"12")).await.expect("before the cut");
    assert_eq!(within(near.write(b"3")).await.expect_err("after it").kind(), ErrorKind::BrokenPipe);
    let mut received = String::new();
    within(far.read_to_string(&mut received)).await.expect("a clean end");
    assert_eq!(received, "12");
    within(far.write_all(b"45")).await.expect("the other direction is open");
    within(near.read_exact(&mut [0; 2])).await.expect("the other direction is open");

    let reset = Cut::Error(ErrorKind::ConnectionReset);
    let (mut near, mut far) = pair(&StreamPlan::new(1).reading(StreamFaults::none().cut(0, reset)));
    assert_eq!(within(near.read_u8()).await.expect_err("cut").kind(), ErrorKind::ConnectionReset);
    assert_eq!(within(near.write(b"1")).await.expect_err("cut").kind(), ErrorKind::ConnectionReset);
    assert_eq!(within(far.read(&mut [0; 1])).await.expect("the stream inside was let go"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stall_a_slow_reader_and_delays_take_their_time() {
    for writing in [false, true] {
        for (faults, least, kind) in [
            (StreamFaults::none().stall(100, Some(SECOND * 60)), SECOND * 60, FaultKind::Stall),
            (StreamFaults::none().slow(50, SECOND), SECOND * 8, FaultKind::Slow),
            (StreamFaults::none().chunks(1).delay(SECOND..=SECOND * 2), SECOND * 500, FaultKind::Delay),
        ] {
            let start = Instant::now();
            let plan = both(1, faults);
            assert_eq!(within_for(SECOND * 3600, through(&plan, &text(500), 64, writing)).await, text(500));
            assert!(
                start.elapsed() >= least && start.elapsed() <= least * 2,
                "{plan}: {:?}",
                start.elapsed()
            );
            assert!(plan.stats().of(kind) > 0);
        }
    }
    let (mut near, mut far) = pair(&both(1, StreamFaults::none().stall(1, None)));
    within(near.write_all(b"1")).await.expect("before the stall");
    within(far.write_all(b"1")).await.expect("there is room");
    within(near.read_exact(&mut [0])).await.expect("before the stall");
    drop(far);
    let stalled = async { tokio::join!(timeout(SECOND * 60, near.read_u8())) };
    assert!(within_for(SECOND * 90, stalled).await.0.is_err(), "not even the end passes");
    assert!(timeout(SECOND * 60, near.write(b"2")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_stream_takes_everything_and_gives_nothing() {
    let plan = both(1, StreamFaults::none().half_open(10));
    let (mut near, mut far) = pair(&plan);
    within(near.write_all(&text(200_000))).await.expect("it is taken");
    within(near.shutdown()).await.expect("it is taken");
    within(far.write_all(&text(10))).await.expect("there is room");
    within(near.read_exact(&mut [0; 10])).await.expect("before it is gone");
    let more = text(200_000);
    let (silence, written) = tokio::join!(timeout(SECOND, near.read_u8()), within(far.write_all(&more)));
    assert!(silence.is_err() && written.is_ok());
    let mut space = [0; 64];
    assert_eq!(within(far.read(&mut space)).await.expect("before it is gone"), 10);
    assert!(timeout(SECOND, far.read(&mut space)).await.is_err(), "not even the end is told");
    assert!(plan.stats().of(FaultKind::HalfOpen) > 0);
}

#[test]
fn a_read_into_no_space_takes_nothing() {
    let (near, _far) = pair(&StreamPlan::new(1));
    let (mut near, mut cx) = (std::pin::pin!(near), std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(near.as_mut().poll_read(&mut cx, &mut ReadBuf::new(&mut [])).is_ready());
    assert!(near.as_mut().poll_write(&mut cx, &[]).is_ready());
}
