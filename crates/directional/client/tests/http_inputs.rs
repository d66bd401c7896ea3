//! A modern server that wants input before it answers: the client's handler gives it, in a request of its own.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use http_support::{Asked, Server, builder, connected, connecting, limits, options};
use serde_json::{Value, json};
use towpath_client::{Client, ClientHandler, Context, HttpOptions, Preference};
use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_testkit::within;

/// Answers what it is asked with what it was asked; declines roots.
struct Mirrors;

impl ClientHandler for Mirrors {
    async fn request(&self, request: Message, _: Context) -> Result<RawJson, ErrorObject> {
        if request.method() == "roots/list" {
            return Err(ErrorObject::new(-32601, "none of yours"));
        }
        let asked = json!({"method": request.method(), "n": request.params().map(|params| params.as_str().to_owned())});
        RawJson::serialize(&asked).map_err(|_| ErrorObject::new(-32603, "no JSON"))
    }
}

async fn modern(options: HttpOptions) -> (Client, Server) {
    let builder = builder().handler(Mirrors).preference(Preference::ModernOnly);
    let (client, mut server) = connecting(builder, options);
    server.post("server/discover").await.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#);
    (connected(client).await, server)
}

/// Not what a careful writer would write: it has to come back as it is.
const STATE: &str = r#""\u0041\/ é""#;

fn wants(asked: Asked, requests: &Value, state: Option<&str>) {
    let state = state.map(|state| format!(r#","requestState":{state}"#)).unwrap_or_default();
    asked.result(&format!(r#"{{"resultType":"input_required","inputRequests":{requests}{state}}}"#));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_wants_is_asked_of_the_handler_and_sent_with_its_state_under_a_new_id() {
    let (client, mut server) = modern(options()).await;
    for (method, params) in [
        ("tools/call", json!({"name": "t", "arguments": {"a": 1}})),
        ("prompts/get", json!({"name": "p"})),
        ("resources/read", json!({"uri": "test://r"})),
    ] {
        let call = client.call(method, &params).start();
        let first = server.post(method).await;
        let (first_id, first_params) = (first.id(), first.json()["params"].clone());
        let requests = json!({
            "a \"b\"": {"method": "elicitation/create", "params": {"n": 1}},
            "c": {"method": "sampling/createMessage", "params": {"n": 2}},
        });
        wants(first, &requests, Some(STATE));
        let second = server.post(method).await;
        assert!(second.text.contains(&format!(r#""requestState":{STATE}"#)), "{}", second.text);
        let said = second.json();
        let responses = json!({
            "a \"b\"": {"method": "elicitation/create", "n": "{\"n\":1}"},
            "c": {"method": "sampling/createMessage", "n": "{\"n\":2}"},
        });
        assert_eq!(said["params"]["inputResponses"], responses);
        assert_eq!(said["params"]["_meta"], first_params["_meta"]);
        assert_eq!(said["params"]["name"], first_params["name"]);
        assert_eq!(second.header("mcp-method"), Some(method));
        let second_id = second.id();
        // Nothing of the round before is in the next one, but for the state that the server sends then.
        second.result(r#"{"resultType":"input_required","requestState":"two"}"#);
        let third = server.post(method).await;
        assert_eq!(third.json()["params"].get("inputResponses"), None);
        assert_eq!(third.json()["params"]["requestState"], "two");
        let ids = [first_id, second_id, third.id()];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
        wants(third, &json!({"d": {"method": "elicitation/create"}}), None);
        let fourth = server.post(method).await;
        assert_eq!(fourth.json()["params"].get("requestState"), None);
        fourth.result(r#"{"resultType":"complete","done":true}"#);
        let answer = within(call).await.expect("an answer");
        assert_eq!(answer.as_str(), r#"{"resultType":"complete","done":true}"#);
    }
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn after_max_input_rounds_the_caller_is_told_what_the_server_wants() {
    for rounds in [0, 2] {
        let (client, mut server) = modern(limits(|limits| limits.with_max_input_rounds(rounds))).await;
        let call = client.call("tools/call", &json!({"name": "t"})).start();
        for _ in 0..=rounds {
            let asked = server.post("tools/call").await;
            wants(asked, &json!({"a": {"method": "elicitation/create"}}), None);
        }
        let answer = within(call).await.expect("an answer");
        assert!(answer.as_str().contains("input_required"), "{}", answer.as_str());
        server.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_handler_does_not_answer_is_for_the_caller() {
    let (client, mut server) = modern(options()).await;
    let many: serde_json::Map<_, _> =
        (0..65).map(|n| (n.to_string(), json!({"method": "elicitation/create"}))).collect();
    for requests in [
        json!({"a": {"method": "elicitation/create"}, "b": {"method": "roots/list"}}),
        json!({"a": {"method": "tools/call"}}),
        Value::Object(many),
    ] {
        let call = client.call("tools/call", &json!({"name": "t"})).start();
        wants(server.post("tools/call").await, &requests, Some(STATE));
        let answer = within(call).await.expect("an answer");
        assert!(answer.as_str().contains("input_required"), "{}", answer.as_str());
    }
    // Of no other request, and not of one with which the caller answers by itself.
    for (method, params) in
        [("tools/list", json!({})), ("tools/call", json!({"name": "t", "requestState": "x"}))]
    {
        let call = client.call(method, &params).start();
        wants(server.post(method).await, &json!({"a": {"method": "elicitation/create"}}), None);
        within(call).await.expect("an answer");
    }
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_modern_server_that_asks_on_a_stream_is_not_answered() {
    let (client, mut server) = modern(options()).await;
    let call = client.call("tools/call", &json!({"name": "t"})).start();
    let asked = server.post("tools/call").await;
    let (id, stream) = (asked.id(), asked.stream());
    for method in ["elicitation/create", "ping"] {
        stream.event(&json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": {}})).await;
    }
    stream.event(&json!([{"jsonrpc": "2.0", "id": "x", "method": "ping"}])).await;
    stream.event(&json!({"jsonrpc": "2.0", "id": "x", "method": 7})).await;
    server.quiet().await;
    stream.event(&json!({"jsonrpc": "2.0", "id": id, "result": {}})).await;
    within(call).await.expect("an answer");
    server.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_while_its_handler_is_asked_sends_nothing_more() {
    let (client, mut server) = modern(options()).await;
    let call = client.call("tools/call", &json!({"name": "t"})).start();
    let asked = server.post("tools/call").await;
    drop(call);
    wants(asked, &json!({"a": {"method": "elicitation/create"}}), None);
    server.quiet().await;
}
