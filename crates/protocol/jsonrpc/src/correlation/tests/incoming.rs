use std::time::Instant;

use super::*;
use crate::Id;

#[test]
fn equal_ids_are_two_requests_and_the_one_that_is_left_is_found_again() {
    let mut incoming = Incoming::new(&CorrelationLimits::default());
    let now = Instant::now();
    let keys = ["a", "b", "c"].map(|value| incoming.insert(now, Id::from(1_u64), None, value).unwrap());
    assert_eq!(incoming.find(&Id::from(1_u64)), Found::Ambiguous);
    assert_eq!(keys.map(|key| incoming.get(key).copied()), [Some("a"), Some("b"), Some("c")]);
    assert_eq!(incoming.finish(keys[0]), Some((Id::from(1_u64), "a")));
    assert_eq!(incoming.find(&Id::from(1_u64)), Found::Ambiguous);
    assert_eq!(incoming.finish(keys[2]), Some((Id::from(1_u64), "c")));
    assert_eq!(incoming.find(&Id::from(1_u64)), Found::One(keys[1]));
    *incoming.get_mut(keys[1]).unwrap() = "B";
    assert_eq!(incoming.finish(keys[1]), Some((Id::from(1_u64), "B")));
    assert_eq!(incoming.find(&Id::from(1_u64)), Found::Unknown);
    assert!(incoming.is_empty());
}

#[test]
fn a_number_and_its_text_are_different_ids() {
    let mut incoming = Incoming::new(&CorrelationLimits::default());
    let now = Instant::now();
    let number = incoming.insert(now, Id::from(1_u64), None, ()).unwrap();
    assert_eq!(incoming.find(&Id::from("1")), Found::Unknown);
    let text = incoming.insert(now, Id::from("1"), None, ()).unwrap();
    assert_eq!(incoming.find(&Id::from(1_u64)), Found::One(number));
    assert_eq!(incoming.find(&Id::from("1")), Found::One(text));
    assert_eq!(incoming.id(text), Some(&Id::from("1")));
}

#[test]
fn each_request_is_answered_with_the_spelling_of_its_own_id() {
    let mut incoming = Incoming::new(&CorrelationLimits::default());
    let now = Instant::now();
    let spellings = ["\"a\"", "\"\\u0061\""];
    let ids = spellings.map(|token| Id::parse_token(token.as_bytes()).unwrap());
    let keys = ids.map(|id| incoming.insert(now, id, None, ()).unwrap());
    assert_eq!(incoming.find(&Id::from("a")), Found::Ambiguous);
    let tokens = keys.map(|key| incoming.finish(key).unwrap().0.to_string());
    assert_eq!(tokens, spellings);
}

#[test]
fn a_stale_key_finds_nothing() {
    let mut incoming = Incoming::new(&CorrelationLimits::default());
    let now = Instant::now();
    let stale = incoming.insert(now, Id::from(1_u64), None, 0).unwrap();
    incoming.finish(stale).unwrap();
    // Enough to come by the same slot again.
    for value in 1..=64 {
        let key = incoming.insert(now, Id::from(1_u64), None, value).unwrap();
        assert_ne!(key, stale);
        assert_eq!((incoming.get(stale), incoming.id(stale)), (None, None));
        assert_eq!(incoming.get_mut(stale), None);
        assert_eq!(incoming.finish(stale), None);
        assert_eq!(incoming.finish(key), Some((Id::from(1_u64), value)));
    }
}

#[test]
fn a_million_equal_or_distinct_ids_cost_bounded_memory() {
    let mut incoming = Incoming::new(&limits(100, 0));
    let now = Instant::now();
    let mut refused = 0;
    for number in 0..500_000_u64 {
        refused += u64::from(incoming.insert(now, Id::from(number), None, ()).is_err());
        refused += u64::from(incoming.insert(now, Id::from("same"), None, ()).is_err());
    }
    assert_eq!((incoming.len(), refused), (100, 1_000_000 - 100));
    drop(incoming.drain());
    for number in 0..500_000_u64 {
        for id in [Id::from(number), Id::from("same")] {
            let key = incoming.insert(now, id, None, ()).unwrap();
            incoming.finish(key).unwrap();
        }
    }
    let (slots, ids) = incoming.capacity();
    assert!(slots <= 256 && ids <= 256, "{slots} slots, room for {ids} ids");
}

#[test]
fn at_the_limit_a_request_is_refused_by_the_name_of_the_setting() {
    let mut incoming = Incoming::new(&limits(1, 0));
    let now = Instant::now();
    let key = incoming.insert(now, Id::from(1_u64), None, ()).unwrap();
    let error = incoming.insert(now, Id::from(2_u64), None, ()).unwrap_err();
    assert_eq!(error, InFlightLimit { limit: 1 });
    assert!(error.to_string().contains("max_in_flight"), "{error}");
    assert_eq!(incoming.find(&Id::from(2_u64)), Found::Unknown);
    incoming.finish(key).unwrap();
    incoming.insert(now, Id::from(2_u64), None, ()).unwrap();
}

#[test]
fn an_overdue_request_is_named_once_and_stays_until_it_is_finished() {
    let mut incoming = Incoming::new(&CorrelationLimits::default());
    let start = Instant::now();
    let slow = incoming.insert(start, Id::from(1_u64), Some(2 * SECOND), "slow").unwrap();
    let quick = incoming.insert(start, Id::from(2_u64), Some(SECOND), "quick").unwrap();
    let endless = incoming.insert(start, Id::from(3_u64), None, "endless").unwrap();
    assert_eq!(incoming.poll_timeout(), Some(start + SECOND));
    assert_eq!(incoming.handle_timeout(start), None);
    let now = start + 2 * SECOND;
    assert_eq!(incoming.handle_timeout(now), Some(Overdue { key: quick, after: SECOND }));
    assert_eq!(incoming.handle_timeout(now), Some(Overdue { key: slow, after: 2 * SECOND }));
    assert_eq!(incoming.handle_timeout(now), None);
    assert_eq!(incoming.poll_timeout(), None);
    // Another deadline passes, so the table is looked at once more.
    let next = incoming.insert(now, Id::from(4_u64), Some(SECOND), "next").unwrap();
    assert_eq!(incoming.handle_timeout(now + SECOND), Some(Overdue { key: next, after: SECOND }));
    assert_eq!(incoming.handle_timeout(now + SECOND), None);
    assert_eq!(incoming.len(), 4);
    assert_eq!(incoming.finish(slow), Some((Id::from(1_u64), "slow")));
    assert_eq!(incoming.get(endless), Some(&"endless"));
}

#[test]
fn drain_ends_every_request_once() {
    let mut incoming = Incoming::new(&CorrelationLimits::default());
    let now = Instant::now();
    let keys: Vec<Key> =
        (0..100).map(|n| incoming.insert(now, Id::from(n % 10), Some(SECOND), n).unwrap()).collect();
    let mut drained: Vec<_> = incoming.drain().collect();
    drained.sort_by_key(|(_, _, value)| *value);
    let expected: Vec<_> = (0..100_u64).zip(keys).map(|(n, key)| (key, Id::from(n % 10), n)).collect();
    assert_eq!(drained, expected);
    assert_eq!((incoming.len(), incoming.poll_timeout()), (0, None));
    assert_eq!(incoming.find(&Id::from(1_u64)), Found::Unknown);
    assert_eq!(incoming.drain().count(), 0);
}
