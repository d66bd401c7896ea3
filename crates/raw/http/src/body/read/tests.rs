use std::convert::Infallible;

use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use towpath_testkit::within;

use super::*;
use crate::{BodyLimits, reason};

/// A body that a test feeds; it ends when it is not fed any more.
struct Fed {
    chunks: mpsc::Receiver<Bytes>,
    declared: Option<u64>,
}

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn fed(declared: Option<u64>) -> (mpsc::Sender<Bytes>, Fed) {
    let (feed, chunks) = mpsc::channel(4096);
    (feed, Fed { chunks, declared })
}

fn budget(max: usize, budget: usize, reserved: usize) -> BodyBudget {
    let limits = BodyLimits::default()
        .with_max_body_bytes(max)
        .with_budget_bytes(budget)
        .with_reserved_body_bytes(reserved);
    BodyBudget::new(limits).expect("limits that agree")
}

fn feed(feed: &mpsc::Sender<Bytes>, chunks: &[&'static str]) {
    for chunk in chunks {
        feed.try_send(Bytes::from_static(chunk.as_bytes())).expect("it is being read");
    }
}

fn reading(
    body: Fed,
    budget: &BodyBudget,
    timeouts: &BodyTimeouts,
) -> tokio::task::JoinHandle<Result<Bytes, BodyError>> {
    let (budget, timeouts) = (budget.clone(), timeouts.clone());
    tokio::spawn(async move { read_body(body, None, &budget, &timeouts).await })
}

#[tokio::test]
async fn chunks_come_out_as_one_and_leave_the_budget() {
    let budget = budget(100, 100, 10);
    for (declared, chunks) in [
        (None, &[][..]),
        (None, &["one"][..]),
        (Some(6), &["one", "two"][..]),
        (None, &["one", "", "two", "three"][..]),
    ] {
        let (feeder, body) = fed(declared);
        feed(&feeder, chunks);
        drop(feeder);
        let read = within(read_body(body, None, &budget, &BodyTimeouts::default())).await.expect("whole");
        assert_eq!(read, chunks.concat());
        assert_eq!(budget.held_bytes(), 0);
    }
    // The longest that was held; what came in one chunk never was.
    assert_eq!(budget.peak_bytes(), 11);
}

#[tokio::test]
async fn a_body_in_one_chunk_is_neither_copied_nor_counted() {
    let budget = budget(100, 100, 100);
    // The only place is taken.
    let (_feeder, stalled) = fed(None);
    feed(&_feeder, &["stalled"]);
    let stalled = reading(stalled, &budget, &BodyTimeouts::default());
    while budget.bodies() == 0 {
        tokio::task::yield_now().await;
    }
    let (feeder, body) = fed(None);
    let chunk = Bytes::from(vec![1; 50]);
    let at = chunk.as_ptr();
    feeder.try_send(chunk).expect("it is being read");
    drop(feeder);
    let read = within(read_body(body, None, &budget, &BodyTimeouts::default())).await.expect("whole");
    assert_eq!(read.as_ptr(), at);
    stalled.abort();
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_what_it_declares_and_by_what_it_becomes() {
    let budget = budget(8, 100, 10);
    let timeouts = BodyTimeouts::default();
    for (declared, by_itself) in [(Some(9), None), (None, Some(9)), (Some(u64::MAX), None)] {
        let (_feeder, body) = fed(by_itself);
        let error = within(read_body(body, declared, &budget, &timeouts)).await.expect_err("too large");
        let BodyError::TooLarge(MessageTooLarge { limit: 8, exact: true, .. }) = error else {
            panic!("{error}")
        };
    }
    for chunks in [&["ninebytes"][..], &["five.", "four"][..]] {
        let (feeder, body) = fed(None);
        feed(&feeder, chunks);
        let error = within(read_body(body, None, &budget, &timeouts)).await.expect_err("too large");
        let BodyError::TooLarge(MessageTooLarge { limit: 8, seen: 9, exact: false }) = error else {
            panic!("{error}")
        };
        assert!(error.to_string().contains("max_body_bytes"));
        assert_eq!(error.status(), 413);
    }
    let (feeder, body) = fed(None);
    feed(&feeder, &["four", "four"]);
    drop(feeder);
    assert_eq!(within(read_body(body, None, &budget, &timeouts)).await.expect("at the limit"), "fourfour");
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_ends_at_the_deadline() {
    let budget = budget(100, 100, 10);
    let after = Duration::from_secs(7);
    let timeouts = BodyTimeouts::default().with_body_read(Some(after));
    for chunks in [&[][..], &["some"][..], &["some", "more"][..]] {
        let (feeder, body) = fed(Some(50));
        feed(&feeder, chunks);
        let start = tokio::time::Instant::now();
        let error = within(read_body(body, None, &budget, &timeouts)).await.expect_err("it does not come");
        let BodyError::Timeout(Timeout { operation: Operation::Body, .. }) = error else { panic!("{error}") };
        assert_eq!(start.elapsed().as_secs(), after.as_secs());
        assert_eq!((error.status().as_u16(), budget.held_bytes()), (408, 0));
    }
}

#[tokio::test]
async fn a_reader_that_waits_hears_that_its_body_was_given_up() {
    let budget = budget(100, 100, 10);
    let (feeder, body) = fed(None);
    let chunk = Bytes::from(vec![1; 90]);
    feeder.try_send(chunk).expect("it is being read");
    let stalled = reading(body, &budget, &BodyTimeouts::default());
    while budget.held_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    let (other, body) = fed(None);
    let small = reading(body, &budget, &BodyTimeouts::default());
    feed(&other, &["12345", "12345", "12345"]);
    drop(other);
    assert_eq!(within(small).await.expect("no panic").expect("it fits").len(), 15);
    let error = within(stalled).await.expect("no panic").expect_err("it made room");
    assert!(matches!(error, BodyError::Evicted { held_bytes: 90, .. }), "{error}");
    assert_eq!(error.status(), 408);
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test]
async fn a_dropped_read_gives_its_bytes_back() {
    let budget = budget(100, 100, 10);
    let (feeder, body) = fed(None);
    feed(&feeder, &["some", "more"]);
    let read = reading(body, &budget, &BodyTimeouts::default());
    while budget.held_bytes() < 8 {
        tokio::task::yield_now().await;
    }
    read.abort();
    within(feeder.closed()).await;
    assert_eq!((budget.held_bytes(), budget.bodies()), (0, 0));
}

#[tokio::test]
async fn a_body_that_breaks_off_says_why() {
    #[derive(Debug, thiserror::Error)]
    #[error("broke")]
    struct Broke(#[source] std::io::Error);
    let body = http_body_util::StreamBody::new(futures_util::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"half"))),
        Err(Broke(std::io::Error::other("the wire was cut"))),
    ]));
    let budget = budget(100, 100, 10);
    let read = within(read_body(body, None, &budget, &BodyTimeouts::default())).await;
    let error = read.expect_err("it broke off");
    assert_eq!(&*reason::chain(&error), "the body broke off: broke: the wire was cut");
    assert_eq!((error.status().as_u16(), budget.held_bytes()), (400, 0));
}

proptest::proptest! {
    #[test]
    fn any_chunking_gives_the_same_bytes(
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000),
        cuts in proptest::collection::vec(1_usize..300, 1..20),
        declares in proptest::prelude::any::<bool>(),
    ) {
        let (feeder, fed) = fed(declares.then_some(body.len() as u64));
        let mut rest = Bytes::from(body.clone());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            feeder.try_send(rest.split_to((*cut).min(rest.len()))).expect("it is being read");
        }
        drop(feeder);
        let budget = budget(2000, 2000, 100);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let read = runtime.block_on(read_body(fed, None, &budget, &BodyTimeouts::default()));
        assert_eq!(read.expect("whole"), body);
        assert!(budget.peak_bytes() <= body.len() && budget.held_bytes() == 0);
    }
}
