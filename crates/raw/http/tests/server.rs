//! The server's side over sockets.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod support;

use std::{future::pending, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use support::{Endless, OneWord, Running, all, client, get, post, read_to_end, service, status, text, write};
use tokio::sync::oneshot;
use towpath_http::{
    BodyBudget, BodyLimits, BodyTimeouts, ChunksBody, HttpServer, ListenLimits, ListenTimeouts, acceptor,
    read_body,
};
use towpath_raw::{Accept, Arrival, ChunksExt, Connect, Operation};
use towpath_testkit::{
    leak::{Baseline, isolated},
    within,
};

#[tokio::test]
async fn there_and_back() {
    let echo = service(async |request: http::Request<hyper::body::Incoming>| {
        let body = request.into_body().collect().await.expect("a whole body").to_bytes();
        http::Response::new(ChunksBody::new(Some(body)))
    });
    let server = Running::start(echo, ListenLimits::default(), ListenTimeouts::default()).await;
    let client = client();
    for length in [1, 100, 65_536, 1 << 20] {
        let sent = "x".repeat(length);
        let exchange = client.exchange(post(&server.url("/")), sent.clone().into());
        let (head, mut body) = within(exchange).await.expect("an answer");
        assert_eq!(status(&head), 200);
        assert!(all(&mut body).await.expect("whole") == sent);
    }
}

#[tokio::test]
async fn arrivals_stream_in_both_directions() {
    let (service, mut acceptor) = acceptor(4);
    let server = within(HttpServer::bind("127.0.0.1:0", ListenLimits::default(), ListenTimeouts::default()));
    let server = server.await.expect("a free port");
    let url = format!("http://{}/", server.local_addr());
    let serving = tokio::spawn(server.serve(service, pending()));
    let exchange = tokio::spawn(async move { client().exchange(post(&url), "question".into()).await });
    let mut arrival = within(acceptor.accept()).await.expect("it came");
    assert_eq!(all(arrival.body()).await.expect("whole"), "question");
    let (endless, mut gone) = Endless::new(None);
    let (head, ()) = http::Response::new(()).into_parts();
    arrival.respond(head, OneWord(endless, Some(Bytes::from_static(b"word"))));
    let (_, mut body) = within(exchange).await.expect("no panic").expect("an answer");
    assert_eq!(within(body.chunk()).await.expect("no error").expect("a chunk"), "word");
    // The client goes, and so does the body that says nothing.
    drop(body);
    assert!(within(gone.recv()).await.is_none());
    serving.abort();
}

#[tokio::test]
async fn an_endless_body_is_read_as_far_as_its_reader_likes() {
    let (endless, mut gone) = Endless::new(Some(&[b'.'; 4096]));
    let endless = std::sync::Mutex::new(Some(endless));
    let endless = std::sync::Arc::new(endless);
    let flood = service(move |_| {
        let body = endless.lock().expect("no panic").take().expect("one request");
        async { http::Response::new(ChunksBody::new(body)) }
    });
    let server = Running::start(flood, ListenLimits::default(), ListenTimeouts::default()).await;
    let client = client();
    let exchange = client.exchange(get(&server.url("/")), Bytes::new());
    let (_, mut body) = within(exchange).await.expect("an answer");
    let mut seen = 0;
    while seen < 100_000 {
        seen += within(body.chunk()).await.expect("no error").expect("more").len();
    }
    drop(body);
    assert!(within(gone.recv()).await.is_none());
}

#[tokio::test]
async fn a_newcomer_over_the_limit_is_told_to_come_back() {
    let hello = service(async |_| text("hello"));
    let limits = ListenLimits::default().with_max_connections(2);
    let server = Running::start(hello, limits, ListenTimeouts::default()).await;
    let mut admitted = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        write(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("hello") {
            let read = tokio::io::AsyncReadExt::read_buf(&mut stream, &mut answer);
            assert!(within(read).await.expect("an answer") > 0);
        }
        admitted.push(stream);
    }
    let mut newcomer = server.connect().await;
    write(&mut newcomer, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = read_to_end(&mut newcomer).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    // A place is free again once its connection has ended.
    drop(admitted);
    loop {
        let mut next = server.connect().await;
        write(&mut next, "GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
        if read_to_end(&mut next).await.contains("hello") {
            break;
        }
    }
}

#[tokio::test]
async fn a_panic_of_the_service_ends_its_own_connection() {
    let touchy = service(async |request: http::Request<hyper::body::Incoming>| {
        assert!(request.uri().path() != "/panic", "as it should");
        text("hello")
    });
    let server = Running::start(touchy, ListenLimits::default(), ListenTimeouts::default()).await;
    let client = client();
    let panicked = within(client.exchange(get(&server.url("/panic")), Bytes::new())).await;
    assert!(panicked.expect_err("no answer").was_sent());
    let (_, mut body) =
        within(client.exchange(get(&server.url("/")), Bytes::new())).await.expect("an answer");
    assert_eq!(all(&mut body).await.expect("whole"), "hello");
}

/// A server with one endless exchange, and the body of that on the client's side.
async fn with_an_open_stream(
    timeouts: ListenTimeouts,
) -> (Running, oneshot::Sender<()>, towpath_http::ConnectBody, tokio::sync::mpsc::Receiver<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (endless, gone) = Endless::new(None);
    let word = std::sync::Mutex::new(Some(OneWord(endless, Some(Bytes::from_static(b"word")))));
    let word = std::sync::Arc::new(word);
    let stream = service(move |_| {
        let body = word.lock().expect("no panic").take().expect("one request");
        async { http::Response::new(ChunksBody::new(body)) }
    });
    let stopped = async { drop(stopped.await) };
    let server = Running::start_until(stream, ListenLimits::default(), timeouts, stopped).await;
    let client = client();
    let exchange = client.exchange(get(&server.url("/")), Bytes::new());
    let (_, mut body) = within(exchange).await.expect("an answer");
    assert_eq!(within(body.chunk()).await.expect("no error").expect("a chunk"), "word");
    (server, stop, body, gone)
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_end_by_the_deadline() {
    let drain = Duration::from_millis(50);
    let (mut server, stop, mut body, mut gone) =
        with_an_open_stream(ListenTimeouts::default().with_drain(drain)).await;
    // An idle connection is in nobody's way.
    let mut idle = server.connect().await;
    drop(stop);
    let drained = within(&mut server.serving).await.expect("no panic");
    assert_eq!(drained.cut, 1);
    let timeout = drained.timeout.expect("the deadline passed");
    assert_eq!((timeout.operation, timeout.after), (Operation::Drain, drain));
    assert!(within(gone.recv()).await.is_none(), "the body outlived its server");
    within(body.chunk()).await.expect_err("it was cut");
    assert_eq!(read_to_end(&mut idle).await, "");
}

#[tokio::test]
async fn a_shutdown_waits_for_what_ends_by_itself() {
    let (stop, stopped) = oneshot::channel::<()>();
    let (go_on, gone_on) = tokio::sync::watch::channel(false);
    let (begun, mut has_begun) = tokio::sync::mpsc::channel(1);
    let slow = service(move |_| {
        let (mut gone_on, begun) = (gone_on.clone(), begun.clone());
        async move {
            begun.send(()).await.expect("a test");
            gone_on.wait_for(|on| *on).await.expect("a test");
            text("hello")
        }
    });
    let shutdown = async { drop(stopped.await) };
    let mut server =
        Running::start_until(slow, ListenLimits::default(), ListenTimeouts::default(), shutdown).await;
    let head = get(&server.url("/"));
    let exchange = tokio::spawn(async move { client().exchange(head, Bytes::new()).await });
    within(has_begun.recv()).await.expect("a request");
    drop(stop);
    // It listens no more.
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.send(true).expect("it waits");
    let (_, mut body) = within(exchange).await.expect("no panic").expect("an answer");
    assert_eq!(all(&mut body).await.expect("whole"), "hello");
    let drained = within(&mut server.serving).await.expect("no panic");
    assert_eq!((drained.cut, drained.timeout), (0, None));
}

#[tokio::test]
async fn a_dropped_server_closes_everything() {
    let (server, _stop, mut body, mut gone) = with_an_open_stream(ListenTimeouts::default()).await;
    drop(server);
    assert!(within(gone.recv()).await.is_none(), "the body outlived its server");
    within(body.chunk()).await.expect_err("it was closed");
}

#[tokio::test]
async fn two_hundred_stalled_bodies_hold_no_more_than_the_budget() {
    let limits = BodyLimits::default()
        .with_max_body_bytes(256 << 10)
        .with_budget_bytes(1 << 20)
        .with_reserved_body_bytes(4 << 10);
    let budget = BodyBudget::new(limits).expect("limits that agree");
    let timeouts = BodyTimeouts::default().with_body_read(None);
    let shared = budget.clone();
    let reading = service(move |request: http::Request<hyper::body::Incoming>| {
        let (budget, timeouts) = (shared.clone(), timeouts.clone());
        async move {
            let status = match read_body(request.into_body(), None, &budget, &timeouts).await {
                Ok(_) => http::StatusCode::OK,
                Err(error) => error.status(),
            };
            let mut response = text("");
            *response.status_mut() = status;
            response
        }
    });
    let server = Running::start(reading, ListenLimits::default(), ListenTimeouts::default()).await;
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut stream = server.connect().await;
        write(&mut stream, "POST / HTTP/1.1\r\ncontent-length: 250000\r\n\r\n").await;
        // As much as it takes; those that are refused take no more.
        let _ = within(tokio::io::AsyncWriteExt::write_all(&mut stream, &[b'.'; 200_000])).await;
        stalled.push(stream);
    }
    let client = client();
    for _ in 0..100 {
        let exchange = client.exchange(post(&server.url("/")), "x".repeat(2000).into());
        let (head, mut body) = within(exchange).await.expect("an answer");
        all(&mut body).await.expect("whole");
        assert_eq!(status(&head), 200);
    }
    assert!(budget.held_bytes() > 0, "nothing was stalled");
    assert!(budget.peak_bytes() <= 1 << 20, "{} bytes were held", budget.peak_bytes());
    drop(stalled);
    while budget.held_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_closed_server_and_client_leave_nothing() {
    isolated("a_closed_server_and_client_leave_nothing", || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let baseline = Baseline::take();
            for _ in 0..3 {
                let (server, stop, body, _gone) =
                    with_an_open_stream(ListenTimeouts::default().with_drain(Duration::from_millis(1))).await;
                let _idle = server.connect().await;
                drop((body, stop));
                let mut server = server;
                within(&mut server.serving).await.expect("no panic");
            }
            baseline.check().await;
        });
    });
}
