//! What is left of a connection after its end: processes and descriptors.

use std::{
    collections::HashMap,
    fmt, fs, process,
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;

/// What was there before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    processes: usize,
    descriptors: usize,
}

/// What was not there before, and is there afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leftover {
    pub(super) processes: usize,
    pub(super) descriptors: usize,
}

impl Baseline {
    pub(super) fn now() -> Self {
        Self { processes: descendants(), descriptors: descriptors() }
    }

    /// What is left above it once everything had the time to go.
    pub(super) async fn compare(self) -> Leftover {
        let killed = spawn_blocking(|| towpath::wait_for_children(PATIENCE).len()).await.unwrap_or(1);
        let until = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(2));
        loop {
            let now = Self::now();
            let left = Leftover {
                // One that had to be killed was left over, even if it has gone since.
                processes: now.processes.saturating_sub(self.processes).max(killed),
                descriptors: now.descriptors.saturating_sub(self.descriptors),
            };
            if left == Leftover::default() || killed > 0 || Instant::now() > until {
                return left;
            }
            // Nobody tells when a descriptor is closed or a process has gone from the table.
            look.tick().await;
        }
    }
}

impl Leftover {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.processes, self.descriptors) {
            (0, 0) => f.write_str("0"),
            (processes, descriptors) => write!(f, "{processes} processes, {descriptors} descriptors"),
        }
    }
}

/// How many processes descend from this one, zombies included.
fn descendants() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: HashMap<u32, u32> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let us = process::id();
    let is_ours = |pid: &u32| {
        let mut pid = *pid;
        // A chain is no longer than there are processes, whatever has changed meanwhile.
        for _ in 0..parents.len() {
            match parents.get(&pid) {
                Some(parent) if *parent == us => return true,
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().filter(|pid| is_ours(pid)).count()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use super::*;

    #[tokio::test]
    async fn processes_and_descriptors_that_stay_are_counted() {
        let compare = |baseline: Baseline| tokio::time::timeout(Duration::from_secs(60), baseline.compare());
        let baseline = Baseline::now();
        assert_eq!(compare(baseline).await, Ok(Leftover::default()));
        let file = File::open("/dev/null").unwrap();
        // A shell that waits for its own child: two generations.
        let mut shell =
            Command::new("sh").args(["-c", "cat; true"]).stdin(process::Stdio::piped()).spawn().unwrap();
        let left = compare(baseline).await.unwrap();
        assert!((1..=2).contains(&left.processes), "{left}");
        assert_eq!(left.descriptors, 2, "the file, and the pipe to the shell");
        drop((file, shell.stdin.take()));
        shell.wait().unwrap();
        assert_eq!(compare(baseline).await, Ok(Leftover::default()));
    }
}
