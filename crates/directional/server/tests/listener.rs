//! A server at a listener, whose lanes the test opens.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::{
    future::poll_fn,
    io,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll},
};

use support::{Far, SECOND, Script, Seen, builder, script, until};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinHandle,
};
use towpath_raw::{
    FrameSource, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts, Listen, Operation, Timeout,
};
use towpath_server::Server;
use towpath_testkit::{MemoryLane, MemorySink, MemorySource, memory_pair, within, within_for};

/// Gives the lanes that the test opens; fails when the test has closed the door.
struct Door {
    lanes: Receiver<TestLane>,
    _open: Arc<()>,
}

/// A lane, which panics when it is read if it is told to.
struct TestLane {
    lane: MemoryLane,
    panics: bool,
}

struct TestSource {
    source: MemorySource,
    panics: bool,
}

impl Listen for Door {
    type Lane = TestLane;

    async fn accept(&mut self) -> Result<TestLane, LaneError> {
        self.lanes.recv().await.ok_or_else(|| LaneError::Io {
            peer: "the door".into(),
            operation: "accepting a connection on",
            source: Arc::new(io::Error::other("it is shut")),
        })
    }

    fn local(&self) -> Arc<str> {
        "the door".into()
    }
}

impl Lane for TestLane {
    type Source = TestSource;
    type Sink = MemorySink;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn split(self) -> (TestSource, MemorySink) {
        let (source, sink) = self.lane.split();
        (TestSource { source, panics: self.panics }, sink)
    }
}

impl FrameSource for TestSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        assert!(!self.panics, "as asked");
        self.source.poll_frame(cx)
    }
}

/// A server at a door, and who opens lanes there.
struct House {
    server: Server<Script>,
    seen: Arc<Seen>,
    /// Shuts the door when it is dropped.
    opener: Sender<TestLane>,
    /// One more is held by the listener.
    door_is_open: Arc<()>,
    serving: JoinHandle<Result<(), LaneError>>,
}

impl House {
    fn new() -> Self {
        let (script, seen) = script();
        let server = builder().build(script);
        let (opener, lanes) = channel(1);
        let door_is_open = Arc::new(());
        let door = Door { lanes, _open: Arc::clone(&door_is_open) };
        let serving = tokio::spawn({
            let server = server.clone();
            async move { server.serve_listener(door).await }
        });
        Self { server, seen, opener, door_is_open, serving }
    }

    async fn open(&self, panics: bool) -> Far {
        let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
        let sent = within(self.opener.send(TestLane { lane: near, panics })).await;
        assert!(sent.is_ok(), "the listener is gone");
        let (source, sink) = far.split();
        Far { source, sink }
    }

    fn listens(&self) -> bool {
        Arc::strong_count(&self.door_is_open) > 1
    }
}

#[tokio::test(start_paused = true)]
async fn each_lane_is_served_and_what_ends_one_harms_no_other() {
    let house = House::new();
    let (mut one, mut two) = (house.open(false).await, house.open(false).await);
    // It breaks in its task, where nobody catches it.
    let mut broken = house.open(true).await;
    assert_eq!(broken.hear_text().await, None);
    one.modern(1, "tools/call", r#""name":"wait""#).await;
    until("it waits", || house.seen.running.load(SeqCst) == 1).await;
    assert!(two.ask(7, "tools/list", support::META).await["result"].is_object());
    drop(two);
    until("it has ended", || house.server.lanes() == 1).await;
    house.seen.release.notify_one();
    assert_eq!(one.hear().await["id"], 1);
    assert!(house.open(false).await.ask(1, "tools/list", support::META).await["result"].is_object());
    assert!(!house.serving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn dropped_it_ends_its_lanes_at_once() {
    let house = House::new();
    let mut far = house.open(false).await;
    far.modern(1, "tools/call", r#""name":"forever""#).await;
    until("it runs", || house.seen.running.load(SeqCst) == 1).await;
    house.serving.abort();
    assert!(within(house.serving).await.is_err_and(|error| error.is_cancelled()));
    // No task has had a turn since.
    assert_eq!((house.seen.running.load(SeqCst), house.server.lanes()), (0, 0));
    assert_eq!(Arc::strong_count(&house.door_is_open), 1);
    assert_eq!(far.hear_text().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_the_listener_at_once_and_waits_for_the_lanes() {
    let house = House::new();
    let mut far = house.open(false).await;
    far.modern(1, "tools/call", r#""name":"wait""#).await;
    until("it waits", || house.seen.running.load(SeqCst) == 1).await;
    let server = house.server.clone();
    let drained = tokio::spawn(async move { server.drain(30 * SECOND).await });
    until("it listens no more", || !house.listens()).await;
    assert!(!house.serving.is_finished() && !drained.is_finished());
    house.seen.release.notify_one();
    assert!(far.hear().await["result"].is_object());
    assert_eq!(within(drained).await.expect("no panic"), Ok(()));
    assert!(within(house.serving).await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_listener_without_lanes_and_cuts_the_lanes_of_another() {
    let house = House::new();
    tokio::task::yield_now().await;
    assert_eq!(within(house.server.drain(SECOND)).await, Ok(()));
    assert!(!house.listens(), "a drain waits for listeners, too");
    assert!(within(house.serving).await.expect("no panic").is_ok());

    let house = House::new();
    let mut far = house.open(false).await;
    far.modern(1, "tools/call", r#""name":"forever""#).await;
    until("it runs", || house.seen.running.load(SeqCst) == 1).await;
    let drained = within_for(60 * SECOND, house.server.drain(5 * SECOND)).await;
    assert_eq!(drained, Err(Timeout { operation: Operation::Drain, after: 5 * SECOND }));
    assert!(within(house.serving).await.expect("no panic").is_ok());
    assert_eq!((house.seen.running.load(SeqCst), house.server.lanes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_comes_with_the_drain_is_not_served() {
    let house = House::new();
    tokio::task::yield_now().await;
    let house = Arc::new(house);
    // In a task, whose turns alternate with those of the others.
    let drained = tokio::spawn({
        let house = Arc::clone(&house);
        async move {
            let far = house.open(false).await;
            let mut waits = true;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut waits, false) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            // The listener has taken the lane, and its task has not had a turn.
            assert_eq!((house.opener.capacity(), house.server.lanes()), (1, 0));
            (house.server.drain(30 * SECOND).await, far)
        }
    });
    let (drained, mut far) = within_for(60 * SECOND, drained).await.expect("no panic");
    assert_eq!(drained, Ok(()));
    assert_eq!(far.hear_text().await, None);
    let house = Arc::into_inner(house).expect("nobody else has it");
    assert!(within(house.serving).await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_fails_is_told_of_when_its_lanes_have_had_time_to_end() {
    let mut house = House::new();
    let mut waits = house.open(false).await;
    waits.modern(1, "tools/call", r#""name":"wait""#).await;
    until("it waits", || house.seen.running.load(SeqCst) == 1).await;
    drop(house.opener);
    let early = tokio::time::timeout(SECOND, &mut house.serving).await;
    assert!(early.is_err(), "the lane was cut");
    house.seen.release.notify_one();
    assert!(waits.hear().await["result"].is_object());
    // Its own end was asked for: the client has not closed.
    assert_eq!(waits.hear_text().await, None);
    let failed = within(house.serving).await.expect("no panic").expect_err("it is shut");
    assert_eq!(failed.to_string(), "accepting a connection on the door failed: it is shut");
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_comes_before_the_listener_ends_it_as_well() {
    let house = House::new();
    // It has not begun to serve.
    assert_eq!(within(house.server.drain(SECOND)).await, Ok(()));
    assert!(within(house.serving).await.expect("no panic").is_ok());
}
