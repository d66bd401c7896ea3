//! CPU time of this process and of the children of a subject, from `/proc`.
//!
//! The scheduler's own counters are read, in nanoseconds; the counters that `getrusage` reports for children appear
//! only after their death, and would then count their start and their warm-up too. They are brought up to
//! date at every tick, so a window should be many milliseconds long. Where there is no such `/proc`, CPU time is
//! reported as unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::case::Counted;

/// The processes whose CPU time belongs to one subject.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pids: BTreeSet<u32>,
}

impl Meter {
    /// The children of this process but those in `others`, with all that they have started, unless only the client
    /// counts; and this process, unless only the server does.
    pub(crate) fn new(counted: Counted, others: &BTreeSet<u32>) -> Self {
        if counted == Counted::Client {
            return Self { pids: BTreeSet::from([std::process::id()]) };
        }
        let parents = parents();
        let mut pids: BTreeSet<u32> = children().difference(others).copied().collect();
        loop {
            let before = pids.len();
            let started = parents.iter().filter(|(_, parent)| pids.contains(parent));
            let started: Vec<u32> = started.map(|(pid, _)| *pid).collect();
            pids.extend(started);
            if pids.len() == before {
                break;
            }
        }
        if counted == Counted::Everything {
            pids.insert(std::process::id());
        }
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
    parents().into_iter().filter(|(_, parent)| *parent == own).map(|(pid, _)| pid).collect()
}

/// All processes, each with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
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
        // A thread that ends just then has nothing to say.
        .filter(|stat| !stat.is_empty())
        .map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok())
        .sum::<Option<u64>>()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::{Meter, children};
    use crate::case::Counted;

    #[test]
    fn the_meter_sees_the_cpu_time_of_this_process_grow() {
        // Not with its children, which come and go with other tests.
        let meter = Meter { pids: BTreeSet::from([std::process::id()]) };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // Read anew each time: threads of other tests take what they have used with them.
            let before = meter.read();
            let busy = Instant::now();
            while busy.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            if meter.since(before).is_some() {
                return;
            }
            assert!(Instant::now() < deadline, "the counter never moved");
        }
    }

    #[test]
    fn what_a_child_has_started_is_counted_with_it() {
        let others = children();
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec 3<&0; cat <&3 & echo $!; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let meter = Meter::new(Counted::Everything, &others);
        assert!(meter.pids.contains(&pid.trim().parse().unwrap()), "{meter:?}");
        assert!(meter.pids.contains(&std::process::id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_new_child_is_counted_and_one_of_another_subject_is_not() {
        let spawn = || Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut other = spawn();
        let others = children();
        let mut own = spawn();
        let meter = Meter::new(Counted::Server, &others);
        assert!(others.contains(&other.id()));
        assert!(meter.pids.contains(&own.id()));
        assert!(!meter.pids.contains(&other.id()));
        assert!(!meter.pids.contains(&std::process::id()));
        assert_eq!(Meter::new(Counted::Client, &others).pids, BTreeSet::from([std::process::id()]));
        for child in [&mut other, &mut own] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
