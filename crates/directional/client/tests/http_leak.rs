//! Nothing outlives its owner, over HTTP as elsewhere: tasks, descriptors and memory are where they were.
#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;

use http_support::{builder, legacy_until_get, modern, options};
use serde_json::json;
use towpath_testkit::{
    leak::{Baseline, CountingAllocator, isolated},
    within,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A client and a server that meet, and part in the middle of things.
async fn meet(round: usize) {
    let (client, mut server) = if round.is_multiple_of(2) {
        modern(options()).await
    } else {
        let (client, mut server) = legacy_until_get(builder(), options()).await;
        let standalone = server.get().await.stream();
        standalone.raw(": hello\n\n").await;
        (client, server)
    };
    let answered = client.call("tools/list", &()).start();
    server.post("tools/list").await.result("{}");
    within(answered).await.expect("an answer");
    let in_flight = client.call("tools/call", &json!({"name": "slow"})).start();
    let stream = server.post("tools/call").await.stream();
    stream.raw(":\n").await;
    let waiting = client.call("tools/call", &json!({"name": "slow"})).start();
    match round % 3 {
        0 => drop((client, in_flight, waiting)),
        1 => {
            let closing = tokio::spawn(async move { client.close().await });
            drop((in_flight, waiting));
            // Whatever still comes is answered: a request, a cancellation, the DELETE.
            while !closing.is_finished() {
                tokio::select! {
                    biased;
                    asked = server.asked() => asked.status(202, ""),
                    () = tokio::task::yield_now() => {}
                }
            }
            within(closing).await.expect("no panic");
        }
        _ => {
            drop(server);
            within(in_flight).await.expect_err("the server is gone");
            within(waiting).await.expect_err("the server is gone");
            drop(client);
        }
    }
}

#[test]
fn clients_that_part_over_http_leave_nothing_behind() {
    isolated("clients_that_part_over_http_leave_nothing_behind", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for round in 0..12 {
                meet(round).await;
            }
            let baseline = Baseline::take().and_live_bytes(16 << 10);
            for round in 0..60 {
                meet(round).await;
            }
            baseline.check().await;
        });
    });
}
