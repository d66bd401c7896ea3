//! `towpath call` leaves nothing behind, however it ends.

mod common;

use std::{process, time::Duration};

use common::{Finished, TOWPATH, legacy_script, processes_with, run, signal, towpath, within};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// A variable that no other process has.
fn mark(name: &str) -> String {
    format!("TOWPATH_TEST_MARK={name}-{}", process::id())
}

/// The example server, by itself and below a shell that waits for it.
fn servers() -> [(usize, Vec<String>); 2] {
    let wrapped = format!("{TOWPATH} demo-server; true");
    [
        (1, vec![TOWPATH.to_owned(), "demo-server".to_owned()]),
        (2, vec!["sh".to_owned(), "-c".to_owned(), wrapped]),
    ]
}

#[tokio::test]
async fn a_signal_during_a_call_leaves_no_process() {
    within(async {
        for (name, kind) in [("TERM", Signal::TERM), ("INT", Signal::INT), ("HUP", Signal::HUP)] {
            for (processes, server) in servers() {
                let mark = mark(&format!("{name}-{processes}"));
                let mut args = vec!["call", "--env", &mark, "tools/call", r#"{"name":"wait"}"#, "--"];
                args.extend(server.iter().map(String::as_str));
                let mut child = towpath(&args).spawn().unwrap();
                let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
                // The call has arrived.
                assert_eq!(stderr.next_line().await.unwrap().as_deref(), Some("progress 0: waiting"));
                assert_eq!(processes_with(&mark), processes);
                signal(&child, kind);
                let said = stderr.next_line().await.unwrap();
                assert_eq!(said, Some(format!("error: interrupted by SIG{name}")));
                let done = Finished::from(child.wait_with_output().await.unwrap());
                assert_eq!((done.status, done.stdout.as_str()), (Some(130), ""));
                assert_eq!(processes_with(&mark), 0, "{name}, {server:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_killed_leaves_no_process() {
    within(async {
        let mark = mark("killed");
        let (name, value) = mark.split_once('=').unwrap();
        // The one in the background cares for no SIGTERM.
        let script = format!("(trap '' TERM; exec sleep 778) & {TOWPATH} demo-server; true");
        let args = ["call", "--env", name, "tools/call", r#"{"name":"wait"}"#, "--", "sh", "-c", &script];
        let mut child = towpath(&args).env(name, value).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(stderr.next_line().await.unwrap().as_deref(), Some("progress 0: waiting"));
        // The command, its guard, the shell, what it left in the background, and the server.
        assert_eq!(processes_with(&mark), 5);
        signal(&child, Signal::KILL);
        child.wait().await.unwrap();
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while processes_with(&mark) > 0 {
            look.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_ends_well_leaves_no_guard() {
    within(async {
        let mark = mark("guard");
        let (name, value) = mark.split_once('=').unwrap();
        let output = towpath(&["call", "--env", name, "--", TOWPATH, "demo-server"])
            .env(name, value)
            .output()
            .await
            .unwrap();
        assert_eq!(Finished::from(output).status, Some(0));
        assert_eq!(processes_with(&mark), 0);
    })
    .await;
}

#[tokio::test]
async fn a_signal_is_heard_while_nobody_reads_the_result() {
    within(async {
        let mark = mark("unread");
        let params = format!(r#"{{"name":"echo","arguments":{{"text":"{}"}}}}"#, "x".repeat(100_000));
        let args = ["call", "--env", &mark, "tools/call", &params, "--", TOWPATH, "demo-server"];
        let mut child = towpath(&args).spawn().unwrap();
        // The rest of it does not fit into the pipe.
        let mut stdout = child.stdout.take().unwrap();
        assert_eq!(stdout.read_u8().await.unwrap(), b'{');
        signal(&child, Signal::TERM);
        let done = Finished::from(child.wait_with_output().await.unwrap());
        assert_eq!((done.status, done.stderr.as_str()), (Some(130), "error: interrupted by SIGTERM\n"));
        assert_eq!(processes_with(&mark), 0);
    })
    .await;
}

#[tokio::test]
async fn a_stubborn_server_is_gone_at_the_end_whatever_the_outcome() {
    // It ignores SIGTERM and the end of its stdin.
    let stubborn = |script: &str| format!("trap '' TERM; ({script}); while :; do read -r _ </dev/full; done");
    within(async {
        let mark = mark("stubborn");
        let answers = legacy_script(r#"echo '{"jsonrpc":"2.0","id":'$id',"result":{}}'"#);
        for (script, status) in [(stubborn(&answers), 0), (stubborn("cat >/dev/null"), 5)] {
            let args = ["call", "--timeout", "2s", "--env", &mark, "--", "sh", "-c", &script];
            let done = run(&args).await;
            assert_eq!(done.status, Some(status), "{done:?}");
            assert_eq!(processes_with(&mark), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_signal_while_a_bridge_starts_ends_the_server_politely() {
    let flag = std::env::temp_dir().join(format!("towpath-polite-{}", process::id()));
    let variable = format!("FLAG={}", flag.display());
    // It never says what it speaks.
    let script = "trap 'echo bye >$FLAG; exit' TERM; echo up >$FLAG; sleep 779 & wait";
    within(async {
        for to in [["--port", "0"], ["--listen", "tcp:127.0.0.1:0"]] {
            let mark = mark("starting");
            let args = [&["serve", "--env", &mark, "--env", &variable], &to[..], &["--", "sh", "-c", script]]
                .concat();
            let child = towpath(&args).spawn().unwrap();
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while std::fs::read_to_string(&flag).unwrap_or_default() != "up\n" {
                look.tick().await;
            }
            signal(&child, Signal::INT);
            let done = Finished::from(child.wait_with_output().await.unwrap());
            assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
            assert_eq!(std::fs::read_to_string(&flag).unwrap(), "bye\n", "{to:?}");
            assert_eq!(processes_with(&mark), 0);
        }
    })
    .await;
    std::fs::remove_file(flag).unwrap();
}

#[tokio::test]
async fn a_signal_during_a_demonstration_leaves_no_process() {
    within(async {
        let mark = mark("demo");
        let (name, value) = mark.split_once('=').unwrap();
        let child = towpath(&["demo"]).env(name, value).spawn().unwrap();
        let mut look = tokio::time::interval(Duration::from_millis(5));
        // The binary and its example server.
        while processes_with(&mark) < 2 {
            look.tick().await;
        }
        signal(&child, Signal::TERM);
        let done = Finished::from(child.wait_with_output().await.unwrap());
        assert_eq!((done.status, done.stdout.as_str()), (Some(130), ""), "{done:?}");
        assert_eq!(done.stderr, "error: interrupted by SIGTERM\n");
        assert_eq!(processes_with(&mark), 0);
    })
    .await;
}
