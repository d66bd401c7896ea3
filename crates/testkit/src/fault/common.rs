//! What the scripts of all levels are made of: which one, cut how, corrupted how; and where chance comes from.

use std::{io, ops::RangeInclusive, time::Duration};

use fastrand::Rng;

/// Which of the things that pass (frames, exchanges, bytes) a fault meets. They are counted from 0.
///
/// A number alone stands for [`Which::Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// The one with this number.
    Number(u64),
    /// Each with this chance: 1 is every one, 20 is one in twenty, 0 is none.
    OneIn(u64),
}

impl From<u64> for Which {
    fn from(number: u64) -> Self {
        Which::Number(number)
    }
}

impl Which {
    pub(super) fn is(self, number: u64, rng: &mut Rng) -> bool {
        match self {
            Which::Number(this) => this == number,
            Which::OneIn(0) => false,
            Which::OneIn(many) => rng.u64(0..many) == 0,
        }
    }
}

/// How a direction is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// It ends cleanly: between two frames, or after this very byte. Who goes on to write is told that it is closed.
    End,
    /// It ends within the next frame. The receiver of a lane gets an end with truncated bytes, and a frame that is sent
    /// goes out short before the end; a byte stream ends at the next byte that is not the end of a line.
    MidFrame,
    /// Reading or writing fails with this kind of error.
    Error(io::ErrorKind),
}

/// How bytes are corrupted. What comes out is never what went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// One bit is flipped.
    FlipBit,
    /// One byte is another.
    ChangeByte,
    /// One byte is there that was not.
    InsertByte,
    /// One byte is missing.
    RemoveByte,
    /// One of the others, drawn each time.
    Any,
}

impl Corruption {
    /// What becomes of a byte. Within a frame there is no line end, so that none is made there.
    pub(super) fn of(self, byte: u8, in_frame: bool, rng: &mut Rng) -> Corrupted {
        let how = match self {
            Corruption::Any => *rng.choice(&EACH).unwrap_or(&Corruption::FlipBit),
            how => how,
        };
        loop {
            let other = match how {
                Corruption::RemoveByte => return Corrupted::default(),
                Corruption::FlipBit => byte ^ (1 << rng.u8(0..8)),
                Corruption::ChangeByte => byte ^ rng.u8(1..),
                _ => rng.u8(..),
            };
            if in_frame && matches!(other, b'\n' | b'\r') {
                continue;
            }
            return match how {
                Corruption::InsertByte => Corrupted { bytes: [other, byte], count: 2 },
                _ => Corrupted { bytes: [other, 0], count: 1 },
            };
        }
    }
}

/// What has become of one byte: none, one or two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Corrupted {
    bytes: [u8; 2],
    count: usize,
}

impl Corrupted {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }
}

/// A source of chance for one thing of one direction: what the others drew, and when, does not matter.
pub(super) fn rng(seed: u64, place: [u64; 3]) -> Rng {
    let mut mixed = seed;
    for part in place {
        mixed = (mixed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^= mixed >> 31;
    }
    Rng::with_seed(mixed)
}

/// The first part of a place: what is drawn for.
pub(super) mod place {
    pub(in crate::fault) const INBOUND: u64 = 1;
    pub(in crate::fault) const OUTBOUND: u64 = 2;
    pub(in crate::fault) const EXCHANGE: u64 = 3;
    pub(in crate::fault) const REQUEST: u64 = 4;
    pub(in crate::fault) const RESPONSE: u64 = 5;
    pub(in crate::fault) const SCRIPT: u64 = 6;
}

pub(super) fn time_within(range: &RangeInclusive<Duration>, rng: &mut Rng) -> Duration {
    let spread = range.end().saturating_sub(*range.start());
    let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
    *range.start() + Duration::from_nanos(rng.u64(0..=nanos))
}

pub(super) fn planned(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "a planned fault")
}

const EACH: [Corruption; 4] =
    [Corruption::FlipBit, Corruption::ChangeByte, Corruption::InsertByte, Corruption::RemoveByte];
