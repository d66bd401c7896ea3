use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{sync::mpsc, time::Instant};
use towpath_raw::{Accept, Arrival, Connect};
use towpath_testkit::{DEFAULT_DEADLINE, MemoryAccept, MemoryBody, memory_http, run_within, within};

use super::*;

/// A body that a test feeds; its end is when the sender is dropped.
struct Fed(mpsc::Receiver<Result<Bytes, ExchangeError>>);

impl Chunks for Fed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.0.poll_recv(cx).map(Option::transpose)
    }
}

type Feed = mpsc::Sender<Result<Bytes, ExchangeError>>;

fn fed() -> (Feed, Fed) {
    let (feed, body) = mpsc::channel(256);
    (feed, Fed(body))
}

async fn feed_text(feed: &Feed, text: &'static str) {
    feed.send(Ok(Bytes::from_static(text.as_bytes()))).await.unwrap();
}

fn stream_of<B: Chunks>(body: B) -> EventStream<B> {
    EventStream::new(body, "peer", &SseLimits::default(), &SseTimeouts::default())
}

/// One exchange in memory: what feeds its body, the stream of its events, and the server to keep.
async fn over_http() -> (Feed, EventStream<MemoryBody>, MemoryAccept) {
    let (connect, mut accept) = memory_http();
    let (feed, body) = fed();
    let serve = async {
        let (head, ()) = Response::new(()).into_parts();
        accept.accept().await.unwrap().respond(head, body);
    };
    let (head, ()) = Request::new(()).into_parts();
    let (answer, ()) = tokio::join!(connect.exchange(head, Bytes::new()), serve);
    (feed, stream_of(answer.unwrap().1), accept)
}

#[tokio::test]
async fn events_come_as_they_are_sent_and_the_end_is_told() {
    within(async {
        let (feed, mut events, _accept) = over_http().await;
        feed_text(&feed, "id: 1\nretry: 20\ndata: a\n\nda").await;
        assert_eq!(events.event().await.unwrap().unwrap().data, "a");
        feed_text(&feed, "ta: b\n\n:\n").await;
        assert_eq!(events.event().await.unwrap().unwrap().data, "b");
        assert_eq!(events.end(), None);
        drop(feed);
        for _ in 0..2 {
            assert_eq!(events.event().await.unwrap(), None);
        }
        assert_eq!(events.end(), Some(SseEnd { complete: true, dropped_bytes: 0 }));
        assert_eq!((events.last_event_id(), events.comments()), (&b"1"[..], 1));
        assert_eq!(events.retry(), Some(Duration::from_millis(20)));
    })
    .await;
}

#[tokio::test]
async fn an_event_that_the_end_cuts_off_is_given_or_dropped_and_that_is_told() {
    within(async {
        for (strict, given, dropped_bytes) in [(false, Some(Bytes::from("abc")), 0), (true, None, 3)] {
            let limits = SseLimits::default().with_strict_end(strict);
            let body = Some(Bytes::from("data: abc\n"));
            let mut events = EventStream::new(body, "peer", &limits, &SseTimeouts::default());
            assert_eq!(events.event().await.unwrap().map(|event| event.data), given);
            assert_eq!(events.event().await.unwrap(), None);
            assert_eq!(events.end(), Some(SseEnd { complete: false, dropped_bytes }));
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_that_the_end_cuts_off_sets_no_id_to_resume_from() {
    within(async {
        let stream = "id: 1\ndata: a\n\nid: 2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"res";
        let mut events = stream_of(Some(Bytes::from(stream)));
        assert_eq!(events.event().await.unwrap().unwrap().id.as_deref(), Some(&b"1"[..]));
        let half = events.event().await.unwrap().unwrap();
        assert_eq!(half.id.as_deref(), Some(&b"2"[..]));
        assert_eq!(events.last_event_id(), b"1", "resumed behind it, its other half would be lost");
    })
    .await;
}

#[tokio::test]
async fn dropped_it_closes_the_body() {
    within(async {
        let (feed, mut events, _accept) = over_http().await;
        feed_text(&feed, "data: a\n\n").await;
        events.event().await.unwrap();
        assert!(!feed.is_closed());
        drop(events);
        feed.closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_for_good_and_never_an_end() {
    within(async {
        let (feed, body) = fed();
        let mut events = stream_of(body);
        feed_text(&feed, "data: a\n\ndata: half").await;
        feed.send(Err(ExchangeError::Broken { peer: "p".into(), reason: "reset".into() })).await.unwrap();
        assert_eq!(events.event().await.unwrap().unwrap().data, "a");
        for _ in 0..2 {
            let error = events.event().await.unwrap_err();
            assert!(matches!(error, EventStreamError::Body(ExchangeError::Broken { .. })), "{error}");
        }
        assert_eq!(events.end(), None);
        feed.closed().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_too_large_is_lost_alone_and_the_error_names_the_peer() {
    within(async {
        let limits = SseLimits::default().with_max_event_bytes(4);
        let body = Some(Bytes::from("data: 12345\n\ndata: 1234\n\n"));
        let mut events = EventStream::new(body, "peer", &limits, &SseTimeouts::default());
        let error = events.event().await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EventStreamError::Event { .. }));
        for part in ["peer", "5 bytes", "limit is 4", "max_event_bytes"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert_eq!(events.event().await.unwrap().unwrap().data, "1234");
    })
    .await;
}

#[tokio::test]
async fn a_last_event_that_is_too_large_is_an_error_before_the_end() {
    within(async {
        let limits = SseLimits::default().with_max_event_bytes(4);
        let body = Some(Bytes::from("data: 12345"));
        let mut events = EventStream::new(body, "peer", &limits, &SseTimeouts::default());
        assert!(events.event().await.is_err());
        assert_eq!(events.event().await.unwrap(), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_a_comment_is_no_silence() {
    within(async {
        let idle = Duration::from_secs(5);
        let (feed, body) = fed();
        let timeouts = SseTimeouts::default().with_idle(Some(idle));
        let mut events = EventStream::new(body, "peer", &SseLimits::default(), &timeouts);
        let start = Instant::now();
        let comments = async {
            for _ in 0..3 {
                tokio::time::sleep(idle * 9 / 10).await;
                feed_text(&feed, ":").await;
            }
        };
        let (event, ()) = tokio::join!(events.event(), comments);
        let error = event.unwrap_err();
        assert_eq!(start.elapsed().as_secs_f32().round(), (idle * 27 / 10 + idle).as_secs_f32().round());
        let EventStreamError::Body(ExchangeError::Timeout { source, .. }) = error else { panic!("{error}") };
        assert_eq!(source, Timeout { operation: Operation::ReceiveIdle, after: idle });
        feed.closed().await;
        assert!(events.event().await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_deadline_silence_lasts() {
    let (_feed, body) = fed();
    let mut events = stream_of(body);
    assert!(tokio::time::timeout(Duration::from_secs(1 << 20), events.event()).await.is_err());
}

#[test]
fn a_body_that_never_ends_and_says_nothing_lets_others_run() {
    /// Comments, always ready.
    struct Endless;

    impl Chunks for Endless {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
            Poll::Ready(Ok(Some(Bytes::from_static(b": nothing\n"))))
        }
    }

    // A deadline in the same thread would not get a turn either.
    run_within(DEFAULT_DEADLINE, || {
        let mut events = stream_of(Endless);
        let poll = events.poll_event(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending() && events.comments() > 0);
    });
}

#[tokio::test]
async fn a_dropped_wait_takes_no_event() {
    within(async {
        let (feed, body) = fed();
        let mut events = stream_of(body);
        for _ in 0..3 {
            feed_text(&feed, "data: a").await;
            tokio::select! {
                biased;
                event = events.event() => panic!("{event:?}"),
                () = std::future::ready(()) => {}
            }
            feed_text(&feed, "b\n\n").await;
            assert_eq!(events.event().await.unwrap().unwrap().data, "ab");
        }
    })
    .await;
}
