//! Legacy sessions over HTTP (2025-11-25, basic/transports, "Streamable HTTP").

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::sync::atomic::Ordering::SeqCst;

use futures_util::future::join_all;
use http_support::{Client, call_text, endpoint, endpoint_with, open, post};
use serde_json::{Value, json};
use support::{SECOND, builder, until};
use tokio::time::Instant;
use towpath_server::{CancelReason, EndpointSettings, EndpointTimeouts, Revision};
use towpath_testkit::within;

const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

#[tokio::test]
async fn initialize_opens_a_session_with_an_id_of_its_own() {
    let endpoint = endpoint();
    let one = Client::open(&endpoint.service, "2025-11-25").await;
    let other = Client::open(&endpoint.service, "2025-11-25").await;
    assert_ne!(one.id, other.id);
    assert!(one.id.len() >= 43 && one.id.bytes().all(|byte| byte.is_ascii_graphic()), "{}", one.id);
    assert_eq!(endpoint.service.sessions(), 2);
    let answer = one.call(1, "x").await;
    assert_eq!((answer.status.as_u16(), answer.is_stream()), (200, false));
    assert_eq!(answer.json().await["result"]["era"], "Legacy");
}

#[tokio::test]
async fn a_refused_initialize_opens_no_session() {
    let endpoint = endpoint();
    let body = r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":7}}"#;
    let answer = post(&endpoint.service, &[], body).await;
    assert_eq!((answer.status.as_u16(), answer.header("mcp-session-id")), (200, ""));
    let answer = answer.json().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("i"), &json!(-32602)));
    until("it is gone", || endpoint.server.lanes() == 0).await;
    assert_eq!(endpoint.service.sessions(), 0);
}

#[tokio::test]
async fn a_session_is_named_by_its_header_and_ends_with_delete() {
    let endpoint = endpoint();
    let service = &endpoint.service;
    let client = Client::open(service, "2025-11-25").await;
    let none = post(service, &[], call_text(1, "x")).await;
    assert_eq!((none.status.as_u16(), none.reason().await.as_str()), (400, "session_required"));
    let unknown = post(service, &[("mcp-session-id", "nobody")], call_text(1, "x")).await;
    assert_eq!((unknown.status.as_u16(), unknown.reason().await.as_str()), (404, "session_unknown"));
    let waiting = tokio::spawn(client.posting(call_text(5, "forever")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    let ended = client.delete().await;
    assert_eq!((ended.status.as_u16(), ended.text().await.as_str()), (204, ""));
    // What was in flight has ended with it, and says so.
    let cut = within(waiting).await.expect("no panic");
    assert_eq!(cut.status, 404);
    let cut = cut.json().await;
    assert_eq!((&cut["id"], &cut["error"]["data"]["reason"]), (&json!(5), &json!("session_closed")));
    until("it was dropped", || endpoint.seen.running.load(SeqCst) == 0).await;
    for answer in [client.call(2, "x").await, client.get().await, client.delete().await] {
        assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (404, "session_unknown"));
    }
    until("the lane is gone", || endpoint.server.lanes() == 0).await;
}

#[tokio::test]
async fn a_version_header_that_no_session_can_have_gets_400() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-06-18").await;
    for (version, status) in [("2025-06-18", 200), ("2025-11-25", 200), ("1999-01-01", 400), ("x", 400)] {
        let headers = [("mcp-session-id", client.id.as_str()), ("mcp-protocol-version", version)];
        let answer = post(&endpoint.service, &headers, call_text(1, "x")).await;
        assert_eq!(answer.status, status, "{version}");
    }
    let without = post(&endpoint.service, &[("mcp-session-id", &client.id)], call_text(1, "x")).await;
    assert_eq!(without.status, 200);
}

#[tokio::test]
async fn forty_calls_that_share_one_id_each_get_their_own_answer() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let calls = (0..40).map(|n| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"n": n}}).to_string();
        let posting = client.posting(body);
        async move { (n, tokio::spawn(posting).await.expect("no panic").json().await) }
    });
    for (n, answer) in within(join_all(calls)).await {
        assert_eq!((&answer["id"], &answer["result"]["n"]), (&json!(1), &json!(n)));
    }
}

#[tokio::test]
async fn progress_comes_before_the_result_on_the_stream_of_its_request() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let mut answer = client.call(9, "progress").await;
    assert!(answer.is_stream());
    assert_eq!(answer.header("x-accel-buffering"), "no");
    let events = answer.events().await;
    let steps: Vec<_> = events.iter().filter_map(|event| event["params"]["progress"].as_f64()).collect();
    assert_eq!((steps, events.len()), (vec![1.0, 2.0, 3.0], 4));
    assert_eq!((&events[0]["params"]["progressToken"], &events[3]["id"]), (&json!(9), &json!(9)));
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_nothing_in_a_session() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let waiting = tokio::spawn(client.posting(call_text(1, "wait")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    waiting.abort();
    assert!(within(waiting).await.is_err());
    // A round trip later it runs still.
    assert_eq!(client.call(2, "x").await.status, 200);
    assert_eq!(endpoint.seen.running.load(SeqCst), 1);
    endpoint.seen.release.notify_one();
    until("it has ended", || endpoint.seen.running.load(SeqCst) == 0).await;
    assert_eq!(*endpoint.seen.dropped.lock(), []);
}

#[tokio::test]
async fn a_cancelled_request_ends_its_response_without_a_result() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let waiting = tokio::spawn(client.posting(call_text(4, "forever")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    let cancel =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4,"reason":"no more"}}"#;
    assert_eq!(client.post(cancel).await.status, 202);
    // Not with an error either: a cancelled request is not answered.
    let answer = within(waiting).await.expect("no panic");
    assert_eq!((answer.status.as_u16(), answer.is_stream()), (200, true));
    assert_eq!(answer.text().await, ":\n\n");
    let by_peer = CancelReason::ByPeer(Some("no more".into()));
    assert_eq!(*endpoint.seen.dropped.lock(), [Some(by_peer)]);
}

#[tokio::test]
async fn a_handler_asks_on_its_own_response_and_is_answered_by_another_post() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let mut answer = client.call(1, "ask").await;
    assert!(answer.is_stream());
    let asked = answer.event().await.expect("a request");
    assert_eq!(asked["method"], "sampling/createMessage");
    let reply = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"text": "yes"}}).to_string();
    let told = client.post(reply).await;
    assert_eq!((told.status.as_u16(), told.text().await.as_str()), (202, ""));
    let events = answer.events().await;
    assert_eq!((events.len(), &events[0]["result"]["text"]), (1, &json!("yes")));
}

#[tokio::test]
async fn what_belongs_to_no_request_goes_to_the_one_get_stream() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    // What comes before anybody listens, waits.
    until("the session listens", || endpoint.server.publisher().listeners() == 1).await;
    endpoint.server.publisher().tools_changed();
    let mut first = client.get().await;
    assert!(first.is_stream());
    let prime = first.sse().await.expect("an event");
    assert!(prime.id.is_some() && prime.data.as_deref() == Some(""), "{prime:?}");
    let event = first.event().await.expect("it was kept");
    assert_eq!(event["method"], "notifications/tools/list_changed");
    // A second one replaces the first.
    let mut second = client.get().await;
    assert_eq!(first.event().await, None);
    endpoint.server.publisher().prompts_changed();
    assert_eq!(second.event().await.expect("news")["method"], "notifications/prompts/list_changed");
    // The end of the first does not end the second.
    drop(first);
    endpoint.server.publisher().tools_changed();
    assert_eq!(second.event().await.expect("news")["method"], "notifications/tools/list_changed");
    client.delete().await;
    assert_eq!(second.event().await, None);
}

#[tokio::test]
async fn without_accept_for_events_there_is_no_get_stream() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let headers = [("accept", "application/json"), ("mcp-session-id", client.id.as_str())];
    let answer =
        within(http_support::send(&endpoint.service, http_support::request("GET", &headers, ""))).await;
    assert_eq!(answer.status, 406);
}

#[tokio::test(start_paused = true)]
async fn a_silent_request_of_a_session_becomes_a_stream() {
    let mut timeouts = EndpointTimeouts::default();
    (timeouts.stream_after, timeouts.sse_comment) = (Some(3 * SECOND), Some(7 * SECOND));
    let endpoint = endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts));
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let start = Instant::now();
    let mut answer = client.call(1, "wait").await;
    assert_eq!((start.elapsed(), answer.is_stream()), (3 * SECOND, true));
    assert_eq!(answer.sse().await.expect("something at once").data.as_deref(), Some(""));
    assert_eq!(answer.event_text().await.as_deref(), Some(":"));
    assert_eq!(start.elapsed(), 10 * SECOND);
    endpoint.seen.release.notify_one();
    assert_eq!(answer.events().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cut_after_its_stream_began_is_told_why() {
    let mut timeouts = EndpointTimeouts::default();
    timeouts.stream_after = Some(SECOND);
    let endpoint = endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts));
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let mut answer = client.call(3, "forever").await;
    assert!(answer.is_stream());
    client.delete().await;
    let events = answer.events().await;
    assert_eq!((events.len(), &events[0]["id"]), (1, &json!(3)));
    assert_eq!(events[0]["error"]["data"]["reason"], "session_closed");
}

#[tokio::test]
async fn a_batch_is_answered_by_one_array_where_the_revision_has_batches() {
    let endpoint = endpoint();
    for version in LEGACY {
        let client = Client::open(&endpoint.service, version).await;
        let batch =
            format!("[{},{},{}]", call_text(1, "x"), r#"{"jsonrpc":"2.0","method":"n"}"#, call_text(1, "x"));
        let answer = client.post(batch).await;
        if version != "2025-03-26" {
            assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (400, "batch_not_allowed"));
            continue;
        }
        let answers = answer.json().await;
        let answers = answers.as_array().expect("an array");
        assert!(
            answers.len() == 2 && answers.iter().all(|answer| answer["result"].is_object()),
            "{answers:?}"
        );
        let told = client.post(r#"[{"jsonrpc":"2.0","method":"n"}]"#).await;
        assert_eq!((told.status.as_u16(), told.text().await.as_str()), (202, ""));
    }
}

#[tokio::test]
async fn a_server_without_a_handshake_has_no_sessions() {
    let endpoint = endpoint_with(builder().revisions([Revision::V2026_07_28]), EndpointSettings::new());
    let answer = open(&endpoint.service, "2025-11-25").await;
    assert!(answer.status.is_client_error());
    let body: Value = answer.json().await;
    assert!(body["error"]["data"]["supported"].as_array().is_some_and(|s| s.len() == 1), "{body}");
    let get = within(http_support::send(&endpoint.service, http_support::request("GET", &[], ""))).await;
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, "POST"));
}
