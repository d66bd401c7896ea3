use std::{rc::Rc, time::Instant};

use super::*;
use crate::Id;

fn answer<T>(outgoing: &mut Outgoing<T>, id: u64) -> Answer<T> {
    outgoing.answer(&Id::from(id))
}

#[test]
fn ids_count_from_one_and_answers_find_their_request_in_any_order() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let now = Instant::now();
    let ids: Vec<u64> = ["a", "b", "c"].map(|value| outgoing.insert(now, NONE, value).unwrap()).into();
    assert_eq!(ids, [1, 2, 3]);
    *outgoing.get_mut(2).unwrap() = "B";
    assert_eq!(answer(&mut outgoing, 3), Answer::Matched(3, "c"));
    assert_eq!(answer(&mut outgoing, 1), Answer::Matched(1, "a"));
    assert_eq!(outgoing.get_mut(1), None);
    assert_eq!(outgoing.len(), 1);
    assert_eq!(answer(&mut outgoing, 2), Answer::Matched(2, "B"));
    assert!(outgoing.is_empty());
}

#[test]
fn an_answer_to_the_string_of_an_id_is_unknown() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let id = outgoing.insert(Instant::now(), NONE, ()).unwrap();
    for other in
        [Id::from("1"), Id::from(-1_i64), Id::from(0_u64), Id::from(2_u64), Id::from(u64::MAX), Id::from("")]
    {
        assert_eq!(outgoing.answer(&other), Answer::Unknown, "{other}");
    }
    assert_eq!(outgoing.stats().unknown, 6);
    assert_eq!(answer(&mut outgoing, id), Answer::Matched(1, ()));
}

#[test]
fn a_second_answer_is_a_duplicate_and_a_late_one_is_late_once() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let now = Instant::now();
    for _ in 0..3 {
        outgoing.insert(now, total(SECOND), ()).unwrap();
    }
    assert_eq!(answer(&mut outgoing, 1), Answer::Matched(1, ()));
    assert_eq!(answer(&mut outgoing, 1), Answer::Duplicate);
    assert_eq!(outgoing.cancel(2), Some(()));
    assert_eq!(outgoing.cancel(2), None);
    assert_eq!(outgoing.handle_timeout(now + SECOND).map(|expired| expired.id), Some(3));
    for id in [2, 3] {
        assert_eq!(answer(&mut outgoing, id), Answer::Late);
        assert_eq!(answer(&mut outgoing, id), Answer::Duplicate);
    }
    let expected = OutgoingStats { late: 2, duplicate: 3, cancelled: 1, timed_out: 1, ..Default::default() };
    assert_eq!(outgoing.stats(), expected);
}

#[test]
fn an_id_whose_slot_is_taken_is_passed_over_and_none_is_used_twice() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let now = Instant::now();
    let long_lived = outgoing.insert(now, NONE, u64::MAX).unwrap();
    let mut last = long_lived;
    for lap in 0..1000 {
        let id = outgoing.insert(now, NONE, lap).unwrap();
        assert!(id > last);
        assert_ne!(id % 64, long_lived % 64, "the slot is taken");
        assert_eq!(answer(&mut outgoing, id), Answer::Matched(id, lap));
        last = id;
    }
    assert_eq!(last, 1 + 1000 + 15, "one id in each of 15 laps was passed over");
    assert_eq!(outgoing.slots(), 64);
    assert_eq!(answer(&mut outgoing, long_lived), Answer::Matched(long_lived, u64::MAX));
}

#[test]
fn the_table_grows_with_what_is_in_flight_and_no_further() {
    let mut outgoing = Outgoing::new(&limits(1024, 0));
    let now = Instant::now();
    assert_eq!(outgoing.slots(), 0);
    let ids: Vec<u64> = (0..1024).map(|value| outgoing.insert(now, NONE, value).unwrap()).collect();
    assert_eq!(outgoing.slots(), 2048);
    for _ in 0..10_000 {
        assert!(outgoing.insert(now, NONE, 0).is_err());
    }
    for (value, id) in (0..1024).zip(ids) {
        assert_eq!(answer(&mut outgoing, id), Answer::Matched(id, value));
    }
    for value in 0..100_000 {
        let id = outgoing.insert(now, NONE, value).unwrap();
        assert_eq!(answer(&mut outgoing, id), Answer::Matched(id, value));
    }
    assert_eq!(outgoing.slots(), 2048);
}

#[test]
fn at_the_limit_a_request_is_refused_by_the_name_of_the_setting() {
    let mut outgoing = Outgoing::new(&limits(2, 0));
    let now = Instant::now();
    outgoing.insert(now, NONE, ()).unwrap();
    outgoing.insert(now, NONE, ()).unwrap();
    let error = outgoing.insert(now, NONE, ()).unwrap_err();
    assert_eq!(error, InFlightLimit { limit: 2 });
    assert!(
        error.to_string().contains("max_in_flight") && error.to_string().contains("2 requests"),
        "{error}"
    );
    assert_eq!(outgoing.stats().refused, 1);
    assert_eq!(answer(&mut outgoing, 1), Answer::Matched(1, ()));
    assert_eq!(outgoing.insert(now, NONE, ()), Ok(3), "a refused request uses up no id");
}

#[test]
fn progress_restarts_the_idle_deadline_but_never_the_total_one() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let start = Instant::now();
    let deadlines = Deadlines { idle: Some(2 * SECOND), total: Some(5 * SECOND) };
    let id = outgoing.insert(start, deadlines, "lively").unwrap();
    let silent = outgoing.insert(start, deadlines, "silent").unwrap();
    for second in 1..5 {
        let now = start + second * SECOND;
        assert!(outgoing.progress(now, id));
        let expired = outgoing.handle_timeout(now);
        match second {
            2 => {
                let expected =
                    Expired { id: silent, value: "silent", which: Deadline::Idle, after: 2 * SECOND };
                assert_eq!(expired, Some(expected));
            }
            _ => assert_eq!(expired, None, "after {second} s"),
        }
    }
    let expected = Expired { id, value: "lively", which: Deadline::Total, after: 5 * SECOND };
    assert_eq!(outgoing.handle_timeout(start + 5 * SECOND), Some(expected));
    assert!(!outgoing.progress(start + 5 * SECOND, id));
}

#[test]
fn progress_between_the_timeouts_of_one_burst_saves_its_request() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let start = Instant::now();
    let deadlines = Deadlines { idle: Some(SECOND), total: None };
    for value in 0..3 {
        outgoing.insert(start, deadlines, value).unwrap();
    }
    let now = start + SECOND;
    assert_eq!(outgoing.handle_timeout(now).map(|expired| expired.value), Some(0));
    // Both were found by the same look at the table.
    assert!(outgoing.progress(now, 2));
    assert_eq!(answer(&mut outgoing, 3), Answer::Matched(3, 2));
    assert_eq!(outgoing.handle_timeout(now), None);
    assert_eq!(outgoing.poll_timeout(), Some(now + SECOND));
    assert_eq!(outgoing.handle_timeout(now + SECOND).map(|expired| expired.value), Some(1));
}

#[test]
fn a_clock_that_steps_back_in_a_burst_forgets_no_deadline() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let start = Instant::now();
    outgoing.insert(start, total(SECOND), 1).unwrap();
    outgoing.insert(start, total(2 * SECOND), 2).unwrap();
    let now = start + 2 * SECOND;
    assert_eq!(outgoing.handle_timeout(now).map(|expired| expired.value), Some(1));
    assert_eq!(outgoing.handle_timeout(start), None);
    assert_eq!(outgoing.poll_timeout(), Some(now));
    assert_eq!(outgoing.handle_timeout(now).map(|expired| expired.value), Some(2));
}

#[test]
fn a_burst_of_timeouts_ends_every_request_with_one_look_at_the_table() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let start = Instant::now();
    // The deadlines are in no order, and each differs from the others.
    let millis = |value: u64| value * 389 % 1024;
    for value in 0..1024 {
        outgoing.insert(start, total(Duration::from_millis(millis(value))), value).unwrap();
    }
    let now = start + 2 * SECOND;
    for earliest in 0..1024 {
        assert!(outgoing.poll_timeout().is_some_and(|at| at <= now), "there is more to end now");
        assert_eq!(outgoing.handle_timeout(now).map(|expired| millis(expired.value)), Some(earliest));
    }
    assert_eq!(outgoing.handle_timeout(now), None);
    assert_eq!(outgoing.poll_timeout(), None);
    assert_eq!((outgoing.scans(), outgoing.len(), outgoing.stats().timed_out), (1, 0, 1024));
}

#[test]
fn waking_up_for_a_request_that_was_answered_finds_the_next_deadline() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let start = Instant::now();
    let first = outgoing.insert(start, total(SECOND), ()).unwrap();
    outgoing.insert(start, total(3 * SECOND), ()).unwrap();
    answer(&mut outgoing, first);
    assert_eq!(outgoing.poll_timeout(), Some(start + SECOND), "a wake-up for nothing, but only one");
    assert_eq!(outgoing.handle_timeout(start + SECOND), None);
    assert_eq!(outgoing.poll_timeout(), Some(start + 3 * SECOND));
}

#[test]
fn a_table_found_empty_when_its_time_comes_gives_its_memory_back() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let start = Instant::now();
    for _ in 0..1024 {
        outgoing.insert(start, total(SECOND), ()).unwrap();
    }
    for id in 1..=1024 {
        answer(&mut outgoing, id);
    }
    assert_eq!(outgoing.handle_timeout(start + SECOND), None);
    assert_eq!((outgoing.slots(), outgoing.poll_timeout()), (0, None));
    assert_eq!(outgoing.insert(start, NONE, ()), Ok(1025));
}

#[test]
fn a_deadline_beyond_the_clock_is_none() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let deadlines = Deadlines { idle: Some(Duration::MAX), total: Some(Duration::MAX) };
    let id = outgoing.insert(Instant::now(), deadlines, ()).unwrap();
    assert!(outgoing.progress(Instant::now(), id));
    assert_eq!(outgoing.poll_timeout(), None);
}

#[test]
fn the_default_deadlines_are_ten_minutes_in_all_and_no_idle_one() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let now = Instant::now();
    outgoing.insert(now, Deadlines::default(), ()).unwrap();
    assert_eq!(outgoing.poll_timeout(), Some(now + 600 * SECOND));
    assert_eq!(Deadlines::default().idle, None);
}

#[test]
fn by_default_1024_requests_may_be_in_flight_and_1024_are_remembered() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let now = Instant::now();
    for id in 1..=1025 {
        outgoing.insert(now, NONE, ()).unwrap();
        outgoing.cancel(id).unwrap();
    }
    assert_eq!(outgoing.stats().tombstones_evicted, 1);
    for _ in 0..1024 {
        outgoing.insert(now, NONE, ()).unwrap();
    }
    assert_eq!(outgoing.insert(now, NONE, ()), Err(InFlightLimit { limit: 1024 }));
}

#[test]
fn the_oldest_tombstone_is_evicted_at_the_limit() {
    let mut outgoing = Outgoing::new(&limits(1024, 2));
    let now = Instant::now();
    for id in 1..=3 {
        outgoing.insert(now, NONE, ()).unwrap();
        outgoing.cancel(id).unwrap();
    }
    assert_eq!(outgoing.stats().tombstones_evicted, 1);
    assert_eq!(answer(&mut outgoing, 1), Answer::Duplicate);
    assert_eq!(answer(&mut outgoing, 2), Answer::Late);
    assert_eq!(answer(&mut outgoing, 3), Answer::Late);
}

#[test]
fn without_tombstones_a_late_answer_is_a_duplicate() {
    let mut outgoing = Outgoing::new(&limits(1024, 0));
    let id = outgoing.insert(Instant::now(), NONE, ()).unwrap();
    outgoing.cancel(id).unwrap();
    assert_eq!(answer(&mut outgoing, id), Answer::Duplicate);
    assert_eq!(outgoing.stats().tombstones_evicted, 1);
}

#[test]
fn drain_ends_every_request_once_even_when_nobody_looks() {
    let mut outgoing = Outgoing::new(&CorrelationLimits::default());
    let now = Instant::now();
    let counted = Rc::new(());
    for _ in 0..100 {
        outgoing.insert(now, total(SECOND), Rc::clone(&counted)).unwrap();
    }
    outgoing.cancel(50).unwrap();
    let mut ids: Vec<u64> = outgoing.drain().map(|(id, _)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=100).filter(|id| *id != 50).collect::<Vec<_>>());
    assert_eq!(outgoing.drain().count(), 0);
    assert_eq!((outgoing.len(), outgoing.poll_timeout()), (0, None));
    assert_eq!(outgoing.handle_timeout(now + SECOND), None);

    assert_eq!(outgoing.insert(now, NONE, Rc::clone(&counted)), Ok(101));
    drop(outgoing.drain());
    assert_eq!(Rc::strong_count(&counted), 1);
}
