//! The one list of the checks: what [`CHECKS`] names, [`run`](super::run) runs and `contract_tests!` makes tests of.

use std::{future::Future, pin::Pin};

use super::Pairs;
use crate::leak::{CountingAllocator, is_isolated, isolated};

/// One check of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Its name: that of its function and of its tests.
    pub name: &'static str,
    /// What the transport keeps.
    pub meaning: &'static str,
    /// Whether it counts what the whole process has, and needs one of its own.
    pub counts_the_process: bool,
}

/// Calls the macro in brackets with what follows them in braces, and then with every check: its name, `here` or `alone`
/// (in a process of its own), and its meaning.
#[doc(hidden)]
#[macro_export]
macro_rules! __lane_checks {
    ([$($then:tt)*] $($given:tt)*) => {
        $($then)*! {
            { $($given)* }
            every_size_passes_whole here "messages of 1 byte, around each buffer and of 1 MiB pass unchanged";
            an_empty_frame_harms_no_neighbour here
                "a frame without a byte passes or is passed over; its neighbours arrive";
            segments_arrive_joined here "the segments of a frame arrive as one message";
            order_is_kept here "many frames, flushed in batches of any size, arrive in order";
            an_oversize_message_out_is_refused_alone here
                "a message over the sender's limit is refused before a byte of it is written, typed, and the next one passes";
            an_oversize_message_in_is_rejected_alone here
                "a message over the receiver's limit is reported and passed over, and the next one arrives";
            a_receive_that_waits_blocks_no_send here
                "while either end waits for a frame, either end can send one, and the wait ends with it";
            full_directions_do_not_wait_for_each_other here
                "with far more in both directions than fits, everything arrives as long as both ends read";
            a_dropped_receive_loses_nothing here
                "a receive that is dropped in the middle of a read takes no frame and tears none";
            a_receive_that_times_out_loses_nothing here
                "nor does one that a deadline ends, again and again, while a message comes in";
            a_dropped_send_tears_no_frame here
                "a send that is dropped in the middle of a write leaves its frame to go out whole with the next one";
            a_peer_that_reads_again_gets_everything here
                "a sink that waited for room goes on when the peer reads again, and nothing is lost";
            a_peer_that_never_reads_ends_typed here
                "a peer that takes no byte is `PeerNotReading` after the write stall, and until then the sink holds no more than its limits";
            an_end_is_no_error_and_comes_after_what_was_sent here
                "a dropped lane is seen as an end, clean, again and again, and after everything that was flushed before it";
            a_dropped_lane_tears_no_frame here
                "a lane that is dropped in the middle of a frame gives what came before, then an end or an error, and no part of that frame";
            half_closed_the_other_half_lives here "an end that has closed its sending direction still receives";
            a_closed_sink_stays_closed here
                "to close again is done at once, and to send on a closed sink fails and is seen by nobody";
            a_peer_that_is_gone_is_closed_not_an_io_error here
                "to send to a peer that is gone fails with `Closed`, which names it, and goes on failing";
            halves_are_dropped_without_a_runtime here
                "both halves can be dropped on a thread without a runtime, in any order, and the peer sees the end";
            nothing_is_left_after_a_close alone
                "opened, used and closed politely, again and again, it leaves no task, descriptor, child process or memory";
            nothing_is_left_after_a_drop alone
                "nor does it when it is dropped in the middle of a read and of a write";
        }
    };
}

/// Makes one test for each check of the lane contract and each direction, in a module of that name.
///
/// `contract_tests!(name, make_pair)`, or `contract_tests!(name, profile, make_pair)`. `make_pair` is an async closure
/// from a [`Setup`](crate::contract::Setup) to two lanes that are connected to each other; it is called in every test, in a
/// runtime of that test that has one thread, time and whatever else the features of tokio give. A
/// [`Profile`](crate::contract::Profile) says what the lanes cannot do by nature. See [`contract`](crate::contract).
///
/// ```
/// use towpath_testkit::{contract::Setup, contract_tests, memory_pair_uneven};
///
/// contract_tests!(memory, async |setup: Setup| {
///     memory_pair_uneven(setup.left, setup.right, setup.timeouts)
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! contract_tests {
    ($name:ident, $make:expr $(,)?) => {
        $crate::contract_tests!($name, $crate::contract::Profile::default(), $make);
    };
    ($name:ident, $profile:expr, $make:expr $(,)?) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn pairs() -> $crate::contract::Pairs<'static> {
                $crate::contract::Pairs::new($profile, $make)
            }

            $crate::__lane_checks! { [$crate::__tests] __lane_test }
        }
    };
}

/// The tests of either contract.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ({ $contract:ident } $($check:ident $place:ident $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            mod $check {
                #[test]
                fn left_to_right() {
                    let test = concat!(module_path!(), "::left_to_right");
                    $crate::$contract!(test, super::pairs(), stringify!($check), LeftToRight);
                }

                #[test]
                fn right_to_left() {
                    let test = concat!(module_path!(), "::right_to_left");
                    $crate::$contract!(test, super::pairs(), stringify!($check), RightToLeft);
                }
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __lane_test {
    ($test:ident, $pairs:expr, $check:expr, $direction:ident) => {
        $crate::contract::__run_test($pairs, $check, $crate::contract::Direction::$direction, $test)
    };
}

/// Which way the frames go that a check is about.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    LeftToRight,
    RightToLeft,
}

macro_rules! checks {
    ({} $($check:ident $place:ident $meaning:literal;)*) => {
        /// The checks of the lane contract: name and meaning of each.
        pub const CHECKS: &[Check] = &[
            $(Check {
                name: stringify!($check),
                meaning: $meaning,
                counts_the_process: checks!(@ $place),
            }),*
        ];

        /// The check of that name.
        pub(super) fn named<'a>(name: &str, pairs: &'a Pairs<'a>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
            match name {
                $(stringify!($check) => Box::pin(super::$check(pairs)),)*
                _ => panic!("no check is called {name}"),
            }
        }
    };
    (@ here) => { false };
    (@ alone) => { true };
}

__lane_checks! { [checks] }

/// All that do not count the process, in one direction.
pub(super) async fn all(pairs: &Pairs<'_>) {
    for check in CHECKS.iter().filter(|check| !check.counts_the_process) {
        named(check.name, pairs).await;
    }
}

/// What a test that `contract_tests!` has made runs.
#[doc(hidden)]
pub fn __run_test(pairs: Pairs<'static>, name: &'static str, direction: Direction, test: &'static str) {
    let pairs = match direction {
        Direction::LeftToRight => pairs,
        Direction::RightToLeft => pairs.swapped(),
    };
    let counts = CHECKS.iter().any(|check| check.name == name && check.counts_the_process);
    let alone = counts || pairs.profile().once;
    on_a_runtime(alone, counts, test, async || named(name, &pairs).await);
}

/// Runs a check on a runtime of its own, and in a process of its own if it has to be.
pub(super) fn on_a_runtime(alone: bool, counts: bool, test: &str, check: impl AsyncFnOnce()) {
    let body = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check());
    };
    if !alone {
        return body();
    }
    if counts && !is_isolated() && !CountingAllocator::is_installed() {
        println!("memory is left out: this test binary has not installed the CountingAllocator");
    }
    // The name of the crate is not part of the name of a test.
    let name = test.split_once("::").map_or(test, |(_, name)| name);
    isolated(name, body);
}
