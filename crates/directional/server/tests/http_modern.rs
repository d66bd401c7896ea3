//! Modern requests over HTTP: one exchange each, answered at once or by a stream (2026-07-28,
//! basic/transports/streamable-http).

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use http_body::Body;
use http_support::{call, call_request, endpoint, endpoint_with, modern, post, send};
use serde_json::json;
use support::{META, SECOND, builder, until};
use tokio::time::Instant;
use towpath_raw::{Operation, Timeout};
use towpath_server::{CancelReason, EndpointLimits, EndpointSettings, EndpointTimeouts, Execution};
use towpath_testkit::within;

fn timeouts(set: impl FnOnce(&mut EndpointTimeouts)) -> EndpointSettings {
    let mut timeouts = EndpointTimeouts::default();
    set(&mut timeouts);
    EndpointSettings::new().timeouts(timeouts)
}

#[tokio::test]
async fn an_answer_that_comes_at_once_is_one_json_body_in_one_piece() {
    let endpoint = endpoint();
    let mut answer = call(&endpoint.service, "x").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let length = answer.body.size_hint().exact().expect("the length is known");
    let piece = answer.piece().await.expect("a body");
    assert_eq!(piece.len() as u64, length);
    assert!(answer.piece().await.is_none());
    let message: serde_json::Value = serde_json::from_slice(&piece).expect("JSON");
    assert_eq!((&message["id"], &message["result"]["era"]), (&json!(1), &json!("Modern")));
    assert_eq!(message["result"]["resultType"], "complete");
    let info = &message["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "server under test");
    // A list may be cached, by default not at all.
    let list = modern(&endpoint.service, 2, "tools/list", "").await.json().await;
    assert_eq!(list["result"]["cacheScope"], "private");
}

#[tokio::test]
async fn a_large_answer_is_not_copied_and_still_one_body() {
    let endpoint = endpoint();
    let answer = call(&endpoint.service, "large").await;
    let length = answer.body.size_hint().exact().expect("the length is known");
    let text = answer.text().await;
    assert_eq!(text.len() as u64, length);
    let message: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(message["result"]["text"].as_str().map(str::len), Some(100 << 10));
}

#[tokio::test]
async fn the_status_says_what_a_modern_client_reads_from_it() {
    let endpoint = endpoint();
    let service = &endpoint.service;
    let unknown = modern(service, 7, "no/such", "").await;
    assert_eq!(unknown.status, 404);
    let unknown = unknown.json().await;
    assert_eq!((&unknown["id"], &unknown["error"]["code"]), (&json!(7), &json!(-32601)));
    // An application's own error is an answer like any other.
    let own = modern(service, 8, "prompts/get", r#""name":"x""#).await;
    assert_eq!((own.status.as_u16(), own.json().await["error"]["code"].as_i64()), (404, Some(-32601)));
    let body = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
    let missing =
        post(service, &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")], body).await;
    assert_eq!(missing.status, 400);
    let missing = missing.json().await;
    assert_eq!((&missing["id"], &missing["error"]["code"]), (&json!(9), &json!(-32602)));
    let body = META.replace("2026-07-28", "2099-01-01");
    let body = format!(r#"{{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{{{body}}}}}"#);
    let version = [("mcp-protocol-version", "2099-01-01"), ("mcp-method", "tools/list")];
    let unsupported = post(service, &version, body).await;
    assert_eq!(unsupported.status, 400);
    assert_eq!(unsupported.json().await["error"]["code"], -32022);
}

#[tokio::test]
async fn what_is_no_message_gets_400_and_no_id() {
    let endpoint = endpoint();
    for (body, code) in [("{", -32700), (r#"{"jsonrpc":"2.0"}"#, -32600), ("[]", -32600)] {
        let answer = post(&endpoint.service, &[], body).await;
        assert_eq!(answer.status, 400, "{body}");
        let answer = answer.json().await;
        assert_eq!(answer["error"]["code"], code, "{body}");
        assert!(answer.get("id").is_none(), "{answer}");
    }
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
    let answer = post(&endpoint.service, &[("mcp-protocol-version", "2026-07-28")], batch).await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (400, "batch_not_allowed"));
}

#[tokio::test]
async fn discover_is_answered_by_the_endpoint() {
    let endpoint = endpoint();
    let answer = modern(&endpoint.service, 1, "server/discover", "").await.json().await;
    assert!(answer["result"]["supportedVersions"].is_array(), "{answer}");
}

#[tokio::test]
async fn the_first_notification_makes_it_a_stream_and_the_answer_comes_last() {
    let endpoint = endpoint();
    let mut answer = {
        let meta = META.replace(r#""_meta":{"#, r#""_meta":{"progressToken":"p","#);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{meta},"name":"progress"}}}}"#
        );
        let headers =
            [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "progress")];
        post(&endpoint.service, &headers, body).await
    };
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("cache-control"), "no-cache, no-transform");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    let events = answer.events().await;
    let steps: Vec<_> = events.iter().filter_map(|event| event["params"]["progress"].as_f64()).collect();
    assert_eq!(steps, [1.0, 2.0, 3.0]);
    assert_eq!(events.len(), 4);
    assert_eq!(events[3]["result"]["resultType"], "complete");
    assert_eq!(endpoint.seen.running.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_request_becomes_a_stream_and_shows_signs_of_life() {
    let set = |timeouts: &mut EndpointTimeouts| {
        timeouts.stream_after = Some(3 * SECOND);
        timeouts.sse_comment = Some(7 * SECOND);
    };
    let endpoint = endpoint_with(builder(), timeouts(set));
    let start = Instant::now();
    let mut answer = call(&endpoint.service, "wait").await;
    assert_eq!((start.elapsed(), answer.is_stream()), (3 * SECOND, true));
    // At once, so that no proxy waits.
    assert_eq!(answer.event_text().await.as_deref(), Some(":"));
    assert_eq!(start.elapsed(), 3 * SECOND);
    for seconds in [10, 17] {
        assert_eq!(answer.event_text().await.as_deref(), Some(":"));
        assert_eq!(start.elapsed(), Duration::from_secs(seconds));
    }
    endpoint.seen.release.notify_one();
    let events = answer.events().await;
    assert_eq!((events.len(), &events[0]["result"]["resultType"]), (1, &json!("complete")));
}

#[tokio::test(start_paused = true)]
async fn without_a_time_to_stream_after_the_answer_stays_json() {
    let endpoint = endpoint_with(builder(), timeouts(|timeouts| timeouts.stream_after = None));
    let waiting = tokio::spawn(send(&endpoint.service, call_request("wait")));
    until("it waits", || endpoint.seen.running.load(SeqCst) == 1).await;
    tokio::time::sleep(300 * SECOND).await;
    assert!(!waiting.is_finished());
    endpoint.seen.release.notify_one();
    assert!(!within(waiting).await.expect("no panic").is_stream());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_dropped_and_its_request_answered() {
    let set = |timeouts: &mut EndpointTimeouts| timeouts.handler = Some(5 * SECOND);
    let endpoint = endpoint_with(builder(), timeouts(set));
    let start = Instant::now();
    let answer = call(&endpoint.service, "forever").await;
    assert_eq!((answer.status.as_u16(), start.elapsed()), (200, 5 * SECOND));
    assert_eq!(answer.reason().await, "timed_out");
    let timeout = Timeout { operation: Operation::Handle, after: 5 * SECOND };
    assert_eq!(*endpoint.seen.dropped.lock(), [Some(CancelReason::Timeout(timeout))]);
    assert_eq!(endpoint.seen.running.load(SeqCst), 0);
}

#[tokio::test]
async fn a_handler_that_is_always_ready_to_go_on_is_stopped_all_the_same() {
    let set = |timeouts: &mut EndpointTimeouts| timeouts.handler = Some(Duration::from_millis(20));
    let endpoint = endpoint_with(builder(), timeouts(set));
    let answer = call(&endpoint.service, "spin").await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (200, "timed_out"));
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_stream_began_is_an_event() {
    let set = |timeouts: &mut EndpointTimeouts| timeouts.handler = Some(15 * SECOND);
    let endpoint = endpoint_with(builder(), timeouts(set));
    let start = Instant::now();
    let mut answer = call(&endpoint.service, "forever").await;
    assert_eq!((answer.status.as_u16(), answer.is_stream()), (200, true));
    let events = answer.events().await;
    assert_eq!(start.elapsed(), 15 * SECOND);
    assert_eq!(events[0]["error"]["data"]["reason"], "timed_out");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_before_the_response_and_in_it() {
    let endpoint = endpoint();
    // Before: the service's future is dropped.
    let mut waiting = Box::pin(send(&endpoint.service, call_request("forever")));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(endpoint.seen.running.load(SeqCst), 1);
    drop(waiting);
    assert_eq!(endpoint.seen.running.load(SeqCst), 0);
    // In it: the body is dropped.
    let mut answer = call(&endpoint.service, "talk").await;
    assert!(answer.event().await.is_some());
    assert_eq!(endpoint.seen.running.load(SeqCst), 1);
    drop(answer);
    assert_eq!(endpoint.seen.running.load(SeqCst), 0);
    let by_peer = || Some(CancelReason::ByPeer(None));
    assert_eq!(*endpoint.seen.dropped.lock(), [by_peer(), by_peer()]);
}

#[tokio::test]
async fn a_panic_answers_its_own_request_and_harms_no_other() {
    for execution in [Execution::Inline, Execution::Spawned] {
        let endpoint = endpoint_with(builder().execution(execution), EndpointSettings::new());
        let answer = call(&endpoint.service, "panic").await;
        assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (200, "internal"));
        assert_eq!(call(&endpoint.service, "x").await.status, 200);
    }
}

#[tokio::test]
async fn a_handler_in_a_task_of_its_own_speaks_and_is_stopped_with_its_response() {
    let endpoint = endpoint_with(builder().execution(Execution::Spawned), EndpointSettings::new());
    let mut answer = call(&endpoint.service, "talk").await;
    assert!(answer.is_stream());
    for _ in 0..100 {
        assert_eq!(answer.event().await.expect("it goes on")["method"], "notifications/message");
    }
    drop(answer);
    until("it was stopped", || endpoint.seen.running.load(SeqCst) == 0).await;
    assert_eq!(*endpoint.seen.dropped.lock(), [Some(CancelReason::ByPeer(None))]);
}

#[tokio::test]
async fn a_notification_waits_for_room_while_nobody_reads() {
    let mut limits = EndpointLimits::default();
    limits.max_unread_event_bytes = 40 << 10;
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits));
    let mut answer = call(&endpoint.service, "talk").await;
    let said = endpoint.seen.said.load(SeqCst);
    assert!((9..=11).contains(&said), "it said {said} times 4 KiB");
    // What is read makes room.
    for _ in 0..50 {
        assert!(answer.event().await.is_some());
    }
    assert!(endpoint.seen.said.load(SeqCst) >= 50);
}

#[tokio::test]
async fn a_modern_client_takes_no_requests() {
    let endpoint = endpoint();
    let answer = call(&endpoint.service, "ask").await.json().await;
    let text = answer["error"]["message"].as_str().expect("an error");
    assert!(text.contains("2026-07-28") && text.contains("sampling/createMessage"), "{text}");
}

#[tokio::test]
async fn logs_go_to_whoever_asks_for_them_in_the_request() {
    let endpoint = endpoint();
    assert!(!call(&endpoint.service, "log").await.is_stream());
    let meta = META.replace(r#""_meta":{"#, r#""_meta":{"io.modelcontextprotocol/logLevel":"warning","#);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{meta},"name":"log"}}}}"#);
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "log")];
    let events = post(&endpoint.service, &headers, body).await.events().await;
    let levels: Vec<_> = events.iter().filter_map(|event| event["params"]["level"].as_str()).collect();
    assert_eq!(levels, ["warning", "error"]);
}

#[tokio::test]
async fn a_client_that_takes_no_json_gets_its_answer_as_an_event() {
    let endpoint = endpoint();
    let mut request = call_request("x");
    request.headers_mut().insert("accept", http::HeaderValue::from_static("text/event-stream"));
    let mut answer = within(send(&endpoint.service, request)).await;
    assert!(answer.is_stream());
    let events = answer.events().await;
    assert_eq!((events.len(), &events[0]["id"]), (1, &json!(1)));
}

#[tokio::test]
async fn a_notification_gets_202_and_nothing_else() {
    let endpoint = endpoint();
    let headers = |method| [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    for method in ["notifications/x", "notifications/panic", "notifications/wait"] {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#);
        let answer = post(&endpoint.service, &headers(method), body).await;
        assert_eq!(answer.status, 202, "{method}");
        assert_eq!(answer.text().await, "");
    }
    assert_eq!(endpoint.seen.heard.load(SeqCst), 3);
    // A response answers nothing here.
    let answer = post(&endpoint.service, &headers("x"), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (400, "unexpected_response"));
}

#[tokio::test]
async fn what_a_notification_began_is_stopped_at_the_deadline_even_if_it_is_always_ready_to_go_on() {
    let after = Duration::from_millis(20);
    let endpoint = endpoint_with(builder(), timeouts(|timeouts| timeouts.handler = Some(after)));
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "notifications/spin")];
    let body = r#"{"jsonrpc":"2.0","method":"notifications/spin"}"#;
    assert_eq!(post(&endpoint.service, &headers, body).await.status, 202);
    within(async {
        while endpoint.seen.running.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let timeout = Timeout { operation: Operation::Handle, after };
    assert_eq!(*endpoint.seen.dropped.lock(), [Some(CancelReason::Timeout(timeout))]);
}
