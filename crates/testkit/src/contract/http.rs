//! The contract of the two sides of HTTP: what every [`Connect`](towpath_raw::Connect) and [`Accept`](towpath_raw::Accept)
//! keep that are connected to each other.
//!
//! [`http_contract_tests!`](crate::http_contract_tests) makes one test for each check, each with a runtime of its own and
//! under a deadline.
//!
//! ```
//! use towpath_testkit::{contract::http, http_contract_tests, memory_http};
//!
//! http_contract_tests!(memory, http::Profile::default().ends_stalled(false), async |_: http::Setup| {
//!     let (client, server) = memory_http();
//!     http::Ends { client, server, uri: http_uri() }
//! });
//! # #[allow(dead_code)]
//! fn http_uri() -> ::http::Uri {
//!     "http://peer/".parse().unwrap()
//! }
//! # fn main() {}
//! ```
//!
//! # The checks
//!
//! | Check | What the two keep |
//! |---|---|
//! | `heads_pass_whole` | method, path, query, status and headers pass unchanged, repeated and empty ones too |
//! | `bodies_pass_whole` | bodies of any size pass unchanged both ways, with their length declared and without, in one piece and in many |
//! | `a_body_streams_while_it_is_made` | each chunk of an answer arrives before the next is made |
//! | `exchanges_do_not_mix` | of many exchanges at once, answered in any order, each gets its own answer, and one without an answer holds up nobody |
//! | `an_answer_may_come_before_the_request_ends` | an answer arrives whole though nobody reads the body of its request |
//! | `an_end_is_told_from_an_error` | a body shorter than declared, or that fails, is an error and stays one; a whole one ends, again and again |
//! | `a_request_that_is_cut_is_no_end` | the body of a request that was given up is an error, unless all of it has come |
//! | `a_dropped_request_is_seen` | a client that no longer waits for an answer has the answer dropped |
//! | `a_dropped_response_is_seen` | a body that the client drops is dropped on the server's side, be it silent or in a rush |
//! | `a_dropped_arrival_is_no_silence` | an exchange that the server drops ends with an error, or a status that says so |
//! | `a_dropped_accept_takes_no_exchange` | nor does a dropped wait for a chunk take one |
//! | `nobody_there_is_not_connected` | with the server gone, an exchange fails, typed, and is known not to have been sent |
//! | `a_head_that_does_not_come_ends_typed` | a head that takes too long is a timeout that names its deadline |
//! | `a_body_over_the_limit_is_refused` | a body over its limit fails, typed, on the side that reads it, and others live |
//! | `a_client_that_never_reads_is_bounded` | a body that the client does not read is not made any further, and dropped after the write stall |
//! | `nothing_is_left` | exchanges that end, fail or are dropped, again and again, leave no task, descriptor or memory |
//!
//! The last one counts what a process has, and runs in one of its own.
//!
//! # What a transport does not do
//!
//! A [`Profile`] says it. Nothing is skipped for it: the check then asserts the alternative that the field documents.

mod ending;
mod ends;
mod leaving;
mod list;
mod waiting;
mod whole;

use std::time::Duration;

pub use ending::{
    a_dropped_accept_takes_no_exchange, a_dropped_arrival_is_no_silence, a_dropped_request_is_seen,
    a_dropped_response_is_seen, a_request_that_is_cut_is_no_end, an_end_is_told_from_an_error,
};
pub use ends::{Ends, Pairs};
pub use leaving::nothing_is_left;
#[doc(hidden)]
pub use list::__run_test;
pub use list::CHECKS;
pub use waiting::{
    a_body_over_the_limit_is_refused, a_client_that_never_reads_is_bounded,
    a_head_that_does_not_come_ends_typed, nobody_there_is_not_connected,
};
pub use whole::{
    a_body_streams_while_it_is_made, an_answer_may_come_before_the_request_ends, bodies_pass_whole,
    exchanges_do_not_mix, heads_pass_whole,
};

/// What the two sides are to be made with. `None`: what they have by default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The largest body of a request, in bytes, that the server's side takes.
    pub max_request_body_bytes: Option<usize>,
    /// The largest body of a response, in bytes, that the client's side takes.
    pub max_response_body_bytes: Option<usize>,
    /// How long the client waits for the head of a response.
    pub head: Option<Duration>,
    /// How long the server's side waits for a client that takes no byte.
    pub write_stall: Option<Duration>,
}

/// What the two sides do by themselves. By default all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Whether the server's side limits the bodies of requests. The alternative: a larger one passes whole, and to stop
    /// is up to whoever reads it.
    pub limits_requests: bool,
    /// Whether the client's side limits the bodies of responses. The alternative is the same.
    pub limits_responses: bool,
    /// Whether the client's side ends a wait for a head. The alternative: it goes on, and ends when it is dropped.
    pub ends_waits: bool,
    /// Whether the server's side ends an answer that nobody takes. The alternative: it is kept, bounded, until the client
    /// drops it.
    pub ends_stalled: bool,
    /// How many times the check for leaks makes the two after it has counted. Default: 16.
    pub rounds: usize,
    /// How many bytes of memory may be there beside what was before, after all of it. Default: 64 KiB.
    pub slack_bytes: usize,
    /// How long what is about to end may take before it counts as left. Default: 5 s.
    pub settle: Duration,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            limits_requests: true,
            limits_responses: true,
            ends_waits: true,
            ends_stalled: true,
            rounds: 16,
            slack_bytes: 64 << 10,
            settle: Duration::from_secs(5),
        }
    }
}

impl Profile {
    /// The same with another [`Profile::limits_requests`].
    #[must_use]
    pub fn limits_requests(mut self, limits: bool) -> Self {
        self.limits_requests = limits;
        self
    }

    /// The same with another [`Profile::limits_responses`].
    #[must_use]
    pub fn limits_responses(mut self, limits: bool) -> Self {
        self.limits_responses = limits;
        self
    }

    /// The same with another [`Profile::ends_waits`].
    #[must_use]
    pub fn ends_waits(mut self, ends: bool) -> Self {
        self.ends_waits = ends;
        self
    }

    /// The same with another [`Profile::ends_stalled`].
    #[must_use]
    pub fn ends_stalled(mut self, ends: bool) -> Self {
        self.ends_stalled = ends;
        self
    }

    /// The same with other [`Profile::rounds`].
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// The same with other [`Profile::slack_bytes`].
    #[must_use]
    pub fn slack_bytes(mut self, bytes: usize) -> Self {
        self.slack_bytes = bytes;
        self
    }

    /// The same with another [`Profile::settle`].
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }
}

#[cfg(test)]
mod tests;
