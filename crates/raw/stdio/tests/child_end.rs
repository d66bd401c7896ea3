//! The signal that asks a child to end, on every way to its end.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{self, exit},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
use towpath_stdio::{ChildCommand, ChildSource, ChildTimeouts, Signal};

use common::{Watched, own_role, role as start, within};

const SIGNALS: [(Signal, &str); 3] =
    [(Signal::Terminate, "TERM"), (Signal::Interrupt, "INT"), (Signal::HangUp, "HUP")];

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A directory for each of them, which goes at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    #[track_caller]
    fn assert_got(&self, signal: &str) {
        let got = fs::read_to_string(self.0.join("got")).expect("it got no signal that it knows");
        assert_eq!(got.trim(), signal);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// It may take its time after the signal, and is sent the signal at once.
fn command(signal: Signal, directory: &Directory) -> ChildCommand {
    command_after(&[], signal, directory)
}

/// The server, started by what is named first.
fn command_after(starter: &[&str], signal: Signal, directory: &Directory) -> ChildCommand {
    let model = start("server");
    let words = starter.iter().map(OsStr::new).chain([model.get_program()]).chain(model.get_args());
    let words: Vec<&OsStr> = words.collect();
    let timeouts = ChildTimeouts::default()
        .with_exit_after_stdin_close(Duration::ZERO)
        .with_exit_after_terminate(Duration::from_secs(3600));
    let mut command = ChildCommand::new(words[0]).args(&words[1..]);
    for (name, value) in model.get_envs() {
        command = command.env(name, value.expect("set"));
    }
    command.current_dir(&directory.0).child_timeouts(timeouts).ends_with(signal)
}

async fn server(source: &mut ChildSource) -> Watched {
    let frame = loop {
        match within(source.receive()).await.expect("the lane lives") {
            Inbound::Frame(frame) => break frame,
            // The runner of the tests has written before.
            Inbound::Skipped(_) => {}
            other => panic!("no frame but {other:?}"),
        }
    };
    let text = std::str::from_utf8(&frame).expect("text");
    Watched::new(text.trim_matches(['[', ']']).parse().expect("a process id"))
}

#[test]
fn a_dropped_child_gets_the_signal_that_was_asked_for_with_and_without_a_runtime() {
    for (signal, name) in SIGNALS {
        for runtime_is_gone in [false, true] {
            let directory = Directory::new(&format!("dropped-{name}-{runtime_is_gone}"));
            let mut runtime = Some(runtime());
            let lane = command(signal, &directory).spawn().expect("it starts");
            let (mut source, sink) = lane.split();
            let server = runtime.as_ref().expect("it runs").block_on(server(&mut source));
            if runtime_is_gone {
                runtime = None;
            }
            drop((source, sink));
            server.assert_goes();
            directory.assert_got(name);
            drop(runtime);
        }
    }
}

#[test]
fn a_child_that_is_told_to_end_gets_the_signal_that_was_asked_for() {
    for (signal, name) in SIGNALS {
        let directory = Directory::new(&format!("told-{name}"));
        let lane = command(signal, &directory).spawn().expect("it starts");
        let handle = lane.handle();
        let (mut source, _sink) = lane.split();
        let server = runtime().block_on(server(&mut source));
        handle.terminate();
        server.assert_goes();
        directory.assert_got(name);
    }
}

#[test]
fn what_a_child_leaves_behind_gets_the_signal_that_was_asked_for() {
    for (signal, name) in SIGNALS {
        let directory = Directory::new(&format!("left-{name}"));
        let starter = ["sh", "-c", r#""$0" "$@" & read line; exit 0"#];
        let lane = command_after(&starter, signal, &directory).spawn().expect("sh starts");
        let (mut source, mut sink) = lane.split();
        let runtime = runtime();
        let server = runtime.block_on(server(&mut source));
        let frame = Frame::from(bytes::Bytes::from_static(b"{}"));
        runtime.block_on(within(sink.send(frame))).expect("it reads");
        server.assert_goes();
        directory.assert_got(name);
    }
}

/// Says that it is ready, and notes which signal it got: also one that it was started to ignore, as a shell does to what
/// it starts in the background.
async fn note_the_signal() {
    let heard = |kind| signal(kind).expect("a handler");
    let (mut terminate, mut interrupt) = (heard(SignalKind::terminate()), heard(SignalKind::interrupt()));
    let mut hang_up = heard(SignalKind::hangup());
    println!("\n[{}]", process::id());
    let name = tokio::select! {
        _ = terminate.recv() => "TERM",
        _ = interrupt.recv() => "INT",
        _ = hang_up.recv() => "HUP",
    };
    fs::write("got", name).expect("written");
}

/// What this program does when a test has started it.
#[test]
fn role() {
    if own_role().is_some() {
        runtime().block_on(note_the_signal());
        exit(0);
    }
}
