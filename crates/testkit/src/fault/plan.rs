//! What goes wrong, when, and by which seed.

use std::{
    fmt, io,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Sleep, sleep};
use towpath_raw::{Lane, LaneLimits, LaneTimeouts};

use super::FaultLane;

/// What a [`FaultLane`] does to the frames of either direction.
///
/// The same seed draws the same delays, pieces and lengths for the same frames. A failing test should print the
/// plan, which names its seed.
///
/// ```
/// use std::time::Duration;
///
/// use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
/// use towpath_testkit::{Cut, FaultPlan, Faults, memory_pair};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towpath_raw::LaneError> {
/// let plan = FaultPlan::new(7).inbound(
///     Faults::none().delay(Duration::ZERO..=Duration::from_millis(2)).cut(1, Cut::MidFrame),
/// );
/// println!("{plan}");
/// let (near, far) = memory_pair(Default::default(), Default::default());
/// let (mut source, _sink) = plan.wrap(near).split();
/// let (_source, mut sink) = far.split();
/// for text in [r#"{"first":1}"#, r#"{"second":2}"#] {
///     sink.send(Frame::from(bytes::Bytes::from_static(text.as_bytes()))).await?;
/// }
/// assert!(matches!(source.receive().await?, Inbound::Frame(_)));
/// assert!(matches!(source.receive().await?, Inbound::End(end) if end.truncated_bytes > 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FaultPlan {
    seed: u64,
    inbound: Faults,
    outbound: Faults,
    pub(super) limits: LaneLimits,
    pub(super) timeouts: LaneTimeouts,
}

impl FaultPlan {
    /// A plan without faults.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            inbound: Faults::none(),
            outbound: Faults::none(),
            limits: LaneLimits::default(),
            timeouts: LaneTimeouts::default(),
        }
    }

    /// A plan without faults, and with a seed that nobody chose.
    pub fn unseeded() -> Self {
        Self::new(fastrand::u64(..))
    }

    /// What happens to frames that are received through the lane.
    #[must_use]
    pub fn inbound(mut self, faults: Faults) -> Self {
        self.inbound = faults;
        self
    }

    /// What happens to frames that are sent through the lane.
    #[must_use]
    pub fn outbound(mut self, faults: Faults) -> Self {
        self.outbound = faults;
        self
    }

    /// What the sink holds while frames are kept back: give it the limits of the lane inside.
    #[must_use]
    pub fn with_limits(mut self, limits: LaneLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long frames may be kept back until the sink ends with
    /// [`LaneError::PeerNotReading`](towpath_raw::LaneError::PeerNotReading): give it the timeouts of the lane inside.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: LaneTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The lane with these faults.
    pub fn wrap<L: Lane>(&self, lane: L) -> FaultLane<L> {
        FaultLane::new(lane, self)
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn gates(&self) -> (Gate, Gate) {
        // Each direction draws for itself: how they interleave must not matter.
        let mut seeds = Rng::with_seed(self.seed);
        (Gate::new(self.inbound.clone(), seeds.fork()), Gate::new(self.outbound.clone(), seeds.fork()))
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faults by seed {}: inbound {:?}, outbound {:?}", self.seed, self.inbound, self.outbound)
    }
}

/// What happens to the frames of one direction. Frames are counted from 0; what is no frame is let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    delay: Option<RangeInclusive<Duration>>,
    pieces: u32,
    truncated: Option<u64>,
    cut: Option<(u64, Cut)>,
    stall: Option<(u64, Option<Duration>)>,
}

/// How a direction is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// It ends between two frames. The sender gets [`LaneError::Closed`](towpath_raw::LaneError::Closed).
    End,
    /// It ends within the next frame: the receiver gets an end with truncated bytes. A frame that is sent through
    /// the lane goes out short before the end.
    MidFrame,
    /// Reading or writing fails with [`LaneError::Io`](towpath_raw::LaneError::Io) of this kind.
    Error(io::ErrorKind),
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Each frame is kept back for a time drawn from this range, one after another: tokio's time, so that a paused
    /// clock makes it quick.
    #[must_use]
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.delay = Some(range);
        self
    }

    /// Each frame passes only after some polls that were not ready, up to this many.
    #[must_use]
    pub fn in_pieces(mut self, up_to: u32) -> Self {
        self.pieces = up_to;
        self
    }

    /// The frame with this number is cut short. Those after it are whole.
    #[must_use]
    pub fn truncate(mut self, frame: u64) -> Self {
        self.truncated = Some(frame);
        self
    }

    /// The direction ends after this many frames.
    #[must_use]
    pub fn cut(mut self, after_frames: u64, how: Cut) -> Self {
        self.cut = Some((after_frames, how));
        self
    }

    /// Nothing passes after this many frames: for a time, or (`None`) for ever.
    #[must_use]
    pub fn stall(mut self, after_frames: u64, duration: Option<Duration>) -> Self {
        self.stall = Some((after_frames, duration));
        self
    }
}

/// One direction at work: decides, frame by frame, when it passes and how.
#[derive(Debug)]
pub(super) struct Gate {
    faults: Faults,
    rng: Rng,
    passed: u64,
    step: Step,
}

/// Where the frame at the gate stands.
#[derive(Debug)]
enum Step {
    Arrived,
    Stalled(Pin<Box<Sleep>>),
    Unstalled,
    Delayed(Pin<Box<Sleep>>),
    InPieces(u32),
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Whole,
    Short(usize),
    Cut(Cut, usize),
}

impl Gate {
    fn new(faults: Faults, rng: Rng) -> Self {
        Self { faults, rng, passed: 0, step: Step::Arrived }
    }

    /// The cut that needs no frame to happen.
    pub(super) fn cut_between_frames(&self) -> Option<Cut> {
        match self.faults.cut {
            Some((after, how)) if self.passed >= after && how != Cut::MidFrame => Some(how),
            _ => None,
        }
    }

    /// Ready when nothing is stalled; it can be asked before there is a frame.
    pub(super) fn poll_unstalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match (&mut self.step, self.faults.stall) {
                (Step::Arrived, Some((after, duration))) if self.passed == after => {
                    let Some(duration) = duration else { return Poll::Pending };
                    self.step = Step::Stalled(Box::pin(sleep(duration)));
                }
                (Step::Arrived, _) => self.step = Step::Unstalled,
                (Step::Stalled(timer), _) => {
                    ready!(timer.as_mut().poll(cx));
                    self.step = Step::Unstalled;
                }
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Ready when the frame at the gate passes; the next call is about the next frame.
    pub(super) fn poll_pass(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<Pass> {
        if let Some((after, how)) = self.faults.cut
            && self.passed >= after
        {
            return Poll::Ready(Pass::Cut(how, self.shorter(length)));
        }
        ready!(self.poll_unstalled(cx));
        loop {
            match &mut self.step {
                Step::Arrived | Step::Stalled(_) | Step::Unstalled => {
                    self.step = match self.faults.delay.clone() {
                        Some(range) => Step::Delayed(Box::pin(sleep(self.within(&range)))),
                        None => Step::InPieces(self.rng.u32(0..=self.faults.pieces)),
                    };
                }
                Step::Delayed(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    self.step = Step::InPieces(self.rng.u32(0..=self.faults.pieces));
                }
                Step::InPieces(0) => break,
                Step::InPieces(left) => {
                    *left -= 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        let short = self.faults.truncated == Some(self.passed);
        self.passed += 1;
        self.step = Step::Arrived;
        Poll::Ready(if short { Pass::Short(self.shorter(length)) } else { Pass::Whole })
    }

    fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let spread = range.end().saturating_sub(*range.start());
        let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
        *range.start() + Duration::from_nanos(self.rng.u64(0..=nanos))
    }

    /// A part of a frame: not all of it, and something if that is possible.
    fn shorter(&mut self, length: usize) -> usize {
        if length < 2 { 0 } else { self.rng.usize(1..length) }
    }
}
