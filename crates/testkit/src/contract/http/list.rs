//! The one list of the checks.

use std::{future::Future, pin::Pin};

use super::{super::list::on_a_runtime, Pairs};
use crate::contract::Check;

/// Calls the macro in brackets with what follows them in braces, and then with every check: its name, `here` or `alone`
/// (in a process of its own), and its meaning.
#[doc(hidden)]
#[macro_export]
macro_rules! __http_checks {
    ([$($then:tt)*] $($given:tt)*) => {
        $($then)*! {
            { $($given)* }
            heads_pass_whole here
                "method, path, query, status and headers pass unchanged, repeated and empty ones too";
            bodies_pass_whole here
                "bodies of any size pass unchanged both ways, with their length declared and without, in one piece and in many";
            a_body_streams_while_it_is_made here "each chunk of an answer arrives before the next is made";
            exchanges_do_not_mix here
                "of many exchanges at once, answered in any order, each gets its own answer, and one without an answer holds up nobody";
            an_answer_may_come_before_the_request_ends here
                "an answer arrives whole though nobody reads the body of its request";
            an_end_is_told_from_an_error here
                "a body shorter than declared, or that fails, is an error and stays one; a whole one ends, again and again";
            a_request_that_is_cut_is_no_end here
                "the body of a request that was given up is an error, unless all of it has come";
            a_dropped_request_is_seen here "a client that no longer waits for an answer has the answer dropped";
            a_dropped_response_is_seen here
                "a body that the client drops is dropped on the server's side, be it silent or in a rush";
            a_dropped_arrival_is_no_silence here
                "an exchange that the server drops ends with an error, or a status that says so";
            a_dropped_accept_takes_no_exchange here "nor does a dropped wait for a chunk take one";
            nobody_there_is_not_connected here
                "with the server gone, an exchange fails, typed, and is known not to have been sent";
            a_head_that_does_not_come_ends_typed here
                "a head that takes too long is a timeout that names its deadline";
            a_body_over_the_limit_is_refused here
                "a body over its limit fails, typed, on the side that reads it, and others live";
            a_client_that_never_reads_is_bounded here
                "a body that the client does not read is not made any further, and dropped after the write stall";
            nothing_is_left alone
                "exchanges that end, fail or are dropped, again and again, leave no task, descriptor or memory";
        }
    };
}

/// Makes one test for each check of the HTTP contract, in a module of that name.
///
/// `http_contract_tests!(name, make_ends)`, or `http_contract_tests!(name, profile, make_ends)`. `make_ends` is an async
/// closure from a [`Setup`](crate::contract::http::Setup) to the [`Ends`](crate::contract::http::Ends) of a client's and a
/// server's side that are connected. See [`contract::http`](crate::contract::http).
#[macro_export]
macro_rules! http_contract_tests {
    ($name:ident, $make:expr $(,)?) => {
        $crate::http_contract_tests!($name, $crate::contract::http::Profile::default(), $make);
    };
    ($name:ident, $profile:expr, $make:expr $(,)?) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn pairs() -> $crate::contract::http::Pairs<'static> {
                $crate::contract::http::Pairs::new($profile, $make)
            }

            $crate::__http_checks! { [$crate::__http_tests] }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __http_tests {
    ({} $($check:ident $place:ident $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            #[test]
            fn $check() {
                let test = concat!(module_path!(), "::", stringify!($check));
                $crate::contract::http::__run_test(pairs(), stringify!($check), test);
            }
        )*
    };
}

macro_rules! checks {
    ({} $($check:ident $place:ident $meaning:literal;)*) => {
        /// The checks of the HTTP contract: name and meaning of each.
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

__http_checks! { [checks] }

/// What a test that `http_contract_tests!` has made runs.
#[doc(hidden)]
pub fn __run_test(pairs: Pairs<'static>, name: &'static str, test: &'static str) {
    let counts = CHECKS.iter().any(|check| check.name == name && check.counts_the_process);
    on_a_runtime(counts, counts, test, async || named(name, &pairs).await);
}
