//! A server that is a child and dies: every error of the client says how it died, and what it said last.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{error::Error, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use towpath_client::{
    CallError, CallOptions, Client, ConnectError, Filter, Implementation, LinkEnd, ListenError, NotifyError,
    Phase, Preference,
};
use towpath_jsonrpc::RawJson;
use towpath_stdio::{ChildCommand, ChildExit, ChildHandle, ChildStatus, ChildTimeouts, Signal};
use towpath_testkit::within;

/// Answers requests, as far as the rest of the script goes.
const SERVER: &str = r#"
    answer() {
        read -r line; id=${line#*\"id\":}; id=${id%%[!0-9]*}
        printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"
    }
    die() { echo last words >&2; exit 7; }
"#;

const OPENING: &str =
    r#"answer '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}'"#;

fn child(script: &str) -> ChildCommand {
    ChildCommand::new("sh").args(["-c", &format!("{SERVER}\n{script}")])
}

/// A client of a server that has opened the conversation and goes on with the script.
async fn client(script: &str) -> (Client, ChildHandle) {
    let lane = child(&format!("{OPENING}\n{script}")).spawn().expect("sh starts");
    let handle = lane.handle();
    let info = Implementation::new("test", "1");
    let client = Client::builder(&info).preference(Preference::ModernOnly).connect(lane);
    (within(client).await.expect("it answers"), handle)
}

/// That the error says how the child died, in its text and in its sources.
#[track_caller]
fn assert_explained(error: &(dyn Error + 'static)) {
    let text = error.to_string();
    assert!(text.contains("exited with status 7"), "{text}");
    assert!(text.contains("stderr: last words"), "{text}");
    let exit = ChildExit::cause_of(error);
    let exit = exit.unwrap_or_else(|| panic!("it is not among the sources of: {error:?}"));
    assert_eq!((exit.status, &*exit.stderr_tail), (ChildStatus::Code(7), "last words"));
}

#[tokio::test]
async fn calls_in_flight_say_how_the_server_died() {
    let (client, _) = client(r#"answer '{"resultType":"complete"}'; read -r line; die"#).await;
    let calls: Vec<_> = (0..5).map(|number| client.call("tools/call", &json!({"n": number}))).collect();
    let mut answered = 0;
    for call in calls {
        match within(call).await {
            Ok(_) => answered += 1,
            Err(error) => {
                assert!(matches!(error, CallError::Closed { .. }), "{error:?}");
                assert_explained(&error);
            }
        }
    }
    assert_eq!(answered, 1);
    let end = within(client.peer().closed()).await;
    assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end:?}");
    assert_explained(&end);
    assert_explained(&within(client.close()).await);
}

#[tokio::test]
async fn a_handshake_says_how_the_server_died() {
    for preference in [Preference::ModernOnly, Preference::LegacyOnly, Preference::Auto] {
        for script in ["die", "read -r line; die", "exec 1>&-; read -r line; die", "exec 0<&-; die"] {
            let lane = child(script).spawn().expect("sh starts");
            let info = Implementation::new("test", "1");
            let connected = within(Client::builder(&info).preference(preference).connect(lane)).await;
            let error = connected.expect_err("nobody answers");
            assert!(matches!(error, ConnectError::Lost(_)), "{script}: {error:?}");
            assert_explained(&error);
        }
    }
}

#[tokio::test]
async fn what_is_asked_after_the_death_says_how_the_server_died_and_was_not_sent() {
    let (client, handle) = client("die").await;
    within(handle.exit()).await;
    within(client.peer().closed()).await;
    let error = within(client.call("tools/list", &())).await.expect_err("nobody answers");
    assert_eq!(error.phase(), Phase::NotSent);
    assert_explained(&error);
    let error = within(client.notify("notifications/x", None)).await.expect_err("nobody hears it");
    assert!(matches!(error, NotifyError::Closed(_)), "{error:?}");
    assert_explained(&error);
    let error = within(client.listen(&Filter::default())).await.expect_err("nobody hears it");
    assert!(matches!(error, ListenError::Call(_)), "{error:?}");
    assert_explained(&error);
}

#[tokio::test]
async fn notifications_that_wait_say_how_the_server_died() {
    let (client, _) = client("head -c 100000 >/dev/null; die").await;
    let params = RawJson::serialize(&json!({"text": "x".repeat(1 << 20)})).expect("it is JSON");
    // The pipe, and what the lane may hold, fill up; then one of them waits for room.
    let error = loop {
        if let Err(error) = within(client.notify("notifications/x", Some(params.clone()))).await {
            break error;
        }
    };
    assert!(matches!(error, NotifyError::Closed(_)), "{error:?}");
    assert_explained(&error);
}

#[tokio::test]
async fn a_large_request_that_is_being_written_says_how_the_server_died() {
    let (client, _) = client("head -c 100000 >/dev/null; die").await;
    let params = RawJson::serialize(&json!({"text": "x".repeat(8 << 20)})).expect("it is JSON");
    let call = client.call_with("tools/call", Some(params), CallOptions::default());
    let error = within(call).await.expect_err("nobody answers");
    assert_eq!(error.phase(), Phase::OutcomeUnknown);
    assert_explained(&error);
}

#[tokio::test]
async fn a_subscription_says_how_the_server_died() {
    let (client, _) = client("read -r line; die").await;
    let listening = within(client.listen(&Filter::default())).await;
    let error = listening.expect_err("nobody acknowledges");
    assert_explained(&error);
}

#[tokio::test]
async fn a_server_whose_pipes_are_held_by_another_process_is_dead_all_the_same() {
    // The other process has left the group, and tells its number so that the test can end it.
    let script = r#"
        exec 3<&0
        setsid sh -c 'echo $$ > "$HELD"; exec sleep 1000' <&3 &
        until [ -s "$HELD" ]; do answer '{"resultType":"complete"}'; done
        read -r line; die"#;
    let held = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("held-{}", std::process::id()));
    drop(fs::remove_file(&held));
    let script = format!("HELD='{}'; export HELD\n{script}", held.display());
    let (client, _) = client(&script).await;
    let error = loop {
        if let Err(error) = within(client.call("tools/list", &())).await {
            break error;
        }
    };
    assert_explained(&error);
    let pid = fs::read_to_string(&held).expect("it has told");
    let killed = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().expect("it starts");
    assert!(killed.success(), "nothing was held");
    fs::remove_file(held).expect("it is ours");
}

#[tokio::test]
async fn a_failed_handshake_ends_the_server_as_it_was_asked_to() {
    let said = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ended-{}", std::process::id()));
    drop(fs::remove_file(&said));
    // It refuses the opening, and stays. What it has in the background may ignore the signal.
    let script = r#"
        sleep 1000 &
        for name in TERM HUP; do trap "echo $name > \"$SAID\"; kill -KILL $!; exit 7" $name; done
        read -r line; id=${line#*\"id\":}; id=${id%%[!0-9]*}
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32603,"message":"no"}}\n' "$id"
        wait"#;
    let timeouts = ChildTimeouts::default()
        .with_exit_after_stdin_close(Duration::ZERO)
        .with_exit_after_terminate(Duration::from_secs(3600));
    let shell = "exec env --default-signal=TERM,HUP sh -c \"$SCRIPT\"";
    let command = ChildCommand::new("sh").args(["-c", shell]).env("SCRIPT", script).env("SAID", &said);
    let lane = command.child_timeouts(timeouts).ends_with(Signal::HangUp).spawn().expect("sh starts");
    let info = Implementation::new("test", "1");
    let connecting = Client::builder(&info).preference(Preference::LegacyOnly).connect(lane);
    let error = within(connecting).await.expect_err("it refuses");
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error:?}");
    let gone = tokio::task::spawn_blocking(|| towpath_stdio::wait_for_children(Duration::from_secs(60)));
    assert!(within(gone).await.expect("no panic").is_empty(), "it lives on");
    assert_eq!(fs::read_to_string(&said).expect("it got no signal that it knows").trim(), "HUP");
    fs::remove_file(said).expect("it is ours");
}

#[tokio::test]
async fn a_signal_that_ended_the_server_is_told_to_the_call() {
    let (client, _) = client("read -r line; kill -KILL $$").await;
    let error = within(client.call("tools/call", &Value::Null)).await.expect_err("nobody answers");
    assert!(error.to_string().contains("signal 9 (SIGKILL)"), "{error}");
    assert!(ChildExit::cause_of(&error).is_some_and(|exit| exit.status == ChildStatus::Signal(9)));
}
