//! The stdin and stdout of a process of its own, over everything that they can be.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    fs::{self, File},
    io::{Read, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio, exit},
};

use bytes::Bytes;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, FileType, Mode, OFlags, fchmod, fcntl_getfl, mknodat, open},
    process::{Pid, Signal, geteuid, kill_process, set_parent_process_death_signal},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr},
};
use tokio::signal::unix::{SignalKind, signal};
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
use towpath_stdio::{OwnLane, OwnStdio, OwnStdioError};

use common::{Watched, own_role, role as start};

const INPUT: &str = "{\"id\":1}\n{\"id\":2}\n";

/// Waits until the process has exited, and says how, with everything that it wrote to stderr.
fn exited(mut child: Child) -> (Option<i32>, String) {
    Watched::new(child.id()).assert_goes();
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text).expect("text");
    }
    (child.wait().expect("it is ours").code(), text)
}

/// The frames in what was written to stdout; the runner of the tests has written before them.
fn frames(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| line.starts_with('{')).collect()
}

fn server(stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    let mut command = start("echo");
    // The command holds the child's ends, and is dropped here, so that the child's are the only ones.
    command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("towpath-own-{name}-{}", std::process::id()))
}

#[test]
fn pipes_are_served_and_their_end_ends_the_process() {
    let mut child = server(Stdio::piped(), Stdio::piped());
    let (mut stdin, mut stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    stdin.write_all(INPUT.as_bytes()).expect("it reads");
    drop(stdin);
    let mut output = String::new();
    stdout.read_to_string(&mut output).expect("text");
    assert_eq!(frames(&output), ["{\"id\":1}", "{\"id\":2}"]);
    let (code, stderr) = exited(child);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("stdin: pipe, opened anew without blocking; stdout: pipe, opened anew"),
        "{stderr}"
    );
    // What is printed beside the lane reaches stderr.
    assert!(stderr.contains("a stray line") && !output.contains("stray"), "{output}");
}

#[test]
fn a_last_line_without_a_newline_is_answered() {
    let mut child = server(Stdio::piped(), Stdio::piped());
    child.stdin.take().expect("piped").write_all(b"{\"id\":1}").expect("it reads");
    let mut output = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut output).expect("text");
    assert_eq!(frames(&output), ["{\"id\":1}"]);
    assert_eq!(exited(child).0, Some(0));
}

#[test]
fn sockets_are_served_and_stay_blocking() {
    // One socket for both, and one for each.
    for shared in [true, false] {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (our_output, their_output) = if shared {
            (ours.try_clone().expect("a copy"), theirs.try_clone().expect("a copy"))
        } else {
            UnixStream::pair().expect("a pair")
        };
        // It is the same file description as the child's.
        let kept = theirs.try_clone().expect("a copy");
        let child = server(OwnedFd::from(theirs), OwnedFd::from(their_output));
        (&ours).write_all(INPUT.as_bytes()).expect("it reads");
        let mut output = String::new();
        let mut reader = &our_output;
        let mut buffer = [0; 1024];
        while frames(&output).len() < 2 {
            let bytes = reader.read(&mut buffer).expect("it writes");
            assert!(bytes > 0, "it closed after: {output}");
            output.push_str(std::str::from_utf8(&buffer[..bytes]).expect("text"));
        }
        let flags = fcntl_getfl(kept.as_fd()).expect("flags");
        assert!(!flags.contains(OFlags::NONBLOCK), "the shared description was made non-blocking");
        drop(kept);
        ours.shutdown(std::net::Shutdown::Write).expect("open");
        let (code, stderr) = exited(child);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("stdin: socket, by calls that do not wait; stdout: socket"), "{stderr}");
    }
}

#[test]
fn files_are_served_by_threads_and_their_end_ends_the_process() {
    let (input, output) = (scratch("input"), scratch("output"));
    fs::write(&input, INPUT).expect("a file");
    let mut written =
        File::options().create(true).truncate(true).read(true).write(true).open(&output).expect("a file");
    let child = server(File::open(&input).expect("the file"), written.try_clone().expect("a copy"));
    let (code, stderr) = exited(child);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("stdin: file, by a thread; stdout: file, by a thread"), "{stderr}");
    let mut text = String::new();
    written.rewind().expect("a file");
    written.read_to_string(&mut text).expect("text");
    assert_eq!(frames(&text), ["{\"id\":1}", "{\"id\":2}"]);
    fs::remove_file(input).expect("ours");
    fs::remove_file(output).expect("ours");
}

/// Waits until there is something to read.
fn is_ready(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 15, tv_nsec: 0 })).expect("poll") > 0
}

/// The two sides of a terminal that shows nothing of what is typed.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).expect("ours");
    unlockpt(&ours).expect("ours");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let theirs =
        open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("it is there");
    let mut modes = tcgetattr(&theirs).expect("a terminal");
    modes.local_modes -= LocalModes::ECHO;
    tcsetattr(&theirs, OptionalActions::Now, &modes).expect("a terminal");
    (ours.into(), theirs)
}

#[test]
fn a_terminal_is_served_and_its_end_of_file_or_its_hanging_up_ends_the_process() {
    for hangs_up in [false, true] {
        let (mut ours, theirs) = terminal();
        let child = server(theirs.try_clone().expect("a copy"), theirs);
        ours.write_all(INPUT.as_bytes()).expect("it reads");
        let (mut output, mut buffer) = (String::new(), [0; 1024]);
        while frames(&output).len() < 2 || !output.ends_with('\n') {
            assert!(is_ready(&ours), "it goes no further than: {output}");
            let bytes = ours.read(&mut buffer).expect("it writes");
            output.push_str(std::str::from_utf8(&buffer[..bytes]).expect("text"));
        }
        assert_eq!(frames(&output), ["{\"id\":1}", "{\"id\":2}"]);
        let kept = if hangs_up {
            drop(ours);
            None
        } else {
            ours.write_all(b"\x04").expect("it reads");
            Some(ours)
        };
        let (code, stderr) = exited(child);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(
            stderr.contains("stdin: terminal, opened anew without blocking; stdout: terminal, opened anew"),
            "{stderr}"
        );
        drop(kept);
    }
}

#[test]
fn the_master_of_a_pseudoterminal_is_served_as_it_is_and_ends_with_its_other_side() {
    let (master, other) = terminal();
    let child = server(master.try_clone().expect("a copy"), master);
    let mut other = File::from(other);
    other.write_all(INPUT.as_bytes()).expect("it reads");
    let (mut output, mut buffer) = (String::new(), [0; 1024]);
    while frames(&output).len() < 2 || !output.ends_with('\n') {
        assert!(is_ready(&other), "it goes no further than: {output}");
        let bytes = other.read(&mut buffer).expect("it writes");
        assert!(bytes > 0, "it closed after: {output}");
        output.push_str(std::str::from_utf8(&buffer[..bytes]).expect("text"));
    }
    assert_eq!(frames(&output), ["{\"id\":1}", "{\"id\":2}"]);
    drop(other);
    let (code, stderr) = exited(child);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("stdin: pseudoterminal master, by a thread"), "{stderr}");
}

/// The same program for a user who is not this one, however its folder is protected.
fn server_of_another_user(stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    const NOBODY: u32 = 65534;
    let model = start("echo");
    let mut command = Command::new("/proc/self/exe");
    command.args(model.get_args()).envs(model.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if geteuid().is_root() {
        // Nothing is closed to root.
        command.uid(NOBODY);
    }
    command.current_dir("/").stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().expect("it starts")
}

#[test]
fn pipes_that_cannot_be_opened_anew_are_served_by_threads() {
    for terminated in [false, true] {
        let (their_input, mut our_output) = std::io::pipe().expect("a pipe");
        let (mut our_input, their_output) = std::io::pipe().expect("a pipe");
        for theirs in [their_input.as_fd(), their_output.as_fd()] {
            fchmod(theirs, Mode::empty()).expect("ours");
        }
        let child = server_of_another_user(their_input, their_output);
        // More than a pipe holds, so that the writer waits for room.
        let long = format!("[\"{}\"]", "x".repeat(200_000));
        let input = format!("{INPUT}{long}\n");
        let writing = std::thread::spawn(move || {
            our_output.write_all(input.as_bytes()).expect("it reads");
            our_output
        });
        let (mut output, mut buffer) = (Vec::new(), [0; 4096]);
        while !output.ends_with(b"x\"]\n") {
            assert!(is_ready(&our_input), "it goes no further than {} bytes", output.len());
            let bytes = our_input.read(&mut buffer).expect("it writes");
            assert!(bytes > 0, "it closed after {} bytes", output.len());
            output.extend_from_slice(&buffer[..bytes]);
        }
        let output = String::from_utf8(output).expect("text");
        assert_eq!(frames(&output), ["{\"id\":1}", "{\"id\":2}"]);
        assert!(output.ends_with(&format!("{long}\n")), "the long one was torn");
        let our_output = writing.join().expect("it has written");
        let kept = if terminated {
            let pid = Pid::from_raw(child.id() as i32).expect("a process id");
            kill_process(pid, Signal::TERM).expect("it lives");
            Some(our_output)
        } else {
            drop(our_output);
            None
        };
        let (code, stderr) = exited(child);
        assert_eq!(code, Some(if terminated { 15 } else { 0 }), "{stderr}");
        assert!(stderr.contains("stdin: pipe, by a thread; stdout: pipe, by a thread"), "{stderr}");
        drop(kept);
    }
}

#[test]
fn what_others_write_to_descriptor_1_and_read_from_0_is_not_the_peers() {
    let mut command = start("noisy");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(b"{\"id\":1}\n").expect("it reads");
    let mut output = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut output).expect("text");
    let (code, stderr) = exited(child);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(frames(&output), ["{\"id\":1}"]);
    for noise in
        ["{\"of\":\"an event\"}", "{\"of\":\"println\"}", "{\"of\":\"a library\"}", "{\"of\":\"a child\"}"]
    {
        assert!(stderr.contains(noise) && !output.contains(noise), "{noise} in: {output}");
    }
}

#[test]
fn nothing_to_read_and_nobody_to_tell_ends_the_process() {
    let (code, stderr) = exited(server(Stdio::null(), Stdio::null()));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("stdin: device, by a thread; stdout: device, by a thread"), "{stderr}");
}

#[test]
fn sigterm_ends_a_process_whose_stdin_stays_open() {
    let fifo = scratch("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
    // Opened for both, so that neither opening waits, and the writing end stays open.
    let held = File::options().read(true).write(true).open(&fifo).expect("the named pipe");
    for (stdin, how) in
        [(Stdio::piped(), "opened anew"), (held.try_clone().expect("a copy").into(), "by a thread")]
    {
        let mut child = server(stdin, Stdio::piped());
        // Served once, it has its signal handler and its reader.
        let request = b"{\"id\":1}\n";
        match &mut child.stdin {
            Some(stdin) => stdin.write_all(request).expect("it reads"),
            None => (&held).write_all(request).expect("it reads"),
        }
        let mut stdout = child.stdout.take().expect("piped");
        let mut output = Vec::new();
        while frames(std::str::from_utf8(&output).expect("text")).is_empty() {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("it writes");
            output.push(byte[0]);
        }
        let pid = Pid::from_raw(child.id() as i32).expect("a process id");
        kill_process(pid, Signal::TERM).expect("it lives");
        let kept_open = child.stdin.take();
        let (code, stderr) = exited(child);
        // Not the default action of the signal: it came out of its runtime by itself.
        assert_eq!(code, Some(15), "{stderr}");
        assert!(stderr.contains(how), "{stderr}");
        drop(kept_open);
    }
    fs::remove_file(fifo).expect("ours");
}

#[test]
fn the_peer_sees_the_end_when_the_sink_is_dropped() {
    let socket_pair = || UnixStream::pair().expect("a pair");
    for over_one_socket in [false, true] {
        let mut command: Command = start("half");
        command.stderr(Stdio::piped());
        let (ours, theirs) = socket_pair();
        if over_one_socket {
            command.stdout(OwnedFd::from(theirs.try_clone().expect("a copy"))).stdin(OwnedFd::from(theirs));
        } else {
            command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped());
        }
        let mut child = command.spawn().expect("it starts");
        drop(command);
        let mut output = String::new();
        match child.stdout.take() {
            Some(mut stdout) => stdout.read_to_string(&mut output),
            None => (&ours).read_to_string(&mut output),
        }
        .expect("text");
        // It has closed its stdout and waits for the end of its stdin.
        assert_eq!(frames(&output), ["{\"bye\":1}"]);
        assert!(child.try_wait().expect("it is ours").is_none());
        drop(ours);
        assert_eq!(exited(child).0, Some(0));
    }
}

#[test]
fn it_is_taken_once() {
    let (code, stderr) = exited(
        start("twice")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    assert_eq!(code, Some(0), "{stderr}");
}

fn take() -> OwnLane {
    let lane = OwnStdio::lane(LaneLimits::default(), LaneTimeouts::default()).expect("stdin and stdout");
    eprintln!("{}", lane.describe());
    println!("a stray line");
    lane
}

/// Answers every frame with itself until the end of stdin, or SIGTERM: the exit code.
async fn echo() -> i32 {
    let mut terminate = signal(SignalKind::terminate()).expect("a handler");
    let (mut source, mut sink) = take().split();
    loop {
        let inbound = tokio::select! {
            _ = terminate.recv() => return 15,
            inbound = source.receive() => inbound.expect("it can be read"),
        };
        match inbound {
            Inbound::Frame(frame) => sink.send(Frame::from(frame)).await.expect("it can be written"),
            Inbound::End(_) => break,
            _ => {}
        }
    }
    sink.close().await.expect("it can be written");
    0
}

/// What a process does that knows nothing of the lane, before it answers one frame.
async fn noisy() -> i32 {
    tracing::subscriber::set_global_default(Printer).expect("the first one");
    let (mut source, mut sink) = take().split();
    println!("{{\"of\":\"println\"}}");
    rustix::io::write(rustix::stdio::stdout(), b"{\"of\":\"a library\"}\n").expect("it is open");
    let status =
        Command::new("sh").args(["-c", "cat; echo '{\"of\":\"a child\"}'"]).status().expect("a shell");
    assert!(status.success());
    let Inbound::Frame(frame) = source.receive().await.expect("it can be read") else { return 1 };
    sink.send(Frame::from(frame)).await.expect("it can be written");
    0
}

/// Prints to stdout, as many do.
struct Printer;

impl tracing::Subscriber for Printer {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "towpath::stdio"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn event(&self, _: &tracing::Event<'_>) {
        println!("{{\"of\":\"an event\"}}");
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

async fn half() -> i32 {
    let (mut source, mut sink) = take().split();
    sink.send(Frame::from(Bytes::from("{\"bye\":1}"))).await.expect("it can be written");
    drop(sink);
    while !matches!(source.receive().await.expect("it can be read"), Inbound::End(_)) {}
    0
}

async fn twice() -> i32 {
    let _lane = take();
    let again = OwnStdio::lane(LaneLimits::default(), LaneTimeouts::default());
    i32::from(!matches!(again, Err(OwnStdioError::AlreadyTaken)))
}

/// What this program does when a test has started it.
#[test]
fn role() {
    let Some(name) = own_role() else { return };
    // A test that fails leaves nobody behind: its thread ends.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("it is allowed");
    // The test runner leaves its own line open.
    println!();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let code = match name.as_str() {
        "echo" => runtime.block_on(echo()),
        "noisy" => runtime.block_on(noisy()),
        "half" => runtime.block_on(half()),
        "twice" => runtime.block_on(twice()),
        other => panic!("no such role: {other}"),
    };
    // This would wait for a read on a blocking thread of the runtime.
    drop(runtime);
    exit(code);
}
