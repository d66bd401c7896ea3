//! The contract of the raw layer: what every lane keeps, whatever carries its bytes.
//!
//! [`run`] checks it all, in both directions, on a pair that the caller makes; each check is also callable by
//! itself. A check panics with what was broken, and none can hang: each is under a deadline.
//!
//! The payloads are printable, begin with `{` and have no line break, so that they are messages to a lane of
//! lines as well.
//!
//! ```
//! use towpath_testkit::{contract, memory_pair_uneven};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! contract::run(async |setup: contract::Setup| {
//!     memory_pair_uneven(setup.left, setup.right, setup.timeouts)
//! })
//! .await;
//! # });
//! ```
#![allow(clippy::expect_used, reason = "to panic is how a check reports")]

mod ending;
mod passing;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use towpath_raw::{FrameSource, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};

pub use ending::{
    a_peer_that_is_gone_is_closed_not_an_io_error, a_peer_that_never_reads_ends_typed,
    an_end_is_no_error_and_comes_after_what_was_sent, half_closed_the_other_half_lives,
};
pub use passing::{
    a_dropped_receive_loses_nothing, a_dropped_send_tears_no_frame, a_receive_that_waits_blocks_no_send,
    an_empty_frame_harms_no_neighbour, an_oversize_message_in_is_rejected_alone,
    an_oversize_message_out_is_refused_alone, every_size_passes_whole, order_is_kept, segments_arrive_joined,
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

/// Sizes around the buffers that lanes commonly have; a lane with another one should call
/// [`every_size_passes_whole`] with its own.
pub const COMMON_BUFFERS: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];

/// Checks the whole contract, from left to right and from right to left.
///
/// `make_pair` is called for every check. It needs a tokio runtime with time.
///
/// # Panics
///
/// At the first promise that is not kept; the text says which.
///
/// # Cancel safety
///
/// Dropped, the check that runs is abandoned, and its lanes are dropped.
pub async fn run<A: Lane, B: Lane>(make_pair: impl AsyncFn(Setup) -> (A, B)) {
    all(&make_pair).await;
    let swapped = async |setup: Setup| {
        let (left, right) = make_pair(setup.swapped()).await;
        (right, left)
    };
    all(&swapped).await;
}

async fn all<A: Lane, B: Lane>(make: &impl AsyncFn(Setup) -> (A, B)) {
    for buffer in COMMON_BUFFERS {
        every_size_passes_whole(make, buffer).await;
    }
    an_empty_frame_harms_no_neighbour(make).await;
    segments_arrive_joined(make).await;
    order_is_kept(make).await;
    an_oversize_message_out_is_refused_alone(make).await;
    an_oversize_message_in_is_rejected_alone(make).await;
    a_receive_that_waits_blocks_no_send(make).await;
    a_dropped_receive_loses_nothing(make).await;
    a_dropped_send_tears_no_frame(make).await;
    an_end_is_no_error_and_comes_after_what_was_sent(make).await;
    half_closed_the_other_half_lives(make).await;
    a_peer_that_is_gone_is_closed_not_an_io_error(make).await;
    a_peer_that_never_reads_ends_typed(make).await;
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

/// Debug output of a large frame would bury the report.
fn shortened(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests;
