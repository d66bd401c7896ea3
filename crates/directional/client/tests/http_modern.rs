//! A modern server over HTTP: one POST for each request, and no session.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use http_support::{SECOND, builder, connected, connecting, limits, modern, options, timeouts};
use serde_json::json;
use towpath_client::{CallError, Event, Filter, Phase, Preference};
use towpath_raw::ExchangeError;
use towpath_testkit::within;

#[tokio::test]
async fn a_modern_request_is_one_post_with_the_headers_of_its_revision() {
    let mut own = http::HeaderMap::new();
    own.insert("authorization", http::HeaderValue::from_static("Bearer abc"));
    own.insert("mcp-method", http::HeaderValue::from_static("not/that"));
    let (client, mut server) = modern(options().with_headers(own)).await;
    let call = client.call("tools/call", &json!({"name": "größe", "arguments": {}})).start();
    let asked = server.post("tools/call").await;
    assert_eq!(asked.uri, http_support::uri());
    assert_eq!(
        asked.headers(),
        [
            ("accept", "application/json, text/event-stream"),
            ("authorization", "Bearer abc"),
            ("content-type", "application/json"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?Z3LDtsOfZQ==?="),
            ("mcp-protocol-version", "2026-07-28"),
        ]
    );
    asked.result(r#"{"n":9223372036854775808}"#);
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"n":9223372036854775808}"#);
    client.close().await;
    // No session, so nothing is to be ended, and no stream was ever opened.
    assert!(server.all_within(SECOND / 100).await.is_empty());
}

#[tokio::test]
async fn a_modern_server_that_hands_out_session_ids_does_not_get_them_back() {
    let (client, mut server) = connecting(builder().preference(Preference::ModernOnly), options());
    let discover = server.post("server/discover").await;
    let text =
        json!({"jsonrpc": "2.0", "id": discover.id(), "result": {"supportedVersions": ["2026-07-28"]}});
    let head =
        http::Response::builder().header("mcp-session-id", "x").header("content-type", "application/json");
    discover.answer(head.body(()).expect("a head"), Some(bytes::Bytes::from(text.to_string())));
    let client = connected(client).await;
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    assert_eq!(asked.header("mcp-session-id"), None);
    let text = json!({"jsonrpc": "2.0", "id": asked.id(), "result": {}});
    let head =
        http::Response::builder().header("mcp-session-id", "x").header("content-type", "application/json");
    asked.answer(head.body(()).expect("a head"), Some(bytes::Bytes::from(text.to_string())));
    within(call).await.expect("an answer");
    within(client.close()).await;
    server.quiet().await;
}

#[tokio::test]
async fn an_event_stream_brings_progress_before_the_result_and_nothing_after_it() {
    let (client, mut server) = modern(options()).await;
    let mut call = client.call("tools/call", &json!({"name": "slow"})).with_progress().start();
    let asked = server.post("tools/call").await;
    let (id, token) = (asked.id(), asked.json()["params"]["_meta"]["progressToken"].clone());
    let stream = asked.stream();
    stream.raw(": hello\n\nid: 1\ndata:\n\n").await;
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
    stream.event(&progress).await;
    let note = within(call.notification()).await.expect("progress");
    assert_eq!(note.bytes(), progress.to_string().as_bytes());
    stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": {"done": true}})).await;
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"done":true}"#);
    // The answer was all that was wanted of it.
    stream.closed().await;
    assert_eq!(client.peer().stats().malformed + client.peer().stats().skipped, 0);
}

#[tokio::test]
async fn a_dropped_modern_call_closes_its_stream_and_sends_nothing() {
    let (client, mut server) = modern(options()).await;
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let stream = server.post("tools/call").await.stream();
    stream.raw(":\n").await;
    drop(call);
    stream.closed().await;
    // Before its head has come, too.
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let mut asked = server.post("tools/call").await;
    drop(call);
    asked.abandoned().await;
    server.quiet().await;
}

#[tokio::test]
async fn forty_calls_at_once_get_each_its_own_answer() {
    let (client, mut server) = modern(options()).await;
    let calls: Vec<_> =
        (0..40).map(|n| client.call("tools/call", &json!({"name": "n", "n": n})).start()).collect();
    let mut asked = Vec::new();
    for _ in 0..40 {
        asked.push(server.post("tools/call").await);
    }
    // All of them are under way before the first is answered; the last is answered first.
    for asked in asked.into_iter().rev() {
        let n = asked.json()["params"]["n"].clone();
        asked.result(&json!({"n": n}).to_string());
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(within(call).await.expect("an answer").as_str(), json!({"n": n}).to_string());
    }
}

#[tokio::test]
async fn beyond_max_posts_in_flight_requests_wait_their_turn() {
    let (client, mut server) = modern(limits(|limits| limits.with_max_posts_in_flight(2))).await;
    let calls: Vec<_> =
        (0..3).map(|n| client.call("tools/call", &json!({"name": "n", "n": n})).start()).collect();
    let first = server.post("tools/call").await;
    let second = server.post("tools/call").await;
    server.quiet().await;
    first.result("{}");
    server.post("tools/call").await.result("{}");
    second.result("{}");
    for call in calls {
        within(call).await.expect("an answer");
    }
    // One that is given up while it waits is never sent.
    let held: Vec<_> = (0..2).map(|_| client.call("tools/list", &()).start()).collect();
    let (_first, _second) = (server.post("tools/list").await, server.post("tools/list").await);
    let waits = client.call("never/sent", &()).start();
    server.quiet().await;
    drop(waits);
    server.quiet().await;
    drop(held);
    server.quiet().await;
}

#[tokio::test]
async fn a_body_under_the_name_of_the_other_kind_is_read_as_what_it_is() {
    let (client, mut server) = modern(options()).await;
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let json = json!({"jsonrpc": "2.0", "id": asked.id(), "result": {"as": "json"}});
    asked.typed(200, "text/event-stream", json.to_string());
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"as":"json"}"#);
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let event = json!({"jsonrpc": "2.0", "id": asked.id(), "result": {"as": "event"}});
    asked.typed(200, "application/json", format!("data: {event}\n\n"));
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"as":"event"}"#);
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let marked = json!({"jsonrpc": "2.0", "id": asked.id(), "result": {"with": "a mark"}});
    asked.typed(200, "application/json", format!("\u{feff} {marked}"));
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"with":"a mark"}"#);
}

#[tokio::test]
async fn an_http_error_is_what_the_server_says_in_json_rpc_else_its_status() {
    let (client, mut server) = modern(options()).await;
    // With the id of the request, without one, and with null for one.
    for id in [Some("same"), None, Some("null")] {
        let call = client.call("no/such", &()).start();
        let asked = server.post("no/such").await;
        let id = match id {
            Some("same") => format!(r#""id":{},"#, asked.id()),
            Some(id) => format!(r#""id":{id},"#),
            None => String::new(),
        };
        asked.typed(
            404,
            "application/json",
            format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32601,"message":"no"}}}}"#),
        );
        let error = within(call).await.expect_err("there is no such method");
        assert!(matches!(&error, CallError::Answered { error, .. } if error.code == -32601), "{error}");
    }
    // The error of another request is not ours.
    let call = client.call("no/such", &()).start();
    let other = r#"{"jsonrpc":"2.0","id":"other","error":{"code":-32601,"message":"no"}}"#;
    server.post("no/such").await.typed(404, "application/json", other);
    assert_refused(within(call).await, 404, "other", None);
    let call = client.call("tools/list", &()).start();
    let head = http::Response::builder().status(503).header("retry-after", "31").body(()).expect("a head");
    server.post("tools/list").await.answer(head, Some(bytes::Bytes::from_static(b"busy\n")));
    assert_refused(within(call).await, 503, "busy", Some(31 * SECOND));
    // A page for people is no answer, whatever its status.
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.typed(200, "text/html", "<html>Welcome");
    assert_refused(within(call).await, 200, "<html>Welcome", None);
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(202, "");
    assert_refused(within(call).await, 202, "", None);
}

fn assert_refused<T: std::fmt::Debug>(
    answer: Result<T, CallError>,
    expected: u16,
    begins: &str,
    after: Option<std::time::Duration>,
) {
    let error = answer.expect_err("it is refused");
    assert_eq!(error.phase(), Phase::Answered, "{error}");
    let CallError::Exchange { source: ExchangeError::Refused { status, body, retry_after, .. }, .. } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((*status, *retry_after), (expected, after), "{error}");
    assert!(body.contains(begins), "{error}");
}

#[tokio::test]
async fn a_failed_call_says_how_far_it_got() {
    let (client, mut server) = modern(options()).await;
    // The server goes away in the middle of an answer: without a head, in a body, in a stream, at the end of one.
    for how in 0..4 {
        let call = client.call("tools/list", &()).start();
        let asked = server.post("tools/list").await;
        match how {
            0 => asked.drop_it(),
            1 => {
                let body = asked.stream_as("application/json");
                body.raw("{\"jsonrpc\":").await;
                body.broken().await;
            }
            2 => {
                let stream = asked.stream();
                stream.raw("data: {\"json").await;
                stream.broken().await;
            }
            _ => drop(asked.stream()),
        }
        let error = within(call).await.expect_err("there is no answer");
        let broken = matches!(&error, CallError::Exchange { source: ExchangeError::Broken { .. }, .. });
        assert!(broken && error.phase() == Phase::OutcomeUnknown, "{how}: {error:?}");
    }
    drop(server);
    let error = within(client.call("tools/list", &())).await.expect_err("nobody is there");
    let refused = matches!(&error, CallError::Exchange { source: ExchangeError::NotConnected { .. }, .. });
    assert!(refused && error.phase() == Phase::NotSent, "{error:?}");
}

#[tokio::test]
async fn what_has_no_end_fails_its_own_call_and_no_other() {
    let bounded = limits(|limits| limits.with_max_message_bytes(4096).with_max_error_body_bytes(512));
    let (client, mut server) = modern(bounded).await;
    let event = "data: {\"jsonrpc\":\"2.0\",\"result\":\"";
    for (status, content_type, first) in [
        (200, "text/event-stream", event),
        (200, "application/json", "{\"jsonrpc\":\"2.0\",\"result\":\""),
        (500, "text/html", "<html>"),
    ] {
        let sibling = client.call("sibling", &()).start();
        let answered = server.post("sibling").await;
        let call = client.call("endless", &()).start();
        server.post("endless").await.endless(
            status,
            content_type,
            first,
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        );
        let error = within(call).await.expect_err("it has no end");
        let CallError::Exchange { source, .. } = &error else { panic!("{error:?}") };
        match source {
            ExchangeError::TooLarge { source, .. } => assert_eq!((status, source.limit), (200, 4096)),
            ExchangeError::Refused { status: seen, body, .. } => {
                // As much of it as the limit has.
                assert_eq!((status, *seen, body.len()), (500, 500, 512));
            }
            other => panic!("{other:?}"),
        }
        answered.result("{}");
        within(sibling).await.expect("an answer");
    }
    // One that says how long it is need not be read at all.
    let call = client.call("endless", &()).start();
    let head = http::Response::builder().header("content-length", 5000).body(()).expect("a head");
    server.post("endless").await.answer(head, Some(bytes::Bytes::from_static(b"{")));
    let error = within(call).await.expect_err("it is too long");
    let exact = matches!(&error, CallError::Exchange { source: ExchangeError::TooLarge { source, .. }, .. } if source.exact);
    assert!(exact, "{error:?}");
    // On the way out the same limit holds.
    let error = within(client.call("x", &json!({"text": "x".repeat(5000)}))).await.expect_err("too large");
    assert!(matches!(error, CallError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_subscription_is_a_stream_that_stays_open_until_it_is_dropped() {
    let (client, mut server) = modern(options()).await;
    let filter = Filter { tools: true, ..Filter::default() };
    let listening = {
        let client = client.clone();
        tokio::spawn(async move { client.listen(&filter).await })
    };
    let asked = server.post("subscriptions/listen").await;
    let id = asked.id();
    let stream = asked.stream();
    let about = |method: &str, mut params: serde_json::Value| {
        params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": id});
        json!({"jsonrpc": "2.0", "method": method, "params": params})
    };
    let honoured = json!({"notifications": {"toolsListChanged": true}});
    stream.event(&about("notifications/subscriptions/acknowledged", honoured)).await;
    let mut changes = within(listening).await.expect("no panic").expect("acknowledged");
    stream.event(&about("notifications/tools/list_changed", json!({}))).await;
    assert_eq!(within(changes.next()).await.expect("no error"), Some(Event::ToolsChanged));
    drop(changes);
    stream.closed().await;
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_silent_for_sse_idle_has_ended() {
    let (client, mut server) = modern(timeouts(|timeouts| timeouts.with_sse_idle(Some(20 * SECOND)))).await;
    let filter = Filter { tools: true, ..Filter::default() };
    let listening = {
        let client = client.clone();
        tokio::spawn(async move { client.listen(&filter).await })
    };
    let asked = server.post("subscriptions/listen").await;
    let params = json!({"notifications": {"toolsListChanged": true}, "_meta": {"io.modelcontextprotocol/subscriptionId": asked.id()}});
    let stream = asked.stream();
    stream.event(&json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})).await;
    let mut changes = within(listening).await.expect("no panic").expect("acknowledged");
    // A comment is a sign of life.
    for _ in 0..3 {
        assert!(tokio::time::timeout(15 * SECOND, changes.next()).await.is_err());
        stream.raw(":\n").await;
    }
    let error = within(changes.next()).await.expect_err("the server is silent");
    let idle = matches!(&error, CallError::Exchange { source: ExchangeError::Timeout { source, .. }, .. } if source.after == 20 * SECOND);
    assert!(idle, "{error:?}");
    // An ordinary request has the deadlines of its call.
    let mut call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let id = asked.id();
    let stream = asked.stream();
    stream.raw(":\n").await;
    assert!(tokio::time::timeout(60 * SECOND, &mut call).await.is_err(), "it was given up");
    stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": {}})).await;
    within(call).await.expect("an answer");
}
