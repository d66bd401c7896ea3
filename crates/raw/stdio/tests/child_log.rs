//! What is told about children, to those who block, panic or are slow: each in a process of its own.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    process::{Command, exit},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Runtime;
use towpath_raw::{FrameSourceExt, Inbound, Lane};
use towpath_stdio::{ChildCommand, ChildStatus, wait_for_children};
use tracing::{Event, Metadata, Subscriber, span};

use common::{Watched, assert_succeeds, own_role, role as start, within};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn sh(script: &str) -> ChildCommand {
    ChildCommand::new("sh").args(["-c", script])
}

/// A subscriber that wants everything.
struct Each<F>(F);

impl<F: Fn(&Event<'_>) + 'static> Subscriber for Each<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "towpath::child" {
            (self.0)(event);
        }
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn block(entered: &SyncSender<()>) {
    let _ = entered.try_send(());
    loop {
        thread::park();
    }
}

/// The process id that a child tells first.
fn told_pid(runtime: &Runtime, source: &mut towpath_stdio::ChildSource) -> u32 {
    let inbound = runtime.block_on(within(source.receive())).expect("the lane lives");
    let Inbound::Frame(frame) = inbound else { panic!("no frame but {inbound:?}") };
    let text = std::str::from_utf8(&frame).expect("text");
    text.trim_matches(['[', ']']).parse().expect("a process id")
}

/// With somebody who blocks for ever.
fn supervises(command: ChildCommand, entered: &mpsc::Receiver<()>) {
    let runtime = runtime();
    let (mut source, _sink) = command.spawn().expect("sh starts").split();
    let grandchild = Watched::new(told_pid(&runtime, &mut source));
    entered.recv_timeout(common::DEADLINE).expect("nobody was told");
    let other = ChildCommand::new("cat").spawn().expect("cat starts");
    let handle = other.handle();
    handle.kill();
    assert_eq!(runtime.block_on(within(handle.exit())).status, ChildStatus::Signal(9));
    let left = wait_for_children(Duration::from_millis(1));
    assert!(!left.is_empty(), "nothing was killed");
    grandchild.assert_goes();
}

/// Its leader waits for ever, and its stderr is never at its end.
const NOISY: &str = "yes noisy >&2 & sleep 1000 & echo \"[$!]\"; wait";

#[test]
fn a_subscriber_that_blocks_stops_no_supervision() {
    assert_succeeds(start("blocked subscriber"));
}

fn blocked_subscriber() {
    let (entered, told) = mpsc::sync_channel(1);
    tracing::subscriber::set_global_default(Each(move |_: &Event<'_>| block(&entered))).expect("the first");
    supervises(sh(NOISY), &told);
}

#[test]
fn a_callback_that_blocks_stops_no_supervision() {
    assert_succeeds(start("blocked callback"));
}

fn blocked_callback() {
    let (entered, told) = mpsc::sync_channel(1);
    supervises(sh(NOISY).on_stderr_line(move |_| block(&entered)), &told);
}

#[test]
fn a_subscriber_that_panics_loses_no_exit() {
    assert_succeeds(start("panicking subscriber"));
}

fn panicking_subscriber() {
    tracing::subscriber::set_global_default(Each(|_: &Event<'_>| panic!("in a subscriber")))
        .expect("the first");
    for code in 3..6 {
        let lane = sh(&format!("echo line >&2; exit {code}")).spawn().expect("sh starts");
        let exit = runtime().block_on(within(lane.handle().exit()));
        assert_eq!((exit.status, &*exit.stderr_tail), (ChildStatus::Code(code), "line"));
    }
}

#[test]
fn lines_that_do_not_fit_are_dropped_and_counted() {
    assert_succeeds(start("slow callback"));
}

fn slow_callback() {
    const LINES: usize = 1 << 20;
    let (lines, heard) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = towpath_raw::Mutex::new(towpath_raw::Level::Handler, "tests::released", released);
    let command = sh("yes 12345678 | head -n 1048576 >&2").on_stderr_line(move |line| {
        // It goes on when the other end is dropped.
        let _ = released.lock().recv();
        lines.send(line.to_owned()).expect("the test listens");
    });
    let lane = command.spawn().expect("sh starts");
    runtime().block_on(within(lane.handle().exit()));
    drop((lane, release));
    let (mut passed, mut dropped) = (0, 0);
    // The callback is dropped after the last line.
    while let Ok(line) = heard.recv_timeout(common::DEADLINE) {
        match line.strip_prefix('(').and_then(|told| told.split_once(" lines were dropped")) {
            Some((count, _)) => dropped += count.parse::<usize>().expect("a number"),
            None => passed += usize::from(line == "12345678"),
        }
    }
    assert_eq!(passed + dropped, LINES);
    assert!(passed * 9 <= (1 << 20) + (64 << 10), "{passed} lines were held");
}

#[test]
fn what_children_said_is_told_before_waiting_for_them_ends() {
    assert_succeeds(start("last words"));
}

fn last_words() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let command = sh("yes 12345678 | head -n 50000 >&2").on_stderr_line(move |_| {
        counted.fetch_add(1, Ordering::AcqRel);
    });
    let lane = command.spawn().expect("sh starts");
    runtime().block_on(within(lane.handle().exit()));
    drop(lane);
    assert_eq!(wait_for_children(common::DEADLINE), []);
    assert_eq!(count.load(Ordering::Acquire), 50_000);
}

#[test]
fn a_tree_ends_though_the_system_has_reaped_its_leader() {
    let role = start("sigchld ignored");
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(role.get_program()).args(role.get_args());
    command.envs(role.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_succeeds(command);
}

fn sigchld_ignored() {
    let runtime = runtime();
    let lane = sh("sleep 1000 & echo \"[$!]\"; exec 1>&-; read line").spawn().expect("sh starts");
    let handle = lane.handle();
    let (mut source, sink) = lane.split();
    let grandchild = Watched::new(told_pid(&runtime, &mut source));
    assert!(grandchild.lives());
    drop(sink);
    assert_eq!(runtime.block_on(within(handle.exit())).status, ChildStatus::Unknown);
    grandchild.assert_goes();
    drop((source, handle));
    assert_eq!(wait_for_children(common::DEADLINE), []);
}

/// What this program does when a test has started it.
#[test]
fn role() {
    match own_role().as_deref() {
        None => return,
        Some("blocked subscriber") => blocked_subscriber(),
        Some("blocked callback") => blocked_callback(),
        Some("panicking subscriber") => panicking_subscriber(),
        Some("slow callback") => slow_callback(),
        Some("last words") => last_words(),
        Some("sigchld ignored") => sigchld_ignored(),
        Some(other) => panic!("no such role: {other}"),
    }
    exit(0);
}
