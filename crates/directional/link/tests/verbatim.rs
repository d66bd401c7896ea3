//! What a relay needs: requests that go out as they came, and answers that come back as they are.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{SECOND, bench, two_links};
use towpath_jsonrpc::{Deadlines, EnvelopeLimits, Kind, Member, Message, RawJson};
use towpath_link::{CallDress, CallError, CallOptions, LinkLimits, LinkTimeouts, ModernDress, Phase};
use towpath_mcp::{LogLevel, Revision};
use towpath_testkit::within;

fn verbatim() -> CallOptions {
    let mut options = CallOptions::default();
    options.verbatim = true;
    options
}

#[tokio::test]
async fn two_relayed_requests_may_use_one_progress_token() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let before = r#"{ "n":1e400,"name":"\u0061","_meta" : {"a":[],"progress\u0054oken" : "#;
    let after = r#" ,"z":9223372036854775808}, "end":null }"#;
    let mut calls = Vec::new();
    for token in [r#""same""#, r#""same""#, "7"] {
        let params = RawJson::parse(format!("{before}{token}{after}")).expect("JSON");
        // From the params alone, or from a message that was indexed before.
        let call = if token == "7" {
            let text =
                format!(r#"{{"params":{params},"id":"x","method":"tools/\u0063all","jsonrpc":"2.0"}}"#);
            let message = Message::parse(text.into(), &EnvelopeLimits::default()).expect("a request");
            bench.peer.forward(&message, CallOptions::default()).start()
        } else {
            bench.peer.call("tools/call", Some(params), verbatim()).start()
        };
        let id = call.id().expect("in flight");
        let asked = bench.far.hear_text().await;
        assert_eq!(
            asked,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{before}{id}{after}}}"#)
        );
        calls.push((id, call));
    }
    for (id, _) in calls.iter().rev() {
        bench
            .far
            .say(format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":1}}}}"#
            ))
            .await;
    }
    for (id, call) in &mut calls {
        let note = within(call.notification()).await.expect("progress");
        let params = note.params().expect("params");
        assert_eq!(params.as_str(), format!(r#"{{"progressToken":{id},"progress":1}}"#));
    }
    assert_eq!(bench.peer.stats().stray_notifications, 0);
}

#[tokio::test]
async fn nothing_is_added_to_a_relayed_request() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    bench.peer.set_dress(CallDress {
        modern: Some(ModernDress {
            revision: Revision::LATEST,
            capabilities: RawJson::empty_object(),
            client_info: RawJson::empty_object(),
        }),
    });
    let mut options = verbatim();
    options.progress = true;
    options.log_level = Some(LogLevel::Debug);
    options.deadlines = Some(Deadlines { idle: Some(SECOND), total: None });
    let params = [
        None,
        Some(r#"{}"#),
        Some(r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"progressToken":5}"#),
        Some(r#"{"arguments":{"_meta":{"progressToken":5}}}"#),
    ];
    for params in params {
        let json = params.map(|text| RawJson::parse(text).expect("JSON"));
        let call = bench.peer.call("any", json, options.clone()).start();
        let id = call.id().expect("in flight");
        let params = params.map(|text| format!(r#","params":{text}"#)).unwrap_or_default();
        let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"any"{params}}}"#);
        assert_eq!(bench.far.hear_text().await, expected);
        drop(call);
        bench.far.hear().await.expect("its cancellation");
    }
}

#[tokio::test]
async fn params_whose_token_is_there_twice_are_not_relayed() {
    let [(peer, ..), _other] = two_links(LinkLimits::default(), LinkTimeouts::default());
    let params = RawJson::parse(r#"{"_meta":{"progressToken":1,"progressToken":2}}"#).expect("JSON");
    let error = within(peer.call("echo", Some(params), verbatim())).await.expect_err("which one?");
    assert!(matches!(error, CallError::Unsendable { .. }), "{error}");
    assert_eq!(error.phase(), Phase::NotSent);
}

#[tokio::test]
async fn the_answer_can_be_had_as_the_message_that_came() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let mut call = bench.peer.call("any", None, CallOptions::default()).start();
    let id = bench.far.hear().await.expect("the request").id().cloned().expect("an id");
    {
        // A wait that is given up cancels nothing.
        let mut waits = std::pin::pin!(call.answer());
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
    }
    let text = format!(r#"{{"extra":1, "result":{{"_meta":{{"a":1e400}}}} ,"id":{id},"jsonrpc":"2.0"}}"#);
    bench.far.say(text.clone()).await;
    let answer = within(call.answer()).await.expect("an answer");
    assert_eq!((answer.kind(), answer.bytes().as_ref()), (Kind::Result, text.as_bytes()));
    assert_eq!(bench.peer.calls_in_flight(), 0);
}

#[tokio::test]
async fn an_error_is_passed_on_byte_for_byte() {
    let mut bench = bench(LinkLimits::default(), LinkTimeouts::default());
    let error = r#"{ "message":"no \u0041","extra":1e400,"code" : -32042,"data":{"b":1,"b":2} }"#;
    bench.far.request(1, "relay").await;
    let asked = bench.far.hear().await.expect("what it asks");
    let id = asked.id().expect("an id");
    assert_eq!((asked.method(), asked.raw(Member::Params)), ("relay", Some(&b"{}"[..])));
    bench.far.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)).await;
    assert_eq!(bench.far.hear_text().await, format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#));
}
