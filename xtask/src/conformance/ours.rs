//! Our own two sides: how they are built, and how the server is started and stopped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Revision;
use crate::install;
use crate::process::Run;
use crate::workspace::{Result, root};

/// How long the server may take until it says where it is.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take to leave.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What we built.
pub(super) struct Ours {
    server: PathBuf,
    client: PathBuf,
}

impl Ours {
    const PACKAGE: &str = "towpath-everything";
    const SERVER: &str = "everything";
    const CLIENT: &str = "conformance-client";

    /// Builds both.
    pub(super) fn build() -> Result<Self> {
        let arguments = ["-p", Self::PACKAGE, "--bin", Self::SERVER, "--bin", Self::CLIENT];
        let [server, client] = install::build(&arguments, [Self::SERVER, Self::CLIENT])?;
        Ok(Self { server, client })
    }

    /// The program that the suite runs for a scenario.
    pub(super) fn client(&self) -> &Path {
        &self.client
    }
}

/// The example server, while it serves. It is gone when this is dropped.
pub(super) struct Serving {
    run: Run,
    child: Child,
    url: String,
    lines: Receiver<String>,
}

impl Serving {
    /// Starts it on a port that is free. What it says on stderr goes to a file in `target/conformance/log/`.
    pub(super) fn start(ours: &Ours, revision: Revision) -> Result<Self> {
        let log = root().join("target/conformance/log");
        std::fs::create_dir_all(&log)?;
        let mut command = Command::new(&ours.server);
        command.args(["--http", "127.0.0.1:0"]).stderr(File::create(log.join(format!("{revision}.txt")))?);
        Self::start_command(command)
    }

    fn start_command(mut command: Command) -> Result<Self> {
        let run = Run::new();
        let mut child = run.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let (sender, lines) = sync_channel(2);
        let stdout = child.stdout.take().ok_or("a process without stdout")?;
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                // One line more than there should be is enough to know of.
                let _ = sender.try_send(line);
            }
        });
        match lines.recv_timeout(START_LIMIT) {
            Ok(url) if url.starts_with("http://") => Ok(Self { run, child, url, lines }),
            Ok(line) => Err(format!("the server printed {line:?} instead of its URL").into()),
            Err(RecvTimeoutError::Disconnected) => Err("the server ended without its URL".into()),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("the server did not print its URL within {START_LIMIT:?}").into())
            }
        }
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks it to leave, as a service manager does. What was wrong with how it left.
    pub(super) fn stop(mut self) -> Result<Option<String>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(format!("the server did not stay: {status}")));
        }
        // It was not waited for, so the number is still its own.
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + STOP_LIMIT;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() >= end => {
                    return Ok(Some(format!("the server did not leave within {STOP_LIMIT:?} after SIGTERM")));
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if !status.success() {
            return Ok(Some(format!("the server left with {status}")));
        }
        let left = self.run.left_after(Duration::from_secs(1));
        if !left.is_empty() {
            return Ok(Some(format!("the server left running: {}", left.join(", "))));
        }
        // Nobody is left who could write, so this ends with the reader.
        match self.lines.recv_timeout(STOP_LIMIT) {
            Ok(line) => Ok(Some(format!("the server printed a second line: {line}"))),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Ok(Some("the server's stdout is still open".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Result<Serving> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Serving::start_command(command)
    }

    #[test]
    fn a_server_that_leaves_when_asked_is_fine() {
        let serving =
            start("trap 'exit 0' TERM; echo http://here/mcp; while :; do sleep 0.05; done").unwrap();
        assert_eq!(serving.url(), "http://here/mcp");
        assert_eq!(serving.stop().unwrap(), None);
    }

    #[test]
    fn a_server_that_leaves_badly_or_leaves_something_behind_is_not() {
        let serving =
            start("trap 'exit 3' TERM; echo http://here/mcp; while :; do sleep 0.05; done").unwrap();
        assert!(serving.stop().unwrap().is_some_and(|why| why.contains("left with")));
        let script = "(exec sleep 600 >/dev/null 2>&1) & trap 'exit 0' TERM; echo http://here/mcp; \
                      while :; do sleep 0.05; done";
        assert!(start(script).unwrap().stop().unwrap().is_some_and(|why| why.contains("left running")));
    }

    #[test]
    fn a_server_without_a_url_is_an_error() {
        assert!(start("exit 0").is_err());
        assert!(start("echo hello; sleep 600").is_err());
    }

    #[test]
    fn a_server_that_ends_by_itself_or_says_more_than_its_url_is_wrong() {
        let mut serving = start("echo http://here/mcp").unwrap();
        serving.child.wait().unwrap();
        assert!(serving.stop().unwrap().is_some_and(|why| why.contains("did not stay")));
        // Both lines in one write: else it could be asked to leave between them.
        let script = "trap 'exit 0' TERM; printf 'http://here/mcp\\nmore\\n'; while :; do sleep 0.05; done";
        assert!(start(script).unwrap().stop().unwrap().is_some_and(|why| why.contains("second line: more")));
    }
}
