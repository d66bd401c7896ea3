//! Modern requests: their metadata, their results, and what is gone (2026-07-28, basic/index and basic/versioning).

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use serde_json::{Value, json};
use support::{META, bench, bench_with, builder};
use towpath_server::Revision;

fn error_of(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (error["code"].as_i64().expect("an error"), error["data"]["reason"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_result_says_that_it_is_complete_and_who_gives_it() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"x""#).await;
    let answer = bench.far.hear().await;
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(
        answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"],
        json!({"name": "server under test", "version": "1.0.0"})
    );
    assert_eq!(answer["result"]["era"], "Modern");
    // A list may be cached, by default not at all.
    bench.far.modern(2, "tools/list", "").await;
    let list = bench.far.hear().await;
    assert_eq!((&list["result"]["ttlMs"], &list["result"]["cacheScope"]), (&json!(0), &json!("private")));
}

#[tokio::test]
async fn a_request_without_its_metadata_is_refused_by_name_of_what_is_missing() {
    for revisions in [vec![Revision::V2026_07_28], Revision::ALL.to_vec()] {
        let mut bench = bench_with(builder().revisions(revisions));
        for (params, missing) in [
            ("", "_meta"),
            (r#""_meta":{}"#, "io.modelcontextprotocol/protocolVersion"),
            (
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
                "io.modelcontextprotocol/clientCapabilities",
            ),
        ] {
            let answer = bench.far.ask(1, "tools/list", params).await;
            assert_eq!(error_of(&answer), (-32602, "missing_meta"), "{answer}");
            assert!(answer["error"]["message"].as_str().expect("text").contains(missing), "{answer}");
        }
    }
}

#[tokio::test]
async fn an_unsupported_version_is_answered_with_the_supported_ones() {
    let mut bench = bench();
    let params = META.replace("2026-07-28", "1900-01-01");
    let answer = bench.far.ask(7, "tools/list", &params).await;
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"]["requested"], "1900-01-01");
    let supported = answer["error"]["data"]["supported"].as_array().expect("a list");
    assert!(supported.contains(&json!("2026-07-28")), "{answer}");
    assert_eq!(answer["id"], 7);
}

#[tokio::test]
async fn methods_that_the_revision_has_removed_are_not_found() {
    let mut bench = bench();
    for method in
        ["ping", "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "no/such"]
    {
        bench.far.modern(1, method, r#""uri":"a:","level":"error""#).await;
        assert_eq!(bench.far.hear().await["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn discover_names_what_the_server_speaks_and_can_do() {
    let mut bench = bench_with(builder().instructions("ask nicely"));
    bench.far.modern(1, "server/discover", "").await;
    let answer = bench.far.hear().await;
    let result = &answer["result"];
    assert_eq!(result["resultType"], "complete");
    assert!(
        result["supportedVersions"].as_array().expect("a list").contains(&json!("2026-07-28")),
        "{result}"
    );
    assert_eq!(result["capabilities"]["tools"]["listChanged"], true);
    assert_eq!(result["instructions"], "ask nicely");
}

#[tokio::test]
async fn a_modern_only_server_refuses_initialize_by_name_of_what_it_speaks() {
    let mut bench = bench_with(builder().revisions([Revision::V2026_07_28]));
    let answer = bench.far.ask(1, "initialize", &support::initialize("2025-11-25")).await;
    assert!(answer["error"]["message"].as_str().expect("text").contains("2026-07-28"), "{answer}");
    assert_eq!(answer["error"]["data"]["supported"], json!(["2026-07-28"]));
}

#[tokio::test]
async fn a_handler_logs_only_where_the_request_asks_for_it_and_from_its_level_on() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"log""#).await;
    assert_eq!(bench.far.hear().await["id"], 1, "a log message that nobody asked for");
    let meta = META.replace(r#""_meta":{"#, r#""_meta":{"io.modelcontextprotocol/logLevel":"warning","#);
    bench.far.request(2, "tools/call", &format!(r#"{meta},"name":"log""#)).await;
    for level in ["warning", "error"] {
        let note = bench.far.hear().await;
        assert_eq!(
            (&note["method"], &note["params"]["level"]),
            (&json!("notifications/message"), &json!(level))
        );
    }
    assert_eq!(bench.far.hear().await["id"], 2);
}

#[tokio::test]
async fn a_handler_cannot_ask_a_modern_client_and_is_told_what_to_do_instead() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"ask""#).await;
    let answer = bench.far.hear().await;
    assert!(answer["error"]["message"].as_str().expect("text").contains("input_required"), "{answer}");
}

#[tokio::test]
async fn both_eras_are_served_on_one_lane() {
    let mut bench = bench();
    bench.far.initialize("2025-11-25").await;
    bench.far.modern(1, "tools/call", r#""name":"x""#).await;
    assert_eq!(bench.far.hear().await["result"]["era"], "Modern");
    let legacy = bench.far.ask(2, "tools/call", r#""name":"x""#).await;
    assert_eq!(legacy["result"], json!({"era": "Legacy"}), "nothing is added for a legacy client");
}
