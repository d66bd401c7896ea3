//! Lanes over real sockets: who may come in, who is told what, and what is left.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    future::{Future, poll_fn},
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use towpath_raw::{
    Frame, FrameSink, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts,
    Listen, Operation, Timeout,
};
use towpath_stdio::{
    SocketAddress, SocketError, SocketLane, SocketLimits, SocketListener, SocketOptions, SocketTimeouts,
};
use towpath_testkit::{
    contract::{self, Setup},
    leak::{Baseline, isolated},
    within, within_for,
};

fn anywhere() -> SocketAddress {
    SocketAddress::Tcp("127.0.0.1:0".into())
}

/// An abstract name that no other test and no other process has.
fn unix(name: &str) -> SocketAddress {
    SocketAddress::Abstract(format!("towpath-test-{}-{name}", std::process::id()))
}

fn admitting(connections: usize) -> SocketOptions {
    SocketOptions::default().with_listener(SocketLimits::default().with_max_connections(connections))
}

async fn bound(address: &SocketAddress, options: SocketOptions) -> SocketListener {
    within(SocketListener::bind(address, options)).await.expect("it listens")
}

async fn connect(listener: &SocketListener) -> SocketLane {
    let connected = SocketLane::connect(listener.address(), SocketOptions::default());
    within(connected).await.expect("it connects")
}

fn message(text: &'static str) -> Frame {
    Bytes::from_static(text.as_bytes()).into()
}

async fn pair(address: SocketAddress, setup: Setup) -> (SocketLane, SocketLane) {
    let options = SocketOptions::default().with_timeouts(setup.timeouts);
    let mut listener = bound(&address, options.clone().with_limits(setup.right)).await;
    let connecting = SocketLane::connect(listener.address(), options.with_limits(setup.left));
    let left = within(connecting).await.expect("it connects");
    (left, within(listener.accept()).await.expect("it comes in"))
}

#[tokio::test]
async fn a_unix_socket_keeps_the_contract() {
    contract::run(async |setup: Setup| pair(unix("contract"), setup).await).await;
}

#[tokio::test]
async fn tcp_keeps_the_contract() {
    contract::run(async |setup: Setup| pair(anywhere(), setup).await).await;
}

#[tokio::test]
async fn peers_are_named_by_how_they_are_reached() {
    let mut listener = bound(&anywhere(), SocketOptions::default()).await;
    let near = connect(&listener).await;
    let far = within(listener.accept()).await.expect("it comes in");
    assert_eq!(near.peer(), listener.local());
    assert!(far.peer().starts_with("tcp 127.0.0.1:") && far.peer() != near.peer(), "{}", far.peer());

    let mut listener = bound(&unix("names"), SocketOptions::default()).await;
    let (near, pid) = (connect(&listener).await, std::process::id());
    let far = within(listener.accept()).await.expect("it comes in");
    assert_eq!(&*near.peer(), format!("unix @towpath-test-{pid}-names (pid {pid})"));
    assert_eq!(near.peer(), far.peer());
}

#[tokio::test]
async fn a_name_leads_to_its_addresses() {
    let mut listener = bound(&SocketAddress::Tcp("localhost:0".into()), SocketOptions::default()).await;
    let SocketAddress::Tcp(place) = listener.address() else { panic!("TCP") };
    let port = place.rsplit_once(':').expect("a port").1;
    let name = SocketAddress::Tcp(format!("localhost:{port}"));
    within(SocketLane::connect(&name, SocketOptions::default())).await.expect("it connects");
    within(listener.accept()).await.expect("it comes in");
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_with_what_to_try() {
    let gone = bound(&anywhere(), SocketOptions::default()).await.address().clone();
    let path = SocketAddress::Unix("/nowhere/mcp.sock".into());
    let name = SocketAddress::Tcp("a..b:4000".into());
    for (address, parts) in [
        (&gone, ["tcp:127.0.0.1:", "nothing listens there"]),
        (&path, ["unix:/nowhere/mcp.sock", "start the server first"]),
        (&name, ["tcp:a..b:4000", "spelling"]),
    ] {
        let failed = within(SocketLane::connect(address, SocketOptions::default())).await;
        let text = failed.expect_err("nobody is there").to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_has_a_deadline() {
    // The queue of this listener has room for one, and nobody takes that one out.
    let address = unix("deaf");
    let (_listener, _first) = full(&address);
    let after = Duration::from_secs(3);
    let options = SocketOptions::default().with_socket(SocketTimeouts::default().with_connect(after));
    let error = within(SocketLane::connect(&address, options)).await.expect_err("nobody takes it");
    let SocketError::Timeout { source, .. } = &error else { panic!("{error}") };
    assert_eq!(*source, Timeout { operation: Operation::Connect, after });
    assert!(error.to_string().contains("setting: connect"), "{error}");
}

/// A listener whose queue is full, and what it is full of.
fn full(address: &SocketAddress) -> (std::os::unix::net::UnixListener, rustix::fd::OwnedFd) {
    let SocketAddress::Abstract(name) = address else { panic!("an abstract name") };
    let name = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("short");
    let make = || socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    let (listener, first) = (make(), make());
    bind(&listener, &name).expect("bound");
    listen(&listener, 0).expect("it listens");
    rustix::net::connect(&first, &name).expect("room for one");
    (listener.into(), first)
}

#[tokio::test]
async fn a_listener_with_a_full_queue_is_asked_again() {
    let address = unix("full");
    let (listener, _first) = full(&address);
    let mut connecting = pin!(SocketLane::connect(&address, SocketOptions::default()));
    let early = poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx))).await;
    assert!(early.is_pending(), "{early:?}");
    let taken = listener.accept().expect("the first");
    within(connecting).await.expect("there is room now");
    drop(taken);
}

#[tokio::test]
async fn a_peer_that_never_reads_ends_after_the_listener_s_write_stall() {
    let timeouts = LaneTimeouts::default().with_write_stall(Some(Duration::from_millis(50)));
    let mut listener = bound(&unix("stall"), SocketOptions::default().with_timeouts(timeouts)).await;
    let _deaf = connect(&listener).await;
    let (_source, mut sink) = within(listener.accept()).await.expect("it comes in").split();
    let large = Frame::from(Bytes::from(vec![b'{'; 8 << 20]));
    let stalled = within(sink.send(large)).await.expect_err("nobody reads");
    let LaneError::PeerNotReading { peer, .. } = &stalled else { panic!("{stalled}") };
    assert!(peer.starts_with("unix @towpath-test"), "{stalled}");
}

#[tokio::test]
async fn the_limits_of_a_lane_are_those_of_its_options() {
    let limits = LaneLimits::default().with_max_message_bytes(16);
    let options = SocketOptions::default().with_limits(limits);
    let mut listener = bound(&anywhere(), options.clone()).await;
    let near = within(SocketLane::connect(listener.address(), options)).await.expect("it connects");
    let far = within(listener.accept()).await.expect("it comes in");
    for lane in [near, far] {
        assert_eq!(lane.max_message_bytes(), 16);
        let (_source, mut sink) = lane.split();
        let refused = within(sink.send(message("{\"much\":\"too long\"}"))).await;
        assert!(refused.is_err_and(|error| error.is_about_one_message()));
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_altogether_is_told_from_one_that_only_closed_its_direction() {
    let (near, far) = pair(unix("gone"), Setup::default()).await;
    let ((mut source, mut sink), (far_source, far_sink)) = (near.split(), far.split());
    drop(far_sink);
    assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
    // It still reads, so it is owed its answers.
    within(sink.send(message("{}"))).await.expect("it reads");
    let gone = tokio::spawn(poll_fn(move |cx| match sink.poll_flush(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        _ => Poll::Pending,
    }));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!gone.is_finished());
    // Nothing is written, and who waits is woken.
    drop(far_source);
    let error = within_for(Duration::from_secs(5), gone).await.expect("no panic");
    assert!(matches!(error, LaneError::Closed { .. }), "{error}");
}

/// The one line that a refused newcomer gets, and then a clean end.
async fn refusal(lane: SocketLane) -> String {
    let (mut source, _sink) = lane.split();
    let line = match within(source.receive()).await {
        Ok(Inbound::Frame(line)) => String::from_utf8(line.to_vec()).expect("text"),
        other => panic!("no refusal: {other:?}"),
    };
    let end = within(source.receive()).await;
    assert!(matches!(&end, Ok(Inbound::End(end)) if end.truncated_bytes == 0), "{end:?}");
    line
}

#[tokio::test]
async fn a_newcomer_over_the_limit_is_told_so_and_a_lane_keeps_its_place_until_both_halves_are_gone() {
    for (address, reader_first) in [(unix("limit"), true), (anywhere(), false)] {
        let mut listener = bound(&address, admitting(1)).await;
        let _first = connect(&listener).await;
        let (source, sink) = within(listener.accept()).await.expect("there is room").split();
        // One half after the other; the place is that of both.
        let mut halves: Vec<Box<dyn Send>> = vec![Box::new(source), Box::new(sink)];
        if reader_first {
            halves.reverse();
        }
        for refused in 1..=2 {
            assert_eq!(listener.connections(), 1);
            let newcomer = connect(&listener).await;
            let told = tokio::select! {
                told = refusal(newcomer) => told,
                accepted = listener.accept() => panic!("{accepted:?} came in"),
            };
            assert_eq!(listener.refused(), refused);
            assert!(
                told.starts_with(r#"{"jsonrpc":"2.0","error":{"code":-32603,"#) && !told.contains("\"id\"")
            );
            let parts = ["too many connections", r#""reason":"too_many_connections""#, r#""limit":1"#];
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
            halves.pop();
        }
        assert_eq!(listener.connections(), 0);
        let _second = connect(&listener).await;
        within(listener.accept()).await.expect("there is room again");
    }
}

#[tokio::test]
async fn a_newcomer_that_speaks_gets_its_refusal_and_is_heard_out() {
    for address in [unix("hello"), anywhere()] {
        let mut listener = bound(&address, admitting(0)).await;
        let (mut source, mut sink) = connect(&listener).await.split();
        let hello = || Frame::from(Bytes::from(format!("{{\"id\":1,\"x\":\"{}\"}}", "x".repeat(100_000))));
        sink.start_send(hello()).expect("there is room");
        let told = async {
            // Whether it comes before or after the line: nothing is cut off.
            poll_fn(|cx| Poll::Ready(sink.poll_flush(cx).is_ready())).await;
            let line = source.receive().await;
            assert!(matches!(line, Ok(Inbound::Frame(_))), "{line:?}");
            sink.send(hello()).await.expect("it is heard");
            let end = source.receive().await;
            assert!(matches!(end, Ok(Inbound::End(_))), "{end:?}");
        };
        let told = within(async {
            tokio::select! {
                () = told => true,
                _ = listener.accept() => false,
            }
        });
        assert!(told.await);
    }
}

#[tokio::test]
async fn newcomers_that_neither_read_nor_leave_hold_up_nobody() {
    let mut listener = bound(&unix("crowd"), admitting(1)).await;
    let _first = connect(&listener).await;
    let first = within(listener.accept()).await.expect("there is room");
    // More than are heard out at once.
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(connect(&listener).await);
    }
    within(async {
        let accepting = tokio::time::timeout(Duration::from_millis(50), listener.accept());
        assert!(accepting.await.is_err(), "there is no room");
        while listener.refused() < 100 {
            let accepting = tokio::time::timeout(Duration::from_millis(50), listener.accept());
            assert!(accepting.await.is_err(), "there is no room");
        }
    })
    .await;
    drop(first);
    let _second = connect(&listener).await;
    within(listener.accept()).await.expect("there is room");
}

#[tokio::test]
async fn no_web_page_can_have_a_browser_talk_to_a_tcp_listener() {
    let mut listener = bound(&anywhere(), SocketOptions::default()).await;
    let SocketAddress::Tcp(place) = listener.address() else { panic!("TCP") };
    let mut browser = TcpStream::connect(place).expect("it connects");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
    let post = format!("POST / HTTP/1.1\r\nhost: {place}\r\ncontent-type: text/plain\r\n\r\n{body}\n");
    browser.write_all(post.as_bytes()).expect("written");
    browser.shutdown(Shutdown::Write).expect("that was all");
    let (mut source, sink) = within(listener.accept()).await.expect("it comes in").split();
    let error = within(source.receive()).await.expect_err("it was listened to");
    assert!(error.to_string().contains("POST / HTTP/1.1"), "{error}");
    drop((source, sink));
    assert_eq!(browser.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[tokio::test]
async fn a_newcomer_over_tcp_that_says_nothing_is_ended_and_one_that_has_spoken_may_be_silent() {
    let timeouts = SocketTimeouts::default().with_first_message(Some(Duration::from_millis(50)));
    let options = SocketOptions::default().with_socket(timeouts);
    let mut listener = bound(&anywhere(), options.clone()).await;
    let SocketAddress::Tcp(place) = listener.address().clone() else { panic!("TCP") };
    for said in ["", "\n\n", "{\"id\":", "{}\n"] {
        let mut newcomer = TcpStream::connect(&place).expect("it connects");
        newcomer.write_all(said.as_bytes()).expect("written");
        let (mut source, sink) = within(listener.accept()).await.expect("it comes in").split();
        if said == "{}\n" {
            assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(_))));
            let ended = tokio::time::timeout(Duration::from_millis(150), source.receive()).await;
            assert!(ended.is_err(), "{ended:?}");
        } else {
            let error = within(source.receive()).await.expect_err("it holds its place").to_string();
            assert!(error.contains("setting: first_message"), "{said:?}: {error}");
            drop((source, sink));
            assert_eq!((newcomer.read(&mut [0; 1]).unwrap_or(0), listener.connections()), (0, 0));
        }
    }
    // Of the own user there is nothing to fear.
    let mut listener = bound(&unix("quiet"), options).await;
    let _quiet = connect(&listener).await;
    let (mut source, _sink) = within(listener.accept()).await.expect("it comes in").split();
    let ended = tokio::time::timeout(Duration::from_millis(150), source.receive()).await;
    assert!(ended.is_err(), "{ended:?}");
}

#[test]
fn lanes_and_listeners_leave_nothing() {
    isolated("lanes_and_listeners_leave_nothing", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(within(async {
            let address = unix("leaks");
            let round = async || {
                for address in [&address, &anywhere()] {
                    let mut listener = bound(address, admitting(1)).await;
                    let (mut near, mut sink) = connect(&listener).await.split();
                    let (mut far, mut answers) =
                        within(listener.accept()).await.expect("it comes in").split();
                    let refused = connect(&listener).await;
                    let waiting = tokio::time::timeout(Duration::from_millis(5), listener.accept()).await;
                    assert!(waiting.is_err(), "it came in");
                    sink.send(message("{\"id\":1}")).await.expect("sent");
                    assert!(matches!(far.receive().await, Ok(Inbound::Frame(_))));
                    answers.send(message("{\"id\":1}")).await.expect("sent");
                    assert!(matches!(near.receive().await, Ok(Inbound::Frame(_))));
                    // With a frame on its way, and a newcomer that is being refused.
                    sink.send(message("{\"id\":2}")).await.expect("sent");
                    drop(listener);
                    drop((near, sink, far, answers, refused));
                }
            };
            round().await;
            let baseline = Baseline::take().and_threads();
            for _ in 0..20 {
                round().await;
            }
            baseline.check().await;
        }));
    });
}
