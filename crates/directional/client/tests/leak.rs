//! Nothing outlives its owner: tasks, descriptors and memory are where they were.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{Mirror, builder, everything, mirror, serve, until};
use towpath_client::Preference;
use towpath_testkit::{
    leak::{Baseline, CountingAllocator, isolated},
    within,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A client and a server that meet, work, and are dropped in one of three ways.
async fn meet(round: usize) {
    let mut timeouts = towpath_client::LinkTimeouts::default();
    // What runs when the client has gone is dropped at once.
    timeouts.finish = std::time::Duration::ZERO;
    let server = mirror().timeouts(timeouts).build(Mirror);
    let (lane, serving) = serve(&server);
    let era = [Preference::Auto, Preference::LegacyOnly][round % 2];
    let client = within(builder().preference(era).connect(lane)).await.expect("it connects");
    within(client.call("era", &())).await.expect("it answers");
    let changes = within(client.listen(&everything(&["a:"]))).await.expect("it listens");
    until("the server knows", || server.publisher().listeners() > 0).await;
    server.publisher().tools_changed();
    let given_up = client.call("forever", &()).start();
    let in_flight = client.call("forever", &()).start();
    tokio::task::yield_now().await;
    drop(given_up);
    match round % 3 {
        0 => {
            within(client.close()).await;
            drop((in_flight, changes, client));
            within(serving).await.expect("no panic");
        }
        1 => {
            drop((client, changes, in_flight));
            within(serving).await.expect("no panic");
        }
        _ => {
            serving.abort();
            within(in_flight).await.expect_err("the server is gone");
            drop((changes, client));
        }
    }
    until("nobody listens", || server.publisher().listeners() == 0 && server.lanes() == 0).await;
}

#[test]
fn a_hundred_clients_and_servers_leave_nothing_behind() {
    isolated("a_hundred_clients_and_servers_leave_nothing_behind", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for round in 0..12 {
                meet(round).await;
            }
            let baseline = Baseline::take().and_live_bytes(16 << 10);
            for round in 0..100 {
                meet(round).await;
            }
            baseline.check().await;
        });
    });
}
