//! Servers that are silent, noisy or wrong: every call ends, and the lane goes on.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{request, response};
use http_support::{
    SECOND, builder, connecting, legacy, legacy_until_get, limits, modern, options, timeouts, uri,
};
use serde_json::{Value, json};
use towpath_client::{CallError, ConnectError, Phase, Preference};
use towpath_raw::{Chunks, Connect, ExchangeError};
use towpath_testkit::{within, within_for};

#[tokio::test]
async fn a_server_that_answers_nothing_cannot_stop_the_lane() {
    let few = || limits(|limits| limits.with_max_posts_in_flight(1));
    let (client, mut server) = modern(few()).await;
    // One is under way, one waits in the lane, and the others behind it.
    let calls: Vec<_> = (0..6).map(|_| client.call("tools/list", &()).start()).collect();
    let mut silent = server.post("tools/list").await;
    server.quiet().await;
    drop(calls);
    silent.abandoned().await;
    let call = client.call("tools/call", &json!({"name": "next"})).start();
    server.post("tools/call").await.result("{}");
    within(call).await.expect("an answer");
    // What a legacy server asks is answered, whatever waits.
    let (client, mut server) = legacy(few()).await;
    let calls: Vec<_> = (0..6).map(|_| client.call("tools/list", &()).start()).collect();
    let stream = server.post("tools/list").await.stream();
    stream.event(&json!({"jsonrpc": "2.0", "id": "s", "method": "ping"})).await;
    let answer = server.next().await;
    assert_eq!(answer.json(), json!({"jsonrpc": "2.0", "id": "s", "result": {}}));
    drop(calls);
}

/// A server whose streams always have more, and never say anything. Its other answers are there at once.
#[derive(Default)]
struct Noisy {
    chunks: Arc<AtomicUsize>,
}

enum Said {
    Noise(Arc<AtomicUsize>),
    Once(Option<Bytes>),
}

const NOISE: usize = 200_000;

impl Chunks for Said {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        Poll::Ready(Ok(match self {
            Said::Noise(chunks) if chunks.fetch_add(1, Relaxed) < NOISE => {
                Some(Bytes::from_static(b"id: 1\ndata:\n\n"))
            }
            Said::Noise(_) => None,
            Said::Once(whole) => whole.take(),
        }))
    }
}

impl Connect for Noisy {
    type Body = Said;

    async fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> Result<(response::Parts, Said), ExchangeError> {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let result = match asked["method"].as_str() {
            Some("server/discover") => json!({"supportedVersions": ["2026-07-28"]}),
            Some("initialize") => json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
            Some("noisy") => Value::Null,
            _ => json!({}),
        };
        let (kind, said) = if head.method == http::Method::GET || result.is_null() {
            ("text/event-stream", Said::Noise(Arc::clone(&self.chunks)))
        } else {
            let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string();
            ("application/json", Said::Once(Some(answer.into())))
        };
        let head = http::Response::builder().header("content-type", kind).body(()).expect("a head");
        Ok((head.into_parts().0, said))
    }
}

#[tokio::test]
async fn a_stream_that_always_has_something_and_says_nothing_keeps_no_other_from_its_turn() {
    // The stream of a request, and the standalone one.
    for preference in [Preference::ModernOnly, Preference::LegacyOnly] {
        let connect = Arc::new(Noisy::default());
        let client = builder().preference(preference).connect_http(Arc::clone(&connect), uri(), options());
        let client = within(client).await.expect("it connects");
        let noisy = client.call("noisy", &()).start();
        within(client.call("tools/list", &())).await.expect("an answer");
        let chunks = connect.chunks.load(Relaxed);
        assert!((1..NOISE).contains(&chunks), "{chunks}");
        drop(noisy);
    }
}

#[tokio::test]
async fn an_error_about_nothing_in_a_batch_is_no_answer_and_leaves_no_call_behind() {
    let (client, mut server) = legacy(options()).await;
    let batch = r#"[{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}]"#;
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.typed(200, "application/json", batch);
    let error = within(call).await.expect_err("it was not answered");
    let refused =
        matches!(&error, CallError::Exchange { source: ExchangeError::Refused { status: 200, .. }, .. });
    assert!(refused && error.phase() == Phase::Answered, "{error:?}");
    let call = client.call("tools/list", &()).start();
    server.post("tools/list").await.typed(200, "text/event-stream", format!("data: {batch}\n\n"));
    let error = within(call).await.expect_err("it was not answered");
    assert!(matches!(&error, CallError::Exchange { source: ExchangeError::Broken { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_in_an_event_that_is_passed_over_ends_its_call() {
    let (client, mut server) = modern(options()).await;
    let call = client.call("tools/list", &()).start();
    let asked = server.post("tools/list").await;
    let (id, stream) = (asked.id(), asked.stream());
    // What is no message cannot have been it, whatever is wrong with it.
    stream.raw(format!("event: {}\ndata: x\n\n", "e".repeat(2000))).await;
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": {}});
    stream.raw(format!("id: {}\ndata: {answer}\n\n", "i".repeat(2000))).await;
    let error = within(call).await.expect_err("it was passed over");
    let broken = matches!(&error, CallError::Exchange { source: ExchangeError::Broken { .. }, .. });
    assert!(broken && error.to_string().contains("`id` is longer than 1024 bytes"), "{error:?}");
    stream.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_standalone_stream_whose_head_does_not_come_is_asked_for_again_after_sse_idle() {
    let idle = timeouts(|timeouts| timeouts.with_sse_idle(Some(20 * SECOND)));
    let (_client, mut server) = legacy_until_get(builder(), idle).await;
    let began = tokio::time::Instant::now();
    let mut silent = server.get().await;
    silent.abandoned().await;
    assert_eq!(began.elapsed().as_secs(), 20);
    server.get().await.stream();
}

#[tokio::test]
async fn a_refusal_about_the_caller_says_nothing_about_the_era_even_in_json_rpc() {
    for status in [401, 403, 429, 503] {
        for preference in [Preference::Auto, Preference::LegacyOnly] {
            let (client, mut server) = connecting(builder().preference(preference), options());
            let asked = server.next().await;
            let error =
                json!({"jsonrpc": "2.0", "id": asked.id(), "error": {"code": -32000, "message": "not now"}});
            asked.typed(status, "application/json", error.to_string());
            let error = within(client).await.expect("no panic").expect_err("it is refused");
            let ConnectError::Exchange(ExchangeError::Refused { status: seen, body, .. }) = &error else {
                panic!("{status}: {error:?}");
            };
            assert!(*seen == status && body.contains("not now"), "{error}");
            server.quiet().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_transport_has_what_is_left_of_the_handshake_deadline_and_no_more() {
    let began = tokio::time::Instant::now();
    let (client, mut server) = connecting(builder(), options());
    server.post("server/discover").await.status(404, "");
    server.post("initialize").await.status(404, "");
    let stream = server.get().await.stream();
    tokio::time::advance(20 * SECOND).await;
    stream.raw("event: endpoint\ndata: /messages\n\n").await;
    let _unanswered = server.post("initialize").await;
    let error = within_for(60 * SECOND, client).await.expect("no panic").expect_err("it took too long");
    assert_eq!(began.elapsed().as_secs(), 30, "{error}");
    let ConnectError::Timeout { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.after, 30 * SECOND);
}

#[tokio::test]
async fn a_request_that_was_only_accepted_is_cancelled_by_a_post() {
    let (client, mut server) = legacy(options()).await;
    let call = client.call("tools/call", &json!({"name": "slow"})).start();
    let asked = server.post("tools/call").await;
    let id = asked.id();
    asked.status(202, "");
    server.quiet().await;
    drop(call);
    let cancelled = server.post("notifications/cancelled").await;
    assert_eq!(cancelled.json()["params"]["requestId"], id);
    cancelled.status(202, "");
    server.quiet().await;
}
