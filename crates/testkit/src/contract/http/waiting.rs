//! What nobody waits for without an end, or takes without a limit.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use towpath_raw::{ExchangeError, Operation};

use super::ends::{Body, Pairs, all, answered, endless, fed, ok};
use super::{
    super::{check, payload, shortened},
    Setup,
};

/// With the server gone, an exchange fails, typed, and is known not to have been sent.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn nobody_there_is_not_connected(pairs: &Pairs<'_>) {
    check(async {
        let (client, server) = pairs.ends(Setup::default()).await;
        drop(server);
        for body in ["", "question"] {
            match answered(client.post(body.into())).await {
                Err(error @ ExchangeError::NotConnected { .. }) => assert!(!error.was_sent()),
                Ok((head, _)) => panic!("a server that is gone answered {}", head.status),
                Err(error) => panic!("a server that is gone gave {error:?}"),
            }
        }
    })
    .await;
}

/// A head that takes too long is a timeout that names its deadline.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_head_that_does_not_come_ends_typed(pairs: &Pairs<'_>) {
    check(async {
        let after = Duration::from_millis(100);
        let setup = Setup { head: Some(after), ..Setup::default() };
        let (client, mut server) = pairs.ends(setup).await;
        let exchange = client.post("question".into());
        let arrival = server.accept().await;
        if pairs.profile().ends_waits {
            match answered(exchange).await {
                Err(ExchangeError::Timeout { source, .. }) => {
                    assert_eq!((source.operation, source.after), (Operation::Head, after));
                }
                Err(error) => panic!("a head that did not come gave {error:?}"),
                Ok((head, _)) => panic!("nobody has answered, and {} came", head.status),
            }
        } else {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            assert!(!exchange.is_finished(), "a wait ended by itself");
            exchange.abort();
        }
        // Given up either way, its answer is dropped.
        let (feed, body) = fed();
        arrival.respond(ok(), body);
        feed.closed().await;
    })
    .await;
}

/// A body over its limit fails, typed, on the side that reads it, and others live.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_body_over_the_limit_is_refused(pairs: &Pairs<'_>) {
    check(async {
        let limit = 1000;
        let setup = Setup {
            max_request_body_bytes: Some(limit),
            max_response_body_bytes: Some(limit),
            ..Setup::default()
        };
        let (client, mut server) = pairs.ends(setup).await;
        let judge = |came: Result<Vec<u8>, ExchangeError>, size: usize, is_limited: bool| match came {
            Ok(came) => {
                assert!(size <= limit || !is_limited, "{size} bytes passed a limit of {limit}");
                assert_eq!(came.len(), size);
            }
            Err(ExchangeError::TooLarge { source, .. }) => {
                assert!(size > limit && is_limited, "{size} bytes met a limit of {limit}");
                assert!(source.limit == limit && source.seen > limit, "{source}");
            }
            Err(error) => panic!("{size} bytes met a limit of {limit}, and gave {}", shortened(&error)),
        };
        for size in [limit, limit + 1, limit - 1, 200_000, 1] {
            let exchange = client.post(payload(1, size));
            let mut arrival = server.accept().await;
            judge(all(arrival.body()).await, size, pairs.profile().limits_requests);
            arrival.respond(ok(), Body::whole(payload(2, size)));
            if size <= limit || !pairs.profile().limits_requests {
                let (_, mut body) = answered(exchange).await.expect("it was answered");
                judge(all(&mut body).await, size, pairs.profile().limits_responses);
            }
        }
        let exchange = client.post("small".into());
        server.accept().await.respond(ok(), Body::whole(payload(3, limit + 1)));
        let (_, mut body) = answered(exchange).await.expect("it was answered");
        judge(all(&mut body).await, limit + 1, pairs.profile().limits_responses);
    })
    .await;
}

/// A body that the client does not read is not made any further, and dropped after the write stall.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_client_that_never_reads_is_bounded(pairs: &Pairs<'_>) {
    check(async {
        let setup = Setup { write_stall: Some(Duration::from_millis(100)), ..Setup::default() };
        let (client, mut server) = pairs.ends(setup).await;
        let exchange = client.post("question".into());
        let (body, made, mut gone) = endless();
        server.accept().await.respond(ok(), body);
        let unread = answered(exchange).await.expect("it was answered");
        if pairs.profile().ends_stalled {
            // The client still has it.
            assert!(gone.recv().await.is_none());
        } else {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        }
        let made = made.load(Relaxed);
        assert!(made < 64 << 20, "{made} bytes were made for a client that never reads");
        drop(unread);
        assert!(gone.recv().await.is_none());
    })
    .await;
}
