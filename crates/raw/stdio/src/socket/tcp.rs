//! TCP: which address, and how a dead peer is noticed.

use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    time::{Instant, timeout},
};

use super::SocketTimeouts;

/// The addresses of a host and a port.
pub(super) async fn resolve(place: &str) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = lookup_host(place).await?.take(MOST_ADDRESSES).collect();
    if found.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "no addresses")) } else { Ok(found) }
}

/// Listens on the first of the addresses that this machine has. One at which somebody listens is not passed over: who
/// connects to the name would reach that one, or both by turns.
pub(super) async fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => failure = error,
            listening => return listening,
        }
    }
    Err(failure)
}

/// Connects to the first of the addresses that answers. Each gets its share of the time that is left, so that one
/// which is silent does not take it all. `None`: the last was silent, too.
pub(super) async fn connect(addresses: &[SocketAddr], within: Duration) -> Option<io::Result<TcpStream>> {
    let start = Instant::now();
    let mut failure = None;
    for (at, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let share = within.saturating_sub(start.elapsed()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if is_to_itself(&stream) => {
                failure = Some(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(Ok(stream)) => return Some(Ok(stream)),
            Ok(Err(error)) => failure = Some(error),
            Err(_) => {}
        }
    }
    failure.map(Err)
}

/// Where nobody listens on a port that the system gives away, it can give it to who connects, and connect it to itself.
fn is_to_itself(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|local| stream.peer_addr().is_ok_and(|peer| peer == local))
}

/// Small messages go out at once, and a peer that is gone without a word is noticed.
pub(super) fn configure(socket: impl AsFd, timeouts: &SocketTimeouts) -> io::Result<()> {
    // Small answers must not wait for the peer's acknowledgements.
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(idle) = timeouts.keep_alive {
        let idle = idle.clamp(SHORTEST, LONGEST);
        let left = timeouts.unacknowledged.map(|all| all.saturating_sub(idle)).filter(|left| !left.is_zero());
        let interval = (left.unwrap_or(idle) / PROBES).clamp(SHORTEST, LONGEST);
        sockopt::set_tcp_keepidle(&socket, idle)?;
        sockopt::set_tcp_keepintvl(&socket, interval)?;
        sockopt::set_tcp_keepcnt(&socket, PROBES)?;
        sockopt::set_socket_keepalive(&socket, true)?;
    }
    if let Some(after) = timeouts.unacknowledged {
        // Zero would be the system's own.
        let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX).clamp(1, i32::MAX as u32);
        sockopt::set_tcp_user_timeout(&socket, milliseconds)?;
    }
    Ok(())
}

/// How many of the addresses of a name are tried.
const MOST_ADDRESSES: usize = 16;
const PROBES: u32 = 3;
const SHORTEST: Duration = Duration::from_secs(1);
/// The most that Linux takes.
const LONGEST: Duration = Duration::from_secs(32_767);

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::net::{self, AddressFamily, SocketType, bind, getsockname, socket};
    use towpath_testkit::within;

    use super::*;

    /// A listener that never accepts, and whose queue is full: whoever connects hears nothing.
    async fn silent() -> (OwnedFd, SocketAddr, TcpStream) {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("bound");
        net::listen(&listener, 0).expect("it listens");
        let address: SocketAddr =
            getsockname(&listener).expect("an address").try_into().expect("of an IP socket");
        let first = TcpStream::connect(address).await.expect("room for one");
        (listener, address, first)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_leaves_time_for_the_next_one() {
        within(async {
            let (_silent, deaf, _first) = silent().await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("it listens");
            let live = listener.local_addr().expect("bound");
            let start = Instant::now();
            let connected = connect(&[deaf, live], Duration::from_secs(10)).await;
            assert_eq!(start.elapsed().as_secs(), 5);
            let stream = connected.expect("one of them answers").expect("connected");
            assert_eq!(stream.peer_addr().expect("connected"), live);
            assert!(connect(&[deaf], Duration::from_secs(1)).await.is_none(), "it answers");
        })
        .await;
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_and_reported_if_it_is_the_last() {
        within(async {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("it listens");
            let refusing = gone.local_addr().expect("bound");
            drop(gone);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("it listens");
            let live = listener.local_addr().expect("bound");
            assert!(matches!(connect(&[refusing, live], Duration::MAX).await, Some(Ok(_))));
            let refused = connect(&[refusing], Duration::MAX).await.expect("an answer");
            assert_eq!(refused.expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
        })
        .await;
    }

    #[tokio::test]
    async fn an_address_where_somebody_listens_is_not_passed_over_and_one_of_another_machine_is() {
        within(async {
            let other = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
            let taken = other.local_addr().expect("bound");
            let free = SocketAddr::from(([127, 0, 0, 1], 0));
            let error = listen(&[taken, free]).await.expect_err("somebody listens there");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            // For documentation: no machine has it.
            let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
            listen(&[elsewhere, free]).await.expect("there is a second one");
            listen(&[elsewhere]).await.expect_err("it is not ours");
        })
        .await;
    }

    /// What the system is told for these settings: seconds of silence, seconds between questions, how many, and the
    /// milliseconds that something may go unacknowledged.
    fn told(keep_alive: Option<u64>, unacknowledged: Option<u64>) -> Option<(u64, u64, u32, u32)> {
        let seconds = |time: Option<u64>| time.map(Duration::from_secs);
        let timeouts = SocketTimeouts::default()
            .with_keep_alive(seconds(keep_alive))
            .with_unacknowledged(seconds(unacknowledged));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        configure(&socket, &timeouts).expect("the system takes it");
        assert!(sockopt::tcp_nodelay(&socket).expect("known"));
        let user = sockopt::tcp_user_timeout(&socket).expect("known");
        if !sockopt::socket_keepalive(&socket).expect("known") {
            assert_eq!(user, unacknowledged.map_or(0, |seconds| seconds as u32 * 1000));
            return None;
        }
        let idle = sockopt::tcp_keepidle(&socket).expect("known").as_secs();
        let interval = sockopt::tcp_keepintvl(&socket).expect("known").as_secs();
        Some((idle, interval, sockopt::tcp_keepcnt(&socket).expect("known"), user))
    }

    #[test]
    fn the_system_is_told_when_to_ask_and_when_to_give_up() {
        assert_eq!(told(Some(60), Some(90)), Some((60, 10, 3, 90_000)));
        assert_eq!(told(Some(60), None), Some((60, 20, 3, 0)));
        assert_eq!(told(Some(60), Some(30)), Some((60, 20, 3, 30_000)));
        assert_eq!(told(Some(0), Some(1)), Some((1, 1, 3, 1000)));
        assert_eq!(told(Some(1 << 40), None), Some((32_767, 10_923, 3, 0)));
        assert_eq!(told(None, Some(20)), None);
        assert_eq!(told(None, None), None);
    }
}
