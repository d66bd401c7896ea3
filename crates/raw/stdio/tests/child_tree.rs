//! The end of process trees, with real ones.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Stdio, exit},
    time::Duration,
};

use bytes::Bytes;
use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, WaitOptions, kill_process, wait},
};
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
use towpath_stdio::{
    ChildCommand, ChildHandle, ChildSink, ChildSource, ChildStatus, ChildTimeouts, wait_for_children,
};

use common::{Watched, own_role, role as start, within};

/// Tells its process id, echoes, and does not end with its stdin.
const SERVER: &str = r#"echo "{\"pid\":$$}"; cat; exec sleep 1000"#;
/// A shell would give its background job /dev/null as stdin, which ends it: hence the third descriptor.
const BACKGROUND: &str = r#"exec 3<&0; sh -c "$SERVER" <&3 & wait"#;
const FOREGROUND: &str = r#"sh -c "$SERVER"; true"#;

fn short() -> ChildTimeouts {
    let grace = Duration::from_millis(20);
    ChildTimeouts::default().with_exit_after_stdin_close(grace).with_exit_after_terminate(grace)
}

fn sh(script: &str) -> ChildCommand {
    ChildCommand::new("sh").args(["-c", script]).env("SERVER", SERVER).child_timeouts(short())
}

fn frame(text: &str) -> Frame {
    Bytes::from(text.to_owned()).into()
}

async fn receive(source: &mut ChildSource) -> Bytes {
    match within(source.receive()).await.expect("the lane lives") {
        Inbound::Frame(frame) => frame,
        other => panic!("no frame but {other:?}"),
    }
}

async fn pid(source: &mut ChildSource) -> u32 {
    let frame = receive(source).await;
    let text = std::str::from_utf8(&frame).expect("text");
    text.trim_start_matches("{\"pid\":").trim_end_matches('}').parse().expect("a process id")
}

/// A tree of two that has answered a call, both seen from outside.
async fn tree(script: &str) -> (ChildSource, ChildSink, [Watched; 2]) {
    let lane = sh(script).spawn().expect("sh starts");
    let leader = Watched::new(lane.handle().pid());
    let (mut source, mut sink) = lane.split();
    let grandchild = Watched::new(pid(&mut source).await);
    within(sink.send(frame("{\"id\":1}"))).await.expect("it reads");
    assert_eq!(receive(&mut source).await, "{\"id\":1}");
    assert!(leader.lives() && grandchild.lives());
    (source, sink, [leader, grandchild])
}

#[tokio::test]
async fn a_lane_dropped_in_the_middle_of_a_call_ends_the_whole_tree() {
    for script in [BACKGROUND, FOREGROUND] {
        let (mut source, mut sink, tree) = tree(script).await;
        within(sink.send(frame("{\"id\":2}"))).await.expect("it reads");
        // The call is on its way: nobody has taken the answer.
        drop(tokio::time::timeout(Duration::ZERO, source.receive()).await);
        drop((source, sink));
        tree.iter().for_each(Watched::assert_goes);
    }
}

#[test]
fn a_tree_ends_when_the_runtime_is_already_gone() {
    for script in [BACKGROUND, FOREGROUND] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (source, sink, tree) = runtime.block_on(tree(script));
        drop(runtime);
        assert!(tree.iter().all(Watched::lives));
        drop((source, sink));
        tree.iter().for_each(Watched::assert_goes);
    }
}

#[tokio::test]
async fn a_tree_ends_with_its_leader() {
    for script in [BACKGROUND, FOREGROUND] {
        let lane = sh(script).spawn().expect("sh starts");
        let handle = lane.handle();
        let (mut source, _sink) = lane.split();
        let grandchild = Watched::new(pid(&mut source).await);
        assert!(grandchild.lives());
        let leader = Pid::from_raw(handle.pid() as i32).expect("a process id");
        kill_process(leader, Signal::KILL).expect("it lives");
        grandchild.assert_goes();
        assert_eq!(within(handle.exit()).await.status, ChildStatus::Signal(9));
    }
}

#[tokio::test]
async fn a_handle_keeps_the_tree_and_half_a_lane_does_too() {
    let lane = sh(SERVER).spawn().expect("sh starts");
    let handle = lane.handle();
    let leader = Watched::new(handle.pid());
    let (mut source, sink) = lane.split();
    assert_eq!(pid(&mut source).await, handle.pid());
    drop(sink);
    drop(source);
    assert!(handle.try_exit().is_none());
    // `cat` has ended with its stdin, and nobody has sent a signal: this is the server in its sleep.
    assert!(leader.lives());
    drop(handle);
    leader.assert_goes();
}

async fn ended(command: ChildCommand, end: fn(&ChildHandle)) -> ChildStatus {
    let lane = command.spawn().expect("sh starts");
    let handle = lane.handle();
    let (mut source, _sink) = lane.split();
    pid(&mut source).await;
    end(&handle);
    within(handle.exit()).await.status
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed() {
    let stubborn = format!("trap '' TERM; {SERVER}");
    assert_eq!(ended(sh(&stubborn), ChildHandle::terminate).await, ChildStatus::Signal(9));
    assert_eq!(ended(sh(SERVER), ChildHandle::terminate).await, ChildStatus::Signal(15));
    assert_eq!(ended(sh(SERVER), ChildHandle::kill).await, ChildStatus::Signal(9));
}

#[tokio::test]
async fn a_grandchild_that_ignores_sigterm_is_killed_after_its_leader_went() {
    let script = r#"sh -c "trap '' TERM; $SERVER" & exec 1>&-; read line; exit 0"#;
    let lane = sh(script).spawn().expect("sh starts");
    let (mut source, mut sink) = lane.split();
    let grandchild = Watched::new(pid(&mut source).await);
    within(sink.send(frame("{}"))).await.expect("it reads");
    grandchild.assert_goes();
}

#[test]
fn each_grace_time_is_given() {
    let directory = std::env::temp_dir().join(format!("towpath-grace-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let never = Duration::from_secs(3600);
    let scripts = [
        // It needs longer than any default allows, after its stdin was closed and after SIGTERM.
        (r#"echo "{\"pid\":$$}"; cat; sleep 3; echo done > closed"#, "closed", never, Duration::ZERO),
        (
            r#"trap 'sleep 3; echo done > terminated; exit' TERM; echo "{\"pid\":$$}"; cat; sleep 1000 & wait"#,
            "terminated",
            Duration::ZERO,
            never,
        ),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let started: Vec<_> = scripts
        .into_iter()
        .map(|(script, file, close, terminate)| {
            let timeouts = ChildTimeouts::default()
                .with_exit_after_stdin_close(close)
                .with_exit_after_terminate(terminate);
            let lane =
                sh(script).current_dir(&directory).child_timeouts(timeouts).spawn().expect("sh starts");
            let leader = Watched::new(lane.handle().pid());
            let (mut source, sink) = lane.split();
            runtime.block_on(pid(&mut source));
            drop((source, sink));
            (leader, file)
        })
        .collect();
    for (leader, file) in started {
        leader.assert_goes();
        let done = fs::read_to_string(directory.join(file));
        assert_eq!(done.expect("it was cut short"), "done\n", "{file}");
    }
    fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn no_process_and_no_descriptor_is_left() {
    let status = start("baseline").status().expect("it starts");
    assert!(status.success(), "{status}");
}

fn baseline() {
    fn descriptors() -> usize {
        fs::read_dir("/proc/self/fd").expect("/proc").count()
    }
    fn round() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for script in [BACKGROUND, FOREGROUND, "exit 3", "echo noise >&2; cat"] {
                let lane = sh(script).spawn().expect("sh starts");
                let (mut source, mut sink) = lane.split();
                drop(within(sink.send(frame("{}"))).await);
                drop(within(source.receive()).await);
            }
        });
        assert_eq!(wait_for_children(common::DEADLINE), []);
    }
    assert_eq!(wait_for_children(Duration::ZERO), [], "no thread, nobody to wait for");
    // The first round starts the thread, which stays.
    round();
    let before = descriptors();
    (0..5).for_each(|_| round());
    assert_eq!(descriptors(), before);
    let none = wait(WaitOptions::NOHANG);
    assert!(matches!(none, Err(rustix::io::Errno::CHILD)), "children are left: {none:?}");
}

#[test]
fn what_has_not_gone_at_the_deadline_is_killed_and_told() {
    let status = start("left").status().expect("it starts");
    assert!(status.success(), "{status}");
}

fn left() {
    let never = Duration::from_secs(3600);
    let timeouts = ChildTimeouts::default().with_exit_after_stdin_close(never);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ownerless = sh(SERVER).child_timeouts(timeouts).spawn().expect("sh starts");
    let owned = sh(SERVER).spawn().expect("sh starts");
    let pids = [ownerless.handle().pid(), owned.handle().pid()];
    let watched = pids.map(Watched::new);
    let (mut source, sink) = ownerless.split();
    runtime.block_on(pid(&mut source));
    drop((source, sink));
    let mut left = wait_for_children(Duration::ZERO);
    left.sort_by_key(|child| child.was_owned);
    assert_eq!(left.iter().map(|child| child.pid).collect::<Vec<_>>(), pids);
    assert!(left.iter().all(|child| child.program == "sh") && left[1].was_owned && !left[0].was_owned);
    watched.iter().for_each(Watched::assert_goes);
    drop(owned);
}

#[test]
fn a_child_dies_with_an_owner_that_is_killed_unless_told_otherwise() {
    for (name, dies) in [("owner", true), ("careless owner", false)] {
        let mut owner = start(name).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(owner.stdout.take().expect("a pipe")).lines();
        let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("child ")?.parse().ok());
        let child = Watched::new(pid.expect("it tells the process id"));
        owner.kill().expect("it lives");
        owner.wait().expect("it is ours");
        if dies {
            child.assert_goes();
        } else {
            assert!(child.lives());
            let pid = Pid::from_raw(pid.expect("told above") as i32).expect("a process id");
            kill_process(pid, Signal::KILL).expect("it lives");
        }
    }
}

fn owner(dies: bool) {
    let lane = ChildCommand::new("sleep").arg("1000").dies_with_us(dies).spawn().expect("sleep starts");
    // The test runner leaves its own line open.
    println!("\nchild {}", lane.handle().pid());
    loop {
        std::thread::park();
    }
}

#[test]
fn the_pipes_have_the_size_that_was_asked_for() {
    // Few children live in a process of its own, so the bound on their number does not matter.
    let status = start("pipes").status().expect("it starts");
    assert!(status.success(), "{status}");
}

fn pipes() {
    for (asked, expected) in [(Some(128 << 10), 128 << 10), (None, 64 << 10)] {
        let lane = ChildCommand::new("cat").pipe_bytes(asked).spawn().expect("cat starts");
        let stdin = format!("/proc/{}/fd/0", lane.handle().pid());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let stdin = rustix::fs::open(stdin, flags, Mode::empty()).expect("it lives");
        assert_eq!(rustix::pipe::fcntl_getpipe_size(stdin).expect("a pipe"), expected);
    }
}

/// What this program does when a test has started it.
#[test]
fn role() {
    match own_role().as_deref() {
        None => return,
        Some("baseline") => baseline(),
        Some("left") => left(),
        Some("owner") => owner(true),
        Some("careless owner") => owner(false),
        Some("pipes") => pipes(),
        Some(other) => panic!("no such role: {other}"),
    }
    exit(0);
}
