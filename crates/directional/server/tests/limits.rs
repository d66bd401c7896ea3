//! Every limit of a server does what its documentation says.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use serde_json::Value;
use support::{bench_with, builder, initialize};
use towpath_server::{SessionLimits, SubscriptionLimits};

/// Reason and setting of a refusal.
fn refused(answer: &Value) -> (i64, &str, &str) {
    let error = &answer["error"];
    (
        error["code"].as_i64().expect("an error"),
        error["data"]["reason"].as_str().expect("a reason"),
        error["data"]["setting"].as_str().expect("a setting"),
    )
}

#[tokio::test]
async fn a_session_subscribes_to_so_many_resources() {
    let limits = SessionLimits { max_subscribed_uris: 2, ..SessionLimits::default() };
    let mut bench = bench_with(builder().session_limits(limits));
    bench.far.initialize("2025-11-25").await;
    for uri in ["a:", "b:", "a:"] {
        let taken = bench.far.ask(1, "resources/subscribe", &format!(r#""uri":"{uri}""#)).await;
        assert!(taken["result"].is_object(), "{taken}");
    }
    let full = bench.far.ask(2, "resources/subscribe", r#""uri":"c:""#).await;
    assert_eq!(refused(&full), (-32600, "limit_reached", "SessionLimits::max_subscribed_uris"));
    bench.far.ask(3, "resources/unsubscribe", r#""uri":"a:""#).await;
    assert!(bench.far.ask(4, "resources/subscribe", r#""uri":"c:""#).await["result"].is_object());
}

#[tokio::test]
async fn a_session_takes_uris_of_so_many_bytes() {
    let limits = SessionLimits { max_uri_bytes: 4, ..SessionLimits::default() };
    let mut bench = bench_with(builder().session_limits(limits));
    bench.far.initialize("2025-11-25").await;
    assert!(bench.far.ask(1, "resources/subscribe", r#""uri":"ab:c""#).await["result"].is_object());
    let long = bench.far.ask(2, "resources/subscribe", r#""uri":"ab:cd""#).await;
    assert_eq!(refused(&long), (-32600, "too_large", "SessionLimits::max_uri_bytes"));
}

#[tokio::test]
async fn a_client_says_so_many_bytes_about_itself() {
    let size = r#"{}{"name":"far","version":"1"}"#.len();
    for (limit, fits) in [(size, true), (size - 1, false)] {
        let limits = SessionLimits { max_client_bytes: limit, ..SessionLimits::default() };
        let mut bench = bench_with(builder().session_limits(limits));
        let answer = bench.far.ask(1, "initialize", &initialize("2025-11-25")).await;
        if fits {
            assert!(answer["result"].is_object(), "{answer}");
        } else {
            assert_eq!(refused(&answer), (-32600, "too_large", "SessionLimits::max_client_bytes"));
        }
    }
}

#[tokio::test]
async fn a_subscription_names_so_many_uris_of_so_many_bytes() {
    let limits = SubscriptionLimits { max_uris: 2, max_uri_bytes: 4 };
    let mut bench = bench_with(builder().subscription_limits(limits));
    let listen = |uris: &str| format!(r#""notifications":{{"resourceSubscriptions":{uris}}}"#);
    bench.far.modern(1, "subscriptions/listen", &listen(r#"["a:","bc:d","a:"]"#)).await;
    assert_eq!(bench.far.hear().await["method"], "notifications/subscriptions/acknowledged");
    for (uris, reason) in [(r#"["a:","b:","c:"]"#, "limit_reached"), (r#"["bc:de"]"#, "too_large")] {
        bench.far.modern(2, "subscriptions/listen", &listen(uris)).await;
        let answer = bench.far.hear().await;
        let (code, why, setting) = refused(&answer);
        assert_eq!((code, why), (-32600, reason), "{answer}");
        let expected = if reason == "too_large" { "max_uri_bytes" } else { "max_uris" };
        assert!(setting.ends_with(expected), "{setting}");
    }
    assert_eq!(bench.server.publisher().listeners(), 1, "a refused one listens to nothing");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_the_answers_to_its_batches_is_not_read_for_ever() {
    const MANY: usize = 5_000;
    let mut limits = towpath_server::LinkLimits::default();
    limits.max_unread_refusals = 100;
    limits.max_unread_answers = 10;
    let (script, seen) = support::script();
    let lane = towpath_raw::LaneLimits::default().with_write_queue_frames(1);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for element in ["7", ping] {
        let server = builder().limits(limits.clone()).build(support::Script { seen: script.seen.clone() });
        let mut bench = support::bench_of(server, seen.clone(), lane.clone());
        bench.far.initialize("2025-03-26").await;
        let batch = format!("[{}]", vec![element; 50].join(","));
        let support::Far { source: _unread, mut sink } = bench.far;
        let mut sent = 0;
        while sent < MANY {
            let frame = towpath_raw::Frame::from(bytes::Bytes::from(batch.clone()));
            if towpath_testkit::within_for(
                100 * support::SECOND,
                towpath_raw::FrameSinkExt::send(&mut sink, frame),
            )
            .await
            .is_err()
            {
                break;
            }
            sent += 1;
        }
        assert!(sent < MANY / 10, "{sent} batches of {element} were read");
        let end = towpath_testkit::within(bench.serving).await.expect("no panic");
        assert!(end.to_string().contains("write_stall"), "{end}");
    }
}

#[tokio::test]
async fn resources_that_are_not_subscribed_any_more_are_neither_kept_nor_told() {
    let mut limits = towpath_server::LinkLimits::default();
    limits.notification_queue_bytes = 1;
    let session = SessionLimits { max_subscribed_uris: 1, ..SessionLimits::default() };
    let (script, seen) = support::script();
    let server = builder().limits(limits).session_limits(session).build(script);
    let lane = towpath_raw::LaneLimits::default().with_write_queue_frames(1);
    let mut bench = support::bench_of(server, seen, lane);
    let publisher = bench.server.publisher();
    bench.far.initialize("2025-11-25").await;
    // None of it is read, so what changed waits as a mark.
    for id in 1..=100 {
        for method in ["resources/subscribe", "resources/unsubscribe"] {
            bench.far.request(id, method, &format!(r#""uri":"a:{id}""#)).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            publisher.resource_updated(&format!("a:{id}"));
        }
    }
    publisher.tools_changed();
    let mut told = 0;
    loop {
        let message = bench.far.hear().await;
        match message["method"].as_str() {
            Some("notifications/resources/updated") => told += 1,
            Some(_) => break,
            None => assert!(message["result"].is_object(), "{message}"),
        }
    }
    assert!(told <= 5, "{told} resources were told of that nobody wants");
}
