use bytes::Bytes;
use tokio::time::advance;
use towpath_testkit::within;

use super::*;

fn budget(max: usize, budget: usize, reserved: usize) -> BodyBudget {
    let limits = BodyLimits::default()
        .with_max_body_bytes(max)
        .with_budget_bytes(budget)
        .with_reserved_body_bytes(reserved);
    BodyBudget::new(limits).expect("limits that agree")
}

fn bytes(length: usize) -> Bytes {
    Bytes::from(vec![0; length])
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn limits_that_contradict_each_other_are_an_error() {
    let limits = BodyLimits::default().with_max_body_bytes(11).with_reserved_body_bytes(1);
    let error = BodyBudget::new(limits.clone().with_budget_bytes(10)).expect_err("a body does not fit");
    assert_eq!(error, BodyLimitsError::BudgetBelowBody { budget_bytes: 10, max_body_bytes: 11 });
    let limits = limits.with_budget_bytes(11);
    for reserved in [0, 12] {
        let limits = limits.clone().with_reserved_body_bytes(reserved);
        let error = BodyBudget::new(limits).expect_err("no place for a body, or for all");
        assert!(matches!(error, BodyLimitsError::Reserved { .. }), "{error}");
    }
    assert!(BodyBudget::new(limits).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_slowest_body_over_its_share_makes_room() {
    within(async {
        let budget = budget(1000, 1000, 100);
        let mut slow = budget.open(bytes(400), None).expect("room");
        advance(SECOND).await;
        let mut fast = budget.open(bytes(400), None).expect("room");
        let mut small = budget.open(bytes(10), None).expect("room");
        advance(SECOND).await;
        // 1000 / 3: both large ones are over it, and the small one, the slowest of all, is not.
        fast.push(bytes(400)).expect("the slow one makes room");
        assert!(matches!(
            slow.push(bytes(1)),
            Err(BodyError::Evicted { held_bytes: 400, budget_bytes: 1000 })
        ));
        small.push(bytes(1)).expect("within its reserve");
        assert_eq!((budget.held_bytes(), budget.bodies()), (811, 2));
        assert_eq!(budget.peak_bytes(), 811);
        assert_eq!(fast.finish().expect("whole").len(), 800);
        assert_eq!(budget.held_bytes(), 11);
        drop(small);
        assert_eq!((budget.held_bytes(), budget.bodies()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_itself_the_slowest_goes_itself() {
    within(async {
        let budget = budget(1000, 1000, 100);
        let mut slow = budget.open(bytes(400), None).expect("room");
        advance(SECOND).await;
        let mut fast = budget.open(bytes(550), None).expect("room");
        advance(SECOND).await;
        assert!(matches!(slow.push(bytes(200)), Err(BodyError::Evicted { .. })));
        fast.push(bytes(1)).expect("the other one goes");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_large_newcomer_pushes_nobody_out_and_a_small_one_does() {
    within(async {
        let budget = budget(1000, 1000, 100);
        let mut hog = budget.open(bytes(950), None).expect("room");
        advance(SECOND).await;
        // Large by what it declares, or by what has come.
        for (first, declared) in [(60, Some(101)), (101, None)] {
            let error = budget.open(bytes(first), declared).expect_err("there is no room");
            assert!(matches!(error, BodyError::Full { bodies: 1, held_bytes: 950, .. }), "{error}");
            assert_eq!(
                (error.status(), error.retry_after()),
                (http::StatusCode::SERVICE_UNAVAILABLE, Some(SECOND))
            );
        }
        let small = budget.open(bytes(60), Some(100)).expect("its share is reserved");
        assert!(matches!(hog.push(bytes(1)), Err(BodyError::Evicted { .. })));
        assert_eq!(small.finish().expect("whole").len(), 60);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_place_has_its_reserve_and_there_are_no_more_places() {
    within(async {
        let budget = budget(1000, 1000, 100);
        // Ten bodies that take all of it, each within its reserve: none has to go.
        let full: Vec<_> = (0..10).map(|_| budget.open(bytes(100), None).expect("its reserve")).collect();
        let error = budget.open(bytes(1), None).expect_err("no place is left");
        assert!(matches!(error, BodyError::Full { bodies: 10, .. }), "{error}");
        for body in full {
            assert_eq!(body.finish().expect("nobody took it away").len(), 100);
        }
        assert_eq!((budget.held_bytes(), budget.peak_bytes()), (0, 1000));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_evicted_body_holds_is_gone_at_once() {
    within(async {
        let budget = budget(1000, 1000, 100);
        let held = Arc::new(vec![0; 600]);
        struct Shared(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Shared {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        // Its reader is never polled.
        let stalled = budget.open(Bytes::from_owner(Shared(Arc::clone(&held))), None).expect("room");
        advance(SECOND).await;
        let mut other = budget.open(bytes(300), None).expect("room");
        assert_eq!(Arc::strong_count(&held), 2);
        other.push(bytes(300)).expect("the stalled one makes room");
        assert_eq!(Arc::strong_count(&held), 1, "it is not counted, and still there");
        drop(stalled);
        assert_eq!(budget.held_bytes(), 600);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_given_up_pushes_nobody_out() {
    within(async {
        let budget = budget(1000, 1000, 100);
        let mut gone = budget.open(bytes(400), None).expect("room");
        advance(SECOND).await;
        let mut large = budget.open(bytes(500), None).expect("room");
        let small = budget.open(bytes(90), None).expect("room");
        large.push(bytes(300)).expect("the slow one makes room");
        // Its chunk was on the way; 890 are held, and the large one is over its share.
        assert!(matches!(gone.push(bytes(200)), Err(BodyError::Evicted { held_bytes: 400, .. })));
        assert_eq!(large.finish().expect("nobody took it away").len(), 800);
        assert_eq!(small.finish().expect("nobody took it away").len(), 90);
    })
    .await;
}
