//! What the tests with real processes share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    env, fs,
    future::Future,
    os::fd::{AsFd, OwnedFd},
    process::Command,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::signal::unix::{SignalKind, signal};

/// How long anything may take before a test says that it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it hung")
}

/// Waits until there is something to read.
pub(crate) fn is_ready(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let at_most = Timespec::try_from(DEADLINE).expect("a short time");
    poll(&mut fds, Some(&at_most)).expect("poll") > 0
}

/// A process that the test looks at from outside.
pub(crate) struct Watched(OwnedFd);

impl Watched {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid as i32).expect("a process id");
        Self(pidfd_open(pid, PidfdFlags::empty()).expect("the process lives"))
    }

    fn wait(&self, at_most: Duration) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        let at_most = Timespec::try_from(at_most).expect("a short time");
        poll(&mut fds, Some(&at_most)).expect("poll") > 0
    }

    pub(crate) fn lives(&self) -> bool {
        !self.wait(Duration::ZERO)
    }

    /// Blocks until it is gone.
    #[track_caller]
    pub(crate) fn assert_goes(&self) {
        assert!(self.wait(DEADLINE), "the process lives on");
    }
}

/// Starts it, and waits until it has succeeded.
#[track_caller]
pub(crate) fn assert_succeeds(mut command: Command) {
    let mut child = command.spawn().expect("it starts");
    let ends = Watched::new(child.id()).wait(DEADLINE);
    // It has no effect on one that has ended.
    drop(child.kill());
    let status = child.wait().expect("it is ours");
    assert!(ends && status.success(), "ends by itself: {ends}; {status}");
}

/// This test binary, started anew to do what the test `role` does for `name`.
pub(crate) fn role(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["role", "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, name);
    command
}

/// The role of this process, if it was started by [`role`].
pub(crate) fn own_role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Lets those that are started from here on begin with the default action of the signals which ask for the end, though
/// the runner of the tests was started to ignore some: by `nohup`, or in the background. What is heard starts so.
pub(crate) fn hear_what_is_ignored() {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal");
    let hear = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
            if mask & 1 << (kind.as_raw_value() - 1) != 0 {
                drop(signal(kind).expect("it can be heard"));
            }
        }
    };
    // The test may be inside of a runtime.
    std::thread::spawn(hear).join().expect("no panic");
}

const ROLE: &str = "TOWPATH_TEST_ROLE";
