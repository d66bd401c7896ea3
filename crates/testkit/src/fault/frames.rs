//! The script of one direction of a lane.

use std::{fmt, io::ErrorKind, ops::RangeInclusive, time::Duration};

use fastrand::Rng;

use super::{Corruption, Cut, Which, code::Code, pace::Pacing};

/// What happens to the frames of one direction. Frames are counted from 0; what is no frame is let through.
///
/// Its `Display` is the code that makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub(super) pacing: Pacing,
    pub(super) truncate: Option<Which>,
    pub(super) corrupt: Option<(Which, Corruption)>,
    pub(super) duplicate: Option<Which>,
    pub(super) reorder: Option<(Which, Duration)>,
    pub(super) swap_messages: bool,
    pub(super) stall: Option<(Which, Option<Duration>)>,
    pub(super) half_open: Option<u64>,
    pub(super) cut: Option<(Which, Cut)>,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Each frame is kept back for a time drawn from this range, one after another: tokio's time, so that a paused
    /// clock makes it quick. A range of one value is a delay, a wider one has jitter, too.
    #[must_use]
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.pacing.delay = Some(range);
        self
    }

    /// Each frame passes only after some polls that were not ready, up to this many.
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

    /// These frames are cut short. Those after them are whole.
    #[must_use]
    pub fn truncate(mut self, which: impl Into<Which>) -> Self {
        self.truncate = Some(which.into());
        self
    }

    /// In these frames a byte is corrupted, and no line end is made by it.
    #[must_use]
    pub fn corrupt(mut self, which: impl Into<Which>, how: Corruption) -> Self {
        self.corrupt = Some((which.into(), how));
        self
    }

    /// These frames come twice, one after the other.
    #[must_use]
    pub fn duplicate(mut self, which: impl Into<Which>) -> Self {
        self.duplicate = Some(which.into());
        self
    }

    /// These frames are set aside for this time, and frames of other exchanges
    /// ([`Route`](towpath_raw::Route)) overtake them. Those of the same exchange wait behind them, and frames of the
    /// lane itself are never set aside.
    ///
    /// On a lane that is one conversation, what comes in belongs to the lane itself, and keeps its order. What goes out
    /// may not: a client gives each of its calls an exchange of its own, on any lane, so its calls overtake each other
    /// as if they had been made in another order.
    ///
    /// At most 64 frames, and as many bytes as
    /// [`write_queue_bytes`](towpath_raw::LaneLimits::write_queue_bytes) or one frame, are set aside; then the
    /// direction waits for the first of them.
    #[must_use]
    pub fn reorder(mut self, which: impl Into<Which>, hold: Duration) -> Self {
        self.reorder = Some((which.into(), hold));
        self.swap_messages = false;
        self
    }

    /// As [`Faults::reorder`], and on the lane itself messages with different ids overtake each other as well.
    ///
    /// Where a lane is one conversation its order is a promise: no pipe breaks it, and peers may rely on it. It takes
    /// something between them that answers or forwards out of order. Notifications, batches and what is no message keep
    /// their place, and nothing overtakes them.
    #[must_use]
    pub fn reorder_messages(mut self, which: impl Into<Which>, hold: Duration) -> Self {
        self.reorder = Some((which.into(), hold));
        self.swap_messages = true;
        self
    }

    /// Nothing passes before these frames: for a time, or (`None`) for ever.
    #[must_use]
    pub fn stall(mut self, which: impl Into<Which>, duration: Option<Duration>) -> Self {
        self.stall = Some((which.into(), duration));
        self
    }

    /// After this many frames the other side is gone, and nobody says so: what is sent is taken and thrown away, what
    /// the other side sends never comes, nor does its end. Give it to both directions for a peer that has vanished.
    #[must_use]
    pub fn half_open(mut self, after_frames: u64) -> Self {
        self.half_open = Some(after_frames);
        self
    }

    /// The direction ends before this frame.
    #[must_use]
    pub fn cut(mut self, which: impl Into<Which>, how: Cut) -> Self {
        self.cut = Some((which.into(), how));
        self
    }

    pub(super) fn random(rng: &mut Rng) -> Self {
        let mut faults = Self::none();
        let millis = |rng: &mut Rng, most| Duration::from_millis(rng.u64(0..=most));
        if rng.bool() {
            let least = millis(rng, 5);
            faults = faults.delay(least..=least + millis(rng, 40));
        }
        if rng.bool() {
            faults = faults.in_pieces(rng.u32(1..=4));
        }
        let which = random_which(rng, 16);
        match rng.u8(0..10) {
            0 => faults.truncate(which),
            1 => faults.corrupt(which, Corruption::Any),
            2 => faults.duplicate(which),
            3 => faults.reorder(which, millis(rng, 100)),
            4 => faults.stall(which, Some(millis(rng, 20_000))),
            5 => faults.stall(which, None),
            6 => faults.half_open(rng.u64(0..16)),
            7 => faults.cut(which, random_cut(rng)),
            8 => faults.slow(rng.u64(64..=4096), Duration::from_millis(50)),
            _ => faults,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults::none()")?;
        show_pacing(&self.pacing, f)?;
        if let Some(which) = self.truncate {
            write!(f, ".truncate({})", Code(which))?;
        }
        if let Some((which, how)) = self.corrupt {
            write!(f, ".corrupt({}, {})", Code(which), Code(how))?;
        }
        if let Some(which) = self.duplicate {
            write!(f, ".duplicate({})", Code(which))?;
        }
        if let Some((which, hold)) = self.reorder {
            let name = if self.swap_messages { "reorder_messages" } else { "reorder" };
            write!(f, ".{name}({}, {})", Code(which), Code(hold))?;
        }
        if let Some((which, duration)) = self.stall {
            write!(f, ".stall({}, {})", Code(which), Code(duration))?;
        }
        if let Some(after) = self.half_open {
            write!(f, ".half_open({after})")?;
        }
        if let Some((which, how)) = self.cut {
            write!(f, ".cut({}, {})", Code(which), Code(how))?;
        }
        Ok(())
    }
}

pub(super) fn show_pacing(pacing: &Pacing, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(range) = &pacing.delay {
        write!(f, ".delay({})", Code(range))?;
    }
    if pacing.pieces > 0 {
        write!(f, ".in_pieces({})", pacing.pieces)?;
    }
    if let Some((bytes, per)) = pacing.slow {
        write!(f, ".slow({bytes}, {})", Code(per))?;
    }
    Ok(())
}

pub(super) fn random_which(rng: &mut Rng, up_to: u64) -> Which {
    if rng.bool() { Which::Number(rng.u64(0..up_to)) } else { Which::OneIn(rng.u64(2..=up_to)) }
}

pub(super) fn random_cut(rng: &mut Rng) -> Cut {
    match rng.u8(0..3) {
        0 => Cut::End,
        1 => Cut::MidFrame,
        _ => Cut::Error(ErrorKind::ConnectionReset),
    }
}
