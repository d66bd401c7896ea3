//! A child process as a lane.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{io, sync::mpsc, time::Duration};

use bytes::Bytes;
use towpath_raw::{
    Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts, Rejected,
};
use towpath_stdio::{ChildCommand, ChildSource, ChildTimeouts, Environment, SpawnError};

use common::within;

fn sh(script: &str) -> ChildCommand {
    ChildCommand::new("sh").args(["-c", script])
}

fn frame(text: impl Into<String>) -> Frame {
    Bytes::from(text.into()).into()
}

async fn receive(source: &mut ChildSource) -> Inbound {
    within(source.receive()).await.expect("the lane lives")
}

/// The explanation of the end, which must come next.
async fn explanation(source: &mut ChildSource) -> Option<String> {
    match receive(source).await {
        Inbound::End(end) => end.explanation.map(|why| why.to_string()),
        other => panic!("no end but {other:?}"),
    }
}

#[tokio::test]
async fn a_child_that_dies_at_once_is_explained_to_both_halves() {
    let lane = sh("echo 'no token given' >&2; exit 3").spawn().expect("sh starts");
    let peer = lane.peer();
    assert!(peer.starts_with("child ") && peer.ends_with(" (sh)"), "{peer}");
    let (mut source, mut sink) = lane.split();
    for _ in 0..2 {
        let why = explanation(&mut source).await.expect("an explanation");
        assert!(why.contains("exited with status 3") && why.ends_with("no token given"), "{why}");
    }
    let closed = within(sink.send(frame("{}"))).await.expect_err("nobody is there");
    assert!(matches!(closed, LaneError::Closed { .. }), "{closed:?}");
    assert!(closed.to_string().contains("no token given"), "{closed}");
    let closed = within(sink.send(frame("{}"))).await.expect_err("nobody is there");
    assert!(closed.to_string().contains("no token given"), "{closed}");
}

#[tokio::test]
async fn the_end_waits_for_its_explanation_as_long_as_it_is_told() {
    let spawn = |script, after| {
        let timeouts = ChildTimeouts::default().with_explain_after_eof(after);
        sh(script).child_timeouts(timeouts).spawn().expect("sh starts").split()
    };
    // Longer than the default would wait.
    let (mut source, _sink) = spawn("exec >&-; sleep 1; exit 5", Duration::from_secs(3600));
    assert!(explanation(&mut source).await.is_some_and(|why| why.contains("status 5")));
    // It lives on, so a wait would be in vain.
    let (mut source, _sink) = spawn("exec >&-; read line", Duration::ZERO);
    assert_eq!(explanation(&mut source).await, None);
}

#[tokio::test]
async fn a_flood_on_stderr_blocks_nothing_and_its_end_is_kept() {
    let script = "head -c 10485760 /dev/zero >&2; echo '{\"id\":1}'; echo last words >&2; exit 1";
    let (mut source, _sink) = sh(script).spawn().expect("sh starts").split();
    assert!(matches!(receive(&mut source).await, Inbound::Frame(frame) if frame == "{\"id\":1}"));
    let why = explanation(&mut source).await.expect("an explanation");
    assert!(why.ends_with("last words") && why.len() < 3000, "{} bytes", why.len());
}

#[tokio::test]
async fn the_child_gets_arguments_environment_and_directory_and_its_stderr_is_passed_on() {
    let (lines, seen) = mpsc::channel();
    let lane = ChildCommand::new("sh")
        .arg("-c")
        .arg("echo \"$0 $ONE ${HOME-none} $PWD\" >&2; exec cat")
        .arg("zero")
        .env("ONE", "1")
        .env_remove("HOME")
        .current_dir("/")
        .on_stderr_line(move |line| lines.send(line.to_owned()).expect("the test listens"))
        .spawn()
        .expect("sh starts");
    let line = tokio::task::spawn_blocking(move || seen.recv_timeout(common::DEADLINE));
    assert_eq!(line.await.expect("no panic").expect("a line"), "zero 1 none /");
    drop(lane);
    let lane = sh("env >&2").environment(Environment::Empty).env("TWO", "2").spawn().expect("sh starts");
    let tail = within(lane.handle().exit()).await.stderr_tail;
    assert!(tail.contains("TWO=2") && !tail.contains("ONE") && !tail.contains("CARGO"), "{tail}");
}

#[tokio::test]
async fn a_callback_can_start_a_child_itself() {
    let (spawned, seen) = mpsc::channel();
    let lane = sh("echo line >&2; exec cat")
        .on_stderr_line(move |_| {
            let lane = ChildCommand::new("cat").spawn().expect("cat starts");
            spawned.send(lane.handle().pid()).expect("the test listens");
        })
        .spawn()
        .expect("sh starts");
    let pid = tokio::task::spawn_blocking(move || seen.recv_timeout(common::DEADLINE));
    assert!(pid.await.expect("no panic").expect("it hung") > 0);
    drop(lane);
}

#[tokio::test]
async fn a_child_that_never_reads_ends_its_lane() {
    let lane = ChildCommand::new("sleep")
        .arg("1000")
        .timeouts(LaneTimeouts::default().with_write_stall(Some(Duration::from_millis(50))))
        .spawn()
        .expect("sleep starts");
    let handle = lane.handle();
    let (_source, mut sink) = lane.split();
    let stalled = within(sink.send(frame(" ".repeat(8 << 20)))).await;
    let Err(LaneError::PeerNotReading { peer, unsent_bytes, .. }) = stalled else { panic!("{stalled:?}") };
    assert!(peer.ends_with("(sleep)") && unsent_bytes > 1 << 20, "{peer}: {unsent_bytes}");
    handle.kill();
}

#[tokio::test]
async fn an_oversized_message_fails_alone_in_both_directions() {
    let limits = LaneLimits::default().with_max_message_bytes(1000);
    let script = "printf '[%01500d]\\n' 1; exec cat";
    let (mut source, mut sink) = sh(script).limits(limits).spawn().expect("sh starts").split();
    let rejected = receive(&mut source).await;
    let Inbound::Rejected(Rejected::TooLarge { size, .. }) = rejected else { panic!("{rejected:?}") };
    assert_eq!((size.limit, size.seen), (1000, 1502));
    let refused = within(sink.send(frame(" ".repeat(1001)))).await.expect_err("it passed");
    assert!(refused.is_about_one_message(), "{refused:?}");
    within(sink.send(frame("{}"))).await.expect("its sibling passes");
    assert!(matches!(receive(&mut source).await, Inbound::Frame(frame) if frame == "{}"));
}

#[tokio::test]
async fn large_messages_and_many_small_ones_come_back_whole() {
    let (mut source, mut sink) = ChildCommand::new("cat").spawn().expect("cat starts").split();
    let send = async {
        for length in [0, 1, 65_535, 65_536, 65_537, 4 << 20] {
            sink.send(frame(format!("[{}]", "x".repeat(length)))).await.expect("it reads");
        }
        for id in 0..10_000 {
            sink.send(frame(format!("{{\"id\":{id}}}"))).await.expect("it reads");
        }
        sink.close().await.expect("closed");
    };
    let check = async {
        for length in [0, 1, 65_535, 65_536, 65_537, 4 << 20] {
            let Inbound::Frame(frame) = receive(&mut source).await else { panic!("no frame") };
            assert_eq!(frame.len(), length + 2);
        }
        for id in 0..10_000 {
            let inbound = receive(&mut source).await;
            assert!(matches!(inbound, Inbound::Frame(frame) if frame == format!("{{\"id\":{id}}}")));
        }
        assert!(explanation(&mut source).await.is_some_and(|why| why.contains("status 0")));
    };
    within(async { tokio::join!(send, check) }).await;
}

#[test]
fn a_program_that_cannot_be_started_is_explained() {
    let missing = ChildCommand::new("no-such-program").spawn().expect_err("it started");
    assert!(matches!(missing, SpawnError::NotFound { has_directory: false, .. }), "{missing:?}");
    assert!(missing.to_string().contains("`no-such-program`: no such program in PATH"), "{missing}");
    let missing = ChildCommand::new("/no/such/program").spawn().expect_err("it started");
    assert!(missing.to_string().contains("no such program at this path"), "{missing}");
    let denied = ChildCommand::new("/etc/passwd").spawn().expect_err("it started");
    assert!(matches!(denied, SpawnError::PermissionDenied { .. }), "{denied:?}");
    let lost = ChildCommand::new("cat").current_dir("/no/such/directory").spawn().expect_err("it started");
    let SpawnError::Directory { source, .. } = &lost else { panic!("{lost:?}") };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    assert!(lost.to_string().contains("/no/such/directory"), "{lost}");
}
