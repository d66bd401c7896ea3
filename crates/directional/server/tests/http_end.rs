//! How an endpoint ends: politely, at a deadline, or at once.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::sync::atomic::Ordering::SeqCst;

use futures_util::poll;
use http_support::{Client, call, call_request, call_text, endpoint, modern, open, send};
use support::{SECOND, until};
use tokio::time::Instant;
use towpath_raw::{Operation, Timeout};
use towpath_server::CancelReason;
use towpath_testkit::{within, within_for};

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_hundred_open_streams_inside_its_deadline() {
    let endpoint = endpoint();
    let mut readers = Vec::new();
    for n in 0..50 {
        let params = r#""notifications":{"toolsListChanged":true}"#;
        let mut listen = modern(&endpoint.service, n, "subscriptions/listen", params).await;
        readers.push(tokio::spawn(async move { listen.events().await.len() }));
        let client = Client::open(&endpoint.service, "2025-11-25").await;
        let mut get = client.get().await;
        readers.push(tokio::spawn(async move { get.events().await.len() }));
    }
    until("all listen", || endpoint.server.publisher().listeners() == 100).await;
    let start = Instant::now();
    assert_eq!(within_for(60 * SECOND, endpoint.server.drain(30 * SECOND)).await, Ok(()));
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    let mut events = 0;
    for reader in readers {
        events += within(reader).await.expect("no panic");
    }
    // Each subscription is acknowledged, cancelled and answered.
    assert_eq!(events, 50 * 3);
    assert_eq!((endpoint.service.sessions(), endpoint.server.lanes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_what_runs_end_and_takes_nothing_new() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let one = tokio::spawn(send(&endpoint.service, call_request("wait")));
    let other = tokio::spawn(client.posting(call_text(1, "wait")));
    until("both run", || endpoint.seen.running.load(SeqCst) == 2).await;
    let server = endpoint.server.clone();
    let drained = tokio::spawn(async move { server.drain(30 * SECOND).await });
    until("it drains", || drained.is_finished() || endpoint.server.lanes() == 1).await;
    tokio::task::yield_now().await;
    let refused = [call(&endpoint.service, "x").await, client.call(2, "x").await, client.get().await];
    for answer in refused.into_iter().chain([open(&endpoint.service, "2025-11-25").await]) {
        assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (503, "shutting_down"));
    }
    endpoint.seen.release.notify_waiters();
    for answer in [within(one).await, within(other).await] {
        let answer = answer.expect("no panic").json().await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_cut_at_the_deadline() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let one = tokio::spawn(send(&endpoint.service, call_request("forever")));
    let other = tokio::spawn(client.posting(call_text(1, "forever")));
    until("both run", || endpoint.seen.running.load(SeqCst) == 2).await;
    let start = Instant::now();
    let drained = within_for(60 * SECOND, endpoint.server.drain(5 * SECOND)).await;
    assert_eq!(drained, Err(Timeout { operation: Operation::Drain, after: 5 * SECOND }));
    assert_eq!(start.elapsed().as_secs(), 5);
    for answer in [within(one).await, within(other).await] {
        let answer = answer.expect("no panic");
        assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (503, "shutting_down"));
    }
    assert_eq!(endpoint.seen.running.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_notification_began_is_cut_at_the_deadline() {
    let endpoint = endpoint();
    let body = r#"{"jsonrpc":"2.0","method":"notifications/forever"}"#;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "notifications/forever")];
    assert_eq!(http_support::post(&endpoint.service, &headers, body).await.status, 202);
    let drained = within_for(60 * SECOND, endpoint.service.drain(5 * SECOND)).await;
    assert_eq!(drained, Err(Timeout { operation: Operation::Drain, after: 5 * SECOND }));
    until("it was dropped", || endpoint.seen.running.load(SeqCst) == 0).await;
    assert_eq!(*endpoint.seen.dropped.lock(), [Some(CancelReason::LinkEnded)]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_opens_while_a_drain_begins_is_not_left_over() {
    let endpoint = endpoint();
    let mut opening = Box::pin(open(&endpoint.service, "2025-11-25"));
    assert!(poll!(&mut opening).is_pending());
    let mut drained = Box::pin(endpoint.service.drain(5 * SECOND));
    assert!(poll!(&mut drained).is_pending());
    let answer = opening.await;
    assert_eq!((answer.status.as_u16(), answer.reason().await.as_str()), (503, "shutting_down"));
    assert_eq!(within(drained).await, Ok(()));
    assert_eq!((endpoint.service.sessions(), endpoint.server.lanes()), (0, 0));
}

#[tokio::test]
async fn the_last_clone_takes_every_session_and_task_with_it() {
    let endpoint = endpoint();
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    let mut get = client.get().await;
    let waiting = tokio::spawn(client.posting(call_text(1, "forever")));
    let body = r#"{"jsonrpc":"2.0","method":"notifications/wait"}"#;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "notifications/wait")];
    assert_eq!(http_support::post(&endpoint.service, &headers, body).await.status, 202);
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    let http_support::Endpoint { server, service, seen } = endpoint;
    let another = service.clone();
    drop((client, service));
    assert_eq!((server.lanes(), seen.running.load(SeqCst)), (1, 1));
    // Whoever still waits for an answer keeps nothing.
    drop(another);
    assert_eq!((server.lanes(), seen.running.load(SeqCst)), (0, 0));
    assert_eq!(get.events().await.len(), 0);
    assert_eq!(within(waiting).await.expect("no panic").status, 404);
}
