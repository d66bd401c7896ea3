//! Where handlers run, and what becomes of them.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::sync::{
    Arc,
    atomic::Ordering::SeqCst,
    mpsc::{Receiver, Sender, channel},
};

use support::{Far, bench_with, builder, until};
use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_raw::{LaneLimits, LaneTimeouts, Level, Mutex};
use towpath_server::{CancelReason, Context, Execution, Handler, LinkEnd, Request};
use towpath_testkit::{memory_pair, run_within, within};

/// `tools/call` holds its thread until the test lets it go; `tools/list` answers at once.
struct Busy {
    begun: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Handler for Busy {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        if request.method() == "tools/call" {
            self.begun.send(()).expect("the test listens");
            self.go_on.lock().recv().expect("the test goes on");
        }
        Ok(RawJson::empty_object())
    }
}

#[test]
fn a_handler_that_computes_holds_up_nothing_else_when_each_has_a_task() {
    // On threads of its own, since a regression blocks one for good.
    run_within(towpath_testkit::DEFAULT_DEADLINE, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (begun, has_begun) = channel();
            let (let_go, go_on) = channel();
            let busy = Busy { begun, go_on: Mutex::new(Level::Handler, "Busy::go_on", go_on) };
            let server = builder().execution(Execution::Spawned).build(busy);
            let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
            tokio::spawn(async move { server.serve(near).await });
            let (source, sink) = towpath_raw::Lane::split(far);
            let mut far = Far { source, sink };
            far.modern(1, "tools/call", r#""name":"x""#).await;
            tokio::task::spawn_blocking(move || has_begun.recv())
                .await
                .expect("no panic")
                .expect("it begins");
            far.modern(2, "tools/list", "").await;
            assert_eq!(far.hear().await["id"], 2, "the other request waited for the busy one");
            let_go.send(()).expect("it waits");
            assert_eq!(far.hear().await["id"], 1);
        });
    });
}

#[tokio::test]
async fn a_cancelled_request_drops_its_handler_wherever_it_runs_and_tells_it_why() {
    for execution in [Execution::Inline, Execution::Spawned] {
        let mut bench = bench_with(builder().execution(execution));
        bench.far.modern(1, "tools/call", r#""name":"forever""#).await;
        until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
        bench.far.cancel(1).await;
        until("it is dropped", || bench.seen.running.load(SeqCst) == 0).await;
        assert_eq!(
            *bench.seen.dropped.lock(),
            [Some(CancelReason::ByPeer(Some("no more".into())))],
            "{execution:?}"
        );
        bench.far.modern(2, "tools/list", "").await;
        assert_eq!(bench.far.hear().await["id"], 2, "a cancelled request was answered");
    }
}

#[tokio::test]
async fn a_lane_that_ends_drops_the_handlers_that_run_wherever_they_do() {
    for execution in [Execution::Inline, Execution::Spawned] {
        let mut bench = bench_with(builder().execution(execution));
        bench.far.modern(1, "tools/call", r#""name":"forever""#).await;
        until("it runs", || bench.seen.running.load(SeqCst) == 1).await;
        bench.serving.abort();
        until("it is dropped", || bench.seen.running.load(SeqCst) == 0).await;
        assert_eq!(*bench.seen.dropped.lock(), [Some(CancelReason::LinkEnded)], "{execution:?}");
    }
}

#[tokio::test]
async fn a_panic_answers_its_own_request_wherever_it_happens() {
    for execution in [Execution::Inline, Execution::Spawned] {
        let mut bench = bench_with(builder().execution(execution));
        bench.far.modern(1, "tools/call", r#""name":"panic""#).await;
        let answer = bench.far.hear().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&1.into(), &(-32603).into()), "{execution:?}");
        bench.far.modern(2, "tools/list", "").await;
        assert_eq!(bench.far.hear().await["id"], 2);
    }
}

#[tokio::test]
async fn what_runs_when_the_client_has_said_all_still_answers_and_reports() {
    let mut bench = bench_with(builder());
    let meta =
        support::META.replace(r#""_meta":{"#, r#""_meta":{"io.modelcontextprotocol/logLevel":"debug","#);
    bench.far.request(1, "tools/call", &format!(r#"{meta},"name":"wait""#)).await;
    until("it waits", || bench.seen.running.load(SeqCst) == 1).await;
    let Far { mut source, sink } = bench.far;
    drop(sink);
    tokio::task::yield_now().await;
    bench.seen.release.notify_one();
    let answer = within(towpath_raw::FrameSourceExt::receive(&mut source)).await.expect("an answer");
    assert!(format!("{answer:?}").contains("complete"), "{answer:?}");
    let end = within(bench.serving).await.expect("no panic");
    assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end:?}");
}

#[tokio::test]
async fn a_handler_may_log_after_the_client_has_closed_its_own_direction() {
    struct Late(Arc<tokio::sync::Notify>);
    impl Handler for Late {
        async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
            self.0.notified().await;
            let said = context.notify("notifications/late", None).await;
            said.map_err(|error| ErrorObject::new(1, error.to_string()))?;
            request.reply(&serde_json::json!({}))
        }
    }
    let go_on = Arc::new(tokio::sync::Notify::new());
    let server = builder().build(Late(Arc::clone(&go_on)));
    let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let serving = tokio::spawn(async move { server.serve(near).await });
    let (source, sink) = towpath_raw::Lane::split(far);
    let mut far = Far { source, sink };
    far.modern(1, "tools/list", "").await;
    let (_, unused) = towpath_raw::Lane::split(memory_pair(LaneLimits::default(), LaneTimeouts::default()).0);
    drop(std::mem::replace(&mut far.sink, unused));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    assert_eq!(far.hear().await["method"], "notifications/late");
    assert!(far.hear().await["result"].is_object());
    within(serving).await.expect("no panic");
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_dropped_harms_nothing_else() {
    struct Brittle;
    impl Drop for Brittle {
        fn drop(&mut self) {
            panic!("as asked");
        }
    }
    struct Drops;
    impl Handler for Drops {
        async fn request(&self, _: Request, _: Context) -> Result<RawJson, ErrorObject> {
            let _brittle = Brittle;
            std::future::pending().await
        }
    }
    let mut timeouts = towpath_server::LinkTimeouts::default();
    timeouts.finish = std::time::Duration::ZERO;
    let server = builder().timeouts(timeouts).build(Drops);
    let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(near).await }
    });
    let (source, sink) = towpath_raw::Lane::split(far);
    let mut far = Far { source, sink };
    for id in 1..=3 {
        far.modern(id, "tools/list", "").await;
    }
    far.cancel(3).await;
    far.modern(4, "server/discover", "").await;
    assert_eq!(far.hear().await["id"], 4);
    drop(far);
    let end = within(serving).await.expect("the lane's task does not panic");
    assert!(matches!(end, LinkEnd::PeerClosed(_) | LinkEnd::Failed(_)), "{end:?}");
    assert_eq!(server.lanes(), 0);
}
