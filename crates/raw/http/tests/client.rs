//! The client's side against servers that are played byte by byte.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod support;

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use support::{accept, all, client, get, listen, post, read_request, status, write};
use tokio::net::{TcpSocket, TcpStream};
use towpath_http::{ConnectLimits, ConnectTimeouts, HttpConnect};
use towpath_raw::{ChunksExt, Connect, ExchangeError, Operation};
use towpath_testkit::within;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn client_with(limits: ConnectLimits, timeouts: ConnectTimeouts) -> HttpConnect {
    HttpConnect::new(limits, timeouts).expect("a client")
}

/// Answers requests on one connection with the given responses; what was asked comes out.
async fn play(stream: &mut TcpStream, answers: &[&str]) -> Vec<String> {
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(read_request(stream).await);
        write(stream, answer).await;
    }
    asked
}

#[tokio::test]
async fn nobody_there_is_not_connected() {
    let (listener, url) = listen().await;
    drop(listener);
    for (head, body) in [(post(&url), "{}"), (post(&url), ""), (get(&url), "")] {
        let error = within(client().exchange(head, body.into())).await.expect_err("nobody is there");
        assert!(matches!(error, ExchangeError::NotConnected { .. }), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_reads_and_closes_leaves_the_outcome_unknown() {
    let (listener, url) = listen().await;
    for (head, body) in [(post(&url), "{}"), (get(&url), "")] {
        let exchange = tokio::spawn(async move { client().exchange(head, body.into()).await });
        read_request(&mut accept(&listener).await).await;
        let error = within(exchange).await.expect("no panic").expect_err("it was closed");
        assert!(matches!(error, ExchangeError::Broken { .. }) && error.was_sent(), "{error}");
    }
}

#[tokio::test]
async fn a_post_says_how_long_it_is_even_when_it_is_empty() {
    let (listener, url) = listen().await;
    for (body, says) in [("", "content-length: 0"), ("{}", "content-length: 2")] {
        let head = post(&url);
        let exchange = tokio::spawn(async move { client().exchange(head, body.into()).await });
        let asked = play(&mut accept(&listener).await, &[OK]).await.remove(0);
        assert!(asked.contains(says), "{asked}");
        within(exchange).await.expect("no panic").expect("an answer");
    }
}

#[tokio::test]
async fn a_stale_connection_is_not_seen_by_the_next_exchange() {
    let (listener, url) = listen().await;
    let client = client();
    for _ in 0..3 {
        let (head, client) = (post(&url), client.clone());
        let exchange = tokio::spawn(async move {
            let (_, mut body) = client.exchange(head, "{}".into()).await?;
            all(&mut body).await
        });
        // It promises to keep the connection, and closes it.
        play(&mut accept(&listener).await, &[OK]).await;
        assert_eq!(within(exchange).await.expect("no panic").expect("an answer"), "ok");
    }
}

/// How many connections two exchanges take, one after the other.
async fn connections_of_two_exchanges(client: HttpConnect) -> usize {
    let (listener, url) = listen().await;
    let exchanges = tokio::spawn(async move {
        for _ in 0..2 {
            let (_, mut body) = client.exchange(post(&url), "{}".into()).await.expect("an answer");
            assert_eq!(all(&mut body).await.expect("whole"), "ok");
        }
    });
    let mut first = accept(&listener).await;
    play(&mut first, &[OK]).await;
    // The second comes on the same one, or that is closed.
    let connections = match within(first.peek(&mut [0])).await.expect("no error") {
        0 => {
            play(&mut accept(&listener).await, &[OK]).await;
            2
        }
        _ => {
            play(&mut first, &[OK]).await;
            1
        }
    };
    within(exchanges).await.expect("no panic");
    connections
}

#[tokio::test]
async fn connections_are_kept_for_a_time_and_up_to_a_number() {
    let (limits, timeouts) = (ConnectLimits::default(), ConnectTimeouts::default());
    assert_eq!(connections_of_two_exchanges(client_with(limits.clone(), timeouts.clone())).await, 1);
    let none_kept = limits.clone().with_max_idle_connections_per_host(0);
    assert_eq!(connections_of_two_exchanges(client_with(none_kept, timeouts.clone())).await, 2);
    let at_once_too_old = timeouts.with_pool_idle(Some(Duration::from_nanos(1)));
    assert_eq!(connections_of_two_exchanges(client_with(limits, at_once_too_old)).await, 2);
}

#[tokio::test]
async fn a_redirect_to_the_same_origin_is_followed_with_the_body() {
    let (listener, url) = listen().await;
    for code in [307, 308] {
        let head = post(&url);
        let exchange = tokio::spawn(async move { client().exchange(head, "{\"body\":1}".into()).await });
        let moved = format!("HTTP/1.1 {code} Moved\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n");
        let asked = play(&mut accept(&listener).await, &[&moved, OK]).await;
        assert!(asked[1].starts_with("POST /there ") && asked[1].ends_with("{\"body\":1}"), "{}", asked[1]);
        let (head, mut body) = within(exchange).await.expect("no panic").expect("an answer");
        assert_eq!((status(&head), all(&mut body).await.expect("whole").as_str()), (200, "ok"));
    }
}

#[tokio::test]
async fn other_redirects_are_answers_and_nothing_goes_elsewhere() {
    let (listener, url) = listen().await;
    let (elsewhere, other) = listen().await;
    for (code, target) in
        [(307, other.as_str()), (308, &other), (301, "/there"), (302, "/there"), (303, "/there")]
    {
        let mut head = post(&url);
        head.headers.insert("mcp-session-id", HeaderValue::from_static("secret"));
        let exchange = tokio::spawn(async move { client().exchange(head, "{}".into()).await });
        let moved = format!("HTTP/1.1 {code} Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        play(&mut accept(&listener).await, &[&moved]).await;
        let (head, _) = within(exchange).await.expect("no panic").expect("an answer");
        assert_eq!(status(&head), code);
        assert_eq!(head.headers["location"], target);
    }
    // All is over, and nobody has come.
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(elsewhere.poll_accept(&mut cx).is_pending(), "somebody was sent elsewhere");
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let moved = "HTTP/1.1 307 Moved\r\nlocation: /mcp\r\ncontent-length: 0\r\n\r\n";
    for most in [0, 2] {
        let (listener, url) = listen().await;
        let limits = ConnectLimits::default().with_max_redirects(most);
        let client = client_with(limits, ConnectTimeouts::default());
        let exchange = tokio::spawn(async move { client.exchange(post(&url), "{}".into()).await });
        play(&mut accept(&listener).await, &vec![moved; most + 1]).await;
        let (head, _) = within(exchange).await.expect("no panic").expect("an answer");
        assert_eq!(status(&head), 307);
    }
}

#[tokio::test]
async fn a_head_over_the_limit_fails_its_exchange() {
    let limits = ConnectLimits::default().with_max_head_bytes(100);
    for (length, fits) in [(50, true), (100, false)] {
        let (listener, url) = listen().await;
        let client = client_with(limits.clone(), ConnectTimeouts::default());
        let exchange = tokio::spawn(async move { client.exchange(post(&url), "{}".into()).await });
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(length));
        play(&mut accept(&listener).await, &[&long]).await;
        match within(exchange).await.expect("no panic") {
            Ok(_) => assert!(fits),
            Err(error) => {
                let ExchangeError::TooLarge { source, .. } = &error else { panic!("{error}") };
                assert!(!fits && source.limit == 100 && source.seen > 100, "{error}");
                assert!(error.to_string().contains("max_head_bytes"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_that_is_not_even_read_to_its_end_is_too_large() {
    let (listener, url) = listen().await;
    let exchange = tokio::spawn(async move { client().exchange(post(&url), "{}".into()).await });
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20));
    // As much of it as is taken.
    let _ = within(tokio::io::AsyncWriteExt::write_all(&mut stream, long.as_bytes())).await;
    let error = within(exchange).await.expect("no panic").expect_err("it is too large");
    assert!(matches!(error, ExchangeError::TooLarge { .. }), "{error}");
}

/// The sockets of this process that are connected to somebody.
#[cfg(target_os = "linux")]
fn connected_to(peer: std::net::SocketAddr) -> Vec<socket2::Socket> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process");
    let open = std::fs::read_dir("/proc/self/fd").expect("it lists what is open");
    open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|number| pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).ok())
        .map(socket2::Socket::from)
        .filter(|socket| {
            socket.peer_addr().is_ok_and(|address| address.as_socket().is_some_and(|address| address == peer))
        })
        .collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connected_sockets_notice_a_peer_that_is_gone_without_a_word() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let default = ConnectTimeouts::default();
    let other = default.clone().with_keep_alive(seconds(70)).with_unacknowledged(seconds(100));
    let none = default.clone().with_keep_alive(None).with_unacknowledged(None);
    for (timeouts, idle, all) in
        [(default, seconds(60), seconds(90)), (other, seconds(70), seconds(100)), (none, None, None)]
    {
        for connect in clients(ConnectLimits::default(), timeouts) {
            let (listener, url) = listen().await;
            let exchange = tokio::spawn(async move { connect(post(&url)).await });
            let mut stream = accept(&listener).await;
            // Now all is set.
            read_request(&mut stream).await;
            let sockets = connected_to(listener.local_addr().expect("an address"));
            let [socket] = &sockets[..] else { panic!("{} sockets", sockets.len()) };
            assert!(socket.tcp_nodelay().expect("a socket"));
            assert_eq!(socket.keepalive().expect("a socket"), idle.is_some());
            if let Some(idle) = idle {
                assert_eq!(socket.tcp_keepalive_time().expect("a socket"), idle);
                assert_eq!(socket.tcp_keepalive_interval().expect("a socket"), Duration::from_secs(10));
                assert_eq!(socket.tcp_keepalive_retries().expect("a socket"), 3);
            }
            assert_eq!(socket.tcp_user_timeout().expect("a socket"), all);
            exchange.abort();
        }
    }
}

#[cfg(target_os = "linux")]
type Exchange = Box<dyn FnOnce(http::request::Parts) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Both clients, over their exchanges.
#[cfg(target_os = "linux")]
fn clients(limits: ConnectLimits, timeouts: ConnectTimeouts) -> Vec<Exchange> {
    fn boxed(client: impl Connect) -> Exchange {
        Box::new(|head| Box::pin(async move { drop(client.exchange(head, "{}".into()).await) }))
    }
    vec![
        boxed(client_with(limits.clone(), timeouts.clone())),
        #[cfg(feature = "hyper-client")]
        boxed(towpath_http::HyperConnect::new(limits, timeouts)),
    ]
}

#[tokio::test]
async fn a_body_shorter_than_declared_is_an_error_and_stays_one() {
    let (listener, url) = listen().await;
    let exchange = tokio::spawn(async move { client().exchange(post(&url), "{}".into()).await });
    let mut stream = accept(&listener).await;
    play(&mut stream, &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"]).await;
    drop(stream);
    let (_, mut body) = within(exchange).await.expect("no panic").expect("an answer");
    assert_eq!(within(body.chunk()).await.expect("no error").expect("a chunk"), "half");
    for _ in 0..2 {
        let error = within(body.chunk()).await.expect_err("it was cut");
        assert!(matches!(error, ExchangeError::Broken { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_at_the_deadline() {
    let (listener, url) = listen().await;
    let timeouts = ConnectTimeouts::default().with_head(Some(Duration::from_millis(50)));
    let client = client_with(ConnectLimits::default(), timeouts);
    let error = within(client.exchange(post(&url), "{}".into())).await.expect_err("nobody answers");
    let ExchangeError::Timeout { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.operation, Operation::Head);
    drop(listener);
}

#[tokio::test]
async fn a_peer_that_is_not_reached_in_time_was_sent_nothing() {
    // A listener whose queue is full answers no newcomer.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("an address");
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream.expect("room in the queue"));
        assert!(queued.len() < 100, "this system queues without end");
    }
    let timeouts = ConnectTimeouts::default().with_connect(Duration::from_millis(50));
    let client = client_with(ConnectLimits::default(), timeouts);
    let head = post(&format!("http://{address}/mcp"));
    let error = within(client.exchange(head, Bytes::from_static(b"{}"))).await.expect_err("nobody answers");
    let ExchangeError::Timeout { source, .. } = &error else { panic!("{error}") };
    assert_eq!((source.operation, source.after), (Operation::Connect, Duration::from_millis(50)));
    assert!(!error.was_sent());
}
