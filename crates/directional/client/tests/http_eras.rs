//! Which era a server over HTTP speaks, found out by asking it.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use http_support::{SECOND, Server, builder, connected, connecting, options};
use serde_json::json;
use towpath_client::{ConnectError, Preference, Revision};
use towpath_raw::ExchangeError;
use towpath_testkit::within;

/// The legacy handshake, up to the standalone stream.
async fn handshake(server: &mut Server, revision: &str) {
    let initialize = server.post("initialize").await;
    assert_eq!(initialize.json()["params"]["protocolVersion"], "2025-11-25");
    initialize.initialized(revision);
    server.post("notifications/initialized").await.status(202, "");
    server.get().await.status(405, "");
}

#[tokio::test]
async fn a_modern_server_is_spoken_to_as_one() {
    // Longer than what is shown of a refusal.
    let long = "x".repeat(2000);
    let unsupported = format!(
        r#""error":{{"code":-32022,"message":"{long}","data":{{"supported":["2026-07-28"],"requested":"x"}}}}"#
    );
    let discovered = r#""result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#;
    let answers = [(200, discovered), (400, &*unsupported)];
    for with_id in [true, false] {
        for (status, answer) in answers.iter().filter(|(status, _)| with_id || *status == 400) {
            let (client, mut server) = connecting(builder(), options());
            let discover = server.post("server/discover").await;
            assert_eq!(discover.header("mcp-protocol-version"), Some("2026-07-28"));
            assert_eq!(discover.header("mcp-method"), Some("server/discover"));
            let id = if with_id { format!(r#""id":{},"#, discover.id()) } else { String::new() };
            discover.typed(*status, "application/json", format!(r#"{{"jsonrpc":"2.0",{id}{answer}}}"#));
            let client = connected(client).await;
            assert_eq!(client.server().revision, Revision::V2026_07_28);
            server.quiet().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_what_it_does_not_know_is_a_legacy_one() {
    let no_session = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#;
    let unknown = r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"no such method"},"id":ID}"#;
    for (status, body) in [
        (400, no_session),
        (400, ""),
        (404, "Cannot POST /mcp"),
        (404, unknown),
        (405, ""),
        (422, "<html>"),
        (200, unknown),
        (200, r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#),
        (202, ""),
    ] {
        let (client, mut server) = connecting(builder(), options());
        let discover = server.post("server/discover").await;
        let body = body.replace("ID", &discover.id().to_string());
        discover.typed(status, if body.starts_with('{') { "application/json" } else { "text/html" }, body);
        handshake(&mut server, "2025-06-18").await;
        let client = connected(client).await;
        assert_eq!(client.server().revision, Revision::V2025_06_18, "{status}");
        let call = client.call("tools/list", &()).start();
        let asked = server.post("tools/list").await;
        assert_eq!(asked.header("mcp-protocol-version"), Some("2025-06-18"));
        asked.result("{}");
        within(call).await.expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_to_the_question_is_asked_no_more() {
    let (client, mut server) = connecting(builder(), options());
    let mut discover = server.post("server/discover").await;
    let initialize = server.post("initialize").await;
    // The unanswered question is not left open.
    discover.abandoned().await;
    initialize.initialized("2025-11-25");
    server.post("notifications/initialized").await.status(202, "");
    connected(client).await;
}

#[tokio::test]
async fn a_refusal_that_is_about_something_else_is_the_error() {
    for status in [401_u16, 403, 429, 500, 502, 503] {
        for preference in [Preference::Auto, Preference::LegacyOnly] {
            let (client, mut server) = connecting(builder().preference(preference), options());
            let head =
                http::Response::builder().status(status).header("retry-after", "9").body(()).expect("a head");
            let asked = server.next().await;
            asked.answer(head, Some(bytes::Bytes::from_static(b"{\"error\":\"invalid_token\"}")));
            let error = within(client).await.expect("no panic").expect_err("it is refused");
            let ConnectError::Exchange(ExchangeError::Refused { status: seen, body, retry_after, .. }) =
                &error
            else {
                panic!("{error:?}");
            };
            assert_eq!(
                (*seen, &**body, *retry_after),
                (status, r#"{"error":"invalid_token"}"#, Some(9 * SECOND))
            );
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert!(server.all_within(SECOND / 100).await.is_empty());
        }
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once() {
    for preference in [Preference::Auto, Preference::LegacyOnly] {
        let (client, server) = connecting(builder().preference(preference), options());
        drop(server);
        let error = within(client).await.expect("no panic").expect_err("nobody is there");
        assert!(matches!(error, ConnectError::Exchange(ExchangeError::NotConnected { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_of_the_first_revision_is_spoken_to_over_its_own_transport() {
    for status in [400, 404, 405] {
        let (client, mut server) = connecting(builder(), options());
        server.post("server/discover").await.status(status, "Cannot POST /mcp");
        server.post("initialize").await.status(status, "Cannot POST /mcp");
        let stream = server.get().await.stream();
        stream.raw("event: endpoint\ndata: /messages?s=1\n\n").await;
        let initialize = server.post("initialize").await;
        assert_eq!(initialize.uri, "http://server.example/messages?s=1");
        let id = initialize.id();
        initialize.status(202, "");
        let result = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "old", "version": "1"}});
        stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
        server.post("notifications/initialized").await.status(202, "");
        let client = connected(client).await;
        assert_eq!(client.server().revision, Revision::V2024_11_05);
        let call = client.call("tools/list", &()).start();
        let asked = server.post("tools/list").await;
        let id = asked.id();
        asked.status(202, "");
        stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": {}})).await;
        within(call).await.expect("an answer");
        within(client.close()).await;
        stream.closed().await;
    }
}

#[tokio::test]
async fn an_address_where_nothing_is_found_is_told_as_what_it_said_first() {
    let (client, mut server) = connecting(builder(), options());
    server.post("server/discover").await.status(404, "no such page");
    server.post("initialize").await.status(404, "no such page");
    server.get().await.status(404, "no such stream");
    let error = within(client).await.expect("no panic").expect_err("nothing is there");
    let ConnectError::Exchange(ExchangeError::Refused { status: 404, body, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(&**body, "no such page");
}

#[tokio::test]
async fn a_server_that_refuses_initialize_in_json_rpc_is_not_an_older_one() {
    let (client, mut server) = connecting(builder().preference(Preference::LegacyOnly), options());
    let initialize = server.post("initialize").await;
    let id = initialize.id();
    let text = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "not you"}});
    initialize.typed(400, "application/json", text.to_string());
    let error = within(client).await.expect("no panic").expect_err("it is refused");
    assert!(
        matches!(error, ConnectError::Handshake { .. }) && error.to_string().contains("not you"),
        "{error:?}"
    );
    assert!(server.all_within(SECOND / 100).await.is_empty());
}
