//! A server that does not start, or not as one: one line says what happened to it, and one what to try.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    net::SocketAddr,
    process::{self, Stdio},
};

use common::{Finished, call, call_script, legacy_script, run, signal, towpath, within};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpSocket,
};

/// An address that nobody listens on, for as long as the socket is held.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_told_why() {
    within(async {
        let done = run(&["call", "--", "no-such-program-anywhere"]).await;
        done.assert_fails(
            3,
            &["`no-such-program-anywhere`: no such program in PATH"],
            "is it installed and on PATH?",
        );
        let done = run(&["call", "--", "/no/such/program"]).await;
        done.assert_fails(3, &["`/no/such/program`: no such program"], "is the path right?");
        let done = run(&["call", "--", "/dev/null"]).await;
        done.assert_fails(3, &["`/dev/null`: permission denied"], "chmod +x");
        let done = call(&["--cwd", "/no/such/directory"]).await;
        done.assert_fails(3, &["in /no/such/directory", "No such file"], "--cwd");
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_no_server_is_asked_for() {
    within(async {
        // It gives back what it gets, our questions included.
        run(&["call", "--", "cat"]).await.assert_fails(3, &["refused `initialize`"], "is it an MCP server?");
        run(&["call", "--", ""]).await.assert_fails(3, &["the name of the program is empty"], "not set");
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_opened_is_told_why() {
    let folder = std::env::temp_dir().join(format!("towpath-opens-{}", process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (missing, file) = (folder.join("no/such"), folder.join("file"));
    std::fs::write(&file, "").unwrap();
    let long = format!("unix:/{}", "x".repeat(200));
    let unix = |path: &std::path::Path| format!("unix:{}", path.display());
    let (missing, file) = (unix(&missing), unix(&file));
    within(async {
        let (_held, nobody) = nobody();
        let nobody = format!("tcp:{nobody}");
        for (place, cause, hint) in [
            (&missing, "No such file", "is the path right"),
            (&nobody, "refused", "nobody listens there"),
            (&long, "has 201 bytes, and the system takes 107", "a shorter one"),
        ] {
            run(&["call", "--url", place]).await.assert_fails(3, &[cause], hint);
            run(&["connect", place]).await.assert_fails(3, &[cause], hint);
        }
        for (place, cause, hint) in [
            (&missing, "No such file", "make it first"),
            (&file, "a file that is no socket", "it was not touched"),
            (&long, "has 201 bytes", "a shorter one"),
        ] {
            run(&["serve", "--listen", place, "--", "true"]).await.assert_fails(3, &[cause], hint);
        }
    })
    .await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_server_that_exits_at_once_is_explained_by_its_exit() {
    within(async {
        let done = run(&["call", "--", "false"]).await;
        done.assert_fails(
            3,
            &["no connection to `false`", "exited with status 1", "nothing to stderr"],
            "by itself",
        );
        let script = "echo 'Traceback (most recent call last):\n  File \"server.py\", line 3' >&2
                      echo 'KeyError: TOKEN' >&2; exit 1";
        let done = call_script(&[], script).await;
        let last_words = r#"Traceback (most recent call last): | File "server.py", line 3 | KeyError: TOKEN"#;
        done.assert_fails(3, &["exited with status 1", last_words], "--inherit-env");
        let done = run(&["call", "--inherit-env", "--", "false"]).await;
        assert!(!done.stderr.contains("--inherit-env"), "it has it already: {done:?}");
        run(&["call", "--", "true"]).await.assert_fails(
            3,
            &["exited with status 0 after"],
            "need an argument",
        );
        let done = call_script(&[], "no-such-program-anywhere").await;
        done.assert_fails(
            3,
            &["exited with status 127"],
            "127 mostly says that a shell did not find a command",
        );
        let done = call_script(&[], "kill -9 $$").await;
        done.assert_fails(3, &["was ended by signal 9 (SIGKILL) after"], "memory");
        call_script(&[], "kill -SEGV $$").await.assert_fails(3, &["signal 11 (SIGSEGV)"], "crashed");
        let done = call_script(&[], "exec 2>&-; exit 3").await;
        done.assert_fails(3, &["exited with status 3 after", "nothing to stderr"], "by itself");
    })
    .await;
}

/// Reads, and answers nothing.
const SILENT: &str = "while read -r _; do :; done";

#[tokio::test]
async fn what_a_server_prints_that_is_no_message_is_counted_and_the_first_of_it_shown() {
    within(async {
        for _ in 0..5 {
            let done = call_script(&[], "echo 'My Server 1.2'; echo ready; echo why >&2; exit 1").await;
            let cause = [
                "it exited with status 1 after",
                "it wrote 2 lines to stdout that are no messages, the first: My Server 1.2",
                "stderr: why",
            ];
            done.assert_fails(3, &cause, "stdout is for messages alone");
        }
        let script = format!("echo 'Listening on port 3000'; {SILENT}");
        let done = call_script(&["--timeout", "1s"], &script).await;
        let cause = ["within 1s (--timeout)", "a line to stdout that is no message: Listening on port 3000"];
        done.assert_fails(5, &cause, "reached by its URL");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_closes_a_pipe_and_lives_on_is_told_by_the_pipe() {
    within(async {
        for (script, pipe) in [("exec >&-; exec sleep 60", "stdout"), ("exec <&-; exec sleep 60", "stdin")] {
            let done = call_script(&[], script).await;
            done.assert_fails(3, &[&format!("it has closed its {pipe}, and lives on")], "in the background");
        }
        let done = run(&["call", "--timeout", "1s", "--", "sleep", "60"]).await;
        done.assert_fails(5, &["no answer", "within 1s (--timeout)", "nothing to stderr"], "raise --timeout");
        let done = call_script(&[], "sleep 60 & exit 5").await;
        done.assert_fails(3, &["it exited with status 5 after"], "by itself");
    })
    .await;
}

#[tokio::test]
async fn a_bridge_says_as_much_of_a_server_that_does_not_start() {
    let slow = format!("echo Loading; {SILENT}");
    let table: [(&str, &[&str], &str); 5] = [
        (
            "exit 7",
            &["no connection to `sh`: it exited with status 7 after", "nothing to stderr"],
            "--inherit-env",
        ),
        ("echo why >&2; kill -9 $$", &["signal 9 (SIGKILL) after", "stderr: why"], "memory"),
        ("echo Banner; exit 1", &["exited with status 1", "no message: Banner"], "stdout is for messages"),
        ("exec >&-; exec sleep 60", &["it has closed its stdout, and lives on"], "in the background"),
        (&slow, &["within 1s (--start-timeout)", "no message: Loading"], "stdout is for messages"),
    ];
    within(async {
        for (script, cause, hint) in table {
            for to in [["--port", "0"], ["--listen", "tcp:127.0.0.1:0"]] {
                let args =
                    [&["serve", "--start-timeout", "1s"], &to[..], &["--", "sh", "-c", script]].concat();
                run(&args).await.assert_fails(3, cause, hint);
            }
        }
        let done = run(&["serve", "--port", "0", "--", "no-such-program-anywhere"]).await;
        done.assert_fails(3, &["no such program in PATH"], "is it installed");
        let done = run(&["serve", "--port", "0", "--cwd", "/no/such/directory", "--", "true"]).await;
        done.assert_fails(3, &["in /no/such/directory", "No such file"], "--cwd");
    })
    .await;
}

#[tokio::test]
async fn a_bridge_tells_its_operator_of_a_session_whose_server_does_not_start() {
    within(async {
        let flag = std::env::temp_dir().join(format!("towpath-starts-{}", process::id()));
        // It starts once, for the question what it speaks.
        let works = legacy_script("exit 1");
        let script = format!("[ -e $FLAG ] && {{ echo no more >&2; exit 9; }}; : >$FLAG; {works}");
        let variable = format!("FLAG={}", flag.display());
        let args = ["serve", "--port", "0", "--env", &variable, "--", "sh", "-c", &script];
        let mut bridge = towpath(&args).spawn().unwrap();
        let mut stderr = BufReader::new(bridge.stderr.take().unwrap()).lines();
        let said = stderr.next_line().await.unwrap().unwrap();
        let _limits = stderr.next_line().await.unwrap();
        let url = said.split_whitespace().next().unwrap();
        let done = run(&["call", "--url", url, "--era", "legacy"]).await;
        assert_ne!(done.status, Some(0), "{done:?}");
        assert!(!done.stderr.contains("no more"), "clients are not told: {done:?}");
        let told = stderr.next_line().await.unwrap().unwrap();
        for part in
            ["error: process ", "of `sh` is lost: it exited with status 9 after", "on stderr: no more"]
        {
            assert!(told.contains(part), "{told}");
        }
        assert!(stderr.next_line().await.unwrap().unwrap().starts_with("hint: "));
        signal(&bridge, Signal::TERM);
        assert_eq!(bridge.wait().await.unwrap().code(), Some(0));
        std::fs::remove_file(flag).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_connected_server_that_cannot_be_reached_is_told_once() {
    within(async {
        let (_held, nobody) = nobody();
        let url = format!("http://{nobody}/mcp");
        let mut connect = towpath(&["connect", &url]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = connect.stdin.take().unwrap();
        for id in 1..4 {
            let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n");
            stdin.write_all(request.as_bytes()).await.unwrap();
        }
        drop(stdin);
        let done = Finished::from(connect.wait_with_output().await.unwrap());
        assert_eq!((done.status, done.stdout.lines().count()), (Some(0), 3), "{done:?}");
        let lines: Vec<&str> = done.stderr.lines().collect();
        let [cause, hint] = lines.as_slice() else { panic!("not two lines: {done:?}") };
        assert!(cause.contains(&url) && cause.contains("Connection refused"), "{cause}");
        assert!(hint.contains("does the server run?"), "{hint}");
    })
    .await;
}
