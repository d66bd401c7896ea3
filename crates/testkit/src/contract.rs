//! The contract of the raw layer: what every transport keeps, whatever carries its bytes. Run it over your own.
//!
//! [`contract_tests!`](crate::contract_tests) makes one test for each check and direction, each with a runtime of its own
//! and under a deadline, so that a report reads `unix::order_is_kept::left_to_right`. [`run`] checks the same in one
//! go, but for what counts the whole process. Connectors and acceptors of HTTP have a contract of their own, in [`http`].
//!
//! ```
//! use towpath_testkit::{contract, contract_tests, memory_pair_uneven};
//!
//! contract_tests!(memory, async |setup: contract::Setup| {
//!     memory_pair_uneven(setup.left, setup.right, setup.timeouts)
//! });
//! # fn main() {}
//! ```
//!
//! # The checks
//!
//! | Check | What the transport keeps |
//! |---|---|
//! | `every_size_passes_whole` | messages of 1 byte, around each buffer and of 1 MiB pass unchanged |
//! | `an_empty_frame_harms_no_neighbour` | a frame without a byte passes or is passed over; its neighbours arrive |
//! | `segments_arrive_joined` | the segments of a frame arrive as one message |
//! | `order_is_kept` | many frames, flushed in batches of any size, arrive in order |
//! | `an_oversize_message_out_is_refused_alone` | a message over the sender's limit is refused before a byte of it is written, typed, and the next one passes |
//! | `an_oversize_message_in_is_rejected_alone` | a message over the receiver's limit is reported and passed over, and the next one arrives |
//! | `a_receive_that_waits_blocks_no_send` | while either end waits for a frame, either end can send one, and the wait ends with it |
//! | `full_directions_do_not_wait_for_each_other` | with far more in both directions than fits, everything arrives as long as both ends read |
//! | `a_dropped_receive_loses_nothing` | a receive that is dropped in the middle of a read takes no frame and tears none |
//! | `a_receive_that_times_out_loses_nothing` | nor does one that a deadline ends, again and again, while a message comes in |
//! | `a_dropped_send_tears_no_frame` | a send that is dropped in the middle of a write leaves its frame to go out whole with the next one |
//! | `a_peer_that_reads_again_gets_everything` | a sink that waited for room goes on when the peer reads again, and nothing is lost |
//! | `a_peer_that_never_reads_ends_typed` | a peer that takes no byte is `PeerNotReading` after the write stall, and until then the sink holds no more than its limits |
//! | `an_end_is_no_error_and_comes_after_what_was_sent` | a dropped lane is seen as an end, clean, again and again, and after everything that was flushed before it |
//! | `a_dropped_lane_tears_no_frame` | a lane that is dropped in the middle of a frame gives what came before, then an end or an error, and no part of that frame |
//! | `half_closed_the_other_half_lives` | an end that has closed its sending direction still receives |
//! | `a_closed_sink_stays_closed` | to close again is done at once, and to send on a closed sink fails and is seen by nobody |
//! | `a_peer_that_is_gone_is_closed_not_an_io_error` | to send to a peer that is gone fails with `Closed`, which names it, and goes on failing |
//! | `halves_are_dropped_without_a_runtime` | both halves can be dropped on a thread without a runtime, in any order, and the peer sees the end |
//! | `nothing_is_left_after_a_close` | opened, used and closed politely, again and again, it leaves no task, descriptor, child process or memory |
//! | `nothing_is_left_after_a_drop` | nor does it when it is dropped in the middle of a read and of a write |
//!
//! The last two count what a process has. They, and every check of a transport that a process can make only once
//! ([`Profile::once`]), run in a process of their own, as [`leak::isolated`](crate::leak::isolated) has it. Memory is
//! counted where the test binary has installed the [`CountingAllocator`](crate::leak::CountingAllocator); elsewhere they
//! say that they leave it out.
//!
//! # What a transport cannot do
//!
//! A [`Profile`] says what an end cannot do by nature. Nothing is skipped for it: the check then asserts the alternative
//! that [`Closing`] and [`Unfinished`] document.
//!
//! # The payloads
//!
//! They are printable, begin with `{` and have no line break, so that they are messages to a lane of lines as well. They
//! are no JSON: a lane that reads its messages, and makes exchanges of them, is more than a lane of frames, and has to be
//! checked as what it is.
#![allow(clippy::expect_used, reason = "to panic is how a check reports")]

mod ending;
pub mod http;
mod leaving;
mod list;
mod pairs;
mod passing;
mod profile;
mod sending;
mod waiting;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use towpath_raw::{FrameSource, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts};

pub use ending::{
    a_closed_sink_stays_closed, a_dropped_lane_tears_no_frame, a_peer_that_is_gone_is_closed_not_an_io_error,
    an_end_is_no_error_and_comes_after_what_was_sent, half_closed_the_other_half_lives,
};
pub use leaving::{
    halves_are_dropped_without_a_runtime, nothing_is_left_after_a_close, nothing_is_left_after_a_drop,
};
#[doc(hidden)]
pub use list::{__run_test, Direction};
pub use list::{CHECKS, Check};
pub use pairs::{AnyLane, Pairs};
pub use passing::{
    an_empty_frame_harms_no_neighbour, an_oversize_message_in_is_rejected_alone,
    an_oversize_message_out_is_refused_alone, every_size_passes_whole, order_is_kept, segments_arrive_joined,
};
pub use profile::{Closing, Nature, Profile, Unfinished};
pub use sending::{
    a_dropped_send_tears_no_frame, a_peer_that_never_reads_ends_typed,
    a_peer_that_reads_again_gets_everything, full_directions_do_not_wait_for_each_other,
};
pub use waiting::{
    a_dropped_receive_loses_nothing, a_receive_that_times_out_loses_nothing,
    a_receive_that_waits_blocks_no_send,
};

use crate::within_for;

/// What a pair is to be made with.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The limits of the left end.
    pub left: LaneLimits,
    /// The limits of the right end.
    pub right: LaneLimits,
    /// The timeouts of both ends.
    pub timeouts: LaneTimeouts,
}

impl Setup {
    fn swapped(self) -> Self {
        Self { left: self.right, right: self.left, timeouts: self.timeouts }
    }
}

/// Checks the contract, from left to right and from right to left, of a transport that can do everything.
///
/// `make_pair` is called for every check. It needs a tokio runtime with time. What counts the whole process is left to
/// [`contract_tests!`](crate::contract_tests), which gives it one.
///
/// # Panics
///
/// At the first promise that is not kept; the text says which.
///
/// # Cancel safety
///
/// Dropped, the check that runs is abandoned, and its lanes are dropped.
pub async fn run<A: Lane, B: Lane>(make_pair: impl AsyncFn(Setup) -> (A, B)) {
    let pairs = Pairs::new(Profile::default(), make_pair);
    list::all(&pairs).await;
    list::all(&pairs.swapped()).await;
}

/// One check, under a deadline. What hangs is a broken promise as well.
#[track_caller]
fn check<F: Future>(check: F) -> impl Future<Output = F::Output> {
    within_for(Duration::from_secs(60), check)
}

/// A message of `length` bytes that tells itself from its neighbours.
fn payload(number: usize, length: usize) -> Bytes {
    let mut bytes = format!("{{{number}:").into_bytes();
    let filler: Vec<u8> = (b'a'..=b'z').cycle().skip(number % 26).take(26).collect();
    bytes.extend(filler.repeat(length / filler.len() + 1));
    bytes.truncate(length);
    bytes.into()
}

/// The next frame; anything else breaks the promise.
async fn frame(source: &mut impl FrameSource, wanted: &str) -> Bytes {
    match source.receive().await {
        Ok(Inbound::Frame(frame)) => frame,
        other => panic!("{wanted}: expected a frame, and got {}", shortened(&other)),
    }
}

async fn expect_frame(source: &mut impl FrameSource, expected: &Bytes, wanted: &str) {
    let got = frame(source, wanted).await;
    assert!(
        got == *expected,
        "{wanted}: a frame of {} bytes came as another one of {}",
        expected.len(),
        got.len()
    );
}

async fn expect_end(source: &mut impl FrameSource) {
    match source.receive().await {
        Ok(Inbound::End(end)) => assert_eq!(end.truncated_bytes, 0, "a clean end was called truncated"),
        other => panic!("expected the end, and got {}", shortened(&other)),
    }
}

/// What a task that sends has come to.
async fn sent<S>(sending: tokio::task::JoinHandle<Result<S, LaneError>>) -> S {
    match sending.await {
        Ok(Ok(sink)) => sink,
        Ok(Err(error)) => panic!("the lane ended while it was sending: {error}"),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Debug output of a large frame would bury the report.
fn shortened(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests;
