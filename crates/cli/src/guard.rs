//! The guard: a process that outlives this one, if this one is killed, and then ends what it has started.
//!
//! The system kills a server itself when the command dies (its parent-death signal), but not what the server has
//! started: `npx` and `sh` leave those behind. The guard holds the reading end of a pipe whose writing end only the
//! command has, so the end of the command, of whatever kind, is the end of that pipe.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process_group, setsid, test_kill_process_group},
};

/// The subcommand that is the guard.
const SUBCOMMAND: &str = "guard";

/// What the command says when nobody is left to be ended.
const DONE: &str = "done";

/// A guard that runs. Dropped without [`finish`](Self::finish), it ends the groups that it watches, and then itself.
pub(crate) struct Guard {
    process: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// Starts a guard, which watches nothing yet.
    pub(crate) fn start() -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(SUBCOMMAND)
            // Nobody else gets the writing end: it is closed on exec.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()?;
        let Some(pipe) = process.stdin.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        // The pipe is ours alone. A guard that somebody has stopped is not waited for.
        ioctl_fionbio(&pipe, true)?;
        Ok(Self { process, pipe })
    }

    /// Starts a guard of one group of processes.
    pub(crate) fn of(group: u32) -> io::Result<Self> {
        let mut guard = Self::start()?;
        guard.watch(group)?;
        Ok(guard)
    }

    /// Puts a group of processes under guard. One that has ended needs not be taken back: the guard sees that itself.
    pub(crate) fn watch(&mut self, group: u32) -> io::Result<()> {
        self.pipe.write_all(format!("{group}\n").as_bytes())
    }

    /// Ends the guard, once the groups are gone.
    pub(crate) fn finish(mut self) {
        // That alone would do, but for a guard that somebody has stopped.
        let _ = writeln!(self.pipe, "{DONE}");
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The guard itself: waits for the end of stdin, and ends the groups that it was told of.
pub(crate) fn run() {
    // What ends the terminal, or is typed there, is not to end the guard. It fails for whoever leads a group, and so
    // needs none.
    let _ = setsid();
    let mut watched = Watched::default();
    let mut stdin = BufReader::new(io::stdin().lock());
    while let Some(line) = line(&mut stdin) {
        if line == DONE {
            return;
        }
        if let Some(group) = group(&line) {
            watched.add(Group { started: started(group), leader: group });
        }
    }
    end(watched.groups);
}

/// The groups that live, and some that have ended.
#[derive(Default)]
struct Watched {
    groups: Vec<Group>,
    /// How many there may be before those that have ended are looked for.
    room: usize,
}

impl Watched {
    fn add(&mut self, group: Group) {
        if self.groups.len() >= self.room.max(MANY) {
            self.groups.retain(Group::is_there);
            // Each look is paid for by as many newcomers as are looked at: with thousands of groups that live, one for
            // each newcomer would keep the guard from reading.
            self.room = self.groups.len().saturating_mul(2);
        }
        self.groups.push(group);
    }
}

/// The next line, if there is one, and it is as short as ours are.
fn line(stdin: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    stdin.take(MAX_LINE_BYTES).read_line(&mut line).ok().filter(|length| *length > 0)?;
    Some(line.trim_end().to_owned())
}

fn group(line: &str) -> Option<Pid> {
    line.parse().ok().filter(|group| *group > 1).and_then(Pid::from_raw)
}

/// A group of processes, which no other that gets its number later is taken for.
struct Group {
    leader: Pid,
    /// When its leader was started, in the ticks of the system.
    started: Option<u64>,
}

impl Group {
    /// Whether it has members, and is still the one that was meant: its leader has gone, or is the same.
    fn is_there(&self) -> bool {
        let now = started(self.leader);
        (now.is_none() || now == self.started) && test_kill_process_group(self.leader).is_ok()
    }
}

fn started(leader: Pid) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", leader.as_raw_nonzero())).ok()?;
    // The name of the process may hold anything, the rest may not: the start is the 22nd field of all.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// SIGTERM, and SIGKILL for those that are left after a grace time.
fn end(mut groups: Vec<Group>) {
    let until = Instant::now() + GRACE;
    groups.retain(|group| group.is_there() && kill_process_group(group.leader, Signal::TERM).is_ok());
    while !groups.is_empty() && Instant::now() < until {
        // allowed: no event tells when a group of others' children is gone, and nothing else runs here.
        thread::sleep(LOOK);
        groups.retain(Group::is_there);
    }
    for group in groups {
        let _ = kill_process_group(group.leader, Signal::KILL);
    }
}

const MAX_LINE_BYTES: u64 = 32;
/// Below that, those that have ended are not looked for.
const MANY: usize = 64;
const GRACE: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn only_a_group_of_others_is_a_group() {
        assert_eq!(group("4711"), Pid::from_raw(4711));
        for wrong in ["0", "1", "-5", "", "x", "99999999999"] {
            assert_eq!(group(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn groups_that_have_ended_are_forgotten_and_those_that_live_are_not_looked_at_each_time() {
        let gone = || Group { leader: Pid::INIT, started: None };
        let mut watched = Watched::default();
        for _ in 0..10 * MANY {
            watched.add(gone());
        }
        assert!(watched.groups.len() <= MANY, "{}", watched.groups.len());
        let mut process = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let leader = Pid::from_child(&process);
        let mut watched = Watched::default();
        for _ in 0..=MANY {
            watched.add(Group { leader, started: started(leader) });
        }
        process.kill().unwrap();
        process.wait().unwrap();
        // They were looked at a moment ago: not again before there are twice as many.
        watched.add(gone());
        assert_eq!(watched.groups.len(), MANY + 2);
        for _ in MANY + 2..=2 * MANY {
            watched.add(gone());
        }
        assert_eq!(watched.groups.len(), 1);
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_one_that_was_meant() {
        let mut process = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let leader = Pid::from_child(&process);
        let there = Group { leader, started: started(leader) }.is_there();
        let taken_for = Group { leader, started: started(leader).map(|ticks| ticks - 1) }.is_there();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(there && !taken_for);
        assert!(!Group { leader, started: None }.is_there());
    }
}
