use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use tokio::{sync::mpsc, time::Instant};
use towpath_raw::{
    Accept, Arrival, Chunks, ChunksExt, ExchangeError, Frame, FrameSink, FrameSinkExt, FrameSourceExt,
    Inbound, Lane, LaneError, LaneLimits, Operation, Rejected, Route,
};
use towpath_testkit::{MemoryAccept, MemoryArrival, MemoryBody, MemoryConnect, memory_http, within};

use super::*;
use crate::write_event;

/// A body that a test feeds; its end is when the sender is dropped.
struct Fed(mpsc::Receiver<Bytes>);

impl Chunks for Fed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.0.poll_recv(cx).map(Ok)
    }
}

/// The server's side: what it feeds its stream with, and where POSTs arrive.
struct Server {
    feed: mpsc::Sender<Bytes>,
    accept: MemoryAccept,
}

impl Server {
    async fn event(&self, name: &str, data: &str) {
        let mut out = BytesMut::new();
        write_event(&mut out, None, Some(name), data.as_bytes());
        self.feed.send(out.freeze()).await.unwrap();
    }

    async fn arrival(&mut self) -> MemoryArrival {
        self.accept.accept().await.unwrap()
    }

    /// Takes one POST, answers it with a status, and gives its body.
    async fn take(&mut self, status: u16) -> Bytes {
        let mut arrival = self.arrival().await;
        let body = arrival.body().chunk().await.unwrap().unwrap();
        arrival.respond(answer(status), None);
        body
    }
}

fn answer(status: u16) -> http::response::Parts {
    Response::builder().status(status).body(()).unwrap().into_parts().0
}

fn stream_answer() -> http::response::Parts {
    let mut head = answer(200);
    let value = HeaderValue::from_static("Text/Event-Stream; charset=utf-8");
    head.headers.insert(header::CONTENT_TYPE, value);
    head
}

const URL: &str = "http://user:secret@peer:8080/a/sse?token=secret";

type Connected = Result<SseLane<MemoryConnect>, SseConnectError>;

/// Connects to a server that answers the GET with `head` and `beginning`.
async fn connect(
    limits: LaneLimits,
    timeouts: SseLaneTimeouts,
    head: http::response::Parts,
    beginning: &'static str,
) -> (Connected, Server) {
    let (connect, accept) = memory_http();
    let (feed, body) = mpsc::channel(64);
    let mut server = Server { feed, accept };
    let serve = async {
        let arrival = server.arrival().await;
        let got = arrival.head();
        assert_eq!((&got.method, &got.uri), (&Method::GET, &Uri::from_static(URL)));
        assert_eq!(got.headers[header::ACCEPT], "text/event-stream");
        assert_eq!(got.headers["x-key"], "k");
        arrival.respond(head, Fed(body));
        server.feed.send(beginning.into()).await.unwrap();
    };
    let headers =
        HeaderMap::from_iter([(header::HeaderName::from_static("x-key"), HeaderValue::from_static("k"))]);
    let opening = SseLane::connect(Arc::new(connect), Uri::from_static(URL), headers, &limits, &timeouts);
    let (lane, ()) = tokio::join!(opening, serve);
    (lane, server)
}

const ENDPOINT: &str = ": hello\n\nevent: endpoint\ndata: messages?session=1\n\n";

type Halves = (SseSource<MemoryBody>, SseSink<MemoryConnect>, Server);

async fn connected_with(limits: LaneLimits, timeouts: SseLaneTimeouts) -> Halves {
    let (lane, server) = connect(limits, timeouts, stream_answer(), ENDPOINT).await;
    let (source, sink) = lane.unwrap().split();
    (source, sink, server)
}

async fn connected() -> Halves {
    connected_with(LaneLimits::default(), SseLaneTimeouts::default()).await
}

async fn refused_beginning(head: http::response::Parts, beginning: &'static str) -> SseConnectError {
    let (lane, server) = connect(LaneLimits::default(), SseLaneTimeouts::default(), head, beginning).await;
    let error = lane.unwrap_err();
    server.feed.closed().await;
    error
}

fn frame(text: &'static str) -> Frame {
    Frame::from(Bytes::from_static(text.as_bytes()))
}

/// Whether a future waits, after everything else had its turn.
async fn waits<F: Future>(future: F) -> bool {
    let turns = async {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { biased; _ = future => false, () = turns => true }
}

#[tokio::test]
async fn messages_go_there_by_post_and_come_back_as_events() {
    within(async {
        let (lane, mut server) =
            connect(LaneLimits::default(), SseLaneTimeouts::default(), stream_answer(), ENDPOINT).await;
        let lane = lane.unwrap();
        assert_eq!(&*lane.peer(), "http://peer:8080/a/sse", "nothing secret is in the name");
        assert_eq!(*lane.endpoint(), "http://user:secret@peer:8080/a/messages?session=1");
        let (mut source, mut sink) = lane.split();
        let serve = async {
            let mut arrival = server.arrival().await;
            let head = arrival.head();
            assert_eq!((&head.method, head.uri.path()), (&Method::POST, "/a/messages"));
            assert_eq!(head.headers[header::CONTENT_TYPE], "application/json");
            assert_eq!(head.headers["x-key"], "k");
            assert_eq!(arrival.body().chunk().await.unwrap().unwrap(), "{1}");
            arrival.respond(answer(202), Some("Accepted".into()));
            server.event("message", "{2}").await;
        };
        let (sent, ()) = tokio::join!(sink.send(Frame::segmented("{".into(), "1".into(), "}".into())), serve);
        sent.unwrap();
        assert_eq!((sink.frames_begun(), sink.queued_bytes()), (1, 0));
        assert!(matches!(source.receive().await, Ok(Inbound::Frame(frame)) if frame == "{2}"));
    })
    .await;
}

#[tokio::test]
async fn messages_are_sent_one_after_the_other() {
    within(async {
        let (_source, mut sink, mut server) = connected().await;
        sink.start_send(frame("1")).unwrap();
        sink.start_send(frame("2")).unwrap();
        let serve = async {
            let first = server.arrival().await;
            assert!(waits(server.accept.accept()).await, "the second overtook the first");
            first.respond(answer(202), None);
            assert_eq!(server.take(202).await, "2");
        };
        let (flushed, ()) = tokio::join!(sink.flush(), serve);
        flushed.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_of_another_origin_is_refused_and_the_stream_closed() {
    within(async {
        let error = refused_beginning(stream_answer(), "event: endpoint\ndata: http://evil:8080/a\n\n").await;
        let SseConnectError::Endpoint { source, .. } = &error else { panic!("{error}") };
        assert!(
            matches!(source, EndpointError::ForeignOrigin { endpoint } if &**endpoint == "http://evil:8080/a")
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_stream_with_an_endpoint_is_refused_with_a_reason() {
    within(async {
        let error = refused_beginning(answer(200), "").await;
        assert!(matches!(error, SseConnectError::NotAnEventStream { .. }), "{error}");
        let error = refused_beginning(stream_answer(), "data: {}\n\n").await;
        assert!(
            matches!(&error, SseConnectError::NoEndpoint { got, .. } if got.contains("message")),
            "{error}"
        );
        let endless = "event: endpoint\nid: ".to_owned() + &"x".repeat(2000) + "\n\n";
        let error = refused_beginning(stream_answer(), Box::leak(endless.into_boxed_str())).await;
        assert!(matches!(error, SseConnectError::Event { .. }), "{error}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_get_tells_the_status_a_printable_beginning_and_when_to_come_back() {
    within(async {
        let mut head = answer(503);
        head.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let text: &'static str =
            Box::leak(("\u{1b}[31mbusy ".to_owned() + &"é".repeat(2000)).into_boxed_str());
        let error = refused_beginning(head, text).await;
        let SseConnectError::Exchange(ExchangeError::Refused { status, body, retry_after, peer }) = error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (status, retry_after, &*peer),
            (503, Some(Duration::from_secs(7)), "http://peer:8080/a/sse")
        );
        assert!(body.starts_with("?[31mbusy é") && (1000..=1024).contains(&body.len()), "{body}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_names_no_endpoint_is_given_up() {
    within(async {
        let start = Instant::now();
        let after = Duration::from_secs(3);
        let timeouts = SseLaneTimeouts::default().with_handshake(Some(after));
        let (lane, server) = connect(LaneLimits::default(), timeouts, stream_answer(), ": soon\n\n").await;
        let error = lane.unwrap_err();
        let SseConnectError::Exchange(ExchangeError::Timeout { source, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!((source.operation, source.after), (Operation::Handshake, after));
        assert_eq!(start.elapsed().as_secs(), 3);
        server.feed.closed().await;
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_stream_is_an_end_and_nothing_can_be_sent_after_it() {
    within(async {
        let (mut source, mut sink, server) = connected().await;
        server.event("message", "{1}").await;
        drop(server.feed);
        assert!(matches!(source.receive().await, Ok(Inbound::Frame(_))));
        for _ in 0..2 {
            assert!(matches!(source.receive().await, Ok(Inbound::End(end)) if end.truncated_bytes == 0));
        }
        sink.flush().await.unwrap();
        assert!(matches!(sink.send(frame("{}")).await, Err(LaneError::Closed { .. })));
        assert!(matches!(sink.start_send(frame("{}")), Err(LaneError::Closed { .. })));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error_and_no_end() {
    within(async {
        let (mut source, _sink, server) = connected().await;
        drop(server);
        let error = source.receive().await.unwrap_err();
        assert!(matches!(error, LaneError::Io { operation: "reading from", .. }), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_failed_post_ends_its_exchange_or_else_the_lane() {
    within(async {
        let (mut source, mut sink, mut server) = connected().await;
        let call = frame("{1}").on(Route::new(4));
        let (sent, _) = tokio::join!(sink.send(call), server.take(400));
        sent.unwrap();
        let Ok(Inbound::Failed { route, error: ExchangeError::Refused { status: 400, .. } }) =
            source.receive().await
        else {
            panic!("no failure");
        };
        assert_eq!(route, Route::new(4));
        let (sent, _) = tokio::join!(sink.send(frame("{2}")), server.take(202));
        sent.unwrap();
        let (sent, _) = tokio::join!(sink.send(frame("{3}")), server.take(404));
        assert!(matches!(sent, Err(LaneError::Io { operation: "writing to", .. })), "{sent:?}");
        assert!(sink.flush().await.is_err() && sink.start_send(frame("{4}")).is_err());
    })
    .await;
}

#[tokio::test]
async fn a_failure_wakes_the_source_that_waits() {
    within(async {
        let (mut source, mut sink, mut server) = connected().await;
        let receiving = tokio::spawn(async move { source.receive().await });
        tokio::task::yield_now().await;
        let (sent, _) = tokio::join!(sink.send(frame("{}").on(Route::new(1))), server.take(500));
        sent.unwrap();
        assert!(matches!(receiving.await.unwrap(), Ok(Inbound::Failed { .. })));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_post_without_an_answer_fails_at_the_write_stall() {
    let stall = Duration::from_secs(5);
    within(async {
        let timeouts = SseLaneTimeouts::default().with_write_stall(Some(stall));
        let (mut source, mut sink, mut server) = connected_with(LaneLimits::default(), timeouts).await;
        let start = Instant::now();
        let (sent, held) = tokio::join!(sink.send(frame("{}").on(Route::new(1))), server.arrival());
        sent.unwrap();
        assert_eq!(start.elapsed().as_secs(), 5);
        let Ok(Inbound::Failed { error: ExchangeError::Timeout { source: late, .. }, .. }) =
            source.receive().await
        else {
            panic!("no timeout");
        };
        assert_eq!((late.operation, late.after), (Operation::Send, stall));
        drop(held);
        let (sent, mut held) = tokio::join!(sink.send(frame("{}")), server.arrival());
        assert!(matches!(sent, Err(LaneError::PeerNotReading { unsent_bytes: 2, .. })), "{sent:?}");
        held.abandoned().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_post_whose_body_never_ends_is_accepted() {
    within(async {
        let (_source, mut sink, mut server) = connected().await;
        let (feed, body) = mpsc::channel(1);
        let serve = async { server.arrival().await.respond(answer(202), Fed(body)) };
        let (sent, ()) = tokio::join!(sink.send(frame("{}")), serve);
        sent.unwrap();
        feed.closed().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_on_the_stream_ends_the_lane_where_that_is_set() {
    within(async {
        let idle = Duration::from_secs(5);
        let timeouts = SseLaneTimeouts::default().with_idle(Some(idle));
        let (mut source, _sink, server) = connected_with(LaneLimits::default(), timeouts).await;
        let error = source.receive().await.unwrap_err();
        let LaneError::Io { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
        server.feed.closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_alone_in_both_directions() {
    within(async {
        let limits = LaneLimits::default().with_max_message_bytes(30);
        let (mut source, mut sink, mut server) = connected_with(limits, SseLaneTimeouts::default()).await;
        let error = sink.start_send(Frame::from(Bytes::from(vec![b'x'; 31]))).unwrap_err();
        assert!(error.is_about_one_message());
        let fits = Frame::from(Bytes::from(vec![b'x'; 30]));
        let (sent, body) = tokio::join!(sink.send(fits), server.take(202));
        assert_eq!((sent.is_ok(), body.len()), (true, 30));
        server.event("message", &"y".repeat(31)).await;
        server.event("message", &"y".repeat(30)).await;
        let Ok(Inbound::Rejected(Rejected::TooLarge { size, head, .. })) = source.receive().await else {
            panic!("it was taken");
        };
        assert_eq!((size.limit, size.seen, head.len()), (30, 31, 31));
        assert!(matches!(source.receive().await, Ok(Inbound::Frame(frame)) if frame.len() == 30));
    })
    .await;
}

#[tokio::test]
async fn the_sink_has_room_for_as_much_as_its_limits_say() {
    within(async {
        let bytes = LaneLimits::default().with_write_queue_bytes(8);
        let frames = LaneLimits::default().with_write_queue_frames(2);
        for limits in [bytes, frames] {
            let (_source, mut sink, mut server) = connected_with(limits, SseLaneTimeouts::default()).await;
            sink.start_send(frame("{12}")).unwrap();
            assert!(!waits(std::future::poll_fn(|cx| sink.poll_ready(cx))).await);
            sink.start_send(frame("{34}")).unwrap();
            assert!(waits(std::future::poll_fn(|cx| sink.poll_ready(cx))).await);
            let (ready, _) = tokio::join!(std::future::poll_fn(|cx| sink.poll_ready(cx)), server.take(202));
            ready.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn events_that_are_no_messages_are_told_and_empty_ones_pass_silently() {
    within(async {
        let (mut source, _sink, server) = connected().await;
        server.event("ping", "\u{1b}[1mnow").await;
        server.event("message", "").await;
        server.event("message", "{}").await;
        let Ok(Inbound::Skipped(skipped)) = source.receive().await else { panic!("it was taken") };
        assert_eq!((skipped.length, &*skipped.text), (7, "ping: ?[1mnow"));
        assert!(matches!(source.receive().await, Ok(Inbound::Frame(frame)) if frame == "{}"));
    })
    .await;
}

#[tokio::test]
async fn a_dropped_source_closes_the_stream_and_the_sink_knows() {
    within(async {
        let (source, mut sink, mut server) = connected().await;
        sink.start_send(frame("{}")).unwrap();
        let flushing = tokio::spawn(async move { sink.flush().await });
        let mut held = server.arrival().await;
        drop(source);
        server.feed.closed().await;
        assert!(matches!(flushing.await.unwrap(), Err(LaneError::Closed { .. })));
        held.abandoned().await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_sink_has_sent_everything_and_the_stream_lives() {
    within(async {
        let (mut source, mut sink, mut server) = connected().await;
        sink.start_send(frame("{}")).unwrap();
        let (closed, _) = tokio::join!(sink.close(), server.take(202));
        closed.unwrap();
        assert!(sink.start_send(frame("{}")).is_err());
        drop(sink);
        server.event("message", "{}").await;
        assert!(matches!(source.receive().await, Ok(Inbound::Frame(_))));
    })
    .await;
}

#[tokio::test]
async fn a_dropped_send_tears_no_message_and_an_empty_one_is_not_sent() {
    within(async {
        let (_source, mut sink, mut server) = connected().await;
        sink.start_send(Frame::default()).unwrap();
        assert!(waits(sink.send(frame("{1}"))).await);
        let (flushed, body) = tokio::join!(sink.flush(), server.take(202));
        flushed.unwrap();
        assert_eq!(body, "{1}");
        assert_eq!(sink.frames_begun(), 2);
    })
    .await;
}

#[tokio::test]
async fn failures_that_nobody_takes_stop_the_sending() {
    within(async {
        let (mut source, mut sink, mut server) = connected().await;
        let serve = async {
            loop {
                server.take(500).await;
            }
        };
        tokio::select! {
            () = serve => {}
            stopped = async {
                for number in 1..=1024 {
                    sink.send(frame("{}").on(Route::new(number))).await.unwrap();
                }
                assert!(waits(sink.send(frame("{}").on(Route::new(1025)))).await, "one more was sent");
                assert!(matches!(source.receive().await, Ok(Inbound::Failed { .. })));
                sink.flush().await
            } => stopped.unwrap(),
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_shown_of_a_skipped_event_is_bounded() {
    within(async {
        let (mut source, _sink, server) = connected().await;
        let junk = b"event: \xFF\xFF\xFF\ndata: ".iter().copied().chain([0xFF; 200]).chain(*b"\n\n");
        server.feed.send(junk.collect()).await.unwrap();
        let Ok(Inbound::Skipped(skipped)) = source.receive().await else { panic!("it is no message") };
        assert_eq!(skipped.length, 200);
        assert!(!skipped.text.is_empty() && skipped.text.len() <= 256, "{} bytes", skipped.text.len());
    })
    .await;
}
