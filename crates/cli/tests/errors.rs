//! `towpath call` when something goes wrong: one line that names the cause, one hint, and a status for each.

mod common;

use std::{fs::OpenOptions, process::Stdio};

use common::{Finished, TOWPATH, call, call_script, legacy_script, run, towpath, within};

const NEVER: &str = "echo still here >&2; while read -r _; do :; done";

#[tokio::test]
async fn an_error_of_the_server_is_status_1() {
    within(async {
        let done = call(&["tools/call", r#"{"name":"nope"}"#]).await;
        done.assert_fails(
            1,
            &["answered `tools/call` with an error", "unknown tool: nope", "(-32602)"],
            "PARAMS_JSON",
        );
        let done = call(&["--era", "legacy", "no/method"]).await;
        done.assert_fails(1, &["no/method", "(-32601)"], "what it can do");
        let script = legacy_script(
            r#"printf '%s\n' '{"jsonrpc":"2.0","id":'$id',"error":{"code":7,"message":"two\nlines","data":{"a":1}}}'"#,
        );
        call_script(&[], &script).await.assert_fails(1, &["two | lines (7), data {\"a\":1}"], "-v");
    })
    .await;
}

#[tokio::test]
async fn a_missing_command_shows_the_form() {
    within(async {
        for args in [&["call"][..], &["call", "tools/list"], &["call", "tools/list", "{}", "--"]] {
            let form = "towpath call [OPTIONS] [METHOD [PARAMS_JSON]] (--url URL | -- COMMAND ARGS…)";
            run(args).await.assert_fails(2, &["the server is missing", "--url"], form);
        }
        let done = run(&["call", "tools/list", "npx", "-y", "server"]).await;
        done.assert_fails(2, &["unexpected argument '-y'"], "-- COMMAND");
        run(&["cal"]).await.assert_fails(2, &["unrecognized subcommand 'cal'"], "--help");
    })
    .await;
}

#[tokio::test]
async fn params_that_are_no_json_object_are_told_where() {
    within(async {
        call(&["x", r#"{"a": tru}"#]).await.assert_fails(
            2,
            &["not JSON", "at byte"],
            "one JSON object; quote",
        );
    })
    .await;
}

#[tokio::test]
async fn options_that_make_no_sense_are_told_why() {
    within(async {
        let table = [
            (&["--timeout", "30"][..], "`30s` are seconds"),
            (&["--max-message-size", "1T"], "`T` is no unit of size"),
            (&["--env", "=x"], "NAME=VALUE"),
            (&["--env", "NEVER_SET_HERE"], "NEVER_SET_HERE is not set here"),
            (&["--era", "old"], "invalid value 'old'"),
        ];
        for (args, cause) in table {
            call(args).await.assert_fails(2, &[cause], "towpath call --help");
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_told_by_the_deadline_and_its_option() {
    within(async {
        for era in ["auto", "modern", "legacy"] {
            let done = call_script(&["--timeout", "500ms", "--era", era], NEVER).await;
            done.assert_fails(
                5,
                &["the handshake", "within 500ms (--timeout)", "stderr: still here"],
                "--timeout",
            );
        }
        let done = call_script(&["--timeout", "1s"], &legacy_script("echo busy >&2")).await;
        done.assert_fails(
            5,
            &["no answer to `tools/list`", "within 1s (--timeout)", "stderr: busy"],
            "--timeout",
        );
    })
    .await;
}

#[tokio::test]
async fn a_server_that_dies_during_the_call_is_a_lost_connection() {
    within(async {
        let done = call_script(&["x"], &legacy_script("echo boom >&2; exit 7")).await;
        done.assert_fails(4, &["lost `sh`", "answer to `x`", "status 7", "boom"], "may have acted");
        let script = legacy_script(r#"echo '{"jsonrpc":"2.0","id":'$id',"result":}'"#);
        call_script(&["x"], &script).await.assert_fails(
            4,
            &["answered `x` with a malformed message"],
            "its maker",
        );
    })
    .await;
}

#[tokio::test]
async fn a_server_of_the_other_era_is_incompatible() {
    within(async {
        let done = call_script(&["--era", "modern"], &legacy_script("exit")).await;
        done.assert_fails(3, &["speaks no revision from 2026-07-28 on"], "--era auto");
    })
    .await;
}

#[tokio::test]
async fn messages_over_the_limit_are_told_by_their_option() {
    within(async {
        let params = format!(r#"{{"name":"echo","arguments":{{"text":"{}"}}}}"#, "x".repeat(5000));
        let done = call(&["--max-message-size", "4k", "tools/call", &params]).await;
        done.assert_fails(2, &["was not sent", "the limit is 4000"], "raise --max-message-size");
        let done = call(&["--max-message-size", "400", "--era", "legacy", "--timeout", "2s"]).await;
        done.assert_fails(4, &["was passed over", "the limit is 400"], "raise --max-message-size");
    })
    .await;
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_status_6() {
    within(async {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = towpath(&["call", "--", TOWPATH, "demo-server"]);
        let output = command.stdout(Stdio::from(full)).spawn().unwrap().wait_with_output().await.unwrap();
        Finished::from(output).assert_fails(
            6,
            &["could not be written", "No space left"],
            "the server has answered",
        );
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_has_read_enough_is_no_error() {
    within(async {
        let mut child = towpath(&["call", "--", TOWPATH, "demo-server"]).spawn().unwrap();
        drop(child.stdout.take());
        let done = Finished::from(child.wait_with_output().await.unwrap());
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    })
    .await;
}
