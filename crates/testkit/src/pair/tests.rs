use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// Asks numbered questions, each of which ends exactly once: answered, or timed out.
#[derive(Default)]
struct Caller {
    to_ask: VecDeque<u8>,
    waiting: BTreeMap<u8, Instant>,
    answered: BTreeSet<u8>,
    timed_out: BTreeMap<u8, Instant>,
    late: u32,
}

impl Machine for Caller {
    fn handle(&mut self, _: Instant, bytes: Bytes) {
        match self.waiting.remove(&bytes[0]) {
            Some(_) => assert!(self.answered.insert(bytes[0])),
            None => self.late += 1,
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        let number = self.to_ask.pop_front()?;
        self.waiting.insert(number, now + DEADLINE);
        Some(vec![number].into())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<_> = self.waiting.extract_if(.., |_, due| *due <= now).collect();
        self.timed_out.extend(due.into_iter().map(|(number, _)| (number, now)));
    }
}

#[derive(Default)]
struct Echo(VecDeque<Bytes>);

impl Machine for Echo {
    fn handle(&mut self, _: Instant, bytes: Bytes) {
        self.0.push_back(bytes);
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<Bytes> {
        self.0.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {
        panic!("it waits for nothing");
    }
}

fn caller() -> Caller {
    Caller { to_ask: (0..100).collect(), ..Caller::default() }
}

#[test]
fn a_perfect_wire_answers_all_in_no_time() {
    let mut pair = Pair::perfect();
    let mut caller = caller();
    pair.drive(&mut caller, &mut Echo::default());
    assert_eq!(caller.answered.len(), 100);
    assert_eq!(pair.clock().elapsed(), Duration::ZERO);
    assert_eq!((pair.stats().0.delivered, pair.stats().1.delivered), (100, 100));
}

#[test]
fn lost_answers_time_out_and_every_question_ends_once() {
    let latency = Duration::from_millis(1)..=Duration::from_millis(50);
    let mut pair = Pair::new(
        Wire::new(1).latency(latency.clone()),
        Wire::new(2).latency(latency).loss(0.2).duplicate(0.2),
    );
    let start = pair.clock().now();
    let mut caller = caller();
    pair.drive(&mut caller, &mut Echo::default());
    let (there, back) = pair.stats();
    assert_eq!((there.lost, caller.timed_out.len() as u64), (0, back.lost));
    assert!(back.lost > 0 && back.duplicated > 0, "{pair}");
    assert_eq!(caller.answered.len() + caller.timed_out.len(), 100);
    assert_eq!(u64::from(caller.late), back.duplicated);
    // To the nanosecond: time moves to deadlines, not past them.
    assert!(caller.timed_out.values().all(|ended| *ended == start + DEADLINE));
    assert_eq!(pair.clock().elapsed(), DEADLINE);
}

#[test]
fn an_answer_after_the_deadline_is_late() {
    let mut pair = Pair::new(Wire::new(1), Wire::new(1).latency(DEADLINE * 2..=DEADLINE * 2));
    let mut caller = caller();
    pair.drive(&mut caller, &mut Echo::default());
    assert_eq!((caller.answered.len(), caller.timed_out.len(), caller.late), (0, 100, 100));
}

#[test]
fn driving_for_a_time_stops_there() {
    let mut pair = Pair::new(Wire::new(1), Wire::new(1).loss(1.0));
    let mut caller = caller();
    pair.drive_for(DEADLINE / 2, &mut caller, &mut Echo::default());
    assert_eq!((pair.clock().elapsed(), caller.waiting.len()), (DEADLINE / 2, 100));
    pair.drive_for(DEADLINE, &mut caller, &mut Echo::default());
    assert_eq!((pair.clock().elapsed(), caller.timed_out.len()), (DEADLINE * 3 / 2, 100));
}

#[test]
fn two_that_are_never_quiet_are_found_out() {
    let mut ping = Echo::default();
    ping.0.push_back(Bytes::from_static(b"ping"));
    let endless = || Pair::perfect().drive(&mut ping, &mut Echo::default());
    let panic = catch_unwind(AssertUnwindSafe(endless)).expect_err("it ended");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("not quiet") && text.contains("seed 0"), "{text}");
}

#[test]
fn the_clock_moves_only_forward_and_only_when_told() {
    let mut clock = VirtualClock::new();
    let start = clock.now();
    clock.advance(DEADLINE);
    assert_eq!((clock.now(), clock.elapsed()), (start + DEADLINE, DEADLINE));
    clock.advance_to(start);
    assert_eq!(clock.now(), start + DEADLINE);
}
