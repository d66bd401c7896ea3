//! A test in a process of its own.
#![allow(clippy::expect_used, reason = "to panic is how a test reports")]

use std::{
    env,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long [`isolated`] lets a test run.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// In the environment of an isolated test, and of every process that it starts, unless that gets little of it: so the
/// test leads a session of its own, too.
const MARKER: &str = "TOWPATH_TESTKIT_ISOLATED";
/// Printed at the end: a name that matches no test would succeed as well.
const DONE: &str = "towpath-testkit: the isolated test is done";

/// Runs the body of a test in a process of its own, for at most [`DEFAULT_LIMIT`].
///
/// `test` is the full name of the calling test as the test binary lists it: `module::tests::name`. In the test's
/// first process this runs the same binary again for that one test, and there it runs `body`. Afterwards
/// every process that was started there is killed, whatever the outcome.
///
/// # Panics
///
/// When the body panics, does not end in time, or no test has that name; with the output of the other process.
pub fn isolated(test: &str, body: impl FnOnce()) {
    isolated_for(DEFAULT_LIMIT, test, body);
}

/// As [`isolated`], for at most `limit`.
///
/// # Panics
///
/// As [`isolated`].
pub fn isolated_for(limit: Duration, test: &str, body: impl FnOnce()) {
    if is_isolated() {
        process::lead();
        body();
        println!("\n{DONE}");
        return;
    }
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let token = format!("{}.{count}", std::process::id());
    let (output, mut read) = unlinked(&token);
    let mut command = Command::new(env::current_exe().expect("the test binary has a path"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARKER, &token)
        .stdin(Stdio::null())
        .stderr(output.try_clone().expect("one more descriptor"))
        .stdout(output);
    let outcome = process::run(command, limit, &format!("{MARKER}={token}"));
    let mut said = Vec::new();
    read.seek(SeekFrom::Start(0)).and_then(|_| read.read_to_end(&mut said)).expect("the output can be read");
    let said = String::from_utf8_lossy(&said);
    match outcome {
        None => panic!(
            "the isolated test `{test}` was not done within {limit:?} and was killed; it said:\n{said}"
        ),
        Some(false) => panic!("the isolated test `{test}` failed; it said:\n{said}"),
        Some(true) if !said.contains(DONE) => {
            panic!("no test is called `{test}`, or it did not come to its end; it said:\n{said}")
        }
        Some(true) => {}
    }
}

/// Whether this process was started by [`isolated`].
pub fn is_isolated() -> bool {
    env::var_os(MARKER).is_some()
}

/// The variable that every process below an isolated test has in its environment.
pub(super) fn marker() -> Option<String> {
    env::var(MARKER).ok().map(|token| format!("{MARKER}={token}"))
}

/// A file for output. Unlike a pipe it needs nobody who reads it, and cannot be held open by a left-over process.
fn unlinked(token: &str) -> (File, File) {
    let path = env::temp_dir().join(format!("towpath-testkit-{token}.{:016x}.out", fastrand::u64(..)));
    // Appending, because its two writers would overwrite each other.
    let write = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(&path)
        .expect("a temporary file for the output");
    let read = File::open(&path).expect("the temporary file that was just made");
    let _ = std::fs::remove_file(&path);
    (write, read)
}

#[cfg(unix)]
mod process {
    use std::{process::Command, sync::mpsc, thread, time::Duration};

    #[cfg(target_os = "linux")]
    use std::time::Instant;

    #[cfg(target_os = "linux")]
    use rustix::process::kill_process;
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

    /// Makes this process the leader of a session, and so of a group.
    pub(super) fn lead() {
        // It is one already in the second of two bodies.
        let _ = rustix::process::setsid();
    }

    /// Whether it succeeded; `None`: it was not done in time.
    pub(super) fn run(mut command: Command, limit: Duration, marker: &str) -> Option<bool> {
        let mut child = command.spawn().expect("the test binary can be run again");
        let pid = Pid::from_child(&child);
        let (ended, when_ended) = mpsc::sync_channel(1);
        let waiter = thread::spawn(move || {
            // Not reaped yet: until then nobody else can get its number, or that of its group.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options));
            let _ = ended.send(());
        });
        let in_time = when_ended.recv_timeout(limit).is_ok();
        if kill_process_group(pid, Signal::KILL).is_err() {
            // It had not come to the body yet.
            let _ = child.kill();
        }
        let _ = waiter.join();
        kill_marked(marker, pid);
        let status = child.wait().expect("the child is ours");
        in_time.then_some(status.success())
    }

    /// Those that left the group, or lost their parents.
    #[cfg(target_os = "linux")]
    fn kill_marked(marker: &str, session: Pid) {
        let start = Instant::now();
        // Until none is left: one could have been made while it looked, and to die takes a moment.
        while start.elapsed() < KILLING {
            let marked = super::super::procfs::marked(marker, session.as_raw_nonzero().get());
            if marked.is_empty() {
                break;
            }
            for pid in marked.into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::yield_now();
        }
    }

    /// How long a killed process may take to be gone; it is not waited for any longer.
    #[cfg(target_os = "linux")]
    const KILLING: Duration = Duration::from_secs(5);

    #[cfg(not(target_os = "linux"))]
    fn kill_marked(_: &str, _: Pid) {}
}

#[cfg(not(unix))]
mod process {
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    pub(super) fn lead() {}

    /// Whether it succeeded; `None`: it was not done in time. Without process groups, its children stay.
    pub(super) fn run(mut command: Command, limit: Duration, _: &str) -> Option<bool> {
        let mut child = command.spawn().expect("the test binary can be run again");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the child is ours") {
                return Some(status.success());
            }
            if start.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            // allowed: there is nothing to wait on for a child and a deadline at once.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
