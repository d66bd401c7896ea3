//! `towpath call` keeps its deadline when nobody reads what it writes.
#![allow(clippy::expect_used, reason = "what fails here fails the test")]

mod common;

use std::process;

use common::{TOWPATH, legacy_script, processes_with, towpath, within};

const FLOOD: &str = r#"while :; do
    echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"again and again"}}'
done"#;

/// Runs it, reads nothing, and gives the status.
async fn status_unread(name: &str, args: &[&str]) -> Option<i32> {
    let mark = format!("TOWPATH_TEST_MARK={name}-{}", process::id());
    let (variable, value) = mark.split_once('=').expect("a variable");
    let mut child = towpath(&[&["call", "--env", variable], args].concat())
        .env(variable, value)
        .spawn()
        .expect("the binary starts");
    let status = child.wait().await.expect("its status");
    assert_eq!(processes_with(&mark), 0, "{name}");
    // Until here the reading ends were open.
    drop((child.stdout.take(), child.stderr.take()));
    status.code()
}

#[tokio::test]
async fn the_deadline_holds_while_nobody_reads_the_notifications() {
    within(async {
        let script = legacy_script(FLOOD);
        let args = ["--timeout", "2s", "--", "sh", "-c", &script];
        assert_eq!(status_unread("notes", &args).await, Some(5));
    })
    .await;
}

#[tokio::test]
async fn the_deadline_holds_while_nobody_reads_the_trace() {
    within(async {
        // Were the thread that owns the processes held up by the trace, the one in the background would be left.
        let script = legacy_script("sleep 779 & while :; do echo again and again and again >&2; done");
        let args = ["-v", "--timeout", "2s", "--", "sh", "-c", &script];
        assert_eq!(status_unread("trace", &args).await, Some(5));
    })
    .await;
}

#[tokio::test]
async fn the_deadline_holds_while_nobody_reads_the_result() {
    within(async {
        let params = format!(r#"{{"name":"echo","arguments":{{"text":"{}"}}}}"#, "x".repeat(100_000));
        let args = ["--timeout", "2s", "tools/call", &params, "--", TOWPATH, "demo-server"];
        assert_eq!(status_unread("result", &args).await, Some(5));
    })
    .await;
}
