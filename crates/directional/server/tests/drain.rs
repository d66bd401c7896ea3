//! Ending a server politely, and what is cut.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use support::{SECOND, bench, until};
use tokio::time::Instant;
use towpath_raw::{Operation, Timeout};
use towpath_testkit::{within, within_for};

#[tokio::test(start_paused = true)]
async fn what_runs_is_finished_and_what_comes_is_refused() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"wait""#).await;
    until("it waits", || bench.seen.running.load(SeqCst) == 1).await;
    let server = bench.server.clone();
    let drained = tokio::spawn(async move { server.drain(30 * SECOND).await });
    tokio::task::yield_now().await;
    bench.far.modern(2, "tools/list", "").await;
    let refused = bench.far.hear().await;
    assert_eq!((&refused["id"], &refused["error"]["data"]["reason"]), (&2.into(), &"shutting_down".into()));
    bench.seen.release.notify_one();
    assert!(bench.far.hear().await["result"].is_object());
    assert_eq!(bench.far.hear_text().await, None);
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
    assert_eq!(bench.server.lanes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_cut_at_the_deadline_and_the_drain_says_so() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"forever""#).await;
    until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
    let start = Instant::now();
    let drained = within_for(60 * SECOND, bench.server.drain(5 * SECOND)).await;
    assert_eq!(drained, Err(Timeout { operation: Operation::Drain, after: 5 * SECOND }));
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!((bench.seen.running.load(SeqCst), bench.server.lanes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_at_all_is_drained_at_once_however_short_the_deadline() {
    let bench = bench();
    until("it is served", || bench.server.lanes() == 1).await;
    let start = Instant::now();
    assert_eq!(within(bench.server.drain(Duration::ZERO)).await, Ok(()));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_for_ever_is_none() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"wait""#).await;
    until("it waits", || bench.seen.running.load(SeqCst) == 1).await;
    let server = bench.server.clone();
    let drained = tokio::spawn(async move { server.drain(Duration::MAX).await });
    tokio::time::advance(Duration::from_secs(500)).await;
    bench.seen.release.notify_one();
    assert!(bench.far.hear().await["result"].is_object());
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_second_drain_with_less_patience_is_the_one_that_counts() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"forever""#).await;
    until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
    let server = bench.server.clone();
    let patient = tokio::spawn(async move { server.drain(3_600 * SECOND).await });
    tokio::task::yield_now().await;
    let start = Instant::now();
    assert!(within_for(60 * SECOND, bench.server.drain(5 * SECOND)).await.is_err());
    assert!(within(patient).await.expect("no panic").is_err());
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_client_has_said_all_is_drained_within_the_deadline_too() {
    let mut bench = bench();
    bench.far.modern(1, "tools/call", r#""name":"forever""#).await;
    until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
    drop(bench.far.sink);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    assert!(within_for(60 * SECOND, bench.server.drain(SECOND)).await.is_err());
    assert_eq!((start.elapsed().as_secs(), bench.server.lanes()), (1, 0));
}
