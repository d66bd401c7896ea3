//! A legacy server over HTTP: a session, its standalone stream, and streams that are taken up again.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use http_support::{
    Asked, SECOND, SESSION, Server, builder, connected, connecting, legacy, legacy_until_get, limits,
    options, timeouts, until,
};
use serde_json::{Value, json};
use towpath_client::{CallError, ClientHandler, Context, Event, Filter, Preference};
use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_raw::ExchangeError;
use towpath_testkit::within;

const MEDIA_TYPES: [(&str, &str); 2] =
    [("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
const IN_SESSION: [(&str, &str); 2] = [("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", SESSION)];

fn in_session(asked: &Asked) {
    assert_eq!(asked.headers(), [&MEDIA_TYPES[..], &IN_SESSION[..]].concat());
}

#[tokio::test]
async fn a_session_is_opened_named_in_every_request_and_ended() {
    let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), options());
    let initialize = server.post("initialize").await;
    assert_eq!(initialize.headers(), MEDIA_TYPES);
    initialize.initialized("2025-11-25");
    let initialized = server.post("notifications/initialized").await;
    in_session(&initialized);
    initialized.status(202, "");
    let client = connected(client).await;
    let get = server.get().await;
    assert_eq!(get.headers(), [&[("accept", "text/event-stream")][..], &IN_SESSION[..]].concat());
    assert_eq!(get.uri, http_support::uri());
    get.status(405, "");
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    in_session(&asked);
    asked.result("{}");
    within(call).await.expect("an answer");
    let closing = tokio::spawn(async move { client.close().await });
    let delete = server.next().await;
    assert_eq!(delete.method, http::Method::DELETE);
    assert_eq!(delete.headers(), IN_SESSION);
    delete.status(405, "");
    within(closing).await.expect("no panic");
}

#[tokio::test]
async fn a_revision_without_the_version_header_gets_none_and_no_session_is_no_header() {
    let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), options());
    let initialize = server.post("initialize").await;
    initialize.result(r#"{"protocolVersion":"2025-03-26","capabilities":{}}"#);
    let initialized = server.post("notifications/initialized").await;
    assert_eq!(initialized.headers(), MEDIA_TYPES);
    // Not 202, but success.
    initialized.status(204, "");
    let client = connected(client).await;
    server.get().await.status(404, "");
    // In that revision an answer may be one of a batch.
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let batch = json!([{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}, {"jsonrpc": "2.0", "id": asked.id(), "result": {"of": "a batch"}}]);
    asked.typed(200, "application/json", batch.to_string());
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"of":"a batch"}"#);
    within(client.close()).await;
    server.quiet().await;
}

#[tokio::test]
async fn nothing_is_sent_before_the_server_has_answered_initialized() {
    let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), options());
    server.post("initialize").await.initialized("2025-11-25");
    let initialized = server.post("notifications/initialized").await;
    let client = connected(client).await;
    let call = client.call("tools/list", &()).start();
    within(client.notify("notifications/roots/list_changed", None)).await.expect("queued");
    server.quiet().await;
    initialized.status(202, "");
    let mut came = Vec::new();
    for _ in 0..3 {
        let asked = server.next().await;
        came.push(asked.json()["method"].as_str().unwrap_or("GET").to_owned());
        match asked.method.as_str() {
            "GET" => asked.status(405, ""),
            _ if asked.id().is_null() => asked.status(202, ""),
            _ => asked.result("{}"),
        }
    }
    came.sort_unstable();
    assert_eq!(came, ["GET", "notifications/roots/list_changed", "tools/list"]);
    within(call).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_is_never_answered_is_given_up_after_post() {
    let slow = timeouts(|timeouts| timeouts.with_post(3 * SECOND));
    let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), slow);
    server.post("initialize").await.initialized("2025-11-25");
    let mut initialized = server.post("notifications/initialized").await;
    let client = connected(client).await;
    let began = tokio::time::Instant::now();
    let call = client.call("tools/list", &()).start();
    initialized.abandoned().await;
    server.post("tools/list").await.result("{}");
    assert_eq!(began.elapsed().as_secs(), 3);
    within(call).await.expect("an answer");
    // It was not accepted, so there is no stream to ask for.
    server.quiet().await;
}

#[tokio::test]
async fn a_dropped_legacy_call_is_cancelled_by_a_post_and_closed_after_it() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let asked = server.post("tools/call").await;
    let id = asked.id();
    let stream = asked.stream();
    stream.raw(":\n").await;
    drop(call);
    let cancelled = server.post("notifications/cancelled").await;
    in_session(&cancelled);
    assert_eq!(cancelled.json()["params"]["requestId"], id);
    // A closed stream is no cancellation in this era, so it must not come first.
    stream.raw(":\n").await;
    cancelled.status(202, "");
    stream.closed().await;
    // One that has been answered is not cancelled.
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.result("{}");
    within(call).await.expect("an answer");
    server.quiet().await;
}

#[tokio::test]
async fn a_late_cancellation_closes_no_other_request() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let asked = server.post("tools/call").await;
    drop(call);
    let cancelled = server.post("notifications/cancelled").await;
    // The server answers all the same, and another request takes the place.
    asked.result("{}");
    until("it has come", || client.peer().stats().late_answers == 1).await;
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    cancelled.status(202, "");
    server.quiet().await;
    asked.result("{}");
    within(call).await.expect("an answer");
}

/// Answers sampling, and nothing else.
struct Samples;

impl ClientHandler for Samples {
    async fn request(&self, request: Message, _: Context) -> Result<RawJson, ErrorObject> {
        assert_eq!(request.method(), "sampling/createMessage");
        Ok(RawJson::from_validated(bytes::Bytes::from_static(br#"{"role":"assistant"}"#)))
    }
}

#[tokio::test]
async fn what_a_server_asks_on_any_stream_is_answered_by_a_post() {
    let builder = builder().handler(Samples);
    let (client, mut server) = legacy_until_get(builder, options()).await;
    let standalone = server.get().await.stream();
    let call = client.call("tools/call", &json!({"name": "asks"})).start();
    let asked = server.post("tools/call").await;
    let id = asked.id();
    let stream = asked.stream();
    for (from, question) in [(&standalone, "a"), (&stream, "b")] {
        from.event(
            &json!({"jsonrpc": "2.0", "id": question, "method": "sampling/createMessage", "params": {}}),
        )
        .await;
        let answer = server.next().await;
        in_session(&answer);
        assert_eq!(answer.json(), json!({"jsonrpc": "2.0", "id": question, "result": {"role": "assistant"}}));
        answer.status(202, "");
    }
    stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": {}})).await;
    within(call).await.expect("an answer");
}

#[tokio::test]
async fn changes_come_on_the_standalone_stream() {
    let (client, mut server) = legacy_until_get(builder(), options()).await;
    let standalone = server.get().await.stream();
    let filter = Filter { uris: [Box::from("file:///a")].into(), ..Filter::default() };
    let listening = {
        let client = client.clone();
        tokio::spawn(async move { client.listen(&filter).await })
    };
    let subscribe = server.post("resources/subscribe").await;
    assert_eq!(subscribe.json()["params"]["uri"], "file:///a");
    subscribe.result("{}");
    let mut changes = within(listening).await.expect("no panic").expect("subscribed");
    standalone.event(&json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "file:///a"}})).await;
    assert_eq!(
        within(changes.next()).await.expect("no error"),
        Some(Event::ResourceUpdated("file:///a".into()))
    );
}

#[tokio::test]
async fn a_request_that_was_only_accepted_may_be_answered_on_the_standalone_stream() {
    let (client, mut server) = legacy_until_get(builder(), options()).await;
    let standalone = server.get().await.stream();
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let id = asked.id();
    asked.status(202, "");
    server.quiet().await;
    standalone.event(&json!({"jsonrpc": "2.0", "id": id, "result": {}})).await;
    within(call).await.expect("an answer");
}

#[tokio::test]
async fn a_server_without_a_standalone_stream_is_asked_once() {
    for (status, content_type) in [
        (405, "text/plain"),
        (404, "text/plain"),
        (400, "text/plain"),
        (204, "text/plain"),
        (200, "text/html"),
    ] {
        let (client, mut server) = legacy_until_get(builder(), options()).await;
        server.get().await.typed(status, content_type, if status == 204 { "" } else { "no" });
        if status == 404 {
            // It may be the session that is not there.
            server.post("ping").await.result("{}");
        }
        tokio::time::pause();
        assert!(server.all_within(100 * SECOND).await.is_empty(), "{status}");
        tokio::time::resume();
        drop(client);
    }
}

#[tokio::test(start_paused = true)]
async fn a_standalone_stream_that_ends_at_once_is_opened_a_few_times_whatever_retry_says() {
    let (client, mut server) = legacy_until_get(builder(), options()).await;
    let began = tokio::time::Instant::now();
    let mut opened = Vec::new();
    while began.elapsed() < 4 * SECOND {
        let Ok(get) = tokio::time::timeout_at(began + 4 * SECOND, server.get()).await else { break };
        opened.push(began.elapsed());
        get.typed(200, "text/event-stream", format!("retry: 0\nid: e{}\ndata:\n\n", opened.len()));
    }
    assert!((3..=5).contains(&opened.len()), "{opened:?}");
    let get = server.get().await;
    // It goes on where it was.
    assert_eq!(get.header("last-event-id"), Some(&*format!("e{}", opened.len())));
    get.status(405, "");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_standalone_stream_is_opened_again_after_an_outage_but_not_at_once() {
    let (_client, mut server) = legacy_until_get(builder(), options()).await;
    let head = http::Response::builder().status(503).header("retry-after", "20").body(()).expect("a head");
    server.get().await.answer(head, None);
    let began = tokio::time::Instant::now();
    server.get().await.drop_it();
    assert!(began.elapsed() >= 20 * SECOND, "{:?}", began.elapsed());
    server.get().await.stream();
}

#[tokio::test(start_paused = true)]
async fn a_silent_standalone_stream_is_opened_again_after_sse_idle() {
    let (_client, mut server) =
        legacy_until_get(builder(), timeouts(|timeouts| timeouts.with_sse_idle(Some(40 * SECOND)))).await;
    let stream = server.get().await.stream();
    stream.raw("id: 7\ndata:\n\n").await;
    let began = tokio::time::Instant::now();
    stream.closed().await;
    assert_eq!(began.elapsed().as_secs(), 40);
    assert_eq!(server.get().await.header("last-event-id"), Some("7"));
}

#[tokio::test]
async fn an_event_over_the_limit_on_the_standalone_stream_harms_nothing_else() {
    let (client, mut server) =
        legacy_until_get(builder(), limits(|limits| limits.with_max_message_bytes(1024))).await;
    let standalone = server.get().await.stream();
    let large =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x".repeat(1100)}});
    standalone.event(&large).await;
    until("it was passed over", || client.peer().stats().oversized == 1).await;
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    // The same in front of an answer: only it is lost.
    let (id, stream) = (asked.id(), asked.stream());
    stream.event(&large).await;
    stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": {}})).await;
    within(call).await.expect("an answer");
    assert_eq!(client.peer().stats().oversized, 2);
}

async fn result_of_resuming(server: &mut Server, id: &Value, last: &str) {
    let get = server.get().await;
    assert_eq!(get.header("last-event-id"), Some(last));
    in_session_get(&get);
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"resumed": true}});
    get.typed(200, "text/event-stream", format!("id: z\ndata: {answer}\n\n"));
}

fn in_session_get(get: &Asked) {
    assert_eq!(get.header("mcp-session-id"), Some(SESSION));
    assert_eq!(get.header("accept"), Some("text/event-stream"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_its_answer_is_taken_up_again_when_the_server_says() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/call", &json!({"name": "polled"})).start();
    let asked = server.post("tools/call").await;
    let id = asked.id();
    let stream = asked.stream();
    stream.raw("retry: 1500\nid: a\ndata:\n\n").await;
    drop(stream);
    let began = tokio::time::Instant::now();
    result_of_resuming(&mut server, &id, "a").await;
    let waited = began.elapsed().as_millis();
    assert!((1500..=1600).contains(&waited), "{waited} ms");
    assert_eq!(within(call).await.expect("an answer").as_str(), r#"{"resumed":true}"#);
    assert_eq!(client.peer().stats().malformed + client.peer().stats().skipped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_taken_up_again_fails_its_call_after_a_few_tries() {
    let (client, mut server) = legacy(options()).await;
    // Nobody is there for a while, or the server refuses, or it never has anything to say.
    for (how, tries) in [("lost", 5), ("refused", 1), ("empty", 5)] {
        let call = client.call("tools/call", &json!({"name": "polled"})).start();
        let stream = server.post("tools/call").await.stream();
        stream.raw("id: a\ndata:\n\n").await;
        stream.broken().await;
        for _ in 0..tries {
            let get = server.get().await;
            match how {
                "lost" => get.drop_it(),
                "refused" => get.status(405, ""),
                _ => get.typed(200, "text/event-stream", ""),
            }
        }
        let error = within(call).await.expect_err("it was lost");
        let broken = matches!(&error, CallError::Exchange { source: ExchangeError::Broken { .. }, .. });
        assert!(broken, "{how}: {error:?}");
        server.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_delete_only_so_long() {
    let (client, mut server) = legacy(timeouts(|timeouts| timeouts.with_delete(SECOND))).await;
    let began = tokio::time::Instant::now();
    let closing = tokio::spawn(async move { client.close().await });
    let mut delete = server.next().await;
    assert_eq!(delete.method, http::Method::DELETE);
    within(closing).await.expect("no panic");
    assert_eq!(began.elapsed().as_secs(), 1);
    delete.abandoned().await;
    // Zero is a wish for none.
    let (client, mut server) =
        legacy(timeouts(|timeouts| timeouts.with_delete(std::time::Duration::ZERO))).await;
    within(client.close()).await;
    server.quiet().await;
}

#[tokio::test]
async fn a_client_that_is_dropped_ends_its_session_all_the_same() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let stream = server.post("tools/call").await.stream();
    drop((call, client));
    let delete = server.next().await;
    assert_eq!((delete.method.as_str(), delete.header("mcp-session-id")), ("DELETE", Some(SESSION)));
    stream.closed().await;
    delete.status(200, "");
}

#[tokio::test]
async fn requests_wait_for_the_standalone_stream() {
    let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), options());
    server.post("initialize").await.initialized("2025-11-25");
    server.post("notifications/initialized").await.status(202, "");
    let client = connected(client).await;
    let call = client.call("tools/call", &json!({"name": "asks"})).start();
    let get = server.get().await;
    server.quiet().await;
    let stream = get.stream();
    // The server can ask on it from the first moment on.
    server.post("tools/call").await.result("{}");
    within(call).await.expect("an answer");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_a_standalone_stream_without_a_head_for_listen_first() {
    let other = timeouts(|timeouts| timeouts.with_listen_first(7 * SECOND));
    let none = timeouts(|timeouts| timeouts.with_listen_first(std::time::Duration::ZERO));
    for (options, millis) in [(options(), 500), (other, 7000), (none, 0)] {
        let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), options);
        server.post("initialize").await.initialized("2025-11-25");
        server.post("notifications/initialized").await.status(202, "");
        let client = connected(client).await;
        let began = tokio::time::Instant::now();
        let call = client.call("tools/list", &()).start();
        let silent = server.get().await;
        server.post("tools/list").await.result("{}");
        assert_eq!(began.elapsed().as_millis(), millis);
        within(call).await.expect("an answer");
        // It still opens when its head comes.
        let stream = silent.stream();
        stream.event(&json!({"jsonrpc": "2.0", "id": "s", "method": "ping"})).await;
        assert_eq!(server.next().await.json()["id"], "s");
    }
}
