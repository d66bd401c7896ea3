//! `towpath serve` and `towpath connect`: what they say, and that nothing is left of them.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{path::PathBuf, process, time::Duration};

use common::{Finished, TOWPATH, processes_with, run, signal, towpath, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr},
};

/// A bridge that listens.
struct Bridge {
    process: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    url: String,
    mark: String,
}

impl Bridge {
    /// Serves a command on a free port, with a variable in its environment that no other process has.
    async fn serve(name: &str, options: &[&str], command: &[&str]) -> Self {
        let mark = format!("TOWPATH_TEST_MARK=serve-{name}-{}", process::id());
        let args = [&["serve", "--port", "0", "--env", &mark], options, &["--"], command].concat();
        let (variable, value) = mark.split_once('=').unwrap();
        let mut process = towpath(&args).env(variable, value).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = stderr.next_line().await.unwrap().unwrap();
        let url = said.split_whitespace().next().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{said}");
        let limits = stderr.next_line().await.unwrap().unwrap();
        assert!(limits.contains("--max-message-size"), "{limits}");
        Self { process, stderr, url, mark }
    }

    async fn call(&self, args: &[&str]) -> Finished {
        run(&[&["call", "--url", &self.url], args].concat()).await
    }

    /// A call that goes on until it is ended: it is under way when this returns.
    async fn wait(&self, era: &str) -> Child {
        let args = ["call", "--url", &self.url, "--era", era, "tools/call", r#"{"name":"wait"}"#];
        let mut caller = towpath(&args).spawn().unwrap();
        let mut stderr = BufReader::new(caller.stderr.take().unwrap()).lines();
        assert_eq!(stderr.next_line().await.unwrap().as_deref(), Some("progress 0: waiting"));
        caller
    }

    /// Ends it with a signal, and waits until everything is gone. One that can leave politely does, with 0.
    async fn end(mut self, kind: Signal) {
        signal(&self.process, kind);
        let status = self.process.wait().await.unwrap();
        assert!(kind == Signal::KILL || status.code() == Some(0), "{status}");
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while processes_with(&self.mark) > 0 {
            look.tick().await;
        }
    }
}

const ECHO: [&str; 2] = ["tools/call", r#"{"name":"echo","arguments":{"text":"\u00e9 1e400"}}"#];

#[tokio::test]
async fn a_server_on_stdio_is_reached_over_http_in_both_eras() {
    within(async {
        let bridge = Bridge::serve("eras", &[], &[TOWPATH, "demo-server"]).await;
        for era in ["auto", "modern", "legacy"] {
            let done = bridge.call(&[&["--era", era], &ECHO[..]].concat()).await;
            assert_eq!(done.status, Some(0), "{done:?}");
            assert!(done.stdout.contains(r#""text":"\u00e9 1e400""#), "{done:?}");
        }
        let done =
            bridge.call(&["--era", "legacy", "tools/call", r#"{"name":"count","arguments":{"to":3}}"#]).await;
        let steps: Vec<String> = (1..=3).map(|step| format!("progress {step}/3 ")).collect();
        assert!(steps.iter().zip(done.stderr.lines()).all(|(step, line)| line.starts_with(step)), "{done:?}");
        assert!(done.stdout.contains("counted to 3"), "{done:?}");
        bridge.end(Signal::TERM).await;
    })
    .await;
}

/// A server that is found only below a shell, in the ways in which `npx` and the like start one; and one that cares for
/// nothing. The last member says how many processes it is, the server among them.
fn trees() -> [(&'static str, Vec<String>, usize); 4] {
    let shell = |script: String| vec!["sh".to_owned(), "-c".to_owned(), script];
    [
        ("plain", vec![TOWPATH.to_owned(), "demo-server".to_owned()], 1),
        ("foreground", shell(format!("{TOWPATH} demo-server; true")), 2),
        ("background", shell(format!("exec 3<&0; {TOWPATH} demo-server <&3 & wait")), 2),
        (
            "stubborn",
            shell(format!("trap '' TERM; {TOWPATH} demo-server; while :; do sleep 1 </dev/null; done")),
            2,
        ),
    ]
}

#[tokio::test]
async fn a_signal_ends_the_bridge_and_every_process_behind_it() {
    within(async {
        for kind in [Signal::TERM, Signal::INT, Signal::KILL] {
            for (name, command, processes) in trees() {
                let command: Vec<&str> = command.iter().map(String::as_str).collect();
                let bridge = Bridge::serve(&format!("{name}-{kind:?}"), &[], &command).await;
                // A call of each era is under way: the shared process, and the session's own.
                let mut callers = [bridge.wait("modern").await, bridge.wait("legacy").await];
                // And the bridge, and its guard.
                assert!(processes_with(&bridge.mark) >= 2 * processes + 2, "{name}");
                bridge.end(kind).await;
                for caller in &mut callers {
                    assert_ne!(caller.wait().await.unwrap().code(), Some(0), "{name}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_process_of_a_session_ends_with_it() {
    within(async {
        let bridge = Bridge::serve("session", &[], &[TOWPATH, "demo-server"]).await;
        let before = processes_with(&bridge.mark);
        let done = bridge.call(&[&["--era", "legacy"], &ECHO[..]].concat()).await;
        assert_eq!(done.status, Some(0), "{done:?}");
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while processes_with(&bridge.mark) > before {
            look.tick().await;
        }
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn an_era_that_the_server_does_not_speak_is_refused_by_name() {
    let legacy = common::legacy_script(r#"echo '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[]}}'"#);
    within(async {
        let bridge = Bridge::serve("legacy", &[], &["sh", "-c", &legacy]).await;
        let params = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;
        let answer = post(
            &bridge.url,
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n",
            &format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{params}}}"#),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        for part in [r#""id":7"#, r#""code":-32600"#, "2025-11-25"] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        let done = bridge.call(&["tools/list"]).await;
        assert_eq!((done.status, done.stdout.trim()), (Some(0), r#"{"tools":[]}"#), "{done:?}");
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_foreign_page_and_a_foreign_name_are_refused() {
    within(async {
        let allowed = ["--allow-origin", "https://app.example", "--allow-host", "mcp.example"];
        let bridge = Bridge::serve("gate", &allowed, &[TOWPATH, "demo-server"]).await;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let status = async |headers: &str| {
            let answer = post(&bridge.url, headers, ping).await;
            answer.split(' ').nth(1).map(str::to_owned).unwrap_or_default()
        };
        assert_eq!(status("Origin: https://evil.example\r\n").await, "403");
        assert_eq!(status("Host: evil.example\r\n").await, "403");
        for good in ["", "Origin: https://app.example\r\n", "Host: mcp.example\r\n"] {
            assert_eq!(status(good).await, "400", "{good}: a ping outside of any session");
        }
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_bridge_that_cannot_start_says_why() {
    within(async {
        let done = run(&["serve", "--port", "0", "--", "/no/such/server"]).await;
        assert_eq!(done.status, Some(3));
        assert!(done.stderr.contains("no such program") && done.stderr.contains("hint: "), "{done:?}");
        let done = run(&["serve", "--port", "0", "--", "sh", "-c", "echo sorry >&2; exit 7"]).await;
        assert_eq!(done.status, Some(3));
        assert!(done.stderr.contains("exited with status 7"), "{done:?}");
        let taken = Bridge::serve("taken", &[], &[TOWPATH, "demo-server"]).await;
        let port = taken.url.rsplit(':').next().unwrap().split('/').next().unwrap();
        let done = run(&["serve", "--port", port, "--", TOWPATH, "demo-server"]).await;
        assert_eq!(done.status, Some(3));
        assert!(done.stderr.contains("cannot listen") && done.stderr.contains("--port"), "{done:?}");
        taken.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_large_answer_passes_where_the_limit_is_raised_on_the_whole_way() {
    within(async {
        let raised = ["--max-message-size", "48MiB"];
        let server = [TOWPATH, "demo-server", "--max-message-size", "48MiB"];
        let bridge = Bridge::serve("large", &raised, &server).await;
        // The params are an argument of the command, which the system bounds: the answer repeats what it is sent.
        let text = "x".repeat(100_000);
        let params = format!(r#"{{"name":"echo","arguments":{{"text":"{text}","times":400}}}}"#);
        for era in ["modern", "legacy"] {
            let args = ["--max-message-size", "48MiB", "--era", era, "tools/call", &params];
            let done = bridge.call(&args).await;
            assert_eq!(done.status, Some(0), "{}", done.stderr);
            assert!(done.stdout.len() > 40_000_000, "{}", done.stdout.len());
            let refused = bridge.call(&["--era", era, "tools/call", &params]).await;
            assert_eq!(refused.status, Some(4), "{}", refused.stderr);
            assert!(refused.stderr.contains("--max-message-size"), "{}", refused.stderr);
        }
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_connected_server_has_the_protocol_alone_on_stdout_and_answers_what_was_piped_in() {
    within(async {
        let bridge = Bridge::serve("connect", &[], &[TOWPATH, "demo-server"]).await;
        let mut connect = towpath(&["connect", "-v", &bridge.url]).stdin(process::Stdio::piped()).spawn().unwrap();
        let mut stdin = connect.stdin.take().unwrap();
        let params = r#"{"name":"count","arguments":{"to":2},"_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;
        let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{params}}}\n");
        stdin.write_all(request.as_bytes()).await.unwrap();
        drop(stdin);
        let done = Finished::from(connect.wait_with_output().await.unwrap());
        assert_eq!(done.status, Some(0), "{done:?}");
        let lines: Vec<&str> = done.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{done:?}");
        assert!(lines[..2].iter().all(|line| line.contains(r#""progressToken":"t""#)), "{done:?}");
        assert!(lines[2].contains(r#""id":"a""#) && lines[2].contains("counted to 2"), "{done:?}");
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_bridge_of_a_bridge_is_a_server_like_any_other() {
    within(async {
        let bridge = Bridge::serve("twice", &[], &[TOWPATH, "demo-server"]).await;
        for era in ["modern", "legacy"] {
            let args =
                [&["call", "--era", era], &ECHO[..], &["--", TOWPATH, "connect", &bridge.url]].concat();
            let done = run(&args).await;
            assert_eq!(done.status, Some(0), "{done:?}");
            assert!(done.stdout.contains(r#""text":"\u00e9 1e400""#), "{done:?}");
        }
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_to_nobody_says_what_to_look_at() {
    within(async {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let done = run(&["call", "--url", &format!("http://{nobody}/mcp")]).await;
        assert_eq!(done.status, Some(3), "{done:?}");
        assert!(done.stderr.contains("cannot reach") && done.stderr.contains("hint: "), "{done:?}");
        let done = run(&["call", "--url", "example.org"]).await;
        assert_eq!(done.status, Some(2), "{done:?}");
        assert!(done.stderr.contains("http://"), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn what_the_bridge_says_is_two_lines() {
    within(async {
        let mut bridge = Bridge::serve("lines", &[], &[TOWPATH, "demo-server"]).await;
        assert_eq!(bridge.call(&ECHO).await.status, Some(0));
        signal(&bridge.process, Signal::TERM);
        assert_eq!(bridge.stderr.next_line().await.unwrap(), None);
        assert_eq!(bridge.process.wait().await.unwrap().code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_signal_that_it_was_started_not_to_hear_ends_nothing() {
    within(async {
        let script = format!(r#"trap '' HUP; exec {TOWPATH} "$@""#);
        let args = ["-c", &script, "sh", "serve", "--port", "0", "--", TOWPATH, "demo-server"];
        let mut command = tokio::process::Command::new("sh");
        command.args(args).stdin(process::Stdio::null()).stderr(process::Stdio::piped()).kill_on_drop(true);
        let mut bridge = command.spawn().unwrap();
        let mut stderr = BufReader::new(bridge.stderr.take().unwrap()).lines();
        let said = stderr.next_line().await.unwrap().unwrap();
        signal(&bridge, Signal::HUP);
        let url = said.split_whitespace().next().unwrap();
        assert_eq!(run(&["call", "--url", url]).await.status, Some(0));
        signal(&bridge, Signal::TERM);
        assert_eq!(bridge.wait().await.unwrap().code(), Some(0));
    })
    .await;
}

/// A POST with further headers; one of `Host` is not added to those.
async fn post(url: &str, headers: &str, body: &str) -> String {
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let request = format!(
        "POST /mcp HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Those of its processes that are the example server.
fn servers(mark: &str) -> Vec<Pid> {
    let has = |path: PathBuf, at: Option<usize>, text: &str| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let mut parts = bytes.split(|byte| *byte == 0);
        match at {
            Some(at) => parts.nth(at) == Some(text.as_bytes()),
            None => parts.any(|part| part == text.as_bytes()),
        }
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let ours = entries.filter(|path| {
        has(path.join("environ"), None, mark) && has(path.join("cmdline"), Some(1), "demo-server")
    });
    ours.filter_map(|path| Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?)).collect()
}

#[tokio::test]
async fn a_process_that_is_lost_fails_who_waits_is_told_to_the_operator_and_replaced() {
    within(async {
        let mut bridge = Bridge::serve("lost", &[], &[TOWPATH, "demo-server"]).await;
        for era in ["modern", "legacy"] {
            let mut caller = bridge.wait(era).await;
            for server in servers(&bridge.mark) {
                kill_process(server, Signal::KILL).unwrap();
            }
            assert_eq!(
                caller.wait().await.unwrap().code(),
                Some(1),
                "{era}: the server has answered with an error"
            );
            let told = bridge.stderr.next_line().await.unwrap().unwrap();
            assert!(told.contains("is lost") && told.contains("SIGKILL"), "{told}");
            if era == "legacy" {
                // The shared process was not there any more: the next request starts another.
                let done = bridge.call(&[&["--era", "modern"], &ECHO[..]].concat()).await;
                assert_eq!(done.status, Some(0), "{done:?}");
            }
            let done = bridge.call(&[&["--era", era], &ECHO[..]].concat()).await;
            assert_eq!(done.status, Some(0), "{done:?}");
        }
        signal(&bridge.process, Signal::TERM);
        assert_eq!(bridge.process.wait().await.unwrap().code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn what_a_server_writes_to_stderr_is_not_for_clients() {
    let script = common::legacy_script("echo the-secret >&2; exit 7");
    within(async {
        let mut bridge = Bridge::serve("stderr", &[], &["sh", "-c", &script]).await;
        let done = bridge.call(&["tools/list"]).await;
        assert_eq!(done.status, Some(1), "{done:?}");
        assert!(done.stderr.contains("the upstream server failed"), "{done:?}");
        assert!(!done.stdout.contains("the-secret") && !done.stderr.contains("the-secret"), "{done:?}");
        let told = bridge.stderr.next_line().await.unwrap().unwrap();
        assert!(told.contains("the-secret") && told.contains("status 7"), "the operator is told: {told}");
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_signal_while_the_server_starts_leaves_nothing() {
    within(async {
        for kind in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
            let mark = format!("TOWPATH_TEST_MARK=serve-start-{kind:?}-{}", process::id());
            let (variable, value) = mark.split_once('=').unwrap();
            // It says nothing, and is found only below a shell; there once it has been asked, when the guard knows of it.
            let server = "read line; sleep 60 & wait";
            let args = ["serve", "--port", "0", "--env", variable, "--", "sh", "-c", server];
            let mut bridge = towpath(&args).env(variable, value).spawn().unwrap();
            let mut look = tokio::time::interval(Duration::from_millis(5));
            // The bridge, its guard, the shell, and what that has started.
            while processes_with(&mark) < 4 {
                look.tick().await;
            }
            signal(&bridge, kind);
            if kind != Signal::KILL {
                // Whoever is in a hurry gains nothing, and loses nothing.
                signal(&bridge, Signal::INT);
            }
            let status = bridge.wait().await.unwrap();
            assert!(kind == Signal::KILL || status.code() == Some(0), "{kind:?}: {status}");
            while processes_with(&mark) > 0 {
                look.tick().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_more_processes_are_started_than_there_may_be_sessions() {
    within(async {
        let bridge = Bridge::serve("sessions", &["--max-sessions", "1"], &[TOWPATH, "demo-server"]).await;
        let mut caller = bridge.wait("legacy").await;
        let before = processes_with(&bridge.mark);
        let refused = bridge.call(&[&["--era", "legacy"], &ECHO[..]].concat()).await;
        assert_ne!(refused.status, Some(0), "{refused:?}");
        assert!(refused.stderr.contains("max_sessions"), "{refused:?}");
        assert_eq!(processes_with(&bridge.mark), before);
        signal(&caller, Signal::INT);
        caller.wait().await.unwrap();
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_on_the_command_line_is_said_before_a_server_is_started() {
    within(async {
        for wrong in [["--allow-host", "a b"], ["--allow-origin", "nowhere"]] {
            // A server that was started would never let it come so far.
            let done = run(&[&["serve", "--port", "0"], &wrong[..], &["--", "sleep", "60"]].concat()).await;
            assert_eq!(done.status, Some(2), "{done:?}");
            assert!(done.stderr.contains(wrong[0]), "{done:?}");
        }
    })
    .await;
}

/// What `towpath connect` makes of two requests, the second without a handshake; headers of it are a secret.
async fn connected(url: &str) -> Finished {
    let args = ["connect", "-vvv", "--header", "Authorization: Bearer the-secret", url];
    let mut connect = towpath(&args).stdin(process::Stdio::piped()).spawn().unwrap();
    let mut stdin = connect.stdin.take().unwrap();
    let initialize = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let list = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    stdin.write_all(format!("{initialize}\n{list}\n").as_bytes()).await.unwrap();
    drop(stdin);
    let done = Finished::from(connect.wait_with_output().await.unwrap());
    assert_eq!(done.status, Some(0), "{done:?}");
    assert_eq!(done.stdout.lines().count(), 2, "{done:?}");
    assert!(
        done.stdout.contains(r#""id":"a","error""#) && done.stdout.contains(r#""id":7,"error""#),
        "{done:?}"
    );
    assert!(!done.stderr.contains("the-secret"), "{}", done.stderr);
    done
}

#[tokio::test]
async fn each_request_to_a_server_that_is_not_there_or_lets_nobody_in_gets_an_error() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let refuse = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
                }
                let head = String::from_utf8(head).unwrap();
                assert!(head.contains("authorization: Bearer the-secret\r\n"), "{head}");
                let answer =
                    "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 9\r\n\r\nkey=hush\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let refused = tokio::select! {
            () = refuse => unreachable!("it goes on for ever"),
            done = connected(&url) => done,
        };
        assert_eq!(
            refused.stdout.matches(r#""explanation":"it answered with HTTP status 401""#).count(),
            2,
            "{refused:?}"
        );
        assert!(!refused.stdout.contains("hush"), "{refused:?}");
        drop(listener);
        let unreached = connected(&url).await;
        assert_eq!(unreached.stdout.matches(r#""request":"not_sent""#).count(), 2, "{unreached:?}");
    })
    .await;
}
