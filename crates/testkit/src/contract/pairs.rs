//! Where the checks get their lanes from, whatever their types are.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use towpath_raw::{FrameSink, FrameSource, Lane};

use super::{Profile, Setup};

/// Makes the pairs for the checks, and knows what is particular about them.
pub struct Pairs<'a> {
    make: Box<dyn Make + 'a>,
    profile: Profile,
    is_swapped: bool,
}

impl<'a> Pairs<'a> {
    /// Pairs that `make` makes, of which `profile` says what they cannot do.
    pub fn new<A: Lane, B: Lane>(profile: Profile, make: impl AsyncFn(Setup) -> (A, B) + 'a) -> Self {
        Self { make: Box::new(Erasing(make, std::marker::PhantomData)), profile, is_swapped: false }
    }

    /// The same for the other direction: left is right.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self { make: self.make, profile: self.profile.swapped(), is_swapped: !self.is_swapped }
    }

    /// What is particular about them, in this direction.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// A pair.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has been made.
    pub async fn pair(&self, setup: Setup) -> (AnyLane, AnyLane) {
        if self.is_swapped {
            let (left, right) = self.make.make(setup.swapped()).await;
            return (right, left);
        }
        self.make.make(setup).await
    }
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").field("profile", &self.profile).finish_non_exhaustive()
    }
}

trait Make {
    fn make(&self, setup: Setup) -> Pin<Box<dyn Future<Output = (AnyLane, AnyLane)> + '_>>;
}

struct Erasing<F, A, B>(F, std::marker::PhantomData<fn() -> (A, B)>);

impl<F: AsyncFn(Setup) -> (A, B), A: Lane, B: Lane> Make for Erasing<F, A, B> {
    fn make(&self, setup: Setup) -> Pin<Box<dyn Future<Output = (AnyLane, AnyLane)> + '_>> {
        Box::pin(async move {
            let (left, right) = (self.0)(setup).await;
            (AnyLane::new(left), AnyLane::new(right))
        })
    }
}

/// A lane of whatever type, so that each check is compiled once.
pub struct AnyLane {
    peer: Arc<str>,
    max_message_bytes: usize,
    source: Box<dyn FrameSource>,
    sink: Box<dyn FrameSink>,
}

impl AnyLane {
    fn new(lane: impl Lane) -> Self {
        let (peer, max_message_bytes) = (lane.peer(), lane.max_message_bytes());
        let (source, sink) = lane.split();
        Self { peer, max_message_bytes, source: Box::new(source), sink: Box::new(sink) }
    }
}

impl Lane for AnyLane {
    type Source = Box<dyn FrameSource>;
    type Sink = Box<dyn FrameSink>;

    fn peer(&self) -> Arc<str> {
        Arc::clone(&self.peer)
    }

    fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        (self.source, self.sink)
    }
}

impl fmt::Debug for AnyLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyLane").field("peer", &self.peer).finish_non_exhaustive()
    }
}
