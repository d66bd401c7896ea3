//! The guard: a process that outlives this one, if this one is killed, and then ends what the server has started.
//!
//! The system kills the server itself when the command dies (its parent-death signal), but not what the server has
//! started: `npx` and `sh` leave those behind. The guard holds the reading end of a pipe whose writing end only the
//! command has, so the end of the command, of whatever kind, is the end of that pipe.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group, setsid, test_kill_process_group};

/// The subcommand that is the guard.
const SUBCOMMAND: &str = "guard";

/// What the command says when nobody is left to be ended.
const DONE: &str = "done";

/// A guard that runs. Dropped without [`finish`](Self::finish), it ends the group, and then itself.
pub(crate) struct Guard {
    process: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// Starts a guard of a group of processes.
    pub(crate) fn start(group: u32) -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(SUBCOMMAND)
            // Nobody else gets the writing end: it is closed on exec.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()?;
        let Some(mut pipe) = process.stdin.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        pipe.write_all(format!("{group}\n").as_bytes())?;
        Ok(Self { process, pipe })
    }

    /// Ends the guard, once the group is gone.
    pub(crate) fn finish(mut self) {
        // That alone would do, but for a guard that somebody has stopped.
        let _ = writeln!(self.pipe, "{DONE}");
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The guard itself: waits for the end of stdin, and ends the group that it was told of.
pub(crate) fn run() {
    // What ends the terminal, or is typed there, is not to end the guard. It fails for whoever leads a group, and so
    // needs none.
    let _ = setsid();
    let mut lines = BufReader::new(io::stdin().lock().take(MAX_BYTES)).lines().map_while(Result::ok);
    let Some(group) = lines.next().as_deref().and_then(group) else { return };
    if lines.next().as_deref() != Some(DONE) {
        end(group);
    }
}

fn group(line: &str) -> Option<Pid> {
    line.parse().ok().filter(|group| *group > 1).and_then(Pid::from_raw)
}

/// SIGTERM, and SIGKILL for those that are left after a grace time.
fn end(group: Pid) {
    let until = Instant::now() + GRACE;
    let mut left = kill_process_group(group, Signal::TERM).is_ok();
    while left && Instant::now() < until {
        // allowed: no event tells when a group of others' children is gone, and nothing else runs here.
        thread::sleep(LOOK);
        left = test_kill_process_group(group).is_ok();
    }
    if left {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

const MAX_BYTES: u64 = 64;
const GRACE: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_group_of_others_is_a_group() {
        assert_eq!(group("4711"), Pid::from_raw(4711));
        for wrong in ["0", "1", "-5", "", "x", "99999999999"] {
            assert_eq!(group(wrong), None, "{wrong}");
        }
    }
}
