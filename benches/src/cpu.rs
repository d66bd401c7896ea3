//! CPU time of this process and of the children of a subject, from `/proc`.
//!
//! The scheduler's own counters are read, in nanoseconds; the counters that `getrusage` reports for children appear
//! only after their death, and would then count their start and their warm-up too. They are brought up to
//! date at every tick, so a window should be many milliseconds long. Where there is no such `/proc`, CPU time is
//! reported as unknown.

use std::collections::BTreeSet;
use std::time::Duration;

/// The processes whose CPU time belongs to one subject.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pids: BTreeSet<u32>,
}

impl Meter {
    /// This process and its children but those in `others`.
    pub(crate) fn new(others: &BTreeSet<u32>) -> Self {
        let mut pids: BTreeSet<u32> = children().difference(others).copied().collect();
        pids.insert(std::process::id());
        Self { pids }
    }

    /// The CPU time that the processes have used so far.
    pub(crate) fn read(&self) -> Option<Duration> {
        self.pids.iter().map(|pid| of_process(*pid)).sum()
    }

    /// The CPU time since `before` was read; unknown where the system does not count it.
    pub(crate) fn since(&self, before: Option<Duration>) -> Option<Duration> {
        self.read()?.checked_sub(before?).filter(|used| !used.is_zero())
    }
}

/// The children of this process that live now.
pub(crate) fn children() -> BTreeSet<u32> {
    let own = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeSet::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent(*pid) == Some(own))
        .collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command may hold anything, blanks and brackets too: start after its last bracket.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn of_process(pid: u32) -> Option<Duration> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanos = tasks
        .filter_map(Result::ok)
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok())
        .sum::<Option<u64>>()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::{Meter, children};

    #[test]
    fn the_meter_sees_the_cpu_time_of_this_process_grow() {
        let meter = Meter::new(&BTreeSet::new());
        let before = meter.read().unwrap();
        let deadline = Instant::now() + std::time::Duration::from_secs(20);
        while meter.since(Some(before)).is_none() {
            assert!(Instant::now() < deadline, "the counter never moved");
        }
    }

    #[test]
    fn a_new_child_is_counted_and_one_of_another_subject_is_not() {
        let spawn = || Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut other = spawn();
        let others = children();
        let mut own = spawn();
        let meter = Meter::new(&others);
        assert!(others.contains(&other.id()));
        assert!(meter.pids.contains(&own.id()));
        assert!(!meter.pids.contains(&other.id()));
        for child in [&mut other, &mut own] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
