use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{Request, Response, header::CONTENT_LENGTH};
use towpath_raw::ChunksExt;

use super::*;
use crate::within;

fn request() -> request::Parts {
    Request::new(()).into_parts().0
}

fn ok() -> response::Parts {
    Response::new(()).into_parts().0
}

fn declaring(length: usize) -> response::Parts {
    Response::builder().header(CONTENT_LENGTH, length).body(()).expect("a valid head").into_parts().0
}

/// A body that a test feeds.
struct Fed(mpsc::Receiver<Result<Bytes, ExchangeError>>);

impl Chunks for Fed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        Poll::Ready(ready!(self.0.poll_recv(cx)).transpose())
    }
}

fn fed() -> (mpsc::Sender<Result<Bytes, ExchangeError>>, Fed) {
    let (feed, fed) = mpsc::channel(1);
    (feed, Fed(fed))
}

async fn all(body: &mut impl Chunks) -> Result<Vec<u8>, ExchangeError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// An exchange that is accepted and not yet answered.
async fn open(
    client: &MemoryConnect,
    server: &mut MemoryAccept,
    body: &'static str,
) -> (tokio::task::JoinHandle<Result<(response::Parts, MemoryBody), ExchangeError>>, MemoryArrival) {
    let client = client.clone();
    let exchange = tokio::spawn(async move { client.exchange(request(), body.into()).await });
    let arrival = within(server.accept()).await.expect("the client has opened one");
    (exchange, arrival)
}

#[tokio::test]
async fn an_answer_streams_while_it_is_made() {
    let (client, mut server) = memory_http();
    let (exchange, mut arrival) = open(&client, &mut server, "question").await;
    assert_eq!(within(all(arrival.body())).await.expect("whole"), b"question");
    let (feed, body) = fed();
    arrival.respond(ok(), body);
    let (_, mut answer) = within(exchange).await.expect("no panic").expect("an answer");
    for word in ["one", "two"] {
        within(feed.send(Ok(word.into()))).await.expect("the exchange lives");
        assert_eq!(within(answer.chunk()).await.expect("no error").expect("a chunk"), word);
    }
    drop(feed);
    assert!(within(answer.chunk()).await.expect("no error").is_none());
    assert!(within(answer.chunk()).await.expect("no error").is_none());
}

#[tokio::test]
async fn a_dropped_answer_is_seen_by_a_server_that_says_nothing() {
    let (client, mut server) = memory_http();
    let (exchange, arrival) = open(&client, &mut server, "").await;
    let (feed, body) = fed();
    arrival.respond(ok(), body);
    let answer = within(exchange).await.expect("no panic").expect("an answer");
    tokio::task::yield_now().await;
    assert!(!feed.is_closed());
    drop(answer);
    within(feed.closed()).await;
}

#[tokio::test]
async fn a_body_shorter_or_longer_than_declared_is_an_error() {
    let (client, mut server) = memory_http();
    for declared in [3, 5] {
        let (exchange, arrival) = open(&client, &mut server, "").await;
        arrival.respond(declaring(declared), Some(Bytes::from_static(b"four")));
        let (_, mut answer) = within(exchange).await.expect("no panic").expect("an answer");
        for _ in 0..2 {
            let error = within(all(&mut answer)).await.expect_err("it is not as declared");
            assert!(matches!(error, ExchangeError::Broken { .. }), "{error}");
        }
    }
    let (exchange, arrival) = open(&client, &mut server, "").await;
    arrival.respond(declaring(4), Some(Bytes::from_static(b"four")));
    let (_, mut answer) = within(exchange).await.expect("no panic").expect("an answer");
    assert_eq!(within(all(&mut answer)).await.expect("it is as declared"), b"four");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_on_either_side() {
    let (client, mut server) = memory_http();
    let (exchange, arrival) = open(&client, &mut server, "").await;
    let (feed, body) = fed();
    arrival.respond(ok(), body);
    let (_, mut answer) = within(exchange).await.expect("no panic").expect("an answer");
    within(feed.send(Ok("half".into()))).await.expect("the exchange lives");
    assert!(within(answer.chunk()).await.expect("no error").is_some());
    // The server goes down.
    drop(server);
    assert!(matches!(within(answer.chunk()).await, Err(ExchangeError::Broken { .. })));

    let (client, mut server) = memory_http();
    let (feed, body) = fed();
    let exchange = tokio::spawn(async move { client.exchange_streamed(request(), body).await });
    let mut arrival = within(server.accept()).await.expect("the client has opened one");
    within(feed.send(Ok("half".into()))).await.expect("the exchange lives");
    assert!(within(arrival.body().chunk()).await.expect("no error").is_some());
    // The client gives up.
    exchange.abort();
    assert!(matches!(within(arrival.body().chunk()).await, Err(ExchangeError::Broken { .. })));
    within(arrival.abandoned()).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_on_either_side() {
    let limits =
        MemoryHttpLimits::default().with_max_request_body_bytes(4).with_max_response_body_bytes(Some(4));
    let (client, mut server) = memory_http_with(limits);
    let (_exchange, mut arrival) = open(&client, &mut server, "12345").await;
    assert!(matches!(within(all(arrival.body())).await, Err(ExchangeError::TooLarge { .. })));
    let (exchange, mut arrival) = open(&client, &mut server, "1234").await;
    assert_eq!(within(all(arrival.body())).await.expect("at the limit"), b"1234");
    arrival.respond(ok(), Some(Bytes::from_static(b"12345")));
    let (_, mut answer) = within(exchange).await.expect("no panic").expect("an answer");
    assert!(matches!(within(all(&mut answer)).await, Err(ExchangeError::TooLarge { .. })));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_bounded() {
    struct Endless(Arc<AtomicUsize>);
    impl Chunks for Endless {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(Ok(Some(Bytes::from_static(b"more"))))
        }
    }
    let (client, mut server) = memory_http_with(MemoryHttpLimits::default().with_queued_chunks(4));
    let (exchange, arrival) = open(&client, &mut server, "").await;
    let made = Arc::new(AtomicUsize::new(0));
    arrival.respond(ok(), Endless(Arc::clone(&made)));
    let (_, mut answer) = within(exchange).await.expect("no panic").expect("an answer");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // Four wait in the queue, and one for room in it.
    assert_eq!(made.load(Ordering::SeqCst), 5);
    assert!(within(poll_fn(|cx| answer.poll_chunk(cx))).await.is_ok());
}

#[tokio::test]
async fn an_exchange_beyond_the_queue_waits_until_one_is_accepted() {
    let (client, mut server) = memory_http_with(MemoryHttpLimits::default().with_queued_exchanges(1));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut first = Box::pin(client.exchange(request(), "first".into()));
    let mut second = Box::pin(client.exchange(request(), "second".into()));
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
    // It was never in the queue, so nothing of it is left there.
    drop(second);
    let mut arrival = within(server.accept()).await.expect("the first");
    assert_eq!(within(all(arrival.body())).await.expect("whole"), b"first");
    assert!(std::pin::pin!(server.accept()).poll(&mut cx).is_pending(), "the second had been queued, too");
}

#[tokio::test]
async fn who_was_reached_is_told_apart() {
    let (client, mut server) = memory_http();
    let (exchange, arrival) = open(&client, &mut server, "").await;
    drop(arrival);
    let error = within(exchange).await.expect("no panic").expect_err("it was dropped");
    assert!(matches!(error, ExchangeError::Broken { .. }), "{error}");
    drop(server);
    let error = within(client.exchange(request(), Bytes::new())).await.expect_err("nobody is there");
    assert!(matches!(error, ExchangeError::NotConnected { .. }), "{error}");
}

#[tokio::test]
async fn no_more_clients_is_the_end_of_accepting() {
    let (client, mut server) = memory_http();
    drop(client);
    assert!(within(server.accept()).await.is_none());
}
