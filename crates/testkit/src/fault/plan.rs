//! What goes wrong on a lane, when, and by which seed.

use std::{fmt, sync::Arc};

use towpath_raw::{Lane, LaneLimits, LaneTimeouts};

use super::{
    FaultLane, FaultStats, Faults,
    code::Code,
    common::{place, rng},
    gate::Gate,
    stats::Counters,
};

/// What a [`FaultLane`] does to the frames of either direction.
///
/// The same seed draws the same delays, pieces and lengths for the same frames, whatever the timing: each direction,
/// each exchange in it and each frame of that draws for itself. A failing test should print the plan: its `Display` is
/// the code that makes it, seed included.
///
/// ```
/// use std::time::Duration;
///
/// use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
/// use towpath_testkit::{Cut, FaultKind, FaultPlan, Faults, memory_pair};
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
/// assert_eq!(plan.stats().of(FaultKind::Cut), 1);
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
    counters: Arc<Counters>,
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
            counters: Arc::default(),
        }
    }

    /// A plan without faults, and with a seed that nobody chose.
    pub fn unseeded() -> Self {
        Self::new(fastrand::u64(..))
    }

    /// A plan whose script is drawn as well: any faults but [`Faults::reorder_messages`], in either direction. Some
    /// leave the lane useless.
    pub fn random(seed: u64) -> Self {
        let draw = |direction| Faults::random(&mut rng(seed, [place::SCRIPT, direction, 0]));
        Self::new(seed).inbound(draw(place::INBOUND)).outbound(draw(place::OUTBOUND))
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

    /// What was done to the lanes that this plan and its clones wrap.
    pub fn stats(&self) -> FaultStats {
        self.counters.stats()
    }

    pub(super) fn gates(&self) -> (Gate, Gate) {
        let gate = |direction, faults: &Faults| {
            Gate::new(faults.clone(), self.seed, direction, Arc::clone(&self.counters))
        };
        (gate(place::INBOUND, &self.inbound), gate(place::OUTBOUND, &self.outbound))
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultPlan::new({})", self.seed)?;
        if self.inbound != Faults::none() {
            write!(f, ".inbound({})", self.inbound)?;
        }
        if self.outbound != Faults::none() {
            write!(f, ".outbound({})", self.outbound)?;
        }
        if self.limits != LaneLimits::default() {
            write!(f, ".with_limits({})", Code(&self.limits))?;
        }
        if self.timeouts != LaneTimeouts::default() {
            write!(f, ".with_timeouts({})", Code(&self.timeouts))?;
        }
        Ok(())
    }
}
