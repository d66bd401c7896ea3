//! Both tables against naive models: ordered maps that are searched from end to end.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use proptest::prelude::*;

use super::*;
use crate::Id;

const MAX_IN_FLIGHT: usize = 48;
const MAX_TOMBSTONES: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Insert {
        idle: Option<u8>,
        total: Option<u8>,
    },
    Answer(u64),
    Cancel(u64),
    Progress(u64),
    /// Time passes, and nobody looks.
    Wait(u8),
    /// So many calls of `handle_timeout`.
    Expire(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..200_u64;
    prop_oneof![
        6 => any::<(Option<u8>, Option<u8>)>().prop_map(|(idle, total)| Step::Insert { idle, total }),
        3 => id.clone().prop_map(Step::Answer),
        1 => id.clone().prop_map(Step::Cancel),
        2 => id.prop_map(Step::Progress),
        2 => (0..100_u8).prop_map(Step::Wait),
        2 => (0..20_u8).prop_map(Step::Expire),
    ]
}

fn millis(value: u8) -> Duration {
    Duration::from_millis(u64::from(value))
}

struct Naive {
    idle: Option<(Instant, Duration)>,
    total: Option<(Instant, Duration)>,
}

impl Naive {
    fn deadline(&self) -> Option<Instant> {
        self.idle.iter().chain(&self.total).map(|(at, _)| *at).min()
    }
}

proptest! {
    #[test]
    fn outgoing_does_what_the_naive_model_does(steps in prop::collection::vec(step(), 0..600)) {
        let mut outgoing = Outgoing::new(&limits(MAX_IN_FLIGHT, MAX_TOMBSTONES));
        let mut now = Instant::now();
        let mut model: BTreeMap<u64, Naive> = BTreeMap::new();
        let mut buried: VecDeque<u64> = VecDeque::new();
        let mut highest = 0;
        let mut evicted = 0;
        for step in steps {
            let mut given_up = None;
            match step {
                Step::Insert { idle, total } => {
                    let deadlines = Deadlines { idle: idle.map(millis), total: total.map(millis) };
                    let inserted = outgoing.insert(now, deadlines, model.len());
                    if model.len() == MAX_IN_FLIGHT {
                        prop_assert_eq!(inserted, Err(InFlightLimit { limit: MAX_IN_FLIGHT }));
                    } else {
                        let id = inserted.unwrap();
                        prop_assert!(id > highest);
                        highest = id;
                        let at = |after: Duration| (now + after, after);
                        let (idle, total) = (deadlines.idle.map(at), deadlines.total.map(at));
                        model.insert(id, Naive { idle, total });
                    }
                }
                Step::Answer(id) => {
                    let answer = outgoing.answer(&Id::from(id));
                    if model.remove(&id).is_some() {
                        prop_assert!(matches!(answer, Answer::Matched(matched, _) if matched == id));
                    } else if id == 0 || id > highest {
                        prop_assert_eq!(answer, Answer::Unknown);
                    } else if buried.contains(&id) {
                        buried.retain(|late| *late != id);
                        prop_assert_eq!(answer, Answer::Late);
                    } else {
                        prop_assert_eq!(answer, Answer::Duplicate);
                    }
                }
                Step::Cancel(id) => {
                    let expected = model.remove(&id).map(|_| id);
                    prop_assert_eq!(outgoing.cancel(id).is_some(), expected.is_some());
                    given_up = expected;
                }
                Step::Progress(id) => {
                    let known = model.get_mut(&id);
                    prop_assert_eq!(outgoing.progress(now, id), known.is_some());
                    if let Some((at, after)) = known.and_then(|call| call.idle.as_mut()) {
                        *at = now + *after;
                    }
                }
                Step::Wait(time) => now += millis(time),
                Step::Expire(calls) => {
                    for _ in 0..calls {
                        let expired = outgoing.handle_timeout(now);
                        let passed = |call: &Naive| call.deadline().is_some_and(|at| at <= now);
                        let Some(expired) = expired else {
                            prop_assert!(!model.values().any(passed));
                            prop_assert!(outgoing.poll_timeout().is_none_or(|at| at > now), "a busy loop");
                            break;
                        };
                        let call = model.remove(&expired.id).expect("it was in flight");
                        prop_assert!(passed(&call));
                        let (at, after) = match expired.which {
                            Deadline::Idle => call.idle.expect("it has an idle deadline"),
                            Deadline::Total => call.total.expect("it has a total deadline"),
                        };
                        prop_assert_eq!((Some(at), after), (call.deadline(), expired.after));
                        buried.push_back(expired.id);
                        if buried.len() > MAX_TOMBSTONES {
                            buried.pop_front();
                            evicted += 1;
                        }
                    }
                }
            }
            if let Some(id) = given_up {
                buried.push_back(id);
                if buried.len() > MAX_TOMBSTONES {
                    buried.pop_front();
                    evicted += 1;
                }
            }
            prop_assert_eq!(outgoing.len(), model.len());
            prop_assert_eq!(outgoing.stats().tombstones_evicted, evicted);
            if let Some(earliest) = model.values().filter_map(Naive::deadline).min() {
                let poll = outgoing.poll_timeout();
                prop_assert!(poll.is_some_and(|at| at <= earliest), "{:?} is after {:?}", poll, earliest);
            }
        }
        let mut drained: Vec<u64> = outgoing.drain().map(|(id, _)| id).collect();
        drained.sort_unstable();
        prop_assert_eq!(drained, model.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn incoming_does_what_the_naive_model_does(
        steps in prop::collection::vec((0..6_u8, 0..8_u64, any::<Option<u8>>()), 0..600),
    ) {
        let mut incoming = Incoming::new(&limits(MAX_IN_FLIGHT, 0));
        let mut now = Instant::now();
        let mut model: Vec<(Key, Id, Option<Instant>)> = Vec::new();
        for (step, number, time) in steps {
            let id = if number % 2 == 0 { Id::from(number / 2) } else { Id::from((number / 2).to_string()) };
            match step {
                0..3 => match incoming.insert(now, id.clone(), time.map(millis), ()) {
                    Ok(key) => model.push((key, id, time.map(|after| now + millis(after)))),
                    Err(_) => prop_assert_eq!(model.len(), MAX_IN_FLIGHT),
                },
                3 if !model.is_empty() => {
                    let (key, id, _) = model.remove(number as usize * 7 % model.len());
                    prop_assert_eq!(incoming.finish(key), Some((id, ())));
                    prop_assert_eq!(incoming.finish(key), None);
                }
                4 => now += millis(time.unwrap_or(1)),
                _ => while let Some(overdue) = incoming.handle_timeout(now) {
                    let (_, _, deadline) =
                        model.iter_mut().find(|(key, ..)| *key == overdue.key).expect("it is in flight");
                    prop_assert!(deadline.take().is_some_and(|at| at <= now));
                },
            }
            prop_assert!(model.len() <= MAX_IN_FLIGHT);
            prop_assert_eq!(incoming.len(), model.len());
            for number in 0..4_u64 {
                for id in [Id::from(number), Id::from(number.to_string())] {
                    let keys: Vec<Key> =
                        model.iter().filter(|(_, other, _)| *other == id).map(|(key, ..)| *key).collect();
                    let expected = match keys[..] {
                        [] => Found::Unknown,
                        [key] => Found::One(key),
                        _ => Found::Ambiguous,
                    };
                    prop_assert_eq!(incoming.find(&id), expected);
                }
            }
            if let Some(earliest) = model.iter().filter_map(|(.., deadline)| *deadline).min() {
                prop_assert!(incoming.poll_timeout().is_some_and(|at| at <= earliest));
            }
        }
    }
}
