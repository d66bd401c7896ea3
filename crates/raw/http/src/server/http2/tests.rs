use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use h2::{
    Reason,
    client::{ResponseFuture, SendRequest},
};
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Barrier, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{service_fn, util::BoxCloneService};
use towpath_testkit::within_for;

use super::*;
use crate::{ChunksBody, serve_connection};

/// Longer than any deadline in these tests; the clock is paused.
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

type TestService = BoxCloneService<Request<Incoming>, Response<ChunksBody>, Infallible>;

fn service<F, Fut>(handle: F) -> TestService
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = &'static str> + Send + 'static,
{
    BoxCloneService::new(service_fn(move |request| {
        let text = handle(request);
        async move { Ok(Response::new(ChunksBody::new(Some(Bytes::from_static(text.await.as_bytes()))))) }
    }))
}

fn no_timeouts() -> ListenTimeouts {
    ListenTimeouts::default()
        .with_head_read(None)
        .with_keep_alive_idle(None)
        .with_write_stall(None)
        .with_http2_ping(None)
}

fn serve(
    service: TestService,
    limits: ListenLimits,
    timeouts: ListenTimeouts,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(1 << 20);
    let served =
        tokio::spawn(async move { serve_connection(far, service, &limits, &timeouts, shutdown).await });
    (near, served)
}

async fn client(
    io: DuplexStream,
    builder: &h2::client::Builder,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let (send, connection) = within_for(DAY, builder.handshake(io)).await.expect("it speaks HTTP/2");
    (send, tokio::spawn(connection))
}

async fn ask(send: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    poll_fn(|cx| send.poll_ready(cx)).await.expect("the connection lives");
    let request = Request::get(format!("http://peer{path}")).body(()).expect("a request");
    send.send_request(request, true).expect("the connection lives").0
}

async fn text(response: ResponseFuture) -> Result<String, h2::Error> {
    let mut body = response.await?.into_body();
    let mut whole = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        whole.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(whole).expect("text"))
}

/// What a peer writes by hand: the preface, empty settings, and frames.
fn by_hand(frames: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for (kind, flags, stream, payload) in frames {
        bytes.extend([0, 0, payload.len() as u8, *kind, *flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// The frames that come until the connection ends: kind, stream, payload.
async fn frames(io: &mut DuplexStream) -> Vec<(u8, u32, Vec<u8>)> {
    let mut bytes = Vec::new();
    let _ = within_for(DAY, io.read_to_end(&mut bytes)).await;
    let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
    while let [_, high, low, kind, _, a, b, c, d, after @ ..] = rest {
        let (payload, next) = after.split_at(usize::from(*high) << 8 | usize::from(*low));
        frames.push((*kind, u32::from_be_bytes([*a, *b, *c, *d]), payload.to_vec()));
        rest = next;
    }
    frames
}

/// The head of `GET http://x/`, compressed.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;

/// Counts the exchanges that begin, and tells of each that ends.
fn counting() -> (TestService, Arc<AtomicUsize>, mpsc::UnboundedReceiver<()>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let (ended, ends) = mpsc::unbounded_channel();
    let count = Arc::clone(&begun);
    let never = service(move |_| {
        count.fetch_add(1, SeqCst);
        let end = Ended(ended.clone());
        async move {
            let _end = end;
            pending().await
        }
    });
    (never, begun, ends)
}

struct Ended(mpsc::UnboundedSender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test(start_paused = true)]
async fn many_exchanges_run_side_by_side_on_one_connection() {
    const MANY: usize = 60;
    let barrier = Arc::new(Barrier::new(MANY));
    let meeting = BoxCloneService::new(service_fn(move |request: Request<Incoming>| {
        let barrier = Arc::clone(&barrier);
        async move {
            let path = request.uri().path().to_owned();
            // None is answered before all have come.
            barrier.wait().await;
            Ok(Response::new(ChunksBody::new(Some(Bytes::from(path)))))
        }
    }));
    let (io, _served) = serve(meeting, ListenLimits::default(), no_timeouts(), pending());
    let (mut send, _connection) = client(io, &h2::client::Builder::new()).await;
    for _ in 0..3 {
        let mut asked = Vec::new();
        for n in 0..MANY {
            asked.push((n, ask(&mut send, &format!("/{n}")).await));
        }
        for (n, response) in asked {
            assert_eq!(within_for(DAY, text(response)).await.expect("an answer"), format!("/{n}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_its_exchange_alone() {
    let (go_on, gone_on) = tokio::sync::watch::channel(false);
    let (ended, mut ends) = mpsc::unbounded_channel();
    let waiting = service(move |request| {
        let (mut gone_on, ended) = (gone_on.clone(), Ended(ended.clone()));
        async move {
            let ended = (request.uri().path() == "/reset").then_some(ended);
            gone_on.wait_for(|on| *on).await.expect("a test");
            drop(ended);
            "hello"
        }
    });
    let (io, _served) = serve(waiting, ListenLimits::default(), no_timeouts(), pending());
    let (mut send, _connection) = client(io, &h2::client::Builder::new()).await;
    let other = ask(&mut send, "/other").await;
    let reset = ask(&mut send, "/reset").await;
    sleep(SECOND).await;
    while ends.try_recv().is_ok() {}
    drop(reset);
    within_for(DAY, ends.recv()).await.expect("the exchange goes on though it was reset");
    go_on.send(true).expect("it waits");
    assert_eq!(within_for(DAY, text(other)).await.expect("an answer"), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_rapid_reset_ends_the_connection() {
    for (limit, is_ended) in [(10, true), (100, false)] {
        let limits = ListenLimits::default().with_max_pending_resets(limit).with_max_http2_streams(50);
        let (never, begun, _ends) = counting();
        let (mut io, served) = serve(never, limits, no_timeouts(), pending());
        let attack: Vec<_> = (0..40_u32)
            .flat_map(|n| {
                let stream = 2 * n + 1;
                [(HEADERS, END_STREAM | END_HEADERS, stream, GET), (RESET, 0, stream, &[0, 0, 0, 8][..])]
            })
            .collect();
        io.write_all(&by_hand(&attack)).await.expect("room");
        sleep(SECOND).await;
        assert_eq!(served.is_finished(), is_ended, "with a limit of {limit}");
        assert!(begun.load(SeqCst) <= 50);
        if is_ended {
            let calm = Reason::ENHANCE_YOUR_CALM;
            let frames = within_for(DAY, frames(&mut io)).await;
            let goaway = frames.iter().find(|(kind, ..)| *kind == GOAWAY).expect("it says why");
            assert_eq!(goaway.2[4..8], u32::from(calm).to_be_bytes());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn exchanges_over_the_limit_are_refused_and_not_begun() {
    let limits = ListenLimits::default().with_max_http2_streams(3);
    let (never, begun, _ends) = counting();
    let (mut io, served) = serve(never, limits, no_timeouts(), pending());
    let many: Vec<_> = (0..10).map(|n| (HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, GET)).collect();
    io.write_all(&by_hand(&many)).await.expect("room");
    sleep(SECOND).await;
    assert_eq!(begun.load(SeqCst), 3);
    served.abort();
    let frames = within_for(DAY, frames(&mut io)).await;
    let refused: Vec<_> = frames.iter().filter(|(kind, ..)| *kind == RESET).collect();
    assert_eq!(refused.len(), 7);
    assert!(refused.iter().all(|(.., why)| why[..] == u32::from(Reason::REFUSED_STREAM).to_be_bytes()));
}

#[tokio::test(start_paused = true)]
async fn a_head_over_the_limit_is_answered_431_and_the_connection_lives() {
    let limits = ListenLimits::default().with_max_head_bytes(1024);
    let (io, _served) = serve(service(async |_| "hello"), limits, no_timeouts(), pending());
    let (mut send, _connection) = client(io, &h2::client::Builder::new()).await;
    for (bytes, status) in [(500, 200), (1200, 431), (500, 200)] {
        poll_fn(|cx| send.poll_ready(cx)).await.expect("the connection lives");
        let request =
            Request::get("http://peer/").header("x", "x".repeat(bytes)).body(()).expect("a request");
        let (response, _) = send.send_request(request, true).expect("the connection lives");
        let response = within_for(DAY, response).await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_is_sent_as_far_as_its_window() {
    let window = 5000;
    let limits = ListenLimits::default().with_http2_window_bytes(window);
    let (never, begun, _ends) = counting();
    let (io, _served) = serve(never, limits, no_timeouts(), pending());
    let (mut send, _connection) = client(io, &h2::client::Builder::new()).await;
    // The first exchange has the window of before the settings came.
    let _first = ask(&mut send, "/").await;
    sleep(SECOND).await;
    poll_fn(|cx| send.poll_ready(cx)).await.expect("the connection lives");
    let request = Request::post("http://peer/").body(()).expect("a request");
    let (_response, mut body) = send.send_request(request, false).expect("the connection lives");
    body.reserve_capacity(1 << 20);
    let mut sent = 0;
    while let Ok(Some(more)) = tokio::time::timeout(10 * SECOND, poll_fn(|cx| body.poll_capacity(cx))).await {
        let more = more.expect("the connection lives");
        body.send_data(Bytes::from(vec![b'.'; more]), false).expect("the connection lives");
        sent += more;
    }
    assert_eq!((sent, begun.load(SeqCst)), (window as usize, 2));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_ping_is_gone() {
    for (ping, seconds) in [(Some(20 * SECOND), Some(40)), (None, None)] {
        let (never, _begun, mut ends) = counting();
        let timeouts = no_timeouts().with_http2_ping(ping);
        let (mut io, mut served) = serve(never, ListenLimits::default(), timeouts, pending());
        let start = Instant::now();
        io.write_all(&by_hand(&[(HEADERS, END_STREAM | END_HEADERS, 1, GET)])).await.expect("room");
        let ended = tokio::time::timeout(1000 * SECOND, &mut served).await;
        assert_eq!(ended.ok().map(|_| start.elapsed().as_secs()), seconds);
        if seconds.is_some() {
            within_for(DAY, ends.recv()).await.expect("the exchange outlived its connection");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_has_its_deadline_whatever_else_runs() {
    let (never, begun, _ends) = counting();
    let timeouts = no_timeouts().with_head_read(Some(10 * SECOND));
    let (mut io, served) = serve(never, ListenLimits::default(), timeouts, pending());
    io.write_all(&by_hand(&[(HEADERS, END_STREAM | END_HEADERS, 1, GET)])).await.expect("room");
    sleep(100 * SECOND).await;
    assert!(!served.is_finished() && begun.load(SeqCst) == 1, "an exchange that runs is no head");
    let start = Instant::now();
    io.write_all(&[0, 0, 200, HEADERS, END_STREAM | END_HEADERS, 0, 0, 0, 3]).await.expect("room");
    let trickle = tokio::spawn(async move {
        while io.write_all(&GET[..1]).await.is_ok() {
            sleep(SECOND).await;
        }
    });
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 10);
    within_for(DAY, trickle).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_head_ends_at_its_deadline() {
    let timeouts = no_timeouts().with_head_read(Some(10 * SECOND));
    let (mut io, served) = serve(service(async |_| "hello"), ListenLimits::default(), timeouts, pending());
    let start = Instant::now();
    io.write_all(&by_hand(&[])).await.expect("room");
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_politely_and_whoever_is_silent_has_ten_seconds() {
    let timeouts = no_timeouts().with_keep_alive_idle(Some(75 * SECOND));
    let (io, served) =
        serve(service(async |_| "hello"), ListenLimits::default(), timeouts.clone(), pending());
    let (mut send, connection) = client(io, &h2::client::Builder::new()).await;
    for _ in 0..3 {
        let response = ask(&mut send, "/").await;
        assert_eq!(within_for(DAY, text(response)).await.expect("an answer"), "hello");
        sleep(60 * SECOND).await;
    }
    let start = Instant::now();
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 15);
    within_for(DAY, connection).await.expect("no panic").expect("it was told");

    let (mut io, served) = serve(service(async |_| "hello"), ListenLimits::default(), timeouts, pending());
    let start = Instant::now();
    io.write_all(&by_hand(&[(HEADERS, END_STREAM | END_HEADERS, 1, GET)])).await.expect("room");
    within_for(DAY, served).await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 85);
}

#[tokio::test(start_paused = true)]
async fn a_shut_down_connection_ends_after_its_exchanges() {
    let (stop, stopped) = oneshot::channel::<()>();
    let slow = service(async |_| {
        sleep(100 * SECOND).await;
        "hello"
    });
    let shutdown = async { drop(stopped.await) };
    let (io, served) = serve(slow, ListenLimits::default(), no_timeouts(), shutdown);
    let (mut send, connection) = client(io, &h2::client::Builder::new()).await;
    let start = Instant::now();
    let asked = [ask(&mut send, "/").await, ask(&mut send, "/").await];
    sleep(SECOND).await;
    drop(stop);
    for response in asked {
        assert_eq!(within_for(DAY, text(response)).await.expect("an answer"), "hello");
    }
    within_for(DAY, served).await.expect("no panic");
    within_for(DAY, connection).await.expect("no panic").expect("it was told");
    // At once: a peer that answers needs no deadline.
    assert_eq!(start.elapsed().as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_whose_peer_makes_no_room_is_reset_and_others_go_on() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let bodies = BoxCloneService::new(service_fn(move |request: Request<Incoming>| {
        let ended = (request.uri().path() != "/").then(|| Ended(ended.clone()));
        async move {
            let Some(ended) = ended else {
                return Ok(Response::new(ChunksBody::new(Some(Bytes::from_static(b"hello")))));
            };
            let endless = Endless { _ended: ended };
            Ok(Response::new(ChunksBody::new(endless)))
        }
    }));
    let timeouts = no_timeouts().with_write_stall(Some(30 * SECOND));
    let (io, _served) = serve(bodies, ListenLimits::default(), timeouts, pending());
    let (mut send, _connection) = client(io, h2::client::Builder::new().initial_window_size(20_000)).await;
    let stalled = within_for(DAY, ask(&mut send, "/endless").await).await.expect("a head");
    let start = Instant::now();
    let mut body = stalled.into_body();
    // Who makes room now and then is only slow.
    for _ in 0..4 {
        sleep(25 * SECOND).await;
        let mut taken = 0;
        while taken < 20_000 {
            let chunk = within_for(DAY, body.data()).await.expect("more").expect("more");
            body.flow_control().release_capacity(chunk.len()).expect("it was taken");
            taken += chunk.len();
        }
        assert!(ends.try_recv().is_err(), "a slow exchange was reset");
        let fine = ask(&mut send, "/").await;
        assert_eq!(within_for(DAY, text(fine)).await.expect("an answer"), "hello");
    }
    within_for(DAY, ends.recv()).await.expect("the body goes on");
    assert_eq!(start.elapsed().as_secs(), 130);
    let fine = ask(&mut send, "/").await;
    assert_eq!(within_for(DAY, text(fine)).await.expect("an answer"), "hello");
}

/// A body without an end.
struct Endless {
    _ended: Ended,
}

impl towpath_raw::Chunks for Endless {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, towpath_raw::ExchangeError>> {
        Poll::Ready(Ok(Some(Bytes::from_static(&[b'.'; 100_000]))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_may_come_in_pieces_and_what_only_begins_like_it_is_http1() {
    let (mut io, _served) =
        serve(service(async |_| "hello"), ListenLimits::default(), no_timeouts(), pending());
    let (mut near, far) = duplex(1);
    let _pieces = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut io).await });
    let (mut send, _connection) = client(far, &h2::client::Builder::new()).await;
    let response = ask(&mut send, "/").await;
    assert_eq!(within_for(DAY, text(response)).await.expect("an answer"), "hello");

    let (mut io, _served) =
        serve(service(async |_| "hello"), ListenLimits::default(), no_timeouts(), pending());
    for piece in ["PR", "OPFIND / HTTP/1.1\r\nhost: x\r\n", "connection: close\r\n\r\n"] {
        io.write_all(piece.as_bytes()).await.expect("room");
        sleep(SECOND).await;
    }
    let mut answer = String::new();
    within_for(DAY, io.read_to_string(&mut answer)).await.expect("it is closed");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("hello"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_exchange_alone_and_a_dropped_connection_all() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let touchy = service(move |request| {
        let ended = Ended(ended.clone());
        async move {
            assert!(request.uri().path() != "/panic", "as it should");
            if request.uri().path() == "/never" {
                let _ended = ended;
                pending::<()>().await;
            }
            "hello"
        }
    });
    let (io, served) = serve(touchy, ListenLimits::default(), no_timeouts(), pending());
    let (mut send, _connection) = client(io, &h2::client::Builder::new()).await;
    let never = ask(&mut send, "/never").await;
    let panicked = ask(&mut send, "/panic").await;
    within_for(DAY, text(panicked)).await.expect_err("no answer");
    let fine = ask(&mut send, "/").await;
    assert_eq!(within_for(DAY, text(fine)).await.expect("an answer"), "hello");
    while ends.try_recv().is_ok() {}
    served.abort();
    within_for(DAY, ends.recv()).await.expect("the exchange outlived its connection");
    within_for(DAY, text(never)).await.expect_err("it was closed");
}

#[tokio::test]
async fn pieces_make_up_the_body() {
    let body = Bytes::from_iter((0..100_000_u32).map(|n| n as u8));
    let pieces = || Pieces { body: Full::new(body.clone()), rest: Bytes::new() };
    assert_eq!(within_for(DAY, pieces().collect()).await.expect("infallible").to_bytes(), body);
    let mut read = pieces();
    while let Some(Ok(piece)) = within_for(DAY, read.frame()).await {
        assert!(piece.into_data().expect("data").len() <= SENT_AT_ONCE_BYTES);
        assert_eq!(read.is_end_stream(), read.size_hint().exact() == Some(0));
    }
}
