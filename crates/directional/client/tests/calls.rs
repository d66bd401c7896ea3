//! What a connected client sends and takes, in either era.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::sync::Arc;

use serde_json::json;
use support::{SECOND, builder, legacy, modern, until};
use towpath_client::{CallError, CallOptions, ClientHandler, Context, LogLevel};
use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_raw::{Level, Mutex};
use towpath_testkit::within;

#[tokio::test]
async fn every_modern_request_carries_its_metadata_and_keeps_the_callers() {
    let capable = builder().capabilities(json!({"sampling": {}}));
    let (client, mut far) = modern(capable).await;
    let own = |token| json!({"_meta": {"mine": 1, "progressToken": token}, "name": "x"});
    let mut options = CallOptions::default();
    options.log_level = Some(LogLevel::Warning);
    let params = Some(RawJson::serialize(&own("u")).expect("JSON"));
    let calls = [
        client.call("tools/list", &()).start(),
        client.call("tools/call", &own("t")).with_progress().start(),
        client.call_with("tools/call", params, options).start(),
    ];
    for (call, progress) in calls.iter().zip([json!(null), json!("t"), json!("u")]) {
        let request = far.hear().await;
        let meta = &request["params"]["_meta"];
        assert_eq!(request["id"], call.id().expect("it is sent"));
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({"sampling": {}}));
        assert_eq!(
            meta["io.modelcontextprotocol/clientInfo"],
            json!({"name": "client under test", "version": "1.0.0"})
        );
        assert_eq!(meta.get("progressToken").unwrap_or(&json!(null)), &progress);
        if progress.is_string() {
            assert_eq!((&meta["mine"], &request["params"]["name"]), (&json!(1), &json!("x")));
        }
    }
    drop(calls);
}

#[tokio::test]
async fn a_modern_client_answers_nobody_and_counts_what_it_drops() {
    let (client, mut far) = modern(builder()).await;
    for method in ["ping", "sampling/createMessage", "roots/list"] {
        far.say(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#)).await;
    }
    far.say("[1,2]").await;
    far.say("{}").await;
    until("all are dropped", || client.peer().stats().requests_dropped == 3).await;
    until("all are seen", || client.peer().stats().malformed == 2).await;
    let call = client.call("tools/list", &()).start();
    assert_eq!(far.hear().await["method"], "tools/list", "an answer came before it");
    drop(call);
}

/// Answers what it knows, and keeps what it is told.
#[derive(Clone)]
struct Answers(Arc<Mutex<Vec<String>>>);

impl ClientHandler for Answers {
    async fn request(&self, request: Message, _: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "roots/list" => Ok(RawJson::serialize(&json!({"roots": []})).expect("JSON")),
            "sampling/createMessage" => Err(ErrorObject::new(-1, "the user said no")),
            method => Err(ErrorObject::new(-32601, method.to_owned())),
        }
    }

    async fn notification(&self, notification: Message, _: Context) {
        self.0.lock().push(notification.method().to_owned());
    }
}

#[tokio::test]
async fn a_legacy_client_answers_what_its_handler_knows_and_ping_itself() {
    let answers = Answers(Arc::new(Mutex::new(Level::Handler, "Answers", Vec::new())));
    let (_client, mut far) = legacy(builder().handler(answers.clone())).await;
    for (method, answer) in [
        ("ping", json!({"jsonrpc": "2.0", "id": "x", "result": {}})),
        ("roots/list", json!({"jsonrpc": "2.0", "id": "x", "result": {"roots": []}})),
        (
            "sampling/createMessage",
            json!({"jsonrpc": "2.0", "id": "x", "error": {"code": -1, "message": "the user said no"}}),
        ),
    ] {
        far.say(format!(r#"{{"jsonrpc":"2.0","id":"x","method":"{method}"}}"#)).await;
        assert_eq!(far.hear().await, answer);
    }
    far.say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#).await;
    until("it is told", || *answers.0.lock() == ["notifications/message"]).await;
}

#[tokio::test]
async fn a_legacy_client_without_a_handler_knows_no_method_but_ping() {
    let (_client, mut far) = legacy(builder()).await;
    far.say(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
    let answer = far.hear().await;
    assert_eq!(answer["error"]["code"], -32601);
    assert!(answer["error"]["message"].as_str().expect("text").contains("roots/list"), "{answer}");
}

#[tokio::test]
async fn a_request_in_the_middle_of_the_handshake_is_answered() {
    let (near, mut far) = support::lanes();
    let client = tokio::spawn(builder().preference(towpath_client::Preference::LegacyOnly).connect(near));
    let initialize = far.hear().await;
    far.say(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).await;
    assert_eq!(far.hear().await, json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    // The next request overtakes whatever the client does about the answer.
    far.answer(&initialize, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#).await;
    far.say(r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#).await;
    let mut heard = [far.hear().await, far.hear().await];
    heard.sort_by_key(|message| message["id"].is_null());
    assert_eq!((&heard[0]["id"], &heard[1]["method"]), (&json!(8), &json!("notifications/initialized")));
    within(client).await.expect("no panic").expect("it connects");
}

#[tokio::test]
async fn a_legacy_request_is_what_the_caller_gave_and_nothing_else() {
    let (client, mut far) = legacy(builder()).await;
    let call = client.call("tools/call", &json!({"name": "x"})).start();
    let text = far.hear_text().await.expect("a request");
    assert_eq!(
        text,
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{{"name":"x"}}}}"#,
            call.id().expect("it is sent")
        )
    );
    drop(call);
}

#[tokio::test]
async fn params_that_are_no_object_are_not_sent_to_a_modern_server() {
    let (client, mut far) = modern(builder()).await;
    let error = within(client.call("tools/call", &[1, 2])).await.expect_err("an array");
    assert!(matches!(error, CallError::Unsendable { .. }), "{error:?}");
    let call = client.call("tools/list", &()).start();
    assert_eq!(far.hear().await["method"], "tools/list");
    drop(call);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_on_the_wire_in_either_era() {
    let (one, other) = (modern(builder()).await, legacy(builder()).await);
    for (client, mut far) in [one, other] {
        let call = client.call("tools/list", &()).start();
        let request = far.hear().await;
        drop(call);
        let cancelled = far.hear().await;
        assert_eq!(cancelled["method"], "notifications/cancelled");
        assert_eq!(cancelled["params"]["requestId"], request["id"]);
    }
}

#[tokio::test]
async fn the_last_clone_ends_the_lane_and_every_call() {
    let (client, mut far) = modern(builder()).await;
    let call = client.call("tools/list", &()).start();
    far.hear().await;
    let clone = client.clone();
    drop(client);
    tokio::task::yield_now().await;
    assert!(clone.peer().ended().is_none());
    drop(clone);
    let error = within(call).await.expect_err("the client is gone");
    assert!(matches!(error, CallError::Closed { .. }), "{error:?}");
    assert_eq!(far.hear_text().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_timed_out_unsent_is_never_sent() {
    // The lane takes one frame; the server reads nothing.
    let lane = towpath_raw::LaneLimits::default().with_write_queue_frames(1);
    let (near, far) = towpath_testkit::memory_pair(lane, towpath_raw::LaneTimeouts::default());
    let (source, sink) = towpath_raw::Lane::split(far);
    let mut far = support::Far { source, sink };
    let client = tokio::spawn(builder().preference(towpath_client::Preference::LegacyOnly).connect(near));
    let initialize = far.hear().await;
    far.answer(&initialize, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#).await;
    let client = within(client).await.expect("no panic").expect("it connects");
    let mut calls = Vec::new();
    for number in 0..8 {
        let call = client.call("tools/call", &json!({"number": number})).with_total(Some(SECOND)).start();
        calls.push(tokio::spawn(call));
    }
    let mut repeatable = Vec::new();
    for (number, call) in calls.into_iter().enumerate() {
        let error = within(call).await.expect("no panic").expect_err("nobody answers");
        if error.phase() == towpath_client::Phase::NotSent {
            repeatable.push(number as u64);
        }
    }
    assert!(!repeatable.is_empty(), "the lane was to be full");
    let mut sent = Vec::new();
    let last = client.call("last", &()).start();
    loop {
        let message = far.hear().await;
        if message["method"] == "last" {
            break;
        }
        sent.extend(message["params"]["number"].as_u64());
    }
    drop(last);
    assert!(sent.iter().all(|number| !repeatable.contains(number)), "{sent:?} were sent, {repeatable:?} not");
}

#[tokio::test]
async fn a_call_that_can_never_be_sent_fails_at_once_while_others_may_still_be_answered() {
    let (client, mut far) = modern(builder()).await;
    let first = client.call("first", &()).start();
    let request = far.hear().await;
    let support::Far { source, sink } = far;
    // The server reads nothing any more, and has not said its last word.
    drop(source);
    for _ in 0..3 {
        let error = within(client.call("second", &())).await.expect_err("it cannot be sent");
        assert!(matches!(error, CallError::Closed { .. }), "{error:?}");
        assert_eq!(error.phase(), towpath_client::Phase::NotSent);
    }
    let (_, unheard) = support::lanes();
    let mut far = support::Far { source: unheard.source, sink };
    far.answer(&request, "{}").await;
    within(first).await.expect("it was answered");
}

#[tokio::test]
async fn a_handler_that_is_behind_with_notifications_costs_no_subscription_a_change() {
    struct Slow;
    impl ClientHandler for Slow {
        async fn notification(&self, _: Message, _: Context) {
            std::future::pending().await
        }
    }
    let mut limits = towpath_client::LinkLimits::default();
    limits.max_notifications_from_peer = 1;
    let (client, mut far) = legacy(builder().limits(limits).handler(Slow)).await;
    let filter = towpath_client::Filter { tools: true, ..Default::default() };
    let mut changes = within(client.listen(&filter)).await.expect("it listens");
    for _ in 0..3 {
        far.say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#).await;
    }
    far.say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    let change = within(changes.next()).await.expect("open");
    assert_eq!(change, Some(towpath_client::Event::ToolsChanged));
    assert_eq!(client.peer().stats().notifications_dropped, 3);
}
