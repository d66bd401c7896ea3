//! The script of one direction of a byte stream, and the plan for both.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use fastrand::Rng;

use super::{
    Corruption, Cut, FaultStats, FaultStream, Which,
    code::Code,
    common::{place, rng},
    frames::{random_cut, show_pacing},
    pace::Pacing,
    stats::Counters,
    tap::Tap,
};

/// What happens to the bytes of one direction: of a stream, or of a body. They are counted from 0.
///
/// Bytes pass in chunks, of 1 KiB if nothing else is said. Where each begins, and what is corrupted, depends on the seed
/// and on the place in the stream alone, never on how many bytes are read or written at once.
///
/// Its `Display` is the code that makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFaults {
    pub(super) pacing: Pacing,
    pub(super) chunks: Option<usize>,
    pub(super) corrupt: Option<(Which, Corruption)>,
    pub(super) stall: Option<(u64, Option<Duration>)>,
    pub(super) half_open: Option<u64>,
    pub(super) cut: Option<(u64, Cut)>,
}

impl StreamFaults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Nothing passes in one go that is larger than a length drawn anew each time, from 1 to this many bytes: reads give
    /// and writes take a part of what could be had.
    #[must_use]
    pub fn chunks(mut self, up_to_bytes: usize) -> Self {
        self.chunks = Some(up_to_bytes.max(1));
        self
    }

    /// Each chunk is kept back for a time drawn from this range, one after another: tokio's time, so that a paused
    /// clock makes it quick. A range of one value is a delay, a wider one has jitter, too.
    #[must_use]
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.pacing.delay = Some(range);
        self
    }

    /// Each chunk passes only after some polls that were not ready, up to this many.
    #[must_use]
    pub fn in_pieces(mut self, up_to: u32) -> Self {
        self.pacing.pieces = up_to;
        self
    }

    /// The direction is read slowly: so many bytes in each such time, at least 1.
    #[must_use]
    pub fn slow(mut self, bytes: u64, per: Duration) -> Self {
        self.pacing.slow = Some((bytes, per));
        self
    }

    /// These bytes are corrupted. [`Which::OneIn`] is an average: so far apart are two of them, give or take.
    #[must_use]
    pub fn corrupt(mut self, which: impl Into<Which>, how: Corruption) -> Self {
        self.corrupt = Some((which.into(), how));
        self
    }

    /// Nothing passes after this many bytes, not even the end: for a time, or (`None`) for ever.
    #[must_use]
    pub fn stall(mut self, after_bytes: u64, duration: Option<Duration>) -> Self {
        self.stall = Some((after_bytes, duration));
        self
    }

    /// After this many bytes the other side is gone, and nobody says so: what is written is taken and thrown away, what
    /// the other side writes never comes, nor does its end. Give it to both directions for a peer that has vanished.
    #[must_use]
    pub fn half_open(mut self, after_bytes: u64) -> Self {
        self.half_open = Some(after_bytes);
        self
    }

    /// The direction ends after this many bytes. An error ends both directions of a stream; a clean end leaves the
    /// other as it is.
    #[must_use]
    pub fn cut(mut self, after_bytes: u64, how: Cut) -> Self {
        self.cut = Some((after_bytes, how));
        self
    }

    pub(super) fn random(rng: &mut Rng) -> Self {
        let mut faults = Self::none();
        let millis = |rng: &mut Rng, most| Duration::from_millis(rng.u64(0..=most));
        if rng.bool() {
            faults = faults.chunks(1 << rng.u32(0..=10));
        }
        if rng.bool() {
            faults = faults.in_pieces(rng.u32(1..=4));
        }
        let after = rng.u64(0..4096);
        match rng.u8(0..9) {
            0 => faults.corrupt(Which::OneIn(rng.u64(64..=4096)), Corruption::Any),
            1 => faults.corrupt(after, Corruption::Any),
            2 => faults.stall(after, Some(millis(rng, 20_000))),
            3 => faults.stall(after, None),
            4 => faults.half_open(after),
            5 => faults.cut(after, random_cut(rng)),
            6 => faults.slow(rng.u64(64..=4096), Duration::from_millis(50)),
            7 => faults.delay(Duration::ZERO..=millis(rng, 20)),
            _ => faults,
        }
    }
}

impl fmt::Display for StreamFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamFaults::none()")?;
        if let Some(bytes) = self.chunks {
            write!(f, ".chunks({bytes})")?;
        }
        show_pacing(&self.pacing, f)?;
        if let Some((which, how)) = self.corrupt {
            write!(f, ".corrupt({}, {})", Code(which), Code(how))?;
        }
        if let Some((after, duration)) = self.stall {
            write!(f, ".stall({after}, {})", Code(duration))?;
        }
        if let Some(after) = self.half_open {
            write!(f, ".half_open({after})")?;
        }
        if let Some((after, how)) = self.cut {
            write!(f, ".cut({after}, {})", Code(how))?;
        }
        Ok(())
    }
}

/// What a [`FaultStream`] does to the bytes of either direction.
///
/// The same seed gives the same bytes, whatever the timing: each direction draws for itself, by the place in the stream.
/// Its `Display` is the code that makes it, seed included.
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use towpath_testkit::{Corruption, FaultKind, StreamFaults, StreamPlan};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let plan = StreamPlan::new(7).reading(StreamFaults::none().chunks(3).corrupt(4, Corruption::RemoveByte));
/// println!("{plan}");
/// let (near, mut far) = tokio::io::duplex(64);
/// let mut near = plan.wrap(near);
/// far.write_all(b"towpath").await?;
/// drop(far);
/// let mut text = String::new();
/// near.read_to_string(&mut text).await?;
/// assert_eq!(text, "towpth");
/// assert_eq!(plan.stats().of(FaultKind::Corrupt), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StreamPlan {
    seed: u64,
    reading: StreamFaults,
    writing: StreamFaults,
    counters: Arc<Counters>,
}

impl StreamPlan {
    /// A plan without faults.
    pub fn new(seed: u64) -> Self {
        let (reading, writing) = (StreamFaults::none(), StreamFaults::none());
        Self { seed, reading, writing, counters: Arc::default() }
    }

    /// A plan whose script is drawn as well: any faults, in either direction. Some leave the stream useless.
    pub fn random(seed: u64) -> Self {
        let draw = |direction| StreamFaults::random(&mut rng(seed, [place::SCRIPT, direction, 1]));
        Self::new(seed).reading(draw(place::INBOUND)).writing(draw(place::OUTBOUND))
    }

    /// What happens to bytes that are read through the stream.
    #[must_use]
    pub fn reading(mut self, faults: StreamFaults) -> Self {
        self.reading = faults;
        self
    }

    /// What happens to bytes that are written through the stream.
    #[must_use]
    pub fn writing(mut self, faults: StreamFaults) -> Self {
        self.writing = faults;
        self
    }

    /// The stream with these faults.
    pub fn wrap<S>(&self, stream: S) -> FaultStream<S> {
        let tap = |faults: &StreamFaults, direction| {
            Tap::new(faults.clone(), self.seed, [direction, 0], Arc::clone(&self.counters))
        };
        FaultStream::new(stream, tap(&self.reading, place::INBOUND), tap(&self.writing, place::OUTBOUND))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What was done to the streams that this plan and its clones wrap.
    pub fn stats(&self) -> FaultStats {
        self.counters.stats()
    }
}

impl fmt::Display for StreamPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamPlan::new({})", self.seed)?;
        if self.reading != StreamFaults::none() {
            write!(f, ".reading({})", self.reading)?;
        }
        if self.writing != StreamFaults::none() {
            write!(f, ".writing({})", self.writing)?;
        }
        Ok(())
    }
}
