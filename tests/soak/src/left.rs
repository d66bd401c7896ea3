//! What is left when all children should be gone.

use std::{
    collections::VecDeque,
    fs,
    time::{Duration, Instant},
};

use towpath::wait_for_children;
use towpath_testkit::leak::{Baseline, CountingAllocator};

/// In the environment of every child: so an orphan is found, too.
pub(crate) const MARKER: &str = "TOWPATH_SOAK";

/// Compares what there is after every round with what there was after the first ones.
pub(crate) struct Leftovers {
    baseline: Baseline,
    /// Live bytes and children so far, of the rounds.
    memory: VecDeque<(usize, u64)>,
}

impl Leftovers {
    /// Call it after a warm-up: the first child starts the thread that owns all of them, and the one that tells of
    /// them. More there must not be.
    pub(crate) fn new() -> Result<Self, String> {
        let start = Instant::now();
        while threads() > KNOWN_THREADS {
            if start.elapsed() > SETTLING {
                return Err(format!("{} threads after the warm-up; {KNOWN_THREADS} are known", threads()));
            }
            std::thread::yield_now();
        }
        let baseline = Baseline::take().and_threads();
        Ok(Self { baseline, memory: VecDeque::with_capacity(MAX_ROUNDS) })
    }

    /// What is left, after a time for it to go.
    pub(crate) fn look(&mut self, children: u64) -> Result<(), String> {
        let still: Vec<String> = wait_for_children(SETTLING)
            .into_iter()
            .map(|child| format!("\n  child {} ({})", child.pid, child.program))
            .collect();
        if !still.is_empty() {
            return Err(format!("not gone after {SETTLING:?}:{}", still.concat()));
        }
        let orphans = marked();
        if !orphans.is_empty() {
            return Err(format!("left behind:\n  processes {orphans:?}, whose parents are gone"));
        }
        let start = Instant::now();
        loop {
            let leaks = self.baseline.compare();
            if leaks.is_empty() {
                break;
            }
            if start.elapsed() > SETTLING {
                return Err(leaks.to_string());
            }
            std::thread::yield_now();
        }
        if self.memory.len() == MAX_ROUNDS {
            self.memory.pop_front();
        }
        self.memory.push_back((CountingAllocator::live_bytes(), children));
        Ok(())
    }

    /// Whether memory has grown with the number of children: the middle of the last third of the rounds against
    /// that of the first.
    pub(crate) fn memory(&self) -> Result<String, String> {
        let rounds: Vec<_> = self.memory.iter().copied().collect();
        let third = rounds.len() / 3;
        if third == 0 {
            return Err(format!("{} rounds are too few to see whether memory grows", rounds.len()));
        }
        let (before, early) = middle(&rounds[..third]);
        let (after, late) = middle(&rounds[rounds.len() - third..]);
        let (grown, children) = (after.saturating_sub(before), late.saturating_sub(early));
        let text = format!("memory: {before} bytes, then {after}, with {children} children in between");
        let allowed = TOLERANCE_BYTES + usize::try_from(children).unwrap_or(usize::MAX) * TOLERANCE_A_CHILD;
        if grown > allowed { Err(format!("{text}; {allowed} more are allowed")) } else { Ok(text) }
    }
}

/// The median of the bytes, and of the children.
fn middle(rounds: &[(usize, u64)]) -> (usize, u64) {
    let (mut bytes, mut children): (Vec<_>, Vec<_>) = rounds.iter().copied().unzip();
    bytes.sort_unstable();
    children.sort_unstable();
    (bytes[bytes.len() / 2], children[children.len() / 2])
}

/// The processes that carry our marker, which this one does not.
fn marked() -> Vec<u32> {
    let wanted = format!("{MARKER}={}", std::process::id());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// This one, and the two of the children.
const KNOWN_THREADS: usize = 3;
/// How long everything may take to go, once nobody wants it any more.
const SETTLING: Duration = Duration::from_secs(20);
/// Rounds beyond these are forgotten.
const MAX_ROUNDS: usize = 4096;
/// What may still be on its way to be freed when a round is over; between rounds up to 1 KiB of it was seen.
const TOLERANCE_BYTES: usize = 2 << 10;
/// A leak of anything at all is more than this.
const TOLERANCE_A_CHILD: usize = 2;
