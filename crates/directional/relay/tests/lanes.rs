//! What passes between two lanes.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{bench, notification, progress, raw, request, result};
use towpath_jsonrpc::Member;
use towpath_relay::RelayOptions;

/// Everything that a program which decodes and encodes would change.
const AWKWARD: &str = r#"{"n":9223372036854775808,"z":-0,"f":1e400,"d":0.10000000000000000000000001, "e":"\u0041\/\ud800", "k":1,"k":2,"nested":{"_meta":{"progressToken":7}},"x":null}"#;

#[tokio::test]
async fn values_pass_as_the_bytes_that_came_in_both_ways() {
    let mut bench = bench(RelayOptions::default());
    let params = format!(r#"{{"name":"\u0065cho","arguments":{AWKWARD},"unknown":[1,{{}}]}}"#);
    for id in ["9223372036854775808", r#""\u0031""#, "-0", r#""""#] {
        bench.client.say(request(id, "tools/call", &params)).await;
        let (ours, method, passed) = bench.server.hear_request().await;
        assert_eq!((method.as_str(), passed.as_str()), ("tools/call", params.as_str()));
        assert_ne!(ours, id, "the relay uses its own ids");
        bench.server.say(result(&ours, AWKWARD)).await;
        assert_eq!(bench.client.hear_text().await, result(id, AWKWARD));
    }
    // What the server asks, and what it is answered.
    bench.server.say(request("9223372036854775808", "sampling/createMessage", &params)).await;
    let (ours, _, passed) = bench.client.hear_request().await;
    assert_eq!(passed, params);
    bench.client.say(result(&ours, AWKWARD)).await;
    assert_eq!(bench.server.hear_text().await, result("9223372036854775808", AWKWARD));
    // What is said without being asked.
    bench.server.say(notification("notifications/message", AWKWARD)).await;
    assert_eq!(bench.client.hear_text().await, notification("notifications/message", AWKWARD));
    bench.client.say(notification("notifications/roots/list_changed", AWKWARD)).await;
    assert_eq!(bench.server.hear_text().await, notification("notifications/roots/list_changed", AWKWARD));
}

#[tokio::test]
async fn an_error_passes_byte_for_byte() {
    let mut bench = bench(RelayOptions::default());
    let error = r#"{ "message":"no \u0041", "x":1, "code":-32000, "data":{"N":1E400,"N":-0}}"#;
    bench.client.say(request("\"a\"", "tools/call", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say(format!(r#"{{"jsonrpc":"2.0","id":{ours},"error":{error}}}"#)).await;
    assert_eq!(bench.client.hear_text().await, format!(r#"{{"jsonrpc":"2.0","id":"a","error":{error}}}"#));
}

#[tokio::test]
async fn requests_without_params_and_with_a_list_of_them_pass() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
    assert_eq!(bench.server.hear_text().await, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    bench.client.say(request("6", "subtract", "[42,23]")).await;
    assert_eq!(bench.server.hear_text().await, request("2", "subtract", "[42,23]"));
    bench.server.say(result("1", "{}")).await;
    assert_eq!(bench.client.hear_text().await, result("5", "{}"));
    bench.server.say(result("2", "19")).await;
    assert_eq!(bench.client.hear_text().await, result("6", "19"));
}

#[tokio::test]
async fn a_handshake_passes_in_its_order_though_it_comes_at_once() {
    let mut bench = bench(RelayOptions::default());
    let initialize =
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    bench
        .client
        .say_all([
            request("1", "initialize", initialize),
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
            request("2", "tools/list", "{}"),
        ])
        .await;
    let (first, method, params) = bench.server.hear_request().await;
    assert_eq!((method.as_str(), params.as_str()), ("initialize", initialize));
    assert_eq!(bench.server.hear().await.method(), "notifications/initialized");
    let (second, method, _) = bench.server.hear_request().await;
    assert_eq!(method, "tools/list");
    bench.server.say_all([result(&first, r#"{"protocolVersion":"x"}"#), result(&second, "{}")]).await;
    assert_eq!(bench.client.hear_text().await, result("1", r#"{"protocolVersion":"x"}"#));
    assert_eq!(bench.client.hear_text().await, result("2", "{}"));
}

#[tokio::test]
async fn requests_with_one_id_and_one_token_get_each_its_own_progress_and_answer() {
    let mut bench = bench(RelayOptions::default());
    let params = |n: usize| format!(r#"{{"n":{n},"_meta":{{"progressToken":"t"}}}}"#);
    const REQUESTS: usize = 40;
    // One lane has one client, whose ids differ; its tokens need not.
    bench.client.say_all((0..REQUESTS).map(|n| request(&n.to_string(), "tools/call", &params(n)))).await;
    let mut ours = Vec::new();
    for n in 0..REQUESTS {
        let (id, _, passed) = bench.server.hear_request().await;
        assert_eq!(passed, format!(r#"{{"n":{n},"_meta":{{"progressToken":{id}}}}}"#));
        ours.push(id);
    }
    // Answered backwards, each after its progress.
    for n in (0..REQUESTS).rev() {
        bench.server.say(progress(&ours[n], n as u32)).await;
        bench.server.say(result(&ours[n], &format!(r#"{{"n":{n}}}"#))).await;
        assert_eq!(bench.client.hear_text().await, progress(r#""t""#, n as u32));
        assert_eq!(bench.client.hear_text().await, result(&n.to_string(), &format!(r#"{{"n":{n}}}"#)));
    }
}

#[tokio::test]
async fn nothing_is_said_about_a_request_after_its_answer() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say(request("1", "tools/call", r#"{"_meta":{"progressToken":"t"}}"#)).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say_all([progress(&ours, 1), result(&ours, "{}"), progress(&ours, 2)]).await;
    assert_eq!(bench.client.hear_text().await, progress(r#""t""#, 1));
    assert_eq!(bench.client.hear_text().await, result("1", "{}"));
    bench.client.say(request("2", "ping", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say(result(&ours, "{}")).await;
    assert_eq!(bench.client.hear_text().await, result("2", "{}"));
}

#[tokio::test]
async fn a_request_that_asked_for_no_progress_is_told_of_none() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say(request("1", "tools/call", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say_all([progress(&ours, 1), result(&ours, "{}")]).await;
    assert_eq!(bench.client.hear_text().await, result("1", "{}"));
}

#[tokio::test]
async fn progress_of_a_servers_request_comes_under_the_servers_token() {
    let mut bench = bench(RelayOptions::default());
    let params = r#"{"_meta":{"progressToken":"mine"},"prompt":"?"}"#;
    bench.server.say(request("77", "elicitation/create", params)).await;
    let (ours, _, passed) = bench.client.hear_request().await;
    assert_eq!(passed, format!(r#"{{"_meta":{{"progressToken":{ours}}},"prompt":"?"}}"#));
    bench.client.say(progress(&ours, 1)).await;
    assert_eq!(bench.server.hear_text().await, progress(r#""mine""#, 1));
    bench.client.say(result(&ours, r#"{"action":"accept"}"#)).await;
    assert_eq!(bench.server.hear_text().await, result("77", r#"{"action":"accept"}"#));
}

#[tokio::test]
async fn a_cancellation_passes_with_our_id_and_its_reason() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say_all([request("10", "wait", "{}"), request("11", "other", "{}")]).await;
    let (first, ..) = bench.server.hear_request().await;
    let (second, ..) = bench.server.hear_request().await;
    let cancelled = |id: &str| {
        notification("notifications/cancelled", &format!(r#"{{"requestId":{id},"reason":"no \"more\""}}"#))
    };
    bench.client.say(cancelled("10")).await;
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", first.clone()));
    assert!(told.params().expect("params").as_str().contains(r#""reason":"no \"more\"""#), "{told:?}");
    // What comes late is for nobody; the sibling lives on.
    bench.server.say_all([result(&first, "1"), result(&second, "2")]).await;
    assert_eq!(bench.client.hear_text().await, result("11", "2"));
    // And the other way round.
    bench.server.say(request("5", "sampling/createMessage", "{}")).await;
    let (ours, ..) = bench.client.hear_request().await;
    bench.server.say(cancelled("5")).await;
    let told = bench.client.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
}

#[tokio::test]
async fn initialize_is_never_cancelled() {
    let mut bench = bench(RelayOptions::default());
    bench.client.say(request("1", "initialize", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.client.say(notification("notifications/cancelled", r#"{"requestId":1}"#)).await;
    bench.client.say(notification("notifications/after", "{}")).await;
    assert_eq!(bench.server.hear().await.method(), "notifications/after", "the cancellation was passed on");
    bench.server.say(result(&ours, "{}")).await;
    assert_eq!(bench.client.hear_text().await, result("1", "{}"));
}

#[tokio::test]
async fn a_batch_passes_once_its_revision_is_agreed_on() {
    let mut bench = bench(RelayOptions::default());
    let batch = format!("[{},{}]", request("2", "a", "{}"), request("3", "b", "{}"));
    bench.client.say(batch.clone()).await;
    assert!(bench.client.hear_text().await.contains("-32600"), "no revision is agreed on yet");
    bench.client.say(request("1", "initialize", "{}")).await;
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say(result(&ours, r#"{"protocolVersion":"2025-03-26"}"#)).await;
    bench.client.hear().await;
    bench.client.say(batch).await;
    for answer in ["\"first\"", "\"second\""] {
        let (ours, ..) = bench.server.hear_request().await;
        bench.server.say(result(&ours, answer)).await;
    }
    let answered =
        towpath_testkit::within(towpath_raw::FrameSourceExt::receive(&mut bench.client.source)).await;
    let towpath_raw::Inbound::Frame(answered) = answered.expect("the lane works") else { panic!("the end") };
    assert_eq!(answered, format!("[{},{}]", result("2", "\"first\""), result("3", "\"second\"")));
}
