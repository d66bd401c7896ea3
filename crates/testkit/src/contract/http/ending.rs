//! Exchanges end: whole, broken off or dropped, and the other side can tell which.

use std::{future::poll_fn, task::Poll};

use towpath_raw::{ChunksExt, ExchangeError};

use super::ends::{Body, Pairs, all, answered, declaring, endless, fed, ok};
use super::{
    super::{check, payload, shortened},
    Setup,
};

/// A body shorter than declared, or that fails, is an error and stays one; a whole one ends, again and again.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_end_is_told_from_an_error(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let failure = || ExchangeError::Broken { peer: "above".into(), reason: "it failed there".into() };
        // What is declared, what comes, and whether it fails then.
        let cases = [
            (Some(10), 4, false),
            (Some(10), 4, true),
            (None, 4, true),
            (Some(4), 4, false),
            (None, 4, false),
        ];
        for (declared, size, fails) in cases {
            let exchange = client.post("question".into());
            let arrival = server.accept().await;
            let (feed, body) = fed();
            arrival.respond(declared.map_or_else(ok, declaring), body);
            feed.send(Ok(payload(1, size))).await.expect("the answer is wanted");
            let (_, mut answer) = answered(exchange).await.expect("the head has come");
            assert_eq!(answer.chunk().await.expect("no error").map(|chunk| chunk.len()), Some(size));
            if fails {
                let _ = feed.send(Err(failure())).await;
            }
            drop(feed);
            let whole = !fails && declared.is_none_or(|declared| declared == size);
            for _ in 0..3 {
                match answer.chunk().await {
                    Ok(None) if whole => {}
                    Err(ExchangeError::Broken { .. }) if !whole => {}
                    other => {
                        panic!("{size} bytes of {declared:?} (fails: {fails}) ended as {}", shortened(&other))
                    }
                }
            }
        }
    })
    .await;
}

/// The body of a request that was given up is an error, unless all of it has come.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_request_that_is_cut_is_no_end(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let size = 12 << 20;
        let exchange = client.post(payload(1, size));
        let mut arrival = server.accept().await;
        let first = arrival.body().chunk().await.expect("no error").expect("it is not empty").len();
        exchange.abort();
        assert!(exchange.await.is_err(), "nobody has answered");
        match all(arrival.body()).await {
            Ok(rest) => {
                assert_eq!(first + rest.len(), size, "a request that was cut came as a shorter one");
            }
            Err(ExchangeError::Broken { .. }) => {
                let again = arrival.body().chunk().await;
                assert!(
                    matches!(again, Err(ExchangeError::Broken { .. })),
                    "then came {}",
                    shortened(&again)
                );
            }
            Err(error) => panic!("a request that was cut failed with {error:?}"),
        }
    })
    .await;
}

/// A client that no longer waits for an answer has the answer dropped.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_request_is_seen(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let exchange = client.post("question".into());
        let mut arrival = server.accept().await;
        assert_eq!(all(arrival.body()).await.expect("whole"), b"question");
        exchange.abort();
        assert!(exchange.await.is_err(), "nobody has answered");
        let (feed, body) = fed();
        arrival.respond(ok(), body);
        feed.closed().await;
    })
    .await;
}

/// A body that the client drops is dropped on the server's side, be it silent or in a rush.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_response_is_seen(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let exchange = client.post("question".into());
        let (feed, body) = fed();
        server.accept().await.respond(ok(), body);
        feed.send(Ok(payload(1, 10))).await.expect("the answer is wanted");
        let (_, mut answer) = answered(exchange).await.expect("it was answered");
        assert!(answer.chunk().await.expect("no error").is_some());
        assert!(!feed.is_closed(), "it was dropped before");
        drop(answer);
        feed.closed().await;

        let exchange = client.post("question".into());
        let (body, _, mut gone) = endless();
        server.accept().await.respond(ok(), body);
        let (_, mut answer) = answered(exchange).await.expect("it was answered");
        assert!(answer.chunk().await.expect("no error").is_some());
        drop(answer);
        assert!(gone.recv().await.is_none());
    })
    .await;
}

/// An exchange that the server drops ends with an error, or a status that says so.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_arrival_is_no_silence(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        for size in [1, 1000] {
            let exchange = client.post(payload(1, size));
            drop(server.accept().await);
            match answered(exchange).await {
                Err(ExchangeError::Broken { .. }) => {}
                Ok((head, _)) if head.status.is_server_error() => {}
                Ok((head, _)) => panic!("an exchange that was dropped was answered {}", head.status),
                Err(error) => panic!("an exchange that was dropped failed with {error:?}"),
            }
        }
    })
    .await;
}

/// A dropped accept takes no exchange, nor does a dropped wait for a chunk take one.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_dropped_accept_takes_no_exchange(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let exchange = client.post("question".into());
        // Polled once and dropped, again and again, while it comes.
        let mut taken = None;
        for _ in 0..200 {
            taken = once(Box::pin(server.accept())).await;
            if taken.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let arrival = match taken {
            Some(arrival) => arrival,
            None => server.accept().await,
        };
        let (feed, body) = fed();
        arrival.respond(ok(), body);
        let (_, mut answer) = answered(exchange).await.expect("it was answered");
        let feeding = tokio::spawn(async move {
            for number in 0..20 {
                tokio::task::yield_now().await;
                if feed.send(Ok(payload(number, 10))).await.is_err() {
                    return;
                }
            }
        });
        let mut came = Vec::new();
        loop {
            match once(Box::pin(answer.chunk())).await {
                Some(chunk) => match chunk.expect("no error") {
                    Some(chunk) => came.extend_from_slice(&chunk),
                    None => break,
                },
                None => tokio::task::yield_now().await,
            }
        }
        feeding.await.expect("no panic");
        let fed: Vec<u8> = (0..20).flat_map(|number| payload(number, 10)).collect();
        assert!(came == fed, "of {} bytes {} came", fed.len(), came.len());
        // It takes the next one too.
        let exchange = client.post("question".into());
        server.accept().await.respond(ok(), Body::whole("answer"));
        answered(exchange).await.expect("it was answered");
    })
    .await;
}

/// One poll, and then the future is dropped.
async fn once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
