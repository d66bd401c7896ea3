//! A server that listens while a client runs against it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Run, shown};
use crate::workspace::Result;

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long one of ours may take to leave, once it is told to.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// A port of the loopback that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A server that listens.
pub(super) struct Listening {
    child: Child,
    /// Whether it must leave politely.
    polite: bool,
}

impl Listening {
    /// Starts it, as a part of a run, and waits until its port can be reached.
    pub(super) fn start(
        mut command: Command,
        port: u16,
        polite: bool,
        run: &Run,
        log: &File,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut listening = Self { child: run.spawn(&mut command)?, polite };
        let until = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = listening.child.try_wait()? {
                return Err(format!("{}: {status} before it listened", shown(&command)).into());
            }
            if Instant::now() > until {
                return Err(format!("{}: it does not listen after {START_LIMIT:?}", shown(&command)).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(listening)
    }

    /// Ends it, and says what is wrong with how it left.
    pub(super) fn stop(mut self) -> std::result::Result<(), String> {
        let pid = Pid::from_child(&self.child);
        let signal = if self.polite { Signal::TERM } else { Signal::KILL };
        kill_process(pid, signal).map_err(|error| format!("the server has ended before: {error}"))?;
        let until = Instant::now() + LEAVE_LIMIT;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if !self.polite || status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the server left with {status}")),
                Err(error) => return Err(error.to_string()),
                Ok(None) if Instant::now() > until => {
                    return Err(format!("the server goes on {LEAVE_LIMIT:?} after SIGTERM"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It has left, or it must now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that has said that it is ready: who listens is the test itself, which is all that the start looks at.
    fn start(script: &str, polite: bool) -> (Listening, Run) {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let run = Run::new();
        std::fs::create_dir_all(run.temporary()).unwrap();
        let log = run.temporary().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script} echo ready; while :; do sleep 0.01; done")]);
        let file = File::create(&log).unwrap();
        let port = port.local_addr().unwrap().port();
        let listening = Listening::start(command, port, polite, &run, &file).unwrap();
        let until = Instant::now() + START_LIMIT;
        while std::fs::read(&log).unwrap().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        (listening, run)
    }

    #[test]
    fn one_of_ours_must_leave_with_0() {
        let stopped = |script, polite| {
            let (listening, _run) = start(script, polite);
            listening.stop()
        };
        assert_eq!(stopped("trap 'exit 0' TERM;", true), Ok(()));
        let said = stopped("trap 'exit 3' TERM;", true);
        assert!(said.is_err(), "{said:?}");
        assert_eq!(stopped("trap '' TERM;", false), Ok(()));
    }
}
