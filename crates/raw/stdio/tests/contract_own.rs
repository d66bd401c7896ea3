//! The contract that every lane keeps, over the stdin and stdout of a process, whatever they are. They can be taken once,
//! so each check has a process of its own.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    env, fs,
    io::{Write, stdout},
    os::fd::{AsFd, OwnedFd},
    process,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, mknodat, open},
    stdio::{dup2_stdin, dup2_stdout},
};
use tokio::net::{
    UnixStream,
    unix::{
        OwnedReadHalf, OwnedWriteHalf,
        pipe::{Receiver, Sender, pipe},
    },
};
use towpath_stdio::{IoLane, OwnLane, OwnStdio};
use towpath_testkit::{
    contract::{Nature, Profile, Setup, Unfinished},
    contract_tests,
    leak::CountingAllocator,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn taken_once() -> Profile {
    Profile::default().both(Nature::default().unfinished(Unfinished::Given)).once()
}

/// Makes these the stdin and stdout of this process, and takes them as a lane.
fn take(stdin: impl AsFd, output: impl AsFd, setup: &Setup, how: &str) -> OwnLane {
    // What the test runner has begun to say is not for the lane.
    stdout().flush().expect("it can be written");
    dup2_stdin(stdin).expect("a descriptor");
    dup2_stdout(output).expect("a descriptor");
    let lane = OwnStdio::lane(setup.left.clone(), setup.timeouts.clone()).expect("stdin and stdout");
    assert_eq!(lane.describe(), how);
    lane
}

fn over_pipes(setup: Setup) -> (OwnLane, IoLane<Receiver, Sender>) {
    let ((output, from_own), (to_own, input)) = (pipe().expect("a pipe"), pipe().expect("a pipe"));
    let how = "stdin: pipe, opened anew without blocking; stdout: pipe, opened anew without blocking";
    let own = take(input, output, &setup, how);
    (own, IoLane::new(from_own, to_own, "the far end", setup.right, setup.timeouts))
}

fn over_a_socket(setup: Setup) -> (OwnLane, IoLane<OwnedReadHalf, OwnedWriteHalf>) {
    let (own, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
    far.set_nonblocking(true).expect("it is ours");
    let how = "stdin: socket, by calls that do not wait; stdout: socket, by calls that do not wait";
    let own = take(&own, &own, &setup, how);
    let (reader, writer) = UnixStream::from_std(far).expect("a runtime").into_split();
    (own, IoLane::new(reader, writer, "the far end", setup.right, setup.timeouts))
}

/// Both ends of a named pipe, which is gone from its folder at once. The first is opened for reading.
fn named_pipe(name: &str) -> (OwnedFd, OwnedFd) {
    let path = env::temp_dir().join(format!("towpath-contract-{name}-{}", process::id()));
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
    // Opened without waiting for the other end; what is shared with others should block, and the threads wait anyway.
    let end = |access| open(&path, access | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let ends = (end(OFlags::RDONLY).expect("the pipe"), end(OFlags::WRONLY).expect("the pipe"));
    fs::remove_file(path).expect("ours");
    ends
}

fn by_threads(setup: Setup) -> (OwnLane, IoLane<Receiver, Sender>) {
    let ((from_own, output), (input, to_own)) = (named_pipe("out"), named_pipe("in"));
    let own = take(input, output, &setup, "stdin: named pipe, by a thread; stdout: named pipe, by a thread");
    let reader = Receiver::from_owned_fd(from_own).expect("a pipe");
    let writer = Sender::from_owned_fd(to_own).expect("a pipe");
    (own, IoLane::new(reader, writer, "the far end", setup.right, setup.timeouts))
}

contract_tests!(pipes, taken_once(), async |setup: Setup| over_pipes(setup));
contract_tests!(socket, taken_once(), async |setup: Setup| over_a_socket(setup));
contract_tests!(threads, taken_once(), async |setup: Setup| by_threads(setup));
