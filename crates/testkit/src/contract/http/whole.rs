//! Exchanges pass whole, and none of them in the way of another.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use towpath_raw::ChunksExt;

use super::ends::{Body, Pairs, Pieces, all, answered, declaring, fed, ok};
use super::{
    super::{check, payload},
    Setup,
};

/// Method, path, query, status and headers pass unchanged, repeated and empty ones too.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn heads_pass_whole(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let mut headers = HeaderMap::new();
        let values: [(&str, &[u8]); 5] = [
            ("mcp-session-id", b"one"),
            ("x-many", b"a"),
            ("x-many", b"b, c"),
            ("x-empty", b""),
            ("x-bytes", "\u{e9}".as_bytes()),
        ];
        for (name, value) in values {
            headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let long = HeaderValue::from_bytes(&payload(1, 10_000)).expect("a value");
        headers.append("x-long", long);
        let same = |got: &HeaderMap, side: &str| {
            for name in headers.keys() {
                let (sent, got): (Vec<_>, Vec<_>) =
                    (headers.get_all(name).iter().collect(), got.get_all(name).iter().collect());
                assert!(sent == got, "{side}: `{name}` came as other values");
            }
        };
        let paths = ["/", "/mcp", "/a/b?c=d%20e&f", "/?", "/~x;y=1/%2F"];
        let methods = [Method::POST, Method::GET, Method::DELETE, Method::PUT, Method::OPTIONS];
        for ((path, method), status) in paths.into_iter().zip(methods).zip([200, 202, 404, 429, 503]) {
            let mut head = client.head(method.clone(), path);
            head.headers.extend(headers.clone());
            let asking = client.exchange(head, Bytes::new());
            let answering = async {
                let arrival = server.accept().await;
                let got = arrival.head();
                assert_eq!(got.method, method, "the method");
                let came = got.uri.path_and_query().map(|path| path.as_str());
                assert_eq!(came, Some(path), "the path and the query");
                same(&got.headers, "the request");
                let mut head = ok();
                head.status = status.try_into().expect("a status");
                head.headers.extend(headers.clone());
                arrival.respond(head, Body::whole("answer"));
            };
            let (answer, ()) = tokio::join!(asking, answering);
            let (head, mut body) = answer.expect("it was answered");
            assert_eq!(head.status, status, "the status");
            same(&head.headers, "the response");
            assert_eq!(all(&mut body).await.expect("whole"), b"answer");
        }
    })
    .await;
}

/// Bodies of any size pass unchanged both ways, with their length declared and without, in one piece and in many.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn bodies_pass_whole(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let sizes = [0, 1, 2, 1000, 8191, 8192, 8193, 65_535, 65_536, 1 << 20];
        for (number, size) in sizes.into_iter().enumerate() {
            for (is_declared, piece) in [(true, size), (false, size), (true, 10_007), (false, 10_007)] {
                let sent = payload(number, size);
                let exchange = client.post(sent.clone());
                let mut arrival = server.accept().await;
                let came = all(arrival.body()).await.expect("the body of a request");
                assert!(came == sent, "a request of {size} bytes came as another of {}", came.len());
                let pieces: Vec<Bytes> = sent.chunks(piece.max(1)).map(Bytes::copy_from_slice).collect();
                let head = if is_declared { declaring(size) } else { ok() };
                arrival.respond(head, Body::new(Pieces(pieces.into_iter())));
                let (_, mut body) = answered(exchange).await.expect("it was answered");
                let came = all(&mut body).await.expect("the body of a response");
                assert!(
                    came == sent,
                    "a response of {size} bytes (declared: {is_declared}) came as another of {}",
                    came.len()
                );
            }
        }
    })
    .await;
}

/// Each chunk of an answer arrives before the next is made.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn a_body_streams_while_it_is_made(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        let exchange = client.post("question".into());
        let (feed, body) = fed();
        server.accept().await.respond(ok(), body);
        // The head does not wait for the body.
        let (_, mut answer) = answered(exchange).await.expect("it was answered");
        for (number, size) in [1, 100, 3, 8192].into_iter().enumerate() {
            let chunk = payload(number, size);
            feed.send(Ok(chunk.clone())).await.expect("the answer is wanted");
            let mut came = Vec::new();
            while came.len() < size {
                let more = answer.chunk().await.expect("no error");
                came.extend_from_slice(&more.expect("the body ended early"));
            }
            assert!(came == chunk, "a chunk came as something else");
        }
        drop(feed);
        assert!(answer.chunk().await.expect("no error").is_none());
    })
    .await;
}

/// Of many exchanges at once, answered in any order, each gets its own answer, and one without an answer holds up nobody.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn exchanges_do_not_mix(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        const MANY: usize = 32;
        let silent = client.post("nobody answers".into());
        let _unanswered = server.accept().await;
        let exchanges: Vec<_> = (0..MANY).map(|number| client.post(payload(number, 1000 + number))).collect();
        let mut arrivals = HashMap::new();
        for _ in 0..MANY {
            let mut arrival = server.accept().await;
            let body = all(arrival.body()).await.expect("the body of a request");
            let number = body.len().checked_sub(1000).expect("a request came with the body of another");
            assert!(arrivals.insert(number, (arrival, body)).is_none(), "one came twice");
        }
        for number in (0..MANY).rev() {
            let (arrival, body) = arrivals.remove(&number).expect("each has come");
            arrival.respond(ok(), Body::whole(body));
        }
        for (number, exchange) in exchanges.into_iter().enumerate() {
            let (_, mut body) = answered(exchange).await.expect("it was answered");
            let came = all(&mut body).await.expect("whole");
            assert!(
                came == payload(number, 1000 + number),
                "exchange {number} got the answer of another one"
            );
        }
        assert!(!silent.is_finished(), "an exchange without an answer ended");
    })
    .await;
}

/// An answer arrives whole though nobody reads the body of its request.
///
/// # Cancel safety
///
/// Dropped, the check is abandoned.
pub async fn an_answer_may_come_before_the_request_ends(pairs: &Pairs<'_>) {
    check(async {
        let (client, mut server) = pairs.ends(Setup::default()).await;
        for number in 0..4 {
            let exchange = client.post(payload(1, 8 << 20));
            let arrival = server.accept().await;
            let mut head = ok();
            head.status = http::StatusCode::PAYLOAD_TOO_LARGE;
            let answer = payload(number, 20_000);
            arrival.respond(head, Body::whole(answer.clone()));
            let (head, mut body) = answered(exchange).await.expect("it was answered early");
            assert_eq!(head.status, 413);
            assert!(all(&mut body).await.expect("whole") == answer, "the early answer came as another one");
        }
    })
    .await;
}
