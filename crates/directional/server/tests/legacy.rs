//! The legacy session (2025-11-25, basic/lifecycle), from the server's side.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use serde_json::{Value, json};
use support::{bench, bench_with, builder, initialize, until};
use towpath_server::Revision;

const LEGACY: [Revision; 4] =
    [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

fn reason(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (error["code"].as_i64().expect("an error"), error["data"]["reason"].as_str().expect("a reason"))
}

#[tokio::test]
async fn before_initialize_only_ping_is_answered() {
    let mut bench = bench_with(builder().revisions(LEGACY));
    assert_eq!(reason(&bench.far.ask(1, "tools/list", "").await), (-32600, "not_initialized"));
    assert_eq!(bench.far.ask(2, "ping", "").await["result"], json!({}));
    let answer = bench.far.initialize("2025-06-18").await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(answer["result"]["serverInfo"]["name"], "server under test");
    assert_eq!(bench.far.ask(3, "tools/list", r#""a":1"#).await["result"], json!({"a": 1}));
    assert_eq!(bench.far.ask(4, "ping", "").await["result"], json!({}));
}

#[tokio::test]
async fn a_session_is_initialized_once() {
    let mut bench = bench();
    bench.far.initialize("2025-11-25").await;
    let again = bench.far.ask(1, "initialize", &initialize("2025-03-26")).await;
    assert_eq!(reason(&again), (-32600, "already_initialized"));
    assert_eq!(bench.far.ask(2, "tools/list", "").await["result"], json!({}), "the session goes on");
}

#[tokio::test]
async fn an_unknown_revision_is_answered_with_the_newest_legacy_one() {
    let mut bench = bench();
    assert_eq!(bench.far.initialize("1999-01-01").await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn a_cancellation_does_not_stop_initialize() {
    let mut bench = bench();
    bench.far.request(1, "initialize", &initialize("2025-11-25")).await;
    bench.far.cancel(1).await;
    assert_eq!(bench.far.hear().await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn set_level_filters_the_log_of_the_session() {
    let mut bench = bench();
    bench.far.initialize("2025-11-25").await;
    let mut levels = async |id| {
        bench.far.request(id, "tools/call", r#""name":"log""#).await;
        let mut levels = Vec::new();
        loop {
            let message = bench.far.hear().await;
            match message["params"]["level"].as_str() {
                Some(level) => levels.push(level.to_owned()),
                None => return levels,
            }
        }
    };
    assert_eq!(levels(1).await, ["debug", "warning", "error"], "all of it, until a level is set");
    assert_eq!(bench.far.ask(2, "logging/setLevel", r#""level":"error""#).await["result"], json!({}));
    bench.far.request(3, "tools/call", r#""name":"log""#).await;
    assert_eq!(bench.far.hear().await["params"]["level"], "error");
    assert_eq!(bench.far.hear().await["id"], 3);
}

#[tokio::test]
async fn a_handler_asks_the_client_and_gets_its_answer_or_its_error() {
    let mut bench = bench();
    bench.far.initialize("2025-11-25").await;
    bench.far.request(1, "tools/call", r#""name":"ask""#).await;
    let asked = bench.far.hear().await;
    assert_eq!(asked["method"], "sampling/createMessage");
    assert!(asked["params"].get("_meta").is_none(), "a legacy request carries no metadata: {asked}");
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"text":"hi"}}}}"#, asked["id"])).await;
    assert_eq!(bench.far.hear().await["result"], json!({"text": "hi"}));
    bench.far.request(2, "tools/call", r#""name":"ask""#).await;
    let asked = bench.far.hear().await;
    let refusal =
        format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#, asked["id"]);
    bench.far.say(refusal).await;
    assert_eq!(bench.far.hear().await["error"]["code"], 1);
}

#[tokio::test]
async fn a_handler_asks_nothing_before_the_client_is_initialized() {
    let mut bench = bench();
    bench.far.ask(0, "initialize", &initialize("2025-11-25")).await;
    let answer = bench.far.ask(1, "tools/call", r#""name":"ask""#).await;
    assert!(answer["error"]["message"].as_str().expect("text").contains("not open"), "{answer}");
}

#[tokio::test]
async fn a_question_of_a_dropped_handler_is_cancelled_on_the_wire() {
    let mut bench = bench();
    bench.far.initialize("2025-11-25").await;
    bench.far.request(1, "tools/call", r#""name":"ask""#).await;
    let asked = bench.far.hear().await;
    bench.far.cancel(1).await;
    let cancelled = bench.far.hear().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], asked["id"]);
    until("it is dropped", || bench.seen.dropped.lock().len() == 1).await;
}

#[tokio::test]
async fn a_batch_is_taken_in_the_one_revision_that_has_them() {
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":2,"method":"tools/list"},7]"#;
    for (revision, taken) in
        [("2024-11-05", false), ("2025-03-26", true), ("2025-06-18", false), ("2025-11-25", false)]
    {
        let mut bench = bench();
        bench.far.initialize(revision).await;
        bench.far.say(batch).await;
        let answer = bench.far.hear().await;
        if taken {
            let mut ids: Vec<_> =
                answer.as_array().expect("an array").iter().map(|a| a["id"].to_string()).collect();
            ids.sort();
            assert_eq!(ids, ["1", "2", "null"], "{answer}");
        } else {
            assert_eq!(answer["error"]["code"], -32600, "{revision}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_batch_of_which_requests_are_cancelled_is_answered_without_them() {
    let mut bench = bench();
    bench.far.initialize("2025-03-26").await;
    let call = |id: u64, name: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}"}}}}"#)
    };
    bench.far.say(format!("[{},{}]", call(1, "forever"), call(2, "wait"))).await;
    bench.far.say(format!("[{}]", call(3, "forever"))).await;
    until("all run", || bench.seen.running.load(std::sync::atomic::Ordering::SeqCst) == 3).await;
    // A batch of which nothing is left has no answer at all.
    bench.far.cancel(3).await;
    bench.far.cancel(1).await;
    until("both are dropped", || bench.seen.dropped.lock().len() == 2).await;
    bench.seen.release.notify_waiters();
    let answer = bench.far.hear().await;
    assert_eq!((answer[0]["id"].as_u64(), answer.as_array().map(Vec::len)), (Some(2), Some(1)), "{answer}");
    assert_eq!(bench.far.ask(4, "ping", "").await["id"], 4);
}
