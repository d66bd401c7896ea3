//! This program, started anew as a server, and the client's side of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio, exit},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};
use towpath::{
    Context, ErrorObject, Handler, Implementation, RawJson, Request, ServeStdioOptions, ServerBuilder,
    link::LinkTimeouts,
    raw::{LaneLimits, LaneTimeouts},
    serve_stdio,
};

/// How long anything may take before a test says that it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A line that calls a tool: `gate` runs until its gate is dropped, `large` has an answer that no pipe holds, `pretty`
/// one of several lines, `print` prints.
pub(crate) fn call(id: u64, tool: &str) -> String {
    request(id, "tools/call", &format!(r#","name":"{tool}","arguments":{{}}"#))
}

/// A line that is answered at once.
pub(crate) fn ping(id: u64) -> String {
    request(id, "tools/list", "")
}

fn request(id: u64, method: &str, more: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{{META}{more}}}}}\n")
}

/// Lets those that are started from here on begin with the default action of the signals which ask for the end, though
/// the runner of the tests was started to ignore some: by `nohup`, or in the background. What is heard starts so.
fn hear_what_is_ignored() {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal");
    let hear = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
            if mask & 1 << (kind.as_raw_value() - 1) != 0 {
                drop(signal(kind).expect("it can be heard"));
            }
        }
    };
    // The test may be inside of a runtime.
    thread::spawn(hear).join().expect("no panic");
}

fn is_ready(fd: impl AsFd, at_most: Duration) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let at_most = Timespec::try_from(at_most).expect("a short time");
    poll(&mut fds, Some(&at_most)).expect("poll") > 0
}

/// Where the tool `gate` says that it runs.
pub(crate) struct Gate {
    path: PathBuf,
    listener: UnixListener,
}

impl Gate {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("towpath-gate-{name}-{}", std::process::id()));
        drop(fs::remove_file(&path));
        let listener = UnixListener::bind(&path).expect("a socket");
        Self { path, listener }
    }

    /// This program as a server.
    pub(crate) fn server(&self) -> Command {
        hear_what_is_ignored();
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["role", "--exact", "--nocapture", "--test-threads=1"]).env("GATE", &self.path);
        command.stdin(Stdio::piped());
        command
    }

    /// Waits until the tool runs; it ends when what this gives is dropped.
    pub(crate) fn opened(&self) -> UnixStream {
        assert!(is_ready(&self.listener, DEADLINE), "the handler does not run");
        self.listener.accept().expect("it is ready").0
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// A server in a process of its own. Dropped, the process is killed.
pub(crate) struct Served {
    child: Child,
    watched: OwnedFd,
    stdin: Option<ChildStdin>,
    output: Output,
}

/// The server's stdout.
enum Output {
    /// Read by a thread, so that waiting for a line has a deadline.
    Lines(mpsc::Receiver<String>),
    /// Read by nobody.
    Unread(ChildStdout),
    Closed,
}

impl Served {
    /// Starts it, and reads what it writes.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut served = Self::start_unread(command);
        if let Output::Unread(stdout) = std::mem::replace(&mut served.output, Output::Closed) {
            let (lines, heard) = mpsc::sync_channel(1024);
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // The runner of the tests has written before.
                    if line.starts_with('{') && lines.send(line).is_err() {
                        return;
                    }
                }
            });
            served.output = Output::Lines(heard);
        }
        served
    }

    /// Starts it, and leaves what it writes unread.
    pub(crate) fn start_unread(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        // The command holds the child's ends.
        command.stdin(Stdio::null());
        let pid = Pid::from_raw(child.id() as i32).expect("a process id");
        let watched = pidfd_open(pid, PidfdFlags::empty()).expect("it lives");
        let output = Output::Unread(child.stdout.take().expect("piped"));
        Self { stdin: child.stdin.take(), child, watched, output }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("open").write_all(bytes).expect("it reads");
    }

    /// Ends its stdin.
    pub(crate) fn end(&mut self) {
        self.stdin = None;
    }

    /// The next message that it writes.
    #[track_caller]
    pub(crate) fn message(&mut self) -> String {
        let Output::Lines(lines) = &self.output else { panic!("nobody reads it") };
        lines.recv_timeout(DEADLINE).expect("a message")
    }

    /// Says something new until it is refused, since the server is draining.
    pub(crate) fn say_until_refused(&mut self) {
        let until = Instant::now() + DEADLINE;
        for id in 1000.. {
            assert!(Instant::now() < until, "it takes what is new");
            self.say(&ping(id));
            if self.message().contains("error") {
                return;
            }
        }
    }

    /// All messages up to its end.
    pub(crate) fn rest(&mut self) -> String {
        let Output::Lines(lines) = &self.output else { panic!("nobody reads it") };
        lines.iter().collect::<Vec<_>>().join("\n")
    }

    /// Reads up to the first byte of a message, and no further.
    pub(crate) fn read_past_the_runner(&mut self) {
        let Output::Unread(stdout) = &mut self.output else { panic!("it is read elsewhere") };
        let mut byte = [0];
        while byte != *b"{" {
            assert!(is_ready(&*stdout, DEADLINE), "it writes nothing");
            stdout.read_exact(&mut byte).expect("it writes");
        }
    }

    pub(crate) fn close_stdout(&mut self) {
        // What the runner of the tests writes comes first, and must not fail.
        if let Output::Unread(stdout) = &mut self.output {
            let mut text = String::new();
            while !text.contains("role ... \n") {
                let mut byte = [0];
                assert!(is_ready(&*stdout, DEADLINE), "it writes nothing");
                stdout.read_exact(&mut byte).expect("it writes");
                text.push(char::from(byte[0]));
            }
        }
        self.output = Output::Closed;
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id() as i32).expect("a process id"), signal).expect("it lives");
    }

    #[track_caller]
    pub(crate) fn assert_lives(&self) {
        assert!(!is_ready(&self.watched, Duration::ZERO), "it has ended");
    }

    /// Waits until it has ended by itself, and said so; gives what it wrote to stderr.
    #[track_caller]
    pub(crate) fn assert_ends(&mut self, how: &str) -> String {
        assert!(is_ready(&self.watched, DEADLINE), "the process lives on");
        let mut stderr = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr).expect("text");
        }
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "{status}: {stderr}");
        let end = stderr.lines().find_map(|line| line.strip_prefix("ended: ")).unwrap_or_default();
        assert!(end.contains(how), "{how}: {stderr}");
        stderr
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has no effect on one that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Tools;

impl Handler for Tools {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        match request.name().as_deref() {
            Some("gate") => {
                let gate = env::var_os("GATE").expect("a gate");
                let mut gate = tokio::net::UnixStream::connect(gate).await.expect("it is there");
                // The other side says nothing: this is its end.
                drop(gate.read(&mut [0]).await);
            }
            Some("large") => return request.reply(&json!({"text": "y".repeat(4 << 20)})),
            Some("pretty") => return Ok(RawJson::parse("{\n  \"tools\":\r\n  []\r}").expect("JSON")),
            Some("print") => {
                println!("{{\"printed by a handler\":1}}");
                let child = Command::new("echo").arg("{\"printed by a child\":1}").status();
                assert!(child.expect("it starts").success());
            }
            _ => {}
        }
        request.reply(&json!({"tools": []}))
    }
}

fn milliseconds(name: &str) -> Option<Duration> {
    env::var(name).ok().map(|text| Duration::from_millis(text.parse().expect("a number")))
}

/// Serves, if a test has started this process.
pub(crate) fn serve_if_asked() {
    if env::var_os("GATE").is_none() {
        return;
    }
    // The runner of the tests leaves its own line open.
    println!();
    let mut options = ServeStdioOptions::default();
    if let Some(drain) = milliseconds("DRAIN_MS") {
        options = options.with_drain(drain);
    }
    if let Some(stall) = milliseconds("STALL_MS") {
        options = options.with_timeouts(LaneTimeouts::default().with_write_stall(Some(stall)));
    }
    if let Ok(bytes) = env::var("LINE_BYTES") {
        let bytes = bytes.parse().expect("a number");
        options = options.with_limits(LaneLimits::default().with_max_message_bytes(bytes));
    }
    let mut timeouts = LinkTimeouts::default();
    timeouts.finish = Duration::from_secs(3600);
    timeouts.close = Duration::from_millis(50);
    let builder = ServerBuilder::new(Implementation::new("served", "1.0.0"), json!({"tools": {}}));
    let server = builder
        .timeouts(timeouts)
        .on_skipped(|skipped| {
            eprintln!("skipped: {} of {} bytes", skipped.text, skipped.length);
            assert_ne!(skipped.text, "panic", "as asked");
        })
        .build(Tools);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let end = runtime.block_on(serve_stdio(&server, options)).expect("stdin and stdout");
    drop(runtime);
    eprintln!("ended: {end}");
    exit(0);
}
