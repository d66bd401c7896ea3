use std::{io::ErrorKind, time::Duration};

use towpath_raw::{LaneLimits, LaneTimeouts};

use super::*;

mod changes;
mod frames;
mod http;
mod stream;

/// The plan is written as the very code that stands here.
macro_rules! is_its_code {
    ($plan:expr) => {
        let bare =
            |text: &str| text.split_whitespace().collect::<String>().replace(",)", ")").replace('_', "");
        assert_eq!(bare(&$plan.to_string()), bare(stringify!($plan)));
    };
}

#[test]
fn a_plan_is_written_as_the_code_that_makes_it() {
    is_its_code!(FaultPlan::new(4711));
    is_its_code!(
        FaultPlan::new(18446744073709551615)
            .inbound(
                Faults::none()
                    .delay(Duration::ZERO..=Duration::from_millis(1500))
                    .in_pieces(3)
                    .slow(100, Duration::from_nanos(1001))
                    .truncate(2)
                    .corrupt(Which::OneIn(20), Corruption::FlipBit)
                    .duplicate(Which::OneIn(1))
                    .reorder(0, Duration::from_secs(7200))
                    .stall(4, None)
                    .half_open(9)
                    .cut(8, Cut::Error(ErrorKind::ConnectionReset))
            )
            .outbound(
                Faults::none()
                    .reorder_messages(Which::OneIn(3), Duration::from_micros(5))
                    .stall(Which::OneIn(4), Some(Duration::from_secs(1)))
                    .cut(3, Cut::MidFrame)
            )
            .with_limits(
                LaneLimits::default()
                    .with_max_message_bytes(1000)
                    .with_write_queue_bytes(2000)
                    .with_write_queue_frames(3)
            )
            .with_timeouts(LaneTimeouts::default().with_write_stall(None))
    );
    is_its_code!(
        StreamPlan::new(1)
            .reading(
                StreamFaults::none()
                    .chunks(7)
                    .delay(Duration::from_secs(1)..=Duration::from_secs(1))
                    .in_pieces(1)
                    .slow(5, Duration::from_millis(1))
                    .corrupt(5, Corruption::Any)
            )
            .writing(StreamFaults::none().stall(5, None).half_open(6).cut(7, Cut::End))
    );
    is_its_code!(
        HttpPlan::new(2)
            .head_delay(Duration::ZERO..=Duration::from_secs(1))
            .lose_request(1)
            .lose_answer(Which::OneIn(7))
            .duplicate(3)
            .reorder(4, Duration::from_secs(1))
            .request(5, StreamFaults::none().cut(7, Cut::End))
            .response(Which::OneIn(1), StreamFaults::none())
    );
}

#[test]
fn a_seed_draws_its_script_and_another_one_draws_another() {
    let scripts = |seed: u64| {
        let (lane, stream) = (FaultPlan::random(seed), StreamPlan::random(seed));
        assert_eq!([lane.seed(), stream.seed(), HttpPlan::random(seed).seed()], [seed; 3]);
        // Without the seeds, which are different anyhow.
        let texts = [lane.to_string(), stream.to_string(), HttpPlan::random(seed).to_string()];
        texts.map(|text| text.split_once(')').map(|(_, script)| script.to_owned()).unwrap_or_default())
    };
    let all: Vec<_> = (0..50).map(scripts).collect();
    assert_eq!(all, (0..50).map(scripts).collect::<Vec<_>>());
    for level in 0..3 {
        let different: std::collections::BTreeSet<_> = all.iter().map(|texts| &texts[level]).collect();
        assert!(different.len() > 10, "only {different:?}");
    }
    assert_ne!(FaultPlan::unseeded().seed(), FaultPlan::unseeded().seed());
}

#[test]
fn what_was_done_is_shown_by_kind() {
    let counters = stats::Counters::default();
    assert_eq!(counters.stats().to_string(), "nothing");
    FaultKind::ALL.into_iter().for_each(|kind| counters.count(kind));
    counters.count(FaultKind::Cut);
    let stats = counters.stats();
    assert!(FaultKind::ALL.into_iter().all(|kind| stats.of(kind) == 1 + u64::from(kind == FaultKind::Cut)));
    assert!(stats.total() == 13 && stats.to_string().contains("Truncate 1, Cut 2, HalfOpen 1"), "{stats}");
}
