//! A legacy server that has forgotten the session: another is opened, once, and what was not executed is sent in it.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use http::{HeaderMap, Response};
use http_support::{Asked, SECOND, Server, builder, legacy, legacy_until_get, limits, options, timeouts};
use serde_json::{Value, json};
use towpath_client::{CallError, Event, Filter, Phase};
use towpath_raw::ExchangeError;
use towpath_testkit::within;

const GONE: &str = r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#;

fn named(session: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("mcp-session-id", session.parse().expect("a value"));
    headers
}

/// Answers `initialize` with a session of this name.
fn opened(initialize: Asked, session: &str) {
    let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}});
    let text = json!({"jsonrpc": "2.0", "id": initialize.id(), "result": result}).to_string();
    let mut head = Response::new(());
    *head.headers_mut() = named(session);
    head.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    initialize.answer(head, Some(bytes::Bytes::from(text)));
}

/// The handshake of the second session, up to the GET, which is given.
async fn second(server: &mut Server) -> Asked {
    let initialize = server.post("initialize").await;
    assert_eq!(initialize.header("mcp-session-id"), None);
    opened(initialize, "session-2");
    let initialized = server.post("notifications/initialized").await;
    assert_eq!(initialized.header("mcp-session-id"), Some("session-2"));
    initialized.status(202, "");
    server.get().await
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_that_meet_a_forgotten_session_open_one_other() {
    let (client, mut server) = legacy(options()).await;
    let calls: Vec<_> =
        (0..100).map(|n| client.call("tools/call", &json!({"name": "n", "n": n})).start()).collect();
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(server.post("tools/call").await);
    }
    let late = asked.split_off(50);
    for asked in asked {
        asked.typed(404, "application/json", GONE);
    }
    // Of the others the refusal comes only when the new session is there.
    let get = second(&mut server).await;
    server.quiet().await;
    get.status(405, "");
    for _ in 0..50 {
        let again = server.post("tools/call").await;
        assert_eq!(again.header("mcp-session-id"), Some("session-2"));
        let n = again.json()["params"]["n"].clone();
        again.result(&json!({"n": n}).to_string());
    }
    for asked in late {
        asked.status(404, "");
    }
    for _ in 0..50 {
        let again = server.post("tools/call").await;
        let n = again.json()["params"]["n"].clone();
        again.result(&json!({"n": n}).to_string());
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(within(call).await.expect("an answer").as_str(), json!({"n": n}).to_string());
    }
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn the_new_session_is_opened_as_the_old_one_was_with_its_stream_and_its_subscriptions() {
    let builder = builder().capabilities(json!({"sampling": {}}));
    let (client, mut server) = legacy_until_get(builder, options()).await;
    let old_stream = server.get().await.stream();
    let filter = Filter { uris: ["file:///a".into(), "file:///b".into()].into(), ..Filter::default() };
    let listening = {
        let client = client.clone();
        tokio::spawn(async move { client.listen(&filter).await })
    };
    for _ in 0..2 {
        server.post("resources/subscribe").await.result("{}");
    }
    let mut changes = within(listening).await.expect("no panic").expect("subscribed");
    let unsubscribe = client.call("resources/unsubscribe", &json!({"uri": "file:///b"})).start();
    server.post("resources/unsubscribe").await.result("{}");
    within(unsubscribe).await.expect("an answer");
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(404, "no such session");
    let initialize = server.post("initialize").await;
    assert_eq!(initialize.json()["params"]["capabilities"], json!({"sampling": {}}));
    opened(initialize, "session-2");
    server.post("notifications/initialized").await.status(202, "");
    let mut stream = None;
    for _ in 0..2 {
        let asked = server.next().await;
        assert_eq!(asked.header("mcp-session-id"), Some("session-2"));
        if asked.method == http::Method::GET {
            old_stream.closed().await;
            assert_eq!(asked.header("last-event-id"), None);
            stream = Some(asked.stream());
        } else {
            assert_eq!(asked.json()["params"]["uri"], "file:///a");
            asked.result("{}");
        }
    }
    server.post("tools/list").await.result("{}");
    within(call).await.expect("an answer");
    let updated = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "file:///a"}});
    stream.expect("a stream").event(&updated).await;
    let event = within(changes.next()).await.expect("no error");
    assert_eq!(event, Some(Event::ResourceUpdated("file:///a".into())));
    // Nobody had asked what the lane itself has asked.
    let stats = client.peer().stats();
    assert_eq!((stats.late_answers, stats.malformed, stats.skipped), (0, 0, 0));
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn subscriptions_beyond_max_subscriptions_are_not_made_again() {
    let (client, mut server) = legacy(limits(|limits| limits.with_max_subscriptions(1))).await;
    for uri in ["file:///a", "file:///b"] {
        let subscribe = client.call("resources/subscribe", &json!({"uri": uri})).start();
        server.post("resources/subscribe").await.result("{}");
        within(subscribe).await.expect("an answer");
    }
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(404, "");
    opened(server.post("initialize").await, "session-2");
    server.post("notifications/initialized").await.status(202, "");
    for _ in 0..2 {
        let asked = server.next().await;
        if asked.method == http::Method::GET {
            asked.status(405, "");
        } else {
            assert_eq!(asked.json()["params"]["uri"], "file:///a");
            asked.result("{}");
        }
    }
    server.post("tools/list").await.result("{}");
    within(call).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_in_one_other_session_and_no_more() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(404, "first");
    second(&mut server).await.status(405, "");
    server.post("tools/list").await.status(404, "second");
    let error = within(call).await.expect_err("it is refused again");
    let CallError::Exchange { source: ExchangeError::Refused { status: 404, body, .. }, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((&**body, error.phase()), ("second", Phase::Answered));
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_opens_no_other_session_fails_the_calls_that_wait_for_it_with_what_it_said() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(404, "no such session");
    server.post("initialize").await.status(500, "");
    let error = within(call).await.expect_err("there is no session");
    let CallError::Exchange { source: ExchangeError::Refused { status: 404, .. }, .. } = &error else {
        panic!("{error:?}");
    };
    // The next one tries again.
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(404, "no such session");
    second(&mut server).await.status(405, "");
    server.post("tools/list").await.result("{}");
    within(call).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn a_new_session_has_the_time_of_renew_and_no_more() {
    let (client, mut server) = legacy(timeouts(|timeouts| timeouts.with_renew(3 * SECOND))).await;
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(404, "");
    let began = tokio::time::Instant::now();
    let mut silent = server.post("initialize").await;
    silent.abandoned().await;
    assert_eq!(began.elapsed().as_secs(), 3);
    within(call).await.expect_err("there is no session");
}

fn about_the_session(id: &Value, code: i64, message: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string()
}

#[tokio::test(start_paused = true)]
async fn what_may_be_about_the_session_leads_to_another_only_when_a_ping_fails_too() {
    let refusals: [(u16, bool, i64, &str); 4] = [
        (400, false, -32000, "Bad Request: No valid session ID provided"),
        (400, true, -32600, "Session has expired"),
        (200, true, -32001, "Session not found"),
        (404, true, -32001, "Session not found"),
    ];
    for (status, with_id, code, message) in refusals {
        let id = |asked: &Asked| if with_id { asked.id() } else { Value::Null };
        // The session lives: the refusal was about this request.
        let (client, mut server) = legacy(options()).await;
        if status != 404 {
            let call = client.call("tools/list", &()).start();
            let asked = server.post("tools/list").await;
            let text = about_the_session(&id(&asked), code, message);
            asked.typed(status, "application/json", text);
            let ping = server.post("ping").await;
            assert_eq!(ping.header("mcp-session-id"), Some(http_support::SESSION));
            // It holds nobody up.
            let sibling = client.call("prompts/list", &()).start();
            server.post("prompts/list").await.result("{}");
            within(sibling).await.expect("an answer");
            ping.result("{}");
            let error = within(call).await.expect_err("it is refused");
            assert!(matches!(&error, CallError::Answered { error, .. } if error.code == code), "{error:?}");
        }
        let call = client.call("tools/list", &()).start();
        let asked = server.post("tools/list").await;
        let text = about_the_session(&id(&asked), code, message);
        asked.typed(status, "application/json", text);
        if status != 404 {
            let ping = server.post("ping").await;
            let text = about_the_session(&id(&ping), code, message);
            ping.typed(status, "application/json", text);
        }
        second(&mut server).await.status(405, "");
        server.post("tools/list").await.result("{}");
        within(call).await.expect("an answer");
        server.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_about_the_session_is_an_answer() {
    let (client, mut server) = legacy(options()).await;
    for (status, code) in [(404, -32601), (400, -32602), (400, -32600)] {
        let call = client.call("no/such", &()).start();
        let asked = server.post("no/such").await;
        let text = about_the_session(&asked.id(), code, "not with me");
        asked.typed(status, "application/json", text);
        let error = within(call).await.expect_err("it is refused");
        assert!(matches!(&error, CallError::Answered { error, .. } if error.code == code), "{error:?}");
        server.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_found_may_mean_that_the_session_is_not() {
    let (client, mut server) = legacy_until_get(builder(), options()).await;
    server.get().await.status(404, "");
    server.post("ping").await.status(404, "");
    let stream = second(&mut server).await.stream();
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.result("{}");
    within(call).await.expect("an answer");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_forgotten_session_is_not_taken_up_in_another_and_its_request_not_repeated() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let stream = server.post("tools/call").await.stream();
    stream.raw("id: a\ndata:\n\n").await;
    drop(stream);
    server.get().await.status(404, "");
    server.post("ping").await.status(404, "");
    second(&mut server).await.status(405, "");
    let error = within(call).await.expect_err("what became of it is not known");
    assert_eq!(error.phase(), Phase::OutcomeUnknown, "{error:?}");
    assert!(server.all_within(100 * SECOND).await.is_empty());
}
