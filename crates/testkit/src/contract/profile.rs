//! What a transport cannot do by nature.

use std::time::Duration;

/// What is particular about a pair of lanes. By default it can do everything.
///
/// ```
/// use towpath_testkit::contract::{Closing, Nature, Profile, Unfinished};
///
/// // Lines: a last message without a newline looks like one that was cut.
/// let lines = Profile::default().both(Nature::default().unfinished(Unfinished::Given));
/// // An end that cannot close its direction alone, and takes the other with it.
/// let odd = lines.left(Nature::default().closing(Closing::EndsBoth));
/// # drop(odd);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The sizes of the buffers on the way: messages around each of them are tried. Default: [`Profile::COMMON_BUFFERS`].
    pub buffers: Vec<usize>,
    /// The left end.
    pub left: Nature,
    /// The right end.
    pub right: Nature,
    /// Whether a process can make only one pair. Then each check has a process of its own, and those for leaks compare
    /// with what was there before the only pair. Default: no.
    ///
    /// Descriptors 0 to 2 belong to the process, and are not compared then.
    pub once: bool,
    /// How many pairs the checks for leaks make after they have counted. Default: 32. A transport that starts processes
    /// should take fewer.
    pub rounds: usize,
    /// How many bytes of memory may be there beside what was before, after all those pairs. Default: 32 KiB.
    pub slack_bytes: usize,
    /// How long what is about to end may take before it counts as left. Default: 5 s.
    pub settle: Duration,
}

/// What one end of a pair cannot do by nature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nature {
    /// What its peer sees when it closes its sink.
    pub closing: Closing,
    /// What it makes of a frame that was cut.
    pub unfinished: Unfinished,
}

/// What closing a sink does to the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closing {
    /// It ends that direction, and the other lives: a pipe, a socket.
    #[default]
    Half,
    /// It ends both directions. The alternative: what was sent before arrives, then the end; and what the peer sends
    /// after it has seen that fails with [`LaneError::Closed`](towpath_raw::LaneError::Closed).
    EndsBoth,
    /// It tells the peer nothing. The alternative: what was sent before arrives, and nothing after it; the other
    /// direction lives; and the peer sees the end when the lane is dropped.
    Silent,
}

/// What a lane makes of a frame that was cut by the end of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfinished {
    /// It is never given.
    #[default]
    Dropped,
    /// It is given, because it may be a last one whose writer has left the delimiter out. The alternative: it is the
    /// beginning of that frame, and the last one.
    Given,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            buffers: Self::COMMON_BUFFERS.to_vec(),
            left: Nature::default(),
            right: Nature::default(),
            once: false,
            rounds: 32,
            slack_bytes: 32 << 10,
            settle: Duration::from_secs(5),
        }
    }
}

impl Profile {
    /// The sizes of buffers that lanes commonly have.
    pub const COMMON_BUFFERS: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];

    /// The same with other [`Profile::buffers`].
    #[must_use]
    pub fn buffers(mut self, buffers: impl Into<Vec<usize>>) -> Self {
        self.buffers = buffers.into();
        self
    }

    /// The same with another left end.
    #[must_use]
    pub fn left(mut self, nature: Nature) -> Self {
        self.left = nature;
        self
    }

    /// The same with another right end.
    #[must_use]
    pub fn right(mut self, nature: Nature) -> Self {
        self.right = nature;
        self
    }

    /// The same with other ends.
    #[must_use]
    pub fn both(self, nature: Nature) -> Self {
        self.left(nature).right(nature)
    }

    /// The same for a pair that a process can make only once.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
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

    pub(super) fn swapped(mut self) -> Self {
        std::mem::swap(&mut self.left, &mut self.right);
        self
    }
}

impl Nature {
    /// The same with another [`Nature::closing`].
    #[must_use]
    pub fn closing(mut self, closing: Closing) -> Self {
        self.closing = closing;
        self
    }

    /// The same with another [`Nature::unfinished`].
    #[must_use]
    pub fn unfinished(mut self, unfinished: Unfinished) -> Self {
        self.unfinished = unfinished;
        self
    }
}
