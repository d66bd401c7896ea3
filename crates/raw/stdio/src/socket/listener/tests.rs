//! What the sockets of both sides are told, and a system that has no descriptors to give.

use std::{fs::File, pin::pin, task::Waker};

use bytes::Bytes;
use rustix::{
    net::sockopt,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
use towpath_testkit::{leak::isolated_for, within};

use super::*;
use crate::{SocketLimits, SocketTimeouts};

fn anywhere() -> SocketAddress {
    SocketAddress::Tcp("127.0.0.1:0".into())
}

#[tokio::test]
async fn both_ends_of_a_connection_notice_a_peer_that_is_gone() {
    within(async {
        let timeouts = SocketTimeouts::default()
            .with_keep_alive(Some(Duration::from_secs(70)))
            .with_unacknowledged(Some(Duration::from_secs(100)));
        let options = SocketOptions::default().with_socket(timeouts);
        let mut listener = SocketListener::bind(&anywhere(), options.clone()).await.expect("it listens");
        let near = SocketLane::connect(listener.address(), options).await.expect("it connects");
        let far = listener.accept().await.expect("it comes in");
        for lane in [&near, &far] {
            assert!(sockopt::tcp_nodelay(lane).expect("known"));
            assert!(sockopt::socket_keepalive(lane).expect("known"));
            assert_eq!(sockopt::tcp_keepidle(lane).expect("known"), Duration::from_secs(70));
            assert_eq!(sockopt::tcp_keepintvl(lane).expect("known"), Duration::from_secs(10));
            assert_eq!(sockopt::tcp_user_timeout(lane).expect("known"), 100_000);
        }
    })
    .await;
}

#[test]
fn an_abstract_name_is_for_our_own_user_and_root() {
    assert!(may_connect(1000, 1000) && may_connect(0, 1000));
    assert!(!may_connect(1001, 1000) && !may_connect(1000, 0));
}

#[test]
fn pauses_grow_to_a_bound_and_what_concerns_one_connection_makes_none() {
    let mut pause = Pause::default();
    let full = || io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
    let pauses: Vec<_> = (0..10).map(|_| pause.after(&full()).expect("a pause")).collect();
    assert_eq!((pauses[0], pauses[1], pauses[9]), (FIRST_PAUSE, 2 * FIRST_PAUSE, LONGEST_PAUSE));
    assert_eq!(pause.after(&io::ErrorKind::ConnectionAborted.into()), None);
    assert!(!is_final(&full()) && is_final(&Errno::BADF.into()));
    // Linux tells the one who accepts what has become of a newcomer.
    assert!(!is_final(&Errno::OPNOTSUPP.into()) && !is_final(&Errno::HOSTUNREACH.into()));
}

/// A listener that has met a lack of descriptors, and the files that hold them.
async fn starved() -> (SocketListener, std::net::TcpStream, Vec<File>) {
    let limits = SocketLimits::default();
    let options = SocketOptions::default().with_listener(limits);
    let listener = SocketListener::bind(&anywhere(), options).await.expect("it listens");
    let SocketAddress::Tcp(place) = listener.address() else { panic!("TCP") };
    let newcomer = std::net::TcpStream::connect(place).expect("the system accepts for it");
    let old = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: old.maximum }).expect("fewer");
    (listener, newcomer, all_descriptors())
}

fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn who_has_closed_its_direction_is_answered_though_no_descriptor_is_left() {
    isolated_for(
        Duration::from_secs(15),
        "socket::listener::tests::who_has_closed_its_direction_is_answered_though_no_descriptor_is_left",
        || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(within(async {
                let name = format!("towpath-test-{}-starved", std::process::id());
                let address = SocketAddress::Abstract(name);
                let mut listener =
                    SocketListener::bind(&address, SocketOptions::default()).await.expect("it listens");
                let near =
                    SocketLane::connect(&address, SocketOptions::default()).await.expect("it connects");
                let (mut near, question) = near.split();
                let (mut far, mut answer) = listener.accept().await.expect("it comes in").split();
                drop(question);
                assert!(matches!(far.receive().await, Ok(Inbound::End(_))));
                let old = getrlimit(Resource::Nofile);
                setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: old.maximum })
                    .expect("fewer");
                let files = all_descriptors();
                for _ in 0..2 {
                    answer.send(Frame::from(Bytes::from_static(b"{}"))).await.expect("it reads");
                    assert!(matches!(near.receive().await, Ok(Inbound::Frame(_))));
                }
                drop(files);
            }));
        },
    );
}

#[test]
fn too_many_open_files_are_waited_out_without_spinning() {
    isolated_for(
        Duration::from_secs(15),
        "socket::listener::tests::too_many_open_files_are_waited_out_without_spinning",
        || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let (mut listener, _newcomer, files) = starved().await;
                let waited = timeout(Duration::from_secs(60), listener.accept()).await;
                assert!(waited.is_err(), "there was a descriptor");
                // So it has slept in between, up to the longest time.
                assert_eq!(listener.pause.last, Some(LONGEST_PAUSE));
                // A dropped accept does not cut the pause short: the next one asks no earlier.
                let until = listener.pause.until;
                assert!(until.is_some_and(|until| until > Instant::now()), "{until:?}");
                for _ in 0..100 {
                    let mut cx = Context::from_waker(Waker::noop());
                    assert!(pin!(listener.accept()).poll(&mut cx).is_pending());
                }
                assert_eq!(listener.pause.until, until);
                drop(files);
                within(listener.accept()).await.expect("it comes in after all").split();
            });
        },
    );
}
