//! The lane over HTTP by itself: its two halves, without a link.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_support::{Server, limits, options, uri};
use towpath_client::{HttpLane, HttpOptions, HttpSink, HttpSource};
use towpath_raw::{
    ExchangeError, Frame, FrameSink, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError,
    Route,
};
use towpath_testkit::{MemoryConnect, memory_http, within};

type Halves = (HttpSource<MemoryConnect>, HttpSink<MemoryConnect>);

fn halves(options: HttpOptions) -> (Halves, Server) {
    let (connect, accept) = memory_http();
    let most = options.limits.max_message_bytes;
    let lane = HttpLane::new(Arc::new(connect), uri(), options);
    assert_eq!(lane.max_message_bytes(), most);
    assert_eq!(&*lane.peer(), "http://server.example/mcp");
    (lane.split(), Server { accept })
}

fn request(id: u64) -> Frame {
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
    Frame::from(Bytes::from(text)).on(Route::new(id + 1))
}

fn notification(method: &str) -> Frame {
    Frame::from(Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)))
}

fn is_ready(sink: &mut impl FrameSink) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    matches!(sink.poll_ready(&mut cx), Poll::Ready(Ok(())))
}

fn polled(source: &mut impl FrameSource) -> Option<Inbound> {
    let mut cx = Context::from_waker(Waker::noop());
    match source.poll_frame(&mut cx) {
        Poll::Ready(inbound) => Some(inbound.expect("the lane works")),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_frame_is_queued_until_the_connector_has_it() {
    let ((mut source, mut sink), mut server) = halves(options());
    sink.start_send(request(0)).expect("taken");
    assert_eq!((sink.frames_begun(), sink.queued_bytes()), (0, request(0).len()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(sink.poll_flush(&mut cx).is_pending());
    assert!(polled(&mut source).is_none());
    assert_eq!((sink.frames_begun(), sink.queued_bytes()), (1, 0));
    within(sink.flush()).await.expect("all is handed over");
    server.post("tools/list").await.result("{}");
    let answer = within(source.receive()).await.expect("the lane works");
    assert!(matches!(answer, Inbound::Frame(frame) if frame == r#"{"jsonrpc":"2.0","id":0,"result":{}}"#));
    // What the sink sends by itself needs no other half.
    within(sink.send(notification("a/note"))).await.expect("handed over");
    assert_eq!((sink.frames_begun(), sink.queued_bytes()), (2, 0));
    server.post("a/note").await.status(202, "");
}

#[tokio::test]
async fn a_full_lane_takes_no_more_until_one_has_gone() {
    let ((mut source, mut sink), mut server) = halves(limits(|limits| limits.with_max_posts_in_flight(2)));
    // Two are under way, and four wait, but what would end them can still be said.
    for id in 0..6 {
        assert!(is_ready(&mut sink), "{id}");
        sink.start_send(request(id)).expect("taken");
        assert!(polled(&mut source).is_none());
    }
    assert!(is_ready(&mut sink));
    assert_eq!(sink.frames_begun(), 2);
    server.post("tools/list").await.result("{}");
    assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(_))));
    assert!(polled(&mut source).is_none());
    assert_eq!(sink.frames_begun(), 3);
    // What is not answered goes by itself within its deadline: two under way, two that wait.
    let ((_source, mut sink), mut server) = halves(limits(|limits| limits.with_max_posts_in_flight(2)));
    for n in 0..4 {
        assert!(is_ready(&mut sink), "{n}");
        sink.start_send(notification("a/note")).expect("taken");
        let _ = sink.poll_flush(&mut Context::from_waker(Waker::noop()));
    }
    assert!(!is_ready(&mut sink));
    server.post("a/note").await.status(202, "");
    within(poll_fn(|cx| sink.poll_ready(cx))).await.expect("room");
}

#[tokio::test]
async fn a_silent_server_holds_up_no_answer_of_ours() {
    // As many requests as may be are unanswered; the answer that the server waits for goes out all the same.
    let ((mut source, mut sink), mut server) = halves(limits(|limits| limits.with_max_posts_in_flight(1)));
    sink.start_send(request(0)).expect("taken");
    assert!(polled(&mut source).is_none());
    let _held = server.post("tools/list").await;
    let answer = r#"{"jsonrpc":"2.0","id":"s","result":{}}"#;
    within(sink.send(Frame::from(Bytes::from(answer)))).await.expect("handed over");
    assert_eq!(server.next().await.text, answer);
}

#[tokio::test]
async fn what_waits_before_initialized_is_not_held_up_by_it() {
    let ((_source, mut sink), mut server) = halves(limits(|limits| limits.with_max_posts_in_flight(2)));
    for method in ["a", "b", "c"] {
        assert!(is_ready(&mut sink));
        sink.start_send(notification(method)).expect("taken");
    }
    // Two are under way, and one waits in front of it.
    assert!(is_ready(&mut sink));
    sink.start_send(notification("notifications/initialized")).expect("taken");
    let served = async {
        for method in ["a", "b", "c"] {
            server.post(method).await.status(202, "");
        }
        server.post("notifications/initialized").await
    };
    let (flushed, _initialized) = within(async { tokio::join!(sink.flush(), served) }).await;
    flushed.expect("all is handed over");
}

#[tokio::test]
async fn what_is_no_message_is_not_sent_and_fails_on_its_route() {
    let ((mut source, mut sink), mut server) = halves(options());
    for text in ["no json", r#"[{"jsonrpc":"2.0","method":"a"}]"#] {
        sink.start_send(Frame::from(Bytes::from(text)).on(Route::new(7))).expect("taken");
        let failed = within(source.receive()).await.expect("the lane works");
        let Inbound::Failed { route, error } = failed else { panic!("{failed:?}") };
        assert_eq!(route, Route::new(7));
        assert!(matches!(error, ExchangeError::NotConnected { .. }), "{error}");
    }
    let large = limits(|limits| limits.with_max_message_bytes(16));
    let ((_source, mut small), _server) = halves(large);
    assert!(matches!(small.start_send(request(0)), Err(LaneError::TooLarge { .. })));
    // Nobody over HTTP can be told of an error that is about nothing.
    let nobodys = r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"what?"}}"#;
    within(sink.send(Frame::from(Bytes::from(nobodys)))).await.expect("taken");
    assert_eq!(sink.frames_begun(), 3);
    server.quiet().await;
}

#[tokio::test]
async fn the_end_of_either_half_is_the_end_of_the_lane() {
    let ((source, mut sink), _server) = halves(options());
    drop(source);
    assert!(matches!(sink.start_send(request(0)), Err(LaneError::Closed { .. })));
    assert!(matches!(within(sink.flush()).await, Err(LaneError::Closed { .. })));
    let ((mut source, sink), mut server) = halves(options());
    let mut sink = sink;
    sink.start_send(request(0)).expect("taken");
    assert!(polled(&mut source).is_none());
    let mut asked = server.post("tools/list").await;
    drop(sink);
    assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
    asked.abandoned().await;
    let ((mut source, mut sink), _server) = halves(options());
    within(sink.close()).await.expect("closed");
    within(sink.close()).await.expect("closed already");
    assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
}
