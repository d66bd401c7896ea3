//! What a process has, now and later.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::{CountingAllocator, isolated::marker, procfs};

/// What the process had when it was taken: tasks, descriptors, child processes, and on demand threads and
/// memory. What is not counted on this system, or outside a runtime, is `None`, and is not compared.
///
/// Take it after a warm-up: a runtime opens its descriptors for processes and signals at their first use.
#[derive(Debug)]
pub struct Baseline {
    tasks: Option<usize>,
    descriptors: Option<BTreeMap<i32, String>>,
    processes: Option<BTreeMap<i32, String>>,
    threads: Option<BTreeMap<i32, String>>,
    memory: Option<Memory>,
    settle: Duration,
    first_descriptor: i32,
}

#[derive(Debug)]
struct Memory {
    live_bytes: usize,
    slack_bytes: usize,
}

/// What was there beside the [`Baseline`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaks {
    /// How many tasks.
    pub tasks: usize,
    /// Which descriptors, and what they are of.
    pub descriptors: BTreeMap<i32, String>,
    /// Which processes, and their command lines.
    pub processes: BTreeMap<i32, String>,
    /// Which threads, and their names.
    pub threads: BTreeMap<i32, String>,
    /// How many bytes, if they are more than the slack.
    pub live_bytes: usize,
}

impl Baseline {
    /// Counts what there is now.
    pub fn take() -> Self {
        Self {
            tasks: tasks(),
            descriptors: procfs::descriptors(),
            processes: procfs::processes(marker().as_deref()),
            threads: None,
            memory: None,
            settle: Duration::from_secs(5),
            first_descriptor: 0,
        }
    }

    /// Leaves out descriptors 0 to 2, which are something else after stdin and stdout were taken.
    pub(crate) fn without_standard_streams(mut self) -> Self {
        self.first_descriptor = 3;
        self
    }

    /// Counts the threads too. A runtime keeps idle threads for blocking work for some seconds.
    #[must_use]
    pub fn and_threads(mut self) -> Self {
        self.threads = procfs::threads();
        self
    }

    /// Counts memory too, and lets it grow by `slack_bytes`: call it last. Only a binary that has installed the
    /// [`CountingAllocator`] can.
    ///
    /// # Panics
    ///
    /// In a binary that has not.
    #[must_use]
    pub fn and_live_bytes(mut self, slack_bytes: usize) -> Self {
        assert!(CountingAllocator::is_installed(), "memory is not counted: install the CountingAllocator");
        self.memory = Some(Memory { live_bytes: CountingAllocator::live_bytes(), slack_bytes });
        self
    }

    /// How long [`Baseline::check`] lets things end. Default: 5 s, of the real time, paused or not.
    #[must_use]
    pub fn settling_within(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Compares, again and again, until nothing is left beside the baseline or the time is over.
    ///
    /// # Panics
    ///
    /// When something is left; the text says what.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn check(&self) {
        let start = Instant::now();
        loop {
            let leaks = self.compare();
            if leaks.is_empty() {
                return;
            }
            assert!(start.elapsed() < self.settle, "{leaks}");
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
    }

    /// As [`Baseline::check`], for a thread without a runtime.
    ///
    /// # Panics
    ///
    /// As [`Baseline::check`].
    pub fn check_blocking(&self) {
        let start = Instant::now();
        loop {
            let leaks = self.compare();
            if leaks.is_empty() {
                return;
            }
            assert!(start.elapsed() < self.settle, "{leaks}");
            std::thread::yield_now();
        }
    }

    /// What there is now beside the baseline.
    pub fn compare(&self) -> Leaks {
        // Memory first: to look at the rest takes some.
        let grown = self.memory.as_ref().map_or(0, |memory| {
            let grown = CountingAllocator::live_bytes().saturating_sub(memory.live_bytes);
            if grown > memory.slack_bytes { grown } else { 0 }
        });
        let mut descriptors = added(&self.descriptors, procfs::descriptors);
        descriptors.retain(|number, _| *number >= self.first_descriptor);
        Leaks {
            tasks: tasks().unwrap_or(0).saturating_sub(self.tasks.unwrap_or(usize::MAX)),
            descriptors,
            processes: added(&self.processes, || procfs::processes(marker().as_deref())),
            threads: added(&self.threads, procfs::threads),
            live_bytes: grown,
        }
    }
}

impl Leaks {
    /// Whether there is nothing beside the baseline.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("left behind:")?;
        if self.tasks > 0 {
            write!(f, "\n  {} tasks that have not ended", self.tasks)?;
        }
        for (fd, target) in &self.descriptors {
            write!(f, "\n  descriptor {fd}: {target}")?;
        }
        for (pid, command) in &self.processes {
            write!(f, "\n  process {pid}: {command}")?;
        }
        for (thread, name) in &self.threads {
            write!(f, "\n  thread {thread}: {name}")?;
        }
        if self.live_bytes > 0 {
            write!(f, "\n  {} bytes of memory", self.live_bytes)?;
        }
        Ok(())
    }
}

fn tasks() -> Option<usize> {
    Handle::try_current().ok().map(|runtime| runtime.metrics().num_alive_tasks())
}

/// What is there now and was not, or was something else. What was never counted is not looked for.
fn added(
    before: &Option<BTreeMap<i32, String>>,
    now: impl FnOnce() -> Option<BTreeMap<i32, String>>,
) -> BTreeMap<i32, String> {
    let Some(before) = before else { return BTreeMap::new() };
    let mut now = now().unwrap_or_default();
    now.retain(|number, what| before.get(number) != Some(what));
    now
}
