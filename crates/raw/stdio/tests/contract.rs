//! The contract that every lane keeps, over lanes of lines.

use tokio::{
    io::{duplex, split},
    net::UnixStream,
};
use towpath_raw::{LaneLimits, LaneTimeouts};
use towpath_stdio::IoLane;
use towpath_testkit::contract::{self, Setup};

fn lane<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    limits: LaneLimits,
    timeouts: LaneTimeouts,
) -> IoLane<tokio::io::ReadHalf<S>, tokio::io::WriteHalf<S>> {
    let (reader, writer) = split(stream);
    IoLane::new(reader, writer, "the other end", limits, timeouts)
}

#[tokio::test(start_paused = true)]
async fn lines_over_a_stream_in_memory_keep_the_contract() {
    contract::run(async |setup: Setup| {
        let (left, right) = duplex(64 << 10);
        let timeouts = setup.timeouts.clone();
        (lane(left, setup.left, setup.timeouts), lane(right, setup.right, timeouts))
    })
    .await;
}

#[tokio::test]
async fn lines_over_a_unix_socket_keep_the_contract() {
    contract::run(async |setup: Setup| {
        let (left, right) = UnixStream::pair().expect("a pair of sockets");
        let timeouts = setup.timeouts.clone();
        (lane(left, setup.left, setup.timeouts), lane(right, setup.right, timeouts))
    })
    .await;
}
