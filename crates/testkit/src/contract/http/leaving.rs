//! What exchanges leave behind: nothing.

use super::super::{
    check,
    leaving::{baseline, warm_up},
    payload,
};
use super::Setup;
use super::ends::{Body, Pairs, all, answered, fed, ok};

/// Exchanges that end, fail or are dropped, again and again, leave no task, descriptor or memory. It counts what the
/// process has: call it in one of its own.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn nothing_is_left(pairs: &Pairs<'_>) {
    check(async {
        let profile = pairs.profile();
        let round = async |_| round(pairs).await;
        warm_up(3, &round).await;
        let baseline = baseline(profile.slack_bytes, profile.settle);
        for number in 0..profile.rounds {
            round(number).await;
        }
        baseline.check().await;
    })
    .await;
}

async fn round(pairs: &Pairs<'_>) {
    let (client, mut server) = pairs.ends(Setup::default()).await;
    // One that is answered.
    let exchange = client.post(payload(1, 100_000));
    let mut arrival = server.accept().await;
    all(arrival.body()).await.expect("the body of a request");
    arrival.respond(ok(), Body::whole(payload(1, 100_000)));
    let (_, mut body) = answered(exchange).await.expect("it was answered");
    all(&mut body).await.expect("whole");
    // One that the client gives up in the middle of its body, and one whose answer it drops.
    let exchange = client.post(payload(2, 4 << 20));
    let cut = server.accept().await;
    exchange.abort();
    let _ = exchange.await;
    let exchange = client.post("question".into());
    let (feed, body) = fed();
    server.accept().await.respond(ok(), body);
    drop(answered(exchange).await.expect("it was answered"));
    // One that the server drops, and one that is under way at the end.
    let exchange = client.post("question".into());
    drop(server.accept().await);
    let _ = answered(exchange).await;
    let open = client.post("question".into());
    let arrival = server.accept().await;
    drop((server, client, cut, arrival, feed));
    open.abort();
    let _ = open.await;
}
