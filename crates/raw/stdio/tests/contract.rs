//! The contract that every lane keeps, over lanes of lines.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use tokio::{
    io::{AsyncRead, AsyncWrite, duplex, split},
    net::{TcpListener, TcpStream, UnixStream},
};
use towpath_raw::{LaneLimits, LaneTimeouts};
use towpath_stdio::IoLane;
use towpath_testkit::{
    FaultLane, FaultPlan, Faults,
    contract::{Nature, Profile, Setup, Unfinished},
    contract_tests,
    leak::CountingAllocator,
    within,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A last line is given without its newline, too: many writers leave it out.
fn lines() -> Profile {
    Profile::default().both(Nature::default().unfinished(Unfinished::Given))
}

fn lane<R, W>((reader, writer): (R, W), limits: LaneLimits, timeouts: &LaneTimeouts) -> IoLane<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    IoLane::new(reader, writer, "the other end", limits, timeouts.clone())
}

contract_tests!(duplex_stream, lines(), async |setup: Setup| {
    let (left, right) = duplex(64 << 10);
    (lane(split(left), setup.left, &setup.timeouts), lane(split(right), setup.right, &setup.timeouts))
});

// A buffer of a few bytes cuts every message anywhere.
contract_tests!(narrow_duplex_stream, lines(), async |setup: Setup| {
    let (left, right) = duplex(4093);
    (lane(split(left), setup.left, &setup.timeouts), lane(split(right), setup.right, &setup.timeouts))
});

contract_tests!(unix_stream, lines(), async |setup: Setup| {
    let (left, right) = UnixStream::pair().expect("a pair of sockets");
    let (left, right) = (left.into_split(), right.into_split());
    (lane(left, setup.left, &setup.timeouts), lane(right, setup.right, &setup.timeouts))
});

contract_tests!(tcp_stream, lines(), async |setup: Setup| {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (left, right) = within(async { tokio::join!(TcpStream::connect(address), listener.accept()) }).await;
    let (left, right) = (left.expect("it listens"), right.expect("somebody connects").0);
    let (left, right) = (left.into_split(), right.into_split());
    (lane(left, setup.left, &setup.timeouts), lane(right, setup.right, &setup.timeouts))
});

// Without a fault, what injects them changes nothing; and pieces are no fault to a lane.
contract_tests!(pieces_of_a_stream, lines(), async |setup: Setup| {
    let (left, right) = duplex(64 << 10);
    let pieces = |limits: &LaneLimits| {
        FaultPlan::new(7)
            .inbound(Faults::none().in_pieces(3))
            .with_limits(limits.clone())
            .with_timeouts(setup.timeouts.clone())
    };
    let wrapped = |stream, limits: LaneLimits| -> FaultLane<_> {
        pieces(&limits).wrap(lane(split(stream), limits, &setup.timeouts))
    };
    (wrapped(left, setup.left.clone()), wrapped(right, setup.right.clone()))
});
