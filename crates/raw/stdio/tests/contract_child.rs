//! The contract that every lane keeps, over a real child process: what it reads and writes goes through two pipes, of which
//! the test has the other ends.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{os::fd::AsRawFd, process, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{Receiver, Sender, pipe},
};
use towpath_raw::Lane;
use towpath_stdio::{ChildCommand, ChildLane, ChildTimeouts, IoLane};
use towpath_testkit::{
    contract::{Nature, Profile, Setup, Unfinished},
    contract_tests,
    leak::CountingAllocator,
    within,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Copies its stdin to one pipe, and another pipe to its stdout, each until its end. The shell keeps no end of any of
/// them: it only waits. It opens the pipes of its parent anew, so that they block.
const JOIN: &str = r#"
    exec 3<&0 4>&1 5>"$1" 6<"$2" </dev/null >/dev/null
    echo >&5
    cat <&3 >&5 3<&- 4>&- 5>&- 6<&- &
    cat <&6 >&4 3<&- 4>&- 5>&- 6<&- &
    exec 3<&- 4>&- 5>&- 6<&-
    wait
"#;

async fn pair(setup: Setup) -> (ChildLane, IoLane<Receiver, Sender>) {
    let ((to_test, mut from_child), (to_child, from_test)) =
        (pipe().expect("a pipe"), pipe().expect("a pipe"));
    let path = |end: &dyn AsRawFd| format!("/proc/{}/fd/{}", process::id(), end.as_raw_fd());
    // An end that is not explained in time is an end: nobody waits for the reason here.
    let ends = ChildTimeouts::default().with_explain_after_eof(Duration::from_millis(20));
    let child = ChildCommand::new("/bin/sh")
        .args(["-c", JOIN, "join", &path(&to_test), &path(&from_test)])
        .limits(setup.left)
        .timeouts(setup.timeouts.clone())
        .child_timeouts(ends)
        .spawn()
        .expect("there is a shell");
    // It has opened both.
    assert_eq!(within(from_child.read_u8()).await.expect("it says so"), b'\n');
    drop((to_test, from_test));
    let far = IoLane::new(from_child, to_child, "the far end", setup.right, setup.timeouts);
    assert!(child.peer().contains("sh"));
    (child, far)
}

contract_tests!(
    child,
    Profile::default().both(Nature::default().unfinished(Unfinished::Given)).rounds(6),
    async |setup: Setup| pair(setup).await
);
