//! The end of the server: by the end of its input, and by that of its client, whatever stands between them.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "to panic is how a test reports")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use towpath::{CallError, ChildCommand, Client, Preference, wait_for_children};
use towpath_testkit::{
    leak::{Baseline, isolated},
    run_within, within,
};

use common::{EVERYTHING, command, connect_to, info, ours, tool};

const DEADLINE: Duration = Duration::from_secs(20);

/// The server, started without a client of ours.
struct Bare {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Bare {
    fn start() -> Self {
        let mut child = Command::new(EVERYTHING)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdin, stdout }
    }

    fn write(&mut self, input: &str) {
        self.stdin.write_all(input.as_bytes()).expect("it reads");
    }

    /// The id of the next answer.
    fn answered(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("UTF-8");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        answer["id"].clone()
    }

    /// Ends its input; gives the ids of what it answers until it has exited, its exit code, and its stderr.
    fn end(mut self) -> (Vec<Value>, Option<i32>, String) {
        drop(self.stdin);
        let lines = self.stdout.lines().map(|line| line.expect("UTF-8"));
        let answers =
            lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON")["id"].clone()).collect();
        let mut stderr = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        (answers, self.child.wait().expect("it is ours").code(), stderr)
    }
}

fn request(id: u32, name: &str, arguments: Value) -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1.0.0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": name, "arguments": arguments, "_meta": meta});
    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))
}

#[test]
fn a_server_whose_input_ends_answers_what_it_read_and_exits_well() {
    let (mut ids, code, _) = run_within(DEADLINE, || {
        let mut server = Bare::start();
        server.write(&request(1, "slow", json!({"ms": 100})));
        server.write(&request(2, "echo", json!({"text": "hi"})));
        server.end()
    });
    ids.sort_by_key(Value::as_u64);
    assert_eq!((ids, code), (vec![json!(1), json!(2)], Some(0)));
}

#[test]
fn a_cancelled_call_is_not_answered_and_does_not_hold_up_the_end() {
    let (ids, code, stderr) = run_within(DEADLINE, || {
        let mut server = Bare::start();
        server.write(&request(1, "slow", json!({"ms": 600_000})));
        server.write(&request(2, "echo", json!({"text": "the call has begun"})));
        assert_eq!(server.answered(), 2);
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
        server.write(&format!("{cancel}\n"));
        server.write(&request(3, "echo", json!({"text": "after"})));
        server.end()
    });
    assert_eq!((ids, code, stderr.as_str()), (vec![json!(3)], Some(0), "cancelled 1\n"));
}

/// A shell gives its background job /dev/null as stdin, which would end the server by itself: hence the third
/// descriptor.
const BACKGROUND: &str = r#"exec 3<&0; "$0" <&3 & wait"#;
const FOREGROUND: &str = r#""$0"; true"#;
/// A server that is cut off from the lane: no handshake with it is ever done, and the end of its input never comes.
const CUT_OFF: [&str; 2] =
    [r#"sleep 1000 | "$0" >/dev/null & wait"#, r#"sleep 1000 | "$0" >/dev/null; true"#];

fn wrapped(script: &str) -> ChildCommand {
    ours(ChildCommand::new("sh").args(["-c", script, EVERYTHING]))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Whether the server itself lives, below whatever wraps it.
fn server_lives(baseline: &Baseline) -> bool {
    baseline.compare().processes.values().any(|line| line.starts_with(EVERYTHING))
}

/// What there is when nothing runs. The first child starts the thread that owns them all, which stays.
fn baseline() -> Baseline {
    runtime().block_on(async {
        let client = within(connect_to(command(), Preference::ModernOnly)).await;
        within(client.close()).await;
    });
    assert_eq!(wait_for_children(DEADLINE), []);
    Baseline::take().settling_within(DEADLINE)
}

/// A client in the middle of a call that would take ten minutes, after one that was answered.
async fn busy(script: &str, preference: Preference, baseline: &Baseline) -> (Client, towpath::Call) {
    let client = within(connect_to(wrapped(script), preference)).await;
    let call = tool(&client, "slow", json!({"ms": 600_000})).start();
    within(tool(&client, "echo", json!({"text": "the server has read the call"}))).await.expect("an answer");
    assert!(server_lives(baseline), "{}", baseline.compare());
    (client, call)
}

#[test]
fn a_client_dropped_in_the_middle_of_a_call_leaves_no_process() {
    isolated("a_client_dropped_in_the_middle_of_a_call_leaves_no_process", || {
        let baseline = baseline();
        for (script, preference) in
            [(BACKGROUND, Preference::LegacyOnly), (FOREGROUND, Preference::ModernOnly)]
        {
            runtime().block_on(async {
                let (client, call) = busy(script, preference, &baseline).await;
                drop(client);
                assert!(matches!(within(call).await, Err(CallError::Closed { .. })));
            });
            baseline.check_blocking();
        }
    });
}

#[test]
fn a_client_dropped_in_the_middle_of_the_handshake_leaves_no_process() {
    isolated("a_client_dropped_in_the_middle_of_the_handshake_leaves_no_process", || {
        let baseline = baseline();
        for script in CUT_OFF {
            runtime().block_on(async {
                let lane = wrapped(script).spawn().expect("sh starts");
                let started = async {
                    while !server_lives(&baseline) {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    biased;
                    connected = Client::connect(lane, info()) => panic!("no handshake is done: {connected:?}"),
                    () = within(started) => {}
                }
                assert!(server_lives(&baseline));
            });
            baseline.check_blocking();
        }
    });
}

#[test]
fn a_client_that_outlives_its_runtime_leaves_no_process() {
    isolated("a_client_that_outlives_its_runtime_leaves_no_process", || {
        let baseline = baseline();
        for (script, preference) in
            [(BACKGROUND, Preference::ModernOnly), (FOREGROUND, Preference::LegacyOnly)]
        {
            let runtime = runtime();
            let (client, call) = runtime.block_on(busy(script, preference, &baseline));
            drop(runtime);
            drop((client, call));
            baseline.check_blocking();
        }
    });
}
