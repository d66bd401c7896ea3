//! The contracts over what is in memory, as a user's own transport would run them.
#![allow(clippy::expect_used, reason = "to panic is how a test reports")]

use std::{cell::Cell, collections::BTreeSet, process::Command};

use towpath_testkit::{
    FaultPlan, MemoryHttpLimits,
    contract::{self, CHECKS, Setup, http},
    contract_tests, http_contract_tests,
    leak::CountingAllocator,
    memory_http_with, memory_pair_uneven,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

contract_tests!(memory, async |setup: Setup| { memory_pair_uneven(setup.left, setup.right, setup.timeouts) });

// What injects faults changes nothing without one.
contract_tests!(without_a_fault, async |setup: Setup| {
    let plan = FaultPlan::new(1).with_timeouts(setup.timeouts.clone());
    let (left, right) = memory_pair_uneven(setup.left.clone(), setup.right.clone(), setup.timeouts);
    (plan.clone().with_limits(setup.left).wrap(left), plan.with_limits(setup.right).wrap(right))
});

http_contract_tests!(
    memory_http,
    // It has no clock: whoever waits brings a deadline along.
    http::Profile::default().ends_waits(false).ends_stalled(false),
    async |setup: http::Setup| {
        let mut limits =
            MemoryHttpLimits::default().with_max_response_body_bytes(setup.max_response_body_bytes);
        if let Some(bytes) = setup.max_request_body_bytes {
            limits = limits.with_max_request_body_bytes(bytes);
        }
        let (client, server) = memory_http_with(limits);
        http::Ends { client, server, uri: ::http::Uri::from_static("http://memory/") }
    }
);

/// The tests of this binary below a module.
fn listed(module: &str) -> BTreeSet<String> {
    let this = std::env::current_exe().expect("the test binary has a path");
    let output = Command::new(this).arg("--list").output().expect("it can be run again");
    let output = String::from_utf8(output.stdout).expect("text");
    let tests = output.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.filter_map(|test| test.strip_prefix(module)?.strip_prefix("::")).map(str::to_owned).collect()
}

#[test]
fn there_is_a_test_for_each_check_and_direction() {
    let directions = ["left_to_right", "right_to_left"];
    let both = CHECKS.iter().flat_map(|check| directions.map(|way| format!("{}::{way}", check.name)));
    assert_eq!(listed("memory"), both.collect());
    let exchanges = http::CHECKS.iter().map(|check| check.name.to_owned());
    assert_eq!(listed("memory_http"), exchanges.collect());
}

#[tokio::test]
async fn all_but_what_counts_the_process_runs_in_one_go() {
    let made = Cell::new(0);
    contract::run(async |setup: Setup| {
        made.set(made.get() + 1);
        memory_pair_uneven(setup.left, setup.right, setup.timeouts)
    })
    .await;
    // One makes a pair for each order in which halves can be dropped.
    let here = CHECKS.iter().filter(|check| !check.counts_the_process).count();
    assert_eq!(made.get(), 2 * (here + 1));
}
