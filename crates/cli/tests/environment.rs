//! What a server gets of our environment.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Finished, legacy_script, run, towpath, within};

/// A server that tells what it has.
fn tells() -> String {
    legacy_script(r#"echo '{"jsonrpc":"2.0","id":'$id',"result":{"home":"'$HOME'","secret":"'$SECRET'"}}'"#)
}

/// What a call with these options gets of a server, when we have a secret.
async fn told(options: &[&str]) -> String {
    let script = tells();
    let args = [&["call", "--era", "legacy"], options, &["x", "--", "sh", "-c", &script]].concat();
    let output = towpath(&args).env("SECRET", "hush").env("HOME", "/home/us").output().await.unwrap();
    let done = Finished::from(output);
    assert_eq!(done.status, Some(0), "{done:?}");
    done.stdout.trim().to_owned()
}

#[tokio::test]
async fn a_server_gets_what_is_listed_and_what_is_named() {
    within(async {
        let both = r#"{"home":"/home/us","secret":"hush"}"#;
        assert_eq!(told(&[]).await, r#"{"home":"/home/us","secret":""}"#);
        assert_eq!(told(&["--env", "SECRET"]).await, both);
        assert_eq!(told(&["--inherit-env"]).await, both);
        let other = ["--inherit-env", "--env", "SECRET=other", "--env", "HOME=/"];
        assert_eq!(told(&other).await, r#"{"home":"/","secret":"other"}"#);
    })
    .await;
}

#[tokio::test]
async fn a_variable_that_is_not_there_cannot_be_passed_on() {
    within(async {
        for command in ["call", "serve"] {
            let done = run(&[command, "--env", "NEVER_SET_HERE", "--", "true"]).await;
            done.assert_fails(2, &["NEVER_SET_HERE is not set here"], &format!("towpath {command}"));
        }
    })
    .await;
}
