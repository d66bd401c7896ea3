//! What is sent once more because the server has not executed it, and who is asked for headers.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, Uri, request, response};
use http_support::{
    Asked, SECOND, Server, builder, connected, connecting, limits, modern, options, timeouts, uri,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use towpath_client::{CallError, EraCache, HttpOptions, Phase, Preference, Revision};
use towpath_mcp::Era;
use towpath_raw::{Connect, ExchangeError};
use towpath_testkit::{MemoryConnect, memory_http, within};

/// A connector whose next exchange finds that the connection was closed in the meantime.
struct Stale {
    inner: MemoryConnect,
    stale: Arc<AtomicBool>,
}

impl Connect for Stale {
    type Body = <MemoryConnect as Connect>::Body;

    async fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> Result<(response::Parts, Self::Body), ExchangeError> {
        if self.stale.swap(false, Relaxed) {
            return Err(ExchangeError::NotConnected { peer: "server".into(), reason: "stale".into() });
        }
        self.inner.exchange(head, body).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_is_sent_once_more() {
    let (inner, accept) = memory_http();
    let stale = Arc::new(AtomicBool::new(false));
    let connect = Arc::new(Stale { inner, stale: Arc::clone(&stale) });
    let mut server = Server { accept };
    let builder = builder().preference(Preference::LegacyOnly);
    let client = tokio::spawn(builder.connect_http(connect, uri(), options()));
    server.post("initialize").await.initialized("2025-11-25");
    server.post("notifications/initialized").await.status(202, "");
    let client = connected(client).await;
    server.get().await.status(405, "");
    stale.store(true, Relaxed);
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.result("{}");
    within(call).await.expect("an answer");
    stale.store(true, Relaxed);
    within(client.notify("a/note", None)).await.expect("queued");
    server.post("a/note").await.status(202, "");
    // Once: with nobody there, the call fails.
    drop(server);
    let error = within(client.call("tools/list", &())).await.expect_err("nobody is there");
    assert_eq!(error.phase(), Phase::NotSent);
}

fn busy(asked: Asked, seconds: &str) {
    let head = Response::builder().status(503).header("retry-after", seconds).body(()).expect("a head");
    asked.answer(head, None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_no_time_is_asked_once_more_when_it_says() {
    let (client, mut server) = modern(options()).await;
    let call = client.call("tools/list", &()).start();
    busy(server.post("tools/list").await, "20");
    let began = tokio::time::Instant::now();
    busy(server.post("tools/list").await, "1");
    assert_eq!(began.elapsed().as_secs(), 20);
    let error = within(call).await.expect_err("it has no time");
    assert!(matches!(error, CallError::Exchange { source: ExchangeError::Refused { status: 503, .. }, .. }));
    // Without a word on when, it is not asked again; nor beyond the deadline of the call.
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.status(503, "");
    within(call).await.expect_err("it has no time");
    let call = client.call("tools/list", &()).with_total(Some(5 * SECOND)).start();
    busy(server.post("tools/list").await, "20");
    let error = within(call).await.expect_err("it is too late");
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(server.all_within(100 * SECOND).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_retry_after_is_not_waited_for() {
    for (longest, seconds, waits) in [(5, "5", true), (5, "6", false), (0, "0", false)] {
        let options = timeouts(|timeouts| timeouts.with_retry_after(longest * SECOND));
        let (client, mut server) = modern(options).await;
        let call = client.call("tools/list", &()).start();
        busy(server.post("tools/list").await, seconds);
        if waits {
            server.post("tools/list").await.result("{}");
        }
        assert_eq!(within(call).await.is_ok(), waits, "{longest} {seconds}");
    }
}

/// A provider of tokens that counts, and a callback that waits for the test.
fn guarded(told: &Arc<AtomicUsize>, go: &Arc<Notify>, good: bool) -> HttpOptions {
    let token = Arc::new(AtomicUsize::new(0));
    let (told, go, current) = (Arc::clone(told), Arc::clone(go), Arc::clone(&token));
    let mut fixed = HeaderMap::new();
    fixed.insert("cookie", HeaderValue::from_static("a=b"));
    options()
        .with_headers(fixed)
        .with_header_provider(move || {
            let token = current.load(Relaxed);
            async move {
                let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a value");
                HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
            }
        })
        .with_on_unauthorized(move |refused| {
            let (told, go, token) = (Arc::clone(&told), Arc::clone(&go), Arc::clone(&token));
            async move {
                assert_eq!(refused.challenge.expect("a challenge"), "Bearer scope=\"x\"");
                told.fetch_add(1, Relaxed);
                go.notified().await;
                token.fetch_add(1, Relaxed);
                good
            }
        })
}

fn unauthorized(asked: Asked, status: u16) {
    let head = Response::builder().status(status).header("www-authenticate", "Bearer scope=\"x\"");
    asked.answer(head.body(()).expect("a head"), None);
}

#[tokio::test(start_paused = true)]
async fn many_refusals_of_who_asks_are_told_once_and_each_is_sent_once_more() {
    let (told, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (client, mut server) = modern(guarded(&told, &go, true)).await;
    let calls: Vec<_> = (0..20).map(|_| client.call("tools/list", &()).start()).collect();
    let mut asked = Vec::new();
    for _ in 0..20 {
        let next = server.post("tools/list").await;
        assert_eq!(next.header("authorization"), Some("Bearer 0"));
        assert!(next.headers["authorization"].is_sensitive() && next.headers["cookie"].is_sensitive());
        asked.push(next);
    }
    let late = asked.split_off(10);
    for (n, asked) in asked.into_iter().enumerate() {
        unauthorized(asked, if n % 2 == 0 { 401 } else { 403 });
    }
    server.quiet().await;
    go.notify_one();
    for _ in 0..10 {
        let again = server.post("tools/list").await;
        assert_eq!(again.header("authorization"), Some("Bearer 1"));
        again.result("{}");
    }
    // What was refused with the old token is sent with the new one, without another word.
    late.into_iter().for_each(|asked| unauthorized(asked, 401));
    for _ in 0..10 {
        server.post("tools/list").await.result("{}");
    }
    for call in calls {
        within(call).await.expect("an answer");
    }
    assert_eq!(told.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_nobody_can_help_is_the_error_and_is_met_once_more_at_most() {
    for (good, posts) in [(false, 1), (true, 2)] {
        let (told, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (client, mut server) = modern(guarded(&told, &go, good)).await;
        let call = client.call("tools/list", &()).start();
        go.notify_one();
        for _ in 0..posts {
            unauthorized(server.post("tools/list").await, 401);
        }
        let error = within(call).await.expect_err("it is refused");
        let refused =
            matches!(&error, CallError::Exchange { source: ExchangeError::Refused { status: 401, .. }, .. });
        assert!(refused, "{error:?}");
        server.quiet().await;
    }
}

#[test]
fn secrets_are_not_in_what_options_show() {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static("secret"));
    let shown = format!("{:?}", options().with_headers(headers));
    assert!(shown.contains("x-api-key") && !shown.contains("secret"), "{shown}");
}

fn tool(name: &str, header: &str) -> Value {
    let properties = json!({"region": {"type": "string", "x-mcp-header": header}, "n": {"type": "integer"}});
    json!({"name": name, "inputSchema": {"type": "object", "properties": properties}})
}

/// Has the client read a page of tools.
async fn list(client: &towpath_client::Client, server: &mut Server, tools: &[Value], cursor: bool) -> Value {
    let params = if cursor { json!({"cursor": "c"}) } else { json!({}) };
    let call = client.call("tools/list", &params).start();
    server.post("tools/list").await.result(&json!({"tools": tools}).to_string());
    within(call).await.expect("an answer").deserialize().expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn arguments_are_mirrored_as_the_list_of_tools_asks_and_bad_tools_are_left_out() {
    let bad = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&bad);
    let options = options().with_on_bad_tool(move |name, why| {
        assert!(name == "bad" && why.to_string().contains("x-mcp-header"), "{name}: {why}");
        count.fetch_add(1, Relaxed);
    });
    let (client, mut server) = modern(options).await;
    let tools = [tool("good", "Region"), tool("bad", "not a token"), json!({"name": "plain"})];
    let listed = list(&client, &mut server, &tools, false).await;
    let names: Vec<_> =
        listed["tools"].as_array().expect("a list").iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["good", "plain"]);
    assert_eq!(bad.load(Relaxed), 1);
    for (name, expected) in [("good", Some("=?base64?w6k=?=")), ("plain", None)] {
        let call = client.call("tools/call", &json!({"name": name, "arguments": {"region": "é"}})).start();
        let asked = server.post("tools/call").await;
        assert_eq!(asked.header("mcp-param-region"), expected);
        asked.result("{}");
        within(call).await.expect("an answer");
    }
    // A later page adds to what is known, a new list takes its place.
    for (cursor, expected) in [(true, Some("eu")), (false, None)] {
        list(&client, &mut server, &[tool("other", "Region")], cursor).await;
        let call = client.call("tools/call", &json!({"name": "good", "arguments": {"region": "eu"}})).start();
        let asked = server.post("tools/call").await;
        assert_eq!(asked.header("mcp-param-region"), expected);
        asked.result("{}");
        within(call).await.expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tool_headers_lists_pass_as_they_are() {
    let (client, mut server) = modern(options().with_tool_headers(false)).await;
    let tools = [tool("good", "Region"), tool("bad", "not a token")];
    assert_eq!(list(&client, &mut server, &tools, false).await["tools"], json!(tools));
    let call = client.call("tools/call", &json!({"name": "good", "arguments": {"region": "eu"}})).start();
    let asked = server.post("tools/call").await;
    assert_eq!(asked.header("mcp-param-region"), None);
    asked.result("{}");
    within(call).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_max_tool_headers_are_remembered() {
    let (client, mut server) = modern(limits(|limits| limits.with_max_tool_headers(1))).await;
    list(&client, &mut server, &[tool("first", "Region"), tool("second", "Region")], false).await;
    for (name, expected) in [("first", Some("eu")), ("second", None)] {
        let call = client.call("tools/call", &json!({"name": name, "arguments": {"region": "eu"}})).start();
        let asked = server.post("tools/call").await;
        assert_eq!(asked.header("mcp-param-region"), expected, "{name}");
        asked.result("{}");
        within(call).await.expect("an answer");
    }
}

fn mismatch(asked: Asked) {
    let data = json!({"header": "Mcp-Param-Zone"});
    let error = json!({"code": -32020, "message": "Header mismatch", "data": data});
    let text = json!({"jsonrpc": "2.0", "id": asked.id(), "error": error}).to_string();
    asked.typed(400, "application/json", text);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_headers_that_are_out_of_date_is_made_once_more_with_new_ones() {
    let (client, mut server) = modern(options()).await;
    list(&client, &mut server, &[tool("t", "Region")], false).await;
    let call = client.call("tools/call", &json!({"name": "t", "arguments": {"region": "eu"}})).start();
    mismatch(server.post("tools/call").await);
    let refetched = server.post("tools/list").await;
    let meta = &refetched.json()["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    refetched.result(&json!({"tools": [tool("a", "A")], "nextCursor": "2"}).to_string());
    let refetched = server.post("tools/list").await;
    assert_eq!(refetched.json()["params"]["cursor"], "2");
    refetched.result(&json!({"tools": [tool("t", "Zone")]}).to_string());
    let again = server.post("tools/call").await;
    assert_eq!((again.header("mcp-param-zone"), again.header("mcp-param-region")), (Some("eu"), None));
    // Once, and no more.
    mismatch(again);
    let error = within(call).await.expect_err("it is refused again");
    assert!(matches!(&error, CallError::Answered { error, .. } if error.code == -32020), "{error:?}");
    // Nor when nothing has changed.
    let call = client.call("tools/call", &json!({"name": "t", "arguments": {"region": "eu"}})).start();
    mismatch(server.post("tools/call").await);
    server.post("tools/list").await.result(&json!({"tools": [tool("t", "Zone")]}).to_string());
    within(call).await.expect_err("it is refused");
    server.quiet().await;
}

async fn legacy_handshake(server: &mut Server) {
    server.post("initialize").await.initialized("2025-11-25");
    server.post("notifications/initialized").await.status(202, "");
    server.get().await.status(405, "");
}

const DISCOVERED: &str = r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#;

#[tokio::test(start_paused = true)]
async fn a_server_that_is_known_as_legacy_is_not_asked_again_until_it_is_no_more() {
    let cache = EraCache::default();
    let options = || options().with_era_cache(cache.clone());
    let endpoint: Uri = uri();
    let (client, mut server) = connecting(builder(), options());
    server.post("server/discover").await.status(404, "");
    legacy_handshake(&mut server).await;
    connected(client).await;
    assert_eq!(cache.era(&endpoint), Some(Era::Legacy));
    let (client, mut server) = connecting(builder(), options());
    legacy_handshake(&mut server).await;
    connected(client).await;
    // Another server is there now: of the modern era, then of the other one again.
    let (client, mut server) = connecting(builder(), options());
    let initialize = server.post("initialize").await;
    let error = json!({"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}});
    let text = json!({"jsonrpc": "2.0", "id": initialize.id(), "error": error}).to_string();
    initialize.typed(400, "application/json", text);
    server.post("server/discover").await.result(DISCOVERED);
    assert_eq!(connected(client).await.server().revision, Revision::V2026_07_28);
    assert_eq!(cache.era(&endpoint), Some(Era::Modern));
    let (client, mut server) = connecting(builder(), options());
    server.post("server/discover").await.status(400, "");
    server.post("server/discover").await.status(400, "");
    legacy_handshake(&mut server).await;
    connected(client).await;
    assert_eq!(cache.era(&endpoint), Some(Era::Legacy));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_no_longer_speaks_the_revision_is_forgotten() {
    let cache = EraCache::default();
    let (client, mut server) = modern(options().with_era_cache(cache.clone())).await;
    assert_eq!(cache.era(&uri()), Some(Era::Modern));
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let error = json!({"code": -32022, "message": "no", "data": {"supported": ["2025-11-25"]}});
    let text = json!({"jsonrpc": "2.0", "id": asked.id(), "error": error}).to_string();
    asked.typed(400, "application/json", text);
    within(call).await.expect_err("it is not spoken");
    assert_eq!(cache.era(&uri()), None);
}
