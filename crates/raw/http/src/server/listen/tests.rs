use std::{collections::VecDeque, convert::Infallible, future::pending};

use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::service_fn;
use towpath_testkit::within;

use super::*;

/// A listener whose first tries fail.
struct Failing {
    errors: VecDeque<io::Error>,
    listener: Sockets,
}

impl Listen for Failing {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match self.errors.pop_front() {
            Some(error) => Poll::Ready(Err(error)),
            None => self.listener.poll_accept(cx),
        }
    }
}

#[tokio::test]
async fn errors_of_accepting_do_not_end_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let errors = [io::Error::from_raw_os_error(24), io::ErrorKind::ConnectionAborted.into()];
    let listener = Sockets::new(listener, &ListenTimeouts::default());
    let failing = Failing { errors: errors.into_iter().collect(), listener };
    let hello = service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let (limits, timeouts) = (ListenLimits::default(), ListenTimeouts::default());
    let served = tokio::spawn(serve_on(failing, hello, pending(), limits, timeouts));
    let mut stream = within(TcpStream::connect(address)).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.expect("it is served");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.expect("it is closed");
    assert!(answer.ends_with("hello"), "{answer}");
    served.abort();
}

#[test]
fn pauses_grow_up_to_a_second_and_are_not_made_for_a_single_connection() {
    let mut pause = Pause::default();
    let full = io::Error::from_raw_os_error(24);
    let pauses: Vec<_> = (0..10).filter_map(|_| pause.after(&full)).collect();
    assert_eq!(pauses.first(), Some(&Duration::from_millis(5)));
    assert!(pauses.is_sorted() && pauses.ends_with(&[Duration::from_secs(1); 2]), "{pauses:?}");
    assert_eq!(Pause::default().after(&io::ErrorKind::ConnectionAborted.into()), None);
}

async fn accepted(timeouts: &ListenTimeouts) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut sockets = Sockets::new(listener, timeouts);
    let _client = within(TcpStream::connect(address)).await.expect("it listens");
    within(poll_fn(|cx| sockets.poll_accept(cx))).await.expect("a connection")
}

#[tokio::test]
async fn accepted_sockets_do_not_delay() {
    let accepted = within(accepted(&ListenTimeouts::default())).await;
    assert!(accepted.nodelay().expect("a socket"));
}

#[tokio::test]
async fn accepted_sockets_notice_a_peer_that_is_gone_without_a_word() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let default = ListenTimeouts::default();
    let other = default.clone().with_keep_alive(seconds(70)).with_unacknowledged(seconds(100));
    for (timeouts, idle, all) in [(default.clone(), 60, 90), (other, 70, 100)] {
        let accepted = within(accepted(&timeouts)).await;
        let socket = socket2::SockRef::from(&accepted);
        assert!(socket.keepalive().expect("a socket"));
        assert_eq!(socket.tcp_keepalive_time().expect("a socket"), Duration::from_secs(idle));
        assert_eq!(socket.tcp_keepalive_interval().expect("a socket"), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_retries().expect("a socket"), 3);
        if cfg!(target_os = "linux") {
            assert_eq!(socket.tcp_user_timeout().expect("a socket"), seconds(all));
        }
    }
    let accepted = within(accepted(&default.with_keep_alive(None).with_unacknowledged(None))).await;
    let socket = socket2::SockRef::from(&accepted);
    assert!(!socket.keepalive().expect("a socket"));
    assert_eq!(socket.tcp_user_timeout().expect("a socket"), None);
}
