//! The correlation table of `towpath-jsonrpc` as a machine, against a peer whose answers get lost.
#![allow(clippy::expect_used, reason = "to panic is how a test reports")]

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{
    Answer, CorrelationLimits, Deadlines, EnvelopeLimits, Id, Kind, Message, Outgoing, encode,
};
use towpath_testkit::{Machine, Pair, Wire};

const CALLS: u64 = 200;
const TOTAL: Duration = Duration::from_secs(30);

/// How a call ended.
#[derive(Debug, PartialEq)]
enum End {
    Answered,
    TimedOut(Instant),
}

struct Caller {
    outgoing: Outgoing<u64>,
    asked: u64,
    ends: BTreeMap<u64, End>,
}

impl Caller {
    fn end(&mut self, call: u64, end: End) {
        assert_eq!(self.ends.insert(call, end), None, "call {call} ended twice");
    }
}

impl Machine for Caller {
    fn handle(&mut self, _: Instant, bytes: Bytes) {
        let message = Message::parse(bytes, &EnvelopeLimits::default()).expect("an answer");
        if let Answer::Matched(_, call) = self.outgoing.answer(message.id().expect("an answer has an id")) {
            self.end(call, End::Answered);
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.asked == CALLS {
            return None;
        }
        let deadlines = Deadlines { idle: None, total: Some(TOTAL) };
        let id = self.outgoing.insert(now, deadlines, self.asked).expect("there is room");
        self.asked += 1;
        let mut out = BytesMut::new();
        encode::request(&mut out, &Id::from(id), "tools/call", None);
        Some(out.freeze())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.outgoing.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(expired) = self.outgoing.handle_timeout(now) {
            self.end(expired.value, End::TimedOut(now));
        }
    }
}

#[derive(Default)]
struct Answerer(VecDeque<Bytes>);

impl Machine for Answerer {
    fn handle(&mut self, _: Instant, bytes: Bytes) {
        let message = Message::parse(bytes, &EnvelopeLimits::default()).expect("a request");
        assert!(matches!(message.kind(), Kind::Request));
        let mut out = BytesMut::new();
        encode::result(&mut out, message.id().expect("a request has an id"), b"{}");
        self.0.push_back(out.freeze());
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<Bytes> {
        self.0.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}

#[test]
fn every_call_ends_exactly_once_whatever_is_lost_doubled_or_late() {
    for seed in 0..20 {
        let wire = |seed| {
            let latency = Duration::from_millis(1)..=Duration::from_secs(20);
            Wire::new(seed).latency(latency).loss(0.1).duplicate(0.1).reordering()
        };
        // Doubled requests are answered twice, so only the way back doubles: its duplicates can be counted.
        let mut pair = Pair::new(wire(seed).duplicate(0.0), wire(seed + 1000));
        let start = pair.clock().now();
        let mut caller = Caller {
            outgoing: Outgoing::new(&CorrelationLimits::default()),
            asked: 0,
            ends: BTreeMap::new(),
        };
        pair.drive(&mut caller, &mut Answerer::default());
        assert_eq!(caller.ends.len() as u64, CALLS, "seed {seed}: {pair}");
        let answered = caller.ends.values().filter(|end| **end == End::Answered).count() as u64;
        assert!(answered > 0 && answered < CALLS, "seed {seed}: {pair}");
        let on_time = |end: &End| *end == End::Answered || *end == End::TimedOut(start + TOTAL);
        assert!(caller.ends.values().all(on_time), "seed {seed}: {:?}", caller.ends);
        let (stats, back) = (caller.outgoing.stats(), pair.stats().1);
        assert_eq!(answered + stats.late + stats.duplicate, back.delivered, "seed {seed}: {stats:?}, {pair}");
        assert!(caller.outgoing.is_empty() && stats.unknown == 0);
    }
}
