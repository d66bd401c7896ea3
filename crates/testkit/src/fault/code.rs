//! Scripts as the code that makes them, so that what a failing test prints can be pasted into the next one.

use std::{fmt, ops::RangeInclusive, time::Duration};

use towpath_raw::{LaneLimits, LaneTimeouts};

use super::{Corruption, Cut, Which};

/// Something that is written as code.
pub(super) struct Code<T>(pub(super) T);

impl fmt::Display for Code<Duration> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("Duration::ZERO");
        }
        let units = [(1_000_000_000, "secs"), (1_000_000, "millis"), (1_000, "micros"), (1, "nanos")];
        let unit = units.into_iter().find(|(size, _)| nanos.is_multiple_of(*size));
        let (size, name) = unit.unwrap_or((1, "nanos"));
        write!(f, "Duration::from_{name}({})", nanos / size)
    }
}

impl fmt::Display for Code<Option<Duration>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write!(f, "Some({})", Code(duration)),
            None => f.write_str("None"),
        }
    }
}

impl fmt::Display for Code<&RangeInclusive<Duration>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", Code(*self.0.start()), Code(*self.0.end()))
    }
}

impl fmt::Display for Code<Which> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Which::Number(number) => write!(f, "{number}"),
            Which::OneIn(many) => write!(f, "Which::OneIn({many})"),
        }
    }
}

impl fmt::Display for Code<Cut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cut::Error(kind) => write!(f, "Cut::Error(ErrorKind::{kind:?})"),
            how => write!(f, "Cut::{how:?}"),
        }
    }
}

impl fmt::Display for Code<Corruption> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Corruption::{:?}", self.0)
    }
}

impl fmt::Display for Code<&LaneLimits> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LaneLimits { max_message_bytes, write_queue_bytes, write_queue_frames, .. } = self.0;
        f.write_str("LaneLimits::default()")?;
        write!(f, ".with_max_message_bytes({max_message_bytes})")?;
        write!(f, ".with_write_queue_bytes({write_queue_bytes})")?;
        write!(f, ".with_write_queue_frames({write_queue_frames})")
    }
}

impl fmt::Display for Code<&LaneTimeouts> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LaneTimeouts::default().with_write_stall({})", Code(self.0.write_stall))
    }
}
