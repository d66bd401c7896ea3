use http_body_util::Full;
use tower::ServiceExt;
use towpath_raw::ChunksExt;
use towpath_testkit::within;

use super::*;

type InMemory = Full<Bytes>;

fn request(body: &'static str) -> Request<InMemory> {
    Request::new(Full::new(Bytes::from_static(body.as_bytes())))
}

fn ok() -> response::Parts {
    Response::new(()).into_parts().0
}

#[tokio::test]
async fn an_arrival_is_answered_where_it_came_from() {
    let (service, mut acceptor) = acceptor::<InMemory>(1);
    let answer = tokio::spawn(service.oneshot(request("question")));
    let mut arrival = within(acceptor.accept()).await.expect("it came");
    assert_eq!(arrival.head().method, "GET");
    assert_eq!(within(arrival.body().chunk()).await.expect("no error").expect("a chunk"), "question");
    assert!(within(arrival.body().chunk()).await.expect("no error").is_none());
    assert!(within(arrival.body().chunk()).await.expect("no error").is_none());
    arrival.respond(ok(), Some(Bytes::from_static(b"answer")));
    let answer = within(answer).await.expect("no panic").expect("never an error");
    let mut body = BodyChunks::new(answer.into_body(), "server".into());
    assert_eq!(within(body.chunk()).await.expect("no error").expect("a chunk"), "answer");
}

#[tokio::test]
async fn an_exchange_beyond_the_queue_waits_until_one_is_accepted() {
    let (service, mut acceptor) = acceptor::<InMemory>(1);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut first = Box::pin(service.clone().oneshot(request("first")));
    let mut second = Box::pin(service.oneshot(request("second")));
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
    let _first = within(acceptor.accept()).await.expect("the first");
    assert!(std::pin::pin!(acceptor.accept()).poll(&mut cx).is_pending(), "the second had been queued, too");
}

#[tokio::test]
async fn who_does_not_answer_is_told_from_who_is_gone() {
    let (service, mut acceptor) = acceptor::<InMemory>(1);
    let answer = tokio::spawn(service.clone().oneshot(request("")));
    drop(within(acceptor.accept()).await.expect("it came"));
    assert_eq!(within(answer).await.expect("no panic").expect("never an error").status(), 500);
    drop(acceptor);
    assert_eq!(within(service.oneshot(request(""))).await.expect("never an error").status(), 503);
}

#[tokio::test]
async fn a_peer_that_gave_up_is_noticed_and_no_more_peers_are_the_end() {
    let (service, mut acceptor) = acceptor::<InMemory>(1);
    let waiting = tokio::spawn(service.oneshot(request("")));
    let mut arrival = within(acceptor.accept()).await.expect("it came");
    waiting.abort();
    within(arrival.abandoned()).await;
    assert!(within(acceptor.accept()).await.is_none());
}
