//! Each check finds out two sides that break its promise.

mod saboteur;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{list::named, *};
use crate::{MemoryAccept, MemoryConnect, MemoryHttpLimits, leak::isolated, memory_http_with};
use saboteur::{Fault, SabotagedAccept, SabotagedConnect};

type Sabotaged = Ends<SabotagedConnect<MemoryConnect>, SabotagedAccept<MemoryAccept>>;

fn faulty_as(fault: Fault, profile: Profile) -> Pairs<'static> {
    Pairs::new(profile, async move |setup: Setup| -> Sabotaged {
        let mut limits = MemoryHttpLimits::default();
        if fault != Fault::NoLimits {
            limits = limits.with_max_response_body_bytes(setup.max_response_body_bytes);
            if let Some(bytes) = setup.max_request_body_bytes {
                limits = limits.with_max_request_body_bytes(bytes);
            }
        }
        if fault == Fault::Bottomless {
            limits = limits.with_queued_chunks(1 << 20);
        }
        let (client, server) = memory_http_with(limits);
        Ends {
            client: SabotagedConnect::new(client, fault),
            server: SabotagedAccept::new(server, fault),
            uri: ::http::Uri::from_static("http://memory/"),
        }
    })
}

/// What memory does: it has no clock.
fn patient() -> Profile {
    Profile::default().ends_waits(false).ends_stalled(false)
}

/// For each check, what breaks it; and whether that shows only in that nothing goes on.
fn sabotages(check: &str) -> Vec<(bool, Pairs<'static>)> {
    let found = |fault| (false, faulty_as(fault, patient()));
    let hangs = |fault| (true, faulty_as(fault, patient()));
    match check {
        "heads_pass_whole" => vec![found(Fault::OneValue), found(Fault::NoQuery), found(Fault::OtherStatus)],
        "bodies_pass_whole" => vec![found(Fault::ShortResponse), found(Fault::ShortRequest)],
        "a_body_streams_while_it_is_made" => vec![hangs(Fault::GathersResponse)],
        "exchanges_do_not_mix" => vec![hangs(Fault::OneAtATime), found(Fault::MixesUp)],
        "an_answer_may_come_before_the_request_ends" => vec![found(Fault::AnswersOnlyRead)],
        "an_end_is_told_from_an_error" => vec![found(Fault::ErrorIsEnd), found(Fault::ErrorOnce)],
        "a_request_that_is_cut_is_no_end" => vec![found(Fault::ShortRequest)],
        "a_dropped_request_is_seen" => vec![hangs(Fault::KeepsRequest)],
        "a_dropped_response_is_seen" => vec![hangs(Fault::KeepsResponse)],
        "a_dropped_arrival_is_no_silence" => vec![hangs(Fault::KeepsArrival), found(Fault::AnswersDropped)],
        "a_dropped_accept_takes_no_exchange" => vec![hangs(Fault::LosesAccepted)],
        "nobody_there_is_not_connected" => vec![found(Fault::AlwaysBroken)],
        "a_head_that_does_not_come_ends_typed" => {
            vec![(true, faulty_as(Fault::None, patient().ends_waits(true))), hangs(Fault::KeepsRequest)]
        }
        "a_body_over_the_limit_is_refused" => vec![
            found(Fault::NoLimits),
            (false, faulty_as(Fault::None, patient().limits_requests(false))),
            (false, faulty_as(Fault::None, patient().limits_responses(false))),
        ],
        "a_client_that_never_reads_is_bounded" => {
            vec![found(Fault::Bottomless), (true, faulty_as(Fault::None, patient().ends_stalled(true)))]
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_check_finds_out_two_sides_that_break_it() {
    for check in CHECKS.iter().filter(|check| !check.counts_the_process) {
        let sabotages = sabotages(check.name);
        assert!(!sabotages.is_empty(), "nothing breaks {}", check.name);
        for (number, (hangs, pairs)) in sabotages.into_iter().enumerate() {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let run = || runtime.expect("a runtime").block_on(named(check.name, &pairs));
            let panic = catch_unwind(AssertUnwindSafe(run));
            let panic = panic.expect_err(&format!("{} found nothing (number {number})", check.name));
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            assert_eq!(text.starts_with("hung"), hangs, "{} (number {number}): {text}", check.name);
        }
    }
}

#[test]
fn two_sides_without_a_fault_pass_every_check() {
    for check in CHECKS.iter().filter(|check| !check.counts_the_process) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(named(check.name, &faulty_as(Fault::None, patient())));
    }
}

#[test]
fn what_exchanges_leave_behind_is_found_out() {
    isolated("contract::http::tests::what_exchanges_leave_behind_is_found_out", || {
        for (fault, says) in [(Fault::LeavesTask, "tasks"), (Fault::LeavesMemory, "bytes of memory")] {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let pairs = faulty_as(fault, patient().rounds(4).settle(Duration::from_millis(20)));
            let run = || runtime.expect("a runtime").block_on(named("nothing_is_left", &pairs));
            let left = catch_unwind(AssertUnwindSafe(run)).expect_err("nothing was found");
            let text = left.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(text.contains(says), "{fault:?}: {text}");
        }
    });
}
