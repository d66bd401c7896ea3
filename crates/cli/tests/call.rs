//! `towpath call` against servers that answer.

mod common;

use common::{TOWPATH, call, call_script, legacy_script, run, within};

#[tokio::test]
async fn without_a_method_the_tools_are_listed() {
    within(async {
        let done = call(&[]).await;
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        assert!(done.stdout.starts_with('{') && done.stdout.ends_with("}\n"), "{done:?}");
        assert!(done.stdout.contains(r#""name":"echo""#), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn the_result_is_printed_as_it_came_in_either_era() {
    within(async {
        let params = r#"{"name":"echo","arguments":{"text":"h\u00e9\/ 🧶"}}"#;
        for era in ["modern", "legacy", "auto"] {
            let done = call(&["--era", era, "tools/call", params]).await;
            assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{era}: {done:?}");
            assert!(done.stdout.contains(r#"[{"type":"text","text":"h\u00e9\/ 🧶"}]"#), "{era}: {done:?}");
            // Only a modern server says of what type its result is.
            assert_eq!(done.stdout.contains("resultType"), era != "legacy", "{era}: {done:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_legacy_server_is_spoken_to_by_default() {
    within(async {
        let script = legacy_script(r#"echo '{"jsonrpc":"2.0","id":'$id',"result":{"n":1e400}}'"#);
        let done = call_script(&["some/method"], &script).await;
        assert_eq!((done.status, done.stdout.as_str()), (Some(0), "{\"n\":1e400}\n"), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn notifications_are_lines_on_stderr_unless_it_is_quiet() {
    within(async {
        let params = r#"{"name":"count","arguments":{"to":2}}"#;
        for era in ["modern", "legacy"] {
            let done = call(&["--era", era, "tools/call", params]).await;
            assert_eq!(done.status, Some(0), "{done:?}");
            assert_eq!(done.stderr, "progress 1/2 (50 %): counting\nprogress 2/2 (100 %): counting\n");
            let done = call(&["--quiet", "--era", era, "tools/call", params]).await;
            assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn log_messages_about_no_request_are_lines_too() {
    within(async {
        let script = legacy_script(
            r#"echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"hello"}}'
               echo '{"jsonrpc":"2.0","id":'$id',"result":{}}'"#,
        );
        let done = call_script(&[], &script).await;
        assert_eq!((done.status, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "{}\n", "info: hello\n"));
        let done = call_script(&["--quiet"], &script).await;
        assert_eq!((done.status, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "{}\n", ""));
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_failed_has_its_result_printed_and_status_1() {
    within(async {
        let done = call(&["tools/call", r#"{"name":"echo"}"#]).await;
        assert_eq!(done.status, Some(1), "{done:?}");
        assert!(done.stdout.contains(r#""isError":true"#), "{done:?}");
        assert!(
            done.stderr.starts_with("error: the tool says that it failed")
                && done.stderr.lines().count() == 1
        );
    })
    .await;
}

#[tokio::test]
async fn the_stderr_of_the_server_is_shown_with_v() {
    within(async {
        let script = format!("echo from the server >&2; exec {TOWPATH} demo-server");
        let done = call_script(&["-v"], &script).await;
        assert!(done.status == Some(0) && done.stderr.contains("from the server"), "{done:?}");
        let done = call_script(&[], &script).await;
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    })
    .await;
}

#[tokio::test]
async fn variables_and_directory_reach_the_server() {
    within(async {
        let options = ["--env", "MARK=a=b", "--env", "OTHER=c", "--cwd", "/"];
        let done = call_script(&options, r#"echo "mark $MARK, $OTHER in $PWD" >&2; exit 1"#).await;
        assert!(done.stderr.contains("stderr: mark a=b, c in /\n"), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn a_banner_of_the_server_is_passed_over() {
    within(async {
        let done = call_script(&[], &format!("echo Welcome!; exec {TOWPATH} demo-server")).await;
        assert!(done.status == Some(0) && done.stderr.is_empty(), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn the_help_has_examples_and_every_exit_status() {
    within(async {
        let done = run(&["call", "--help"]).await;
        assert_eq!(done.status, Some(0));
        for part in [
            "Examples:",
            "-- npx -y",
            "Exit status:",
            "  130  interrupted",
            "    5  there was no answer",
            "60s",
        ] {
            assert!(done.stdout.contains(part), "no {part:?} in {}", done.stdout);
        }
        let done = run(&["--help"]).await;
        assert!(done.stdout.contains("demo"), "{done:?}");
        for hidden in ["demo-server", "guard"] {
            assert!(!done.stdout.contains(hidden), "{done:?}");
        }
    })
    .await;
}
