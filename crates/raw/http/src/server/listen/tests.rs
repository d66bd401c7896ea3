use std::{collections::VecDeque, convert::Infallible, future::pending};

use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::service_fn;
use towpath_testkit::within;

use super::*;

/// A listener whose first tries fail.
struct Failing {
    errors: VecDeque<io::Error>,
    listener: TcpListener,
}

impl Listen for Failing {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match self.errors.pop_front() {
            Some(error) => Poll::Ready(Err(error)),
            None => Listen::poll_accept(&mut self.listener, cx),
        }
    }
}

#[tokio::test]
async fn errors_of_accepting_do_not_end_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let errors = [io::Error::from_raw_os_error(24), io::ErrorKind::ConnectionAborted.into()];
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

#[tokio::test]
async fn accepted_sockets_do_not_delay() {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let _client = within(TcpStream::connect(address)).await.expect("it listens");
    let accepted = within(poll_fn(|cx| Listen::poll_accept(&mut listener, cx))).await.expect("a connection");
    assert!(accepted.nodelay().expect("a socket"));
}
