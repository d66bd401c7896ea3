//! What the tests with real processes share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{env, future::Future, os::fd::OwnedFd, process::Command, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// How long anything may take before a test says that it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it hung")
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

const ROLE: &str = "TOWPATH_TEST_ROLE";
