//! Children that exit while a process that has left their group holds their pipes.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{fs, path::PathBuf, time::Duration};

use bytes::Bytes;
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneError, LaneTimeouts};
use towpath_stdio::{
    ChildCommand, ChildExit, ChildHandle, ChildSink, ChildSource, ChildStatus, ChildTimeouts,
    wait_for_children,
};

use common::{Watched, within};

/// A shell that ends with its next line, after it has said what `LAST` says, and a process with a session of its own
/// that holds all three pipes. A shell would give it /dev/null as stdin: hence the third descriptor.
const HELD: &str = r#"
    exec 3<&0
    setsid sh -c 'echo "[$$]"; eval "$HOLDER"; exec sleep 1000' <&3 &
    read line
    eval "$LAST"
    exit 7"#;

/// A process that is nobody's, which the test ends.
struct Holder(Watched, i32);

impl Drop for Holder {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.1).expect("a process id");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn frame(text: impl Into<String>) -> Frame {
    Bytes::from(text.into()).into()
}

async fn receive(source: &mut ChildSource) -> Bytes {
    match within(source.receive()).await.expect("the lane lives") {
        Inbound::Frame(frame) => frame,
        other => panic!("no frame but {other:?}"),
    }
}

fn drains(after: Duration) -> ChildTimeouts {
    ChildTimeouts::default().with_drain_after_exit(after)
}

async fn held(command: ChildCommand) -> (ChildHandle, ChildSource, ChildSink, Holder) {
    let lane = command.args(["-c", HELD]).spawn().expect("sh starts");
    let handle = lane.handle();
    let (mut source, sink) = lane.split();
    let told = receive(&mut source).await;
    let pid =
        std::str::from_utf8(&told).expect("text").trim_matches(['[', ']']).parse().expect("a process id");
    (handle, source, sink, Holder(Watched::new(pid as u32), pid))
}

fn sh() -> ChildCommand {
    ChildCommand::new("sh")
}

async fn assert_ends_explained(source: &mut ChildSource) {
    let inbound = within(source.receive()).await.expect("the lane lives");
    let Inbound::End(end) = inbound else { panic!("no end but {inbound:?}") };
    let why = end.explanation.expect("an explanation").to_string();
    assert!(why.contains("exited with status 7"), "{why}");
}

#[tokio::test]
async fn a_held_stdout_does_not_keep_a_lane_whose_child_has_exited() {
    let command = sh().env("LAST", "echo last words >&2").child_timeouts(drains(Duration::from_millis(1)));
    let (handle, mut source, mut sink, holder) = held(command).await;
    within(sink.send(frame("{}"))).await.expect("it reads");
    assert_ends_explained(&mut source).await;
    assert!(holder.0.lives(), "nothing was held");
    assert_eq!(within(handle.exit()).await.stderr_tail, "last words");
}

#[tokio::test]
async fn what_a_child_wrote_before_it_exited_is_not_lost_though_its_stdout_is_held() {
    let last = r#"head -c 100000 /dev/zero | tr '\0' x | fold -w 1000 | sed 's/.*/["&"]/'"#;
    let command = sh().env("LAST", last).child_timeouts(drains(Duration::ZERO));
    let (handle, mut source, mut sink, holder) = held(command).await;
    within(sink.send(frame("{}"))).await.expect("it reads");
    within(handle.exit()).await;
    for _ in 0..100 {
        assert_eq!(receive(&mut source).await.len(), 1004);
    }
    assert_ends_explained(&mut source).await;
    assert!(holder.0.lives(), "nothing was held");
}

#[tokio::test]
async fn what_another_process_writes_is_read_as_long_as_was_asked_for() {
    let fifo = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("held-{}", std::process::id()));
    drop(fs::remove_file(&fifo));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("it starts");
    assert!(made.success());
    let holder = r#"read line < "$FIFO"; echo '{"late":1}'; exit"#;
    let never = Duration::from_secs(3600);
    let command = sh().env("HOLDER", holder).env("FIFO", &fifo).child_timeouts(drains(never));
    let (handle, mut source, mut sink, _holder) = held(command).await;
    within(sink.send(frame("{}"))).await.expect("it reads");
    within(handle.exit()).await;
    // It is being drained by now, and there is nothing yet.
    assert!(tokio::time::timeout(Duration::from_millis(5), source.receive()).await.is_err(), "it has ended");
    let path = fifo.clone();
    let release = tokio::task::spawn_blocking(move || fs::write(path, "\n"));
    assert_eq!(receive(&mut source).await, "{\"late\":1}");
    within(release).await.expect("no panic").expect("written");
    // The other process has gone, too.
    assert_ends_explained(&mut source).await;
    fs::remove_file(fifo).expect("it is ours");
}

fn assert_closed_by(status: ChildStatus, error: LaneError) {
    assert!(matches!(error, LaneError::Closed { .. }), "{error:?}");
    assert!(error.to_string().contains(&status.to_string()), "{error}");
    assert_eq!(ChildExit::cause_of(&error).expect("the exit").status, status);
}

#[tokio::test]
async fn a_held_stdin_takes_nothing_when_the_child_has_exited() {
    let patient = LaneTimeouts::default().with_write_stall(None);
    let (handle, source, mut sink, holder) = held(sh().timeouts(patient)).await;
    within(sink.send(frame("{}"))).await.expect("it reads");
    within(handle.exit()).await;
    // There is room in the pipe, and somebody could read it.
    for _ in 0..2 {
        let sent = within(sink.send(frame("{}"))).await;
        assert_closed_by(ChildStatus::Code(7), sent.expect_err("nobody reads"));
    }
    assert!(holder.0.lives(), "nothing was held");
    drop((source, sink, handle));
}

#[tokio::test]
async fn a_write_in_progress_ends_with_the_child_though_its_stdin_is_held() {
    let patient = LaneTimeouts::default().with_write_stall(None);
    // The child reads one line and no more.
    let command = sh().env("LAST", "sleep 1000").timeouts(patient);
    let (handle, _source, mut sink, holder) = held(command).await;
    within(sink.send(frame("{}"))).await.expect("it reads");
    // The pipe is full when it is killed, and nobody but the sink waits for anything in this task.
    let sending = tokio::spawn(async move { sink.send(frame(" ".repeat(8 << 20))).await });
    tokio::task::yield_now().await;
    handle.kill();
    let patience = Duration::from_secs(20);
    let sent = tokio::time::timeout(patience, sending).await.expect("it hung").expect("no panic");
    assert_closed_by(ChildStatus::Signal(9), sent.expect_err("nobody reads"));
    assert!(holder.0.lives(), "nothing was held");
}

#[test]
fn what_is_left_of_a_tree_does_not_wait_for_who_has_left_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (handle, source, sink, holder) = runtime.block_on(held(sh()));
    let leader = Watched::new(handle.pid());
    drop((handle, source, sink));
    leader.assert_goes();
    // Its stderr is held open still. Other tests of this program have children of their own, and each ends.
    assert_eq!(wait_for_children(common::DEADLINE), []);
    assert!(holder.0.lives(), "nothing was held");
}
