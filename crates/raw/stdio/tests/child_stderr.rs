//! What children write to stderr, whatever it is and whoever holds it.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
use towpath_stdio::{ChildCommand, ChildSink, ChildSource, ChildStatus, wait_for_children};

use common::{Watched, within};

/// How long a line may take to be passed on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell, and each line that it writes to stderr. The lines end when nobody can write any more.
fn sh(script: &str) -> (ChildCommand, Receiver<String>) {
    let (lines, heard) = mpsc::channel();
    let command = ChildCommand::new("sh")
        .args(["-c", script])
        .on_stderr_line(move |line| lines.send(line.to_owned()).expect("the test listens"));
    (command, heard)
}

async fn next(heard: Receiver<String>) -> (String, Receiver<String>) {
    let next = tokio::task::spawn_blocking(move || {
        let line = heard.recv_timeout(PATIENCE).expect("a line");
        (line, heard)
    });
    next.await.expect("no panic")
}

async fn all(heard: Receiver<String>) -> Vec<String> {
    let all = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        loop {
            match heard.recv_timeout(PATIENCE) {
                Ok(line) => all.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return all,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("there is no end after {all:?}"),
            }
        }
    });
    all.await.expect("no panic")
}

async fn echoes(source: &mut ChildSource, sink: &mut ChildSink) {
    let ping = || Frame::from(bytes::Bytes::from_static(b"{\"id\":1}"));
    within(sink.send(ping())).await.expect("it reads");
    let inbound = within(source.receive()).await.expect("the lane lives");
    assert!(matches!(inbound, Inbound::Frame(frame) if frame == "{\"id\":1}"));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_made_printable() {
    let script =
        r#"printf 'a\000b\033[31mred\033[0m\r\n\377\376\n\342\200\256back\n\n  last, unended' >&2; exit 3"#;
    let (command, heard) = sh(script);
    let lane = command.spawn().expect("sh starts");
    let exit = within(lane.handle().exit()).await;
    drop(lane);
    let lines = ["a?b?[31mred?[0m", "\u{fffd}\u{fffd}", "?back", "", "  last, unended"];
    assert_eq!(within(all(heard)).await, lines);
    // Blank lines say nothing.
    let said: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(exit.stderr_tail, said.join("\n"));
}

#[tokio::test]
async fn the_tail_can_be_seen_while_the_child_lives() {
    let (command, heard) = sh("echo one >&2; read line; echo two >&2; exit 3");
    let lane = command.spawn().expect("sh starts");
    let handle = lane.handle();
    let (_source, mut sink) = lane.split();
    let (line, _heard) = within(next(heard)).await;
    // What is passed on was kept before.
    assert_eq!((&*line, &*handle.stderr_tail()), ("one", "one"));
    assert!(handle.try_exit().is_none());
    within(sink.send(Frame::from(bytes::Bytes::from_static(b"{}")))).await.expect("it reads");
    let exit = within(handle.exit()).await;
    assert_eq!((&*exit.stderr_tail, &*handle.stderr_tail()), ("one\ntwo", "one\ntwo"));
}

#[tokio::test]
async fn a_child_that_closes_its_stderr_lives_on() {
    let (command, heard) = sh("printf 'last words' >&2; exec 2>&-; exec cat");
    let lane = command.spawn().expect("sh starts");
    let handle = lane.handle();
    let (mut source, mut sink) = lane.split();
    let (line, _heard) = within(next(heard)).await;
    assert_eq!(line, "last words", "a line without an end ends with the stream");
    echoes(&mut source, &mut sink).await;
    within(sink.close()).await.expect("closed");
    let exit = within(handle.exit()).await;
    assert_eq!((exit.status, &*exit.stderr_tail), (ChildStatus::Code(0), "last words"));
}

#[tokio::test]
async fn a_stderr_that_is_held_after_the_exit_keeps_nothing() {
    let script = r#"setsid sh -c 'echo "[$$]" >&2; exec sleep 1000' >/dev/null & read line; printf unended >&2; exit 3"#;
    let (command, heard) = sh(script);
    let lane = command.spawn().expect("sh starts");
    let handle = lane.handle();
    let (source, mut sink) = lane.split();
    let (line, heard) = within(next(heard)).await;
    let pid: i32 = line.trim_matches(['[', ']']).parse().expect("a process id");
    let holder = Watched::new(pid as u32);
    within(sink.send(Frame::from(bytes::Bytes::from_static(b"{}")))).await.expect("it reads");
    let exit = within(handle.exit()).await;
    assert!(exit.stderr_tail.ends_with("unended"), "{exit}");
    drop((source, sink, handle));
    // The callback is dropped with the tree, and not with who holds its stderr.
    assert_eq!(within(all(heard)).await, ["unended"]);
    assert!(holder.lives(), "nothing was held");
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::KILL).expect("it lives");
    holder.assert_goes();
}

#[tokio::test]
async fn a_flood_of_a_hundred_megabytes_blocks_nobody_and_is_not_kept() {
    fn resident_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let kib = line.trim().trim_end_matches("kB").trim();
        kib.parse::<usize>().expect("a number") << 10
    }
    let before = resident_bytes();
    // Beside the flood the lane works, and so does that of another child.
    let script = "head -c 104857600 /dev/zero | tr '\\0' x >&2 & cat; wait; echo last words >&2; exit 3";
    let lane = ChildCommand::new("sh").args(["-c", script]).spawn().expect("sh starts");
    let other = ChildCommand::new("cat").spawn().expect("cat starts");
    let handle = lane.handle();
    let (mut source, mut sink) = lane.split();
    echoes(&mut source, &mut sink).await;
    let (mut other_source, mut other_sink) = other.split();
    echoes(&mut other_source, &mut other_sink).await;
    within(sink.close()).await.expect("closed");
    let exit = within(handle.exit()).await;
    assert_eq!(exit.status, ChildStatus::Code(3));
    assert!(exit.stderr_tail.ends_with("last words") && exit.stderr_tail.len() <= 2 << 10);
    let grown = resident_bytes() - before;
    assert!(grown < 16 << 20, "{grown} bytes");
    drop((source, sink, handle, other_source, other_sink));
    assert_eq!(wait_for_children(common::DEADLINE), []);
}
