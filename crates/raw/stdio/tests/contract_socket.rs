//! The contract that every lane keeps, over the sockets of this crate: one end connects, the other is accepted.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use towpath_raw::Listen;
use towpath_stdio::{SocketAddress, SocketLane, SocketListener, SocketOptions};
use towpath_testkit::{
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

/// The left end connects, and the right one is accepted.
async fn pair(address: &SocketAddress, setup: Setup) -> (SocketLane, <SocketListener as Listen>::Lane) {
    let options = SocketOptions::default().with_timeouts(setup.timeouts);
    let listening = SocketListener::bind(address, options.clone().with_limits(setup.right));
    let mut listener = within(listening).await.expect("nobody else is there");
    let address = listener.address().clone();
    let connecting = SocketLane::connect(&address, options.with_limits(setup.left));
    let (left, right) = within(async { tokio::join!(connecting, listener.accept()) }).await;
    (left.expect("it listens"), right.expect("somebody connects"))
}

contract_tests!(tcp, lines(), async |setup: Setup| {
    pair(&"tcp:127.0.0.1:0".parse().expect("an address"), setup).await
});

contract_tests!(unix, lines(), async |setup: Setup| {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("towpath-contract-{}-{}.sock", process::id(), COUNT.fetch_add(1, Relaxed));
    pair(&SocketAddress::Unix(env::temp_dir().join(name)), setup).await
});
