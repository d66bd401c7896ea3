use std::{convert::Infallible, future::pending};

use http_body_util::{Empty, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    task::JoinHandle,
};
use tower::service_fn;
use towpath_testkit::within_for;

use super::*;
use crate::ChunksBody;

/// Longer than any deadline in these tests; the clock is paused.
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn no_timeouts() -> ListenTimeouts {
    ListenTimeouts::default().with_head_read(None).with_keep_alive_idle(None).with_write_stall(None)
}

fn hello(limits: ListenLimits, timeouts: ListenTimeouts) -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(64 << 10);
    let hello = service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let served =
        tokio::spawn(async move { serve_connection(far, hello, &limits, &timeouts, pending()).await });
    (near, served)
}

async fn exchange(io: &mut DuplexStream) {
    io.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is served");
    let mut seen = Vec::new();
    while !seen.ends_with(b"hello") {
        assert!(io.read_buf(&mut seen).await.expect("it is served") > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    let timeouts = no_timeouts().with_head_read(Some(10 * SECOND));
    // Nothing at all, and one byte at a time.
    for slow in [false, true] {
        let (mut io, served) = hello(ListenLimits::default(), timeouts.clone());
        let start = Instant::now();
        let trickle = tokio::spawn(async move {
            while slow && io.write_all(b"G").await.is_ok() {
                tokio::time::sleep(SECOND).await;
            }
            pending::<()>().await;
        });
        within_for(DAY, served).await.expect("no panic");
        trickle.abort();
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_after_an_exchange_has_its_own_deadline() {
    let timeouts = no_timeouts().with_head_read(Some(10 * SECOND));
    let (mut io, served) = hello(ListenLimits::default(), timeouts);
    exchange(&mut io).await;
    // Between two exchanges it is `keep_alive_idle` that counts, and there is none.
    tokio::time::sleep(100 * SECOND).await;
    exchange(&mut io).await;
    let start = Instant::now();
    io.write_all(b"GET / HT").await.expect("it is served");
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_and_a_used_one_does_not() {
    let timeouts = no_timeouts().with_keep_alive_idle(Some(75 * SECOND));
    let (mut io, served) = hello(ListenLimits::default(), timeouts);
    for _ in 0..3 {
        exchange(&mut io).await;
        tokio::time::sleep(60 * SECOND).await;
    }
    let start = Instant::now();
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_long_exchange_is_not_idle() {
    let (mut near, far) = duplex(64 << 10);
    let slow = service_fn(async |_: Request<Incoming>| {
        tokio::time::sleep(1000 * SECOND).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let served = tokio::spawn(async move {
        let limits = ListenLimits::default();
        serve_connection(far, slow, &limits, &ListenTimeouts::default(), pending()).await;
    });
    within_for(DAY, exchange(&mut near)).await;
    drop(near);
    within_for(DAY, served).await.expect("no panic");
}

/// A body without an end, which tells when it is dropped.
struct Endless {
    _alive: mpsc::Sender<()>,
}

impl towpath_raw::Chunks for Endless {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, towpath_raw::ExchangeError>> {
        Poll::Ready(Ok(Some(Bytes::from_static(&[b'.'; 1024]))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_ends_the_connection_and_one_that_takes_a_byte_does_not() {
    let (mut near, far) = duplex(16);
    let (alive, mut gone) = mpsc::channel(1);
    let endless = service_fn(move |_: Request<Incoming>| {
        let body = ChunksBody::new(Endless { _alive: alive.clone() });
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let timeouts = no_timeouts().with_write_stall(Some(30 * SECOND));
    let served = tokio::spawn(async move {
        serve_connection(far, endless, &ListenLimits::default(), &timeouts, pending()).await;
    });
    near.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is served");
    for _ in 0..5 {
        tokio::time::sleep(25 * SECOND).await;
        near.read_u8().await.expect("it is served");
    }
    let start = Instant::now();
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 30);
    assert!(within_for(DAY, gone.recv()).await.is_none(), "the body outlived its connection");
}

#[tokio::test(start_paused = true)]
async fn a_head_over_the_limit_is_answered_431() {
    for (bytes, status) in [(800, "200"), (1200, "431")] {
        let (mut io, _served) = hello(ListenLimits::default().with_max_head_bytes(1024), no_timeouts());
        let head = format!("GET / HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(bytes));
        io.write_all(head.as_bytes()).await.expect("it is served");
        let mut answer = String::new();
        within_for(DAY, io.read_to_string(&mut answer)).await.expect("it is closed");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_has_its_exchange_dropped() {
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let (near, far) = duplex(1024);
    let never = service_fn(move |_: Request<Incoming>| {
        let alive = alive.clone();
        async move {
            let _alive = alive;
            pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Empty::new()))
        }
    });
    let served = tokio::spawn(async move {
        serve_connection(far, never, &ListenLimits::default(), &no_timeouts(), pending()).await;
    });
    let mut near = near;
    near.write_all(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}").await.expect("it is served");
    tokio::time::sleep(SECOND).await;
    assert!(!served.is_finished());
    drop(near);
    within_for(DAY, served).await.expect("no panic");
    assert!(within_for(DAY, gone.recv()).await.is_none(), "the exchange outlived its connection");
}

#[tokio::test(start_paused = true)]
async fn a_shut_down_connection_ends_after_its_exchange() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (mut near, far) = duplex(1024);
    let slow = service_fn(async |_: Request<Incoming>| {
        tokio::time::sleep(10 * SECOND).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let served = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        serve_connection(far, slow, &ListenLimits::default(), &no_timeouts(), stopped).await;
    });
    near.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is served");
    tokio::time::sleep(SECOND).await;
    drop(stop);
    let mut answer = String::new();
    within_for(DAY, near.read_to_string(&mut answer)).await.expect("it is closed");
    assert!(answer.ends_with("hello"), "{answer}");
    within_for(DAY, served).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_still_sends_gets_its_answer() {
    // The service answers without reading the body.
    let (io, served) = hello(ListenLimits::default(), no_timeouts());
    let (mut read, mut write) = tokio::io::split(io);
    write
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        .await
        .expect("it is served");
    within_for(DAY, write.write_all(&[b'x'; 1_000_000])).await.expect("it is read");
    let mut answer = Vec::new();
    within_for(DAY, read.read_to_end(&mut answer)).await.expect("it is closed");
    assert!(answer.ends_with(b"hello"));
    drop((read, write));
    within_for(DAY, served).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_on_sending_is_not_read_for_ever() {
    let (mut io, served) = hello(ListenLimits::default(), no_timeouts());
    let start = Instant::now();
    io.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        .await
        .expect("it is served");
    io.write_all(&[b'x'; 60_000]).await.expect("it is served");
    let trickle = tokio::spawn(async move {
        while io.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SECOND / 10).await;
        }
    });
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 1);
    within_for(DAY, trickle).await.expect("no panic");
}
