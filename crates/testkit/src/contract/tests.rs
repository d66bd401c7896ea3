//! Each check finds out a lane that breaks its promise: a suite that passes everything proves nothing.

mod saboteur;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use self::saboteur::{Fault, Saboteur};
use super::{list::named, *};
use crate::{
    MemoryLane,
    leak::{CountingAllocator, isolated},
    memory_pair_uneven,
};

type Sabotaged = (Saboteur<MemoryLane>, Saboteur<MemoryLane>);

/// Pairs in memory of which both ends have this fault.
fn faulty(fault: Fault) -> Pairs<'static> {
    faulty_as(fault, Profile::default())
}

fn faulty_as(fault: Fault, profile: Profile) -> Pairs<'static> {
    Pairs::new(profile, async move |setup: Setup| -> Sabotaged {
        let (left, right) = memory_pair_uneven(setup.left, setup.right, setup.timeouts);
        (Saboteur::new(left, fault), Saboteur::new(right, fault))
    })
}

/// Pairs in memory whose setup was tampered with.
fn tampered(tamper: fn(Setup) -> Setup) -> Pairs<'static> {
    Pairs::new(Profile::default(), async move |setup: Setup| {
        let setup = tamper(setup);
        memory_pair_uneven(setup.left, setup.right, setup.timeouts)
    })
}

fn lying(profile: Profile) -> Pairs<'static> {
    faulty_as(Fault::None, profile)
}

/// For each check, what breaks it; and whether that shows only in that nothing goes on.
fn sabotages(check: &str) -> Vec<(bool, Pairs<'static>)> {
    let found = |fault| (false, faulty(fault));
    let hangs = |fault| (true, faulty(fault));
    let closing = |closing| Profile::default().both(Nature::default().closing(closing));
    match check {
        "every_size_passes_whole" => vec![found(Fault::ShortFrame(4)), found(Fault::FlippedByte(9))],
        "an_empty_frame_harms_no_neighbour" => vec![found(Fault::EmptyEnds)],
        "segments_arrive_joined" => vec![found(Fault::SegmentsApart)],
        "order_is_kept" => {
            vec![found(Fault::Swapped(4_990)), found(Fault::Lost(4_990)), found(Fault::Twice(4_990))]
        }
        "an_oversize_message_out_is_refused_alone" => {
            vec![
                (false, tampered(|setup| Setup { left: LaneLimits::default(), ..setup })),
                found(Fault::OversizeEnds),
            ]
        }
        "an_oversize_message_in_is_rejected_alone" => {
            vec![
                (false, tampered(|setup| Setup { right: LaneLimits::default(), ..setup })),
                found(Fault::RejectedEnds),
            ]
        }
        "a_receive_that_waits_blocks_no_send" => vec![hangs(Fault::ReceiveBlocksSend)],
        "full_directions_do_not_wait_for_each_other" => vec![found(Fault::SendBlocksReceive)],
        "a_dropped_receive_loses_nothing" => vec![found(Fault::TornAfterPendingReceive)],
        "a_receive_that_times_out_loses_nothing" => vec![found(Fault::TornAfterPendingReceive)],
        "a_dropped_send_tears_no_frame" => vec![found(Fault::TornAfterPendingFlush)],
        "a_peer_that_reads_again_gets_everything" => vec![hangs(Fault::NeverWoken)],
        "a_peer_that_never_reads_ends_typed" => {
            let bottomless = |mut setup: Setup| {
                setup.left =
                    setup.left.with_write_queue_bytes(usize::MAX).with_write_queue_frames(usize::MAX);
                setup
            };
            let patient = |mut setup: Setup| {
                setup.timeouts = setup.timeouts.with_write_stall(None);
                setup
            };
            vec![(false, tampered(bottomless)), (true, tampered(patient)), found(Fault::ErrorsAreIo)]
        }
        "an_end_is_no_error_and_comes_after_what_was_sent" => {
            vec![found(Fault::EndIsError), found(Fault::EndIsTruncated), found(Fault::EndsEarly(99))]
        }
        "a_dropped_lane_tears_no_frame" => {
            let given = Profile::default().both(Nature::default().unfinished(Unfinished::Given));
            vec![found(Fault::LargeIsTorn), (false, faulty_as(Fault::LargeIsGarbled, given))]
        }
        "half_closed_the_other_half_lives" => vec![
            found(Fault::CloseEndsBoth),
            hangs(Fault::CloseTellsNothing),
            (false, lying(closing(Closing::EndsBoth))),
            (false, lying(closing(Closing::Silent))),
        ],
        "a_closed_sink_stays_closed" => vec![found(Fault::CloseTellsNothing), found(Fault::SecondCloseFails)],
        "a_peer_that_is_gone_is_closed_not_an_io_error" => {
            vec![found(Fault::ErrorsAreIo), found(Fault::ErrorsNameAnother), found(Fault::ErrorsOnce)]
        }
        "halves_are_dropped_without_a_runtime" => vec![found(Fault::DropNeedsRuntime)],
        _ => Vec::new(),
    }
}

/// What a check says that was expected to fail.
fn caught(name: &'static str, hangs: bool, pairs: &Pairs<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let failed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(named(name, pairs))));
    let panic = failed.expect_err(&format!("{name} found nothing in {pairs:?}"));
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert_eq!(text.starts_with("hung"), hangs, "{name}: {text}");
}

#[test]
fn every_check_finds_out_a_lane_that_breaks_it() {
    for check in CHECKS.iter().filter(|check| !check.counts_the_process) {
        let sabotages = sabotages(check.name);
        assert!(!sabotages.is_empty(), "nothing breaks {}", check.name);
        for (hangs, pairs) in sabotages {
            caught(check.name, hangs, &pairs);
            // Whatever it is, it shows in the other direction as well.
            if !matches!(
                check.name,
                "an_oversize_message_out_is_refused_alone"
                    | "an_oversize_message_in_is_rejected_alone"
                    | "a_peer_that_never_reads_ends_typed"
            ) {
                caught(check.name, hangs, &pairs.swapped());
            }
        }
    }
}

#[test]
fn a_lane_without_a_fault_passes_every_check() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(list::all(&faulty(Fault::None)));
}

#[test]
fn what_is_left_behind_is_found_out() {
    isolated("contract::tests::what_is_left_behind_is_found_out", || {
        let profile = || Profile::default().rounds(4).settle(Duration::from_millis(20));
        for check in CHECKS.iter().filter(|check| check.counts_the_process) {
            for (fault, says) in [
                (Fault::LeavesTask, "tasks"),
                (Fault::LeavesDescriptor, "/dev/null"),
                (Fault::LeavesChild, "sleep"),
                (Fault::LeavesMemory, "bytes of memory"),
            ] {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let pairs = faulty_as(fault, profile().slack_bytes(64 << 10));
                let run = || runtime.expect("a runtime").block_on(named(check.name, &pairs));
                let left = catch_unwind(AssertUnwindSafe(run));
                let text = left.expect_err("nothing was found").downcast_ref::<String>().cloned();
                assert!(text.as_ref().is_some_and(|text| text.contains(says)), "{fault:?}: {text:?}");
            }
        }
    });
}

#[test]
fn the_page_says_what_each_check_means() {
    for (page, checks) in [(include_str!("../contract.rs"), CHECKS), (include_str!("http.rs"), http::CHECKS)]
    {
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("//! | `")).collect();
        let listed: Vec<_> =
            checks.iter().map(|check| format!("//! | `{}` | {} |", check.name, check.meaning)).collect();
        assert_eq!(rows, listed);
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;
