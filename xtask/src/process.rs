//! Commands under a time limit, and the processes that they leave behind.
//!
//! Everything that is started here carries a marker in its environment, which its children inherit: so what is left
//! of a run can be found, and ended, whoever its parent is by then. A program that passes on little of its environment,
//! as ours do to the servers that they start, still passes on where temporary files go, so the marker is in there, too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::workspace::Result;

/// The variable that marks a run.
const MARKER: &str = "TOWPATH_TEST_RUN";

/// One run, and all the processes that belong to it.
pub(crate) struct Run {
    marker: String,
    temporary: PathBuf,
}

/// How a command ended.
pub(crate) enum Ended {
    /// By itself, with this output (empty if it was not captured).
    Done(Output),
    /// By us, after the limit.
    TimeLimit(Duration),
}

impl Ended {
    /// An error unless it ended by itself and well.
    pub(crate) fn success(&self) -> Result<()> {
        match self {
            Self::Done(output) if output.status.success() => Ok(()),
            Self::Done(output) => Err(describe(output.status).into()),
            Self::TimeLimit(limit) => Err(format!("ended after its limit of {limit:?}").into()),
        }
    }
}

impl Run {
    /// A run with a marker of its own.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let marker = format!("{}-{}", std::process::id(), now.as_nanos());
        let temporary = std::env::temp_dir().join(format!("xtask-{marker}"));
        Self { marker, temporary }
    }

    /// The temporary directory of this run and no other. It is there while a process of the run can be, and is removed
    /// with the run.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Starts a command as a part of this run.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Child> {
        std::fs::create_dir_all(&self.temporary)?;
        command.env(MARKER, &self.marker).env("TMPDIR", &self.temporary);
        command.spawn().map_err(|error| format!("{}: {error}", shown(command)).into())
    }

    /// Runs a command that writes to our own output, without input.
    pub(crate) fn show(&self, command: &mut Command, limit: Duration) -> Result<Ended> {
        command.stdin(Stdio::null());
        self.wait(command, limit)
    }

    /// Runs a command and keeps what it writes.
    pub(crate) fn capture(&self, command: &mut Command, limit: Duration) -> Result<Ended> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.wait(command, limit)
    }

    fn wait(&self, command: &mut Command, limit: Duration) -> Result<Ended> {
        let child = self.spawn(command)?;
        let (done, ended) = mpsc::sync_channel(1);
        std::thread::spawn(move || done.send(child.wait_with_output()));
        match ended.recv_timeout(limit) {
            Ok(output) => Ok(Ended::Done(output?)),
            Err(_) => {
                self.kill();
                Ok(Ended::TimeLimit(limit))
            }
        }
    }

    /// The processes of this run that still live, each as `pid command line`.
    pub(crate) fn left(&self) -> Vec<(Pid, String)> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(pid) = Pid::from_raw(pid) else { continue };
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.windows(self.marker.len()).any(|part| part == self.marker.as_bytes()) {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                found.push((pid, format!("{} {}", pid.as_raw_nonzero(), line.trim())));
            }
        }
        found
    }

    /// The same after a grace time for those that are about to end.
    pub(crate) fn left_after(&self, grace: Duration) -> Vec<String> {
        let end = Instant::now() + grace;
        loop {
            let left = self.left();
            if left.is_empty() || Instant::now() >= end {
                return left.into_iter().map(|(_, line)| line).collect();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends what still lives of this run.
    pub(crate) fn kill(&self) {
        for (pid, _) in self.left() {
            // It may have ended in between.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.temporary);
    }
}

/// Whether a command can be run and succeeds: `cargo nextest --version`.
pub(crate) fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<OsString> =
        std::iter::once(program).chain(command.get_args()).map(OsString::from).collect();
    words.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_over_its_limit_is_ended_with_its_children() {
        let run = Run::new();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]);
        let ended = run.capture(&mut command, Duration::from_millis(300)).unwrap();
        assert!(matches!(ended, Ended::TimeLimit(_)));
        assert_eq!(run.left_after(Duration::from_secs(10)), Vec::<String>::new());
    }

    #[test]
    fn an_orphan_is_found_by_its_marker() {
        let run = Run::new();
        let mut command = Command::new("sh");
        command.args(["-c", "(exec sleep 600 >/dev/null 2>&1) & exit 0"]);
        run.capture(&mut command, Duration::from_secs(10)).unwrap().success().unwrap();
        let left = run.left_after(Duration::ZERO);
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(Run::new().left().is_empty());
        run.kill();
        assert_eq!(run.left_after(Duration::from_secs(10)), Vec::<String>::new());
    }

    #[test]
    fn an_orphan_with_little_of_the_environment_is_found() {
        let run = Run::new();
        let script = "(exec env -i TMPDIR=\"$TMPDIR\" sleep 600 >/dev/null 2>&1) & exit 0";
        run.capture(Command::new("sh").args(["-c", script]), Duration::from_secs(10))
            .unwrap()
            .success()
            .unwrap();
        // While a process becomes another program, it has no environment for a moment.
        let end = Instant::now() + Duration::from_secs(10);
        let found =
            std::iter::repeat_with(|| run.left()).find(|left| !left.is_empty() || Instant::now() > end);
        assert_eq!(found.map(|left| left.len()), Some(1));
        let temporary = run.temporary().to_owned();
        assert!(temporary.is_dir());
        drop(run);
        assert!(!temporary.exists());
    }

    #[test]
    fn a_failure_is_an_error_with_its_code() {
        let run = Run::new();
        let ended = run.capture(Command::new("sh").args(["-c", "exit 7"]), Duration::from_secs(10)).unwrap();
        assert_eq!(ended.success().unwrap_err().to_string(), "exit code 7");
    }
}
