//! A server that is started again: when, and what becomes of who waits for it.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod supervise_support;
mod support;

use std::{error::Error, future::pending, time::Duration};

use supervise_support::{is_backing_off, is_crash_loop, pass, policy, until_state, up, upstream};
use support::{SECOND, builder, until};
use tokio::time::Instant;
use towpath_client::{
    CallError, Death, LinkEnd, LinkLimits, LinkTimeouts, Phase, Preference, SupervisedCallError,
    SupervisionState, SupervisionTimeouts,
};
use towpath_testkit::{MemoryLane, within};

#[tokio::test(start_paused = true)]
async fn a_lost_server_is_started_again_and_pauses_grow_until_one_lasts() {
    let mut policy = policy();
    policy.max_quick_deaths = 99;
    let (supervised, mut far, mut servers) = up(policy).await;
    for pause in [100, 200, 400] {
        let began = Instant::now();
        drop(far);
        far = servers.modern().await;
        assert_eq!(began.elapsed().as_millis(), pause);
    }
    let began = Instant::now();
    within(supervised.client()).await.expect("it is up");
    pass(10 * SECOND).await;
    drop(far);
    far = servers.modern().await;
    assert_eq!(began.elapsed(), 10 * SECOND, "it is started at once");
    let SupervisionState::Up { starts, .. } =
        until_state(&supervised, |state| matches!(state, SupervisionState::Up { .. })).await
    else {
        unreachable!("it was waited for")
    };
    assert_eq!(starts, 5);
    drop(far);
}

#[tokio::test]
async fn a_call_in_flight_is_not_repeated_and_its_outcome_is_unknown() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    let asking = supervised.clone();
    let asked = tokio::spawn(async move { asking.call("tools/call", &()).await });
    assert_eq!(far.hear().await["method"], "tools/call");
    drop(far);
    let error = within(asked).await.expect("no panic").expect_err("it has died");
    let SupervisedCallError::Call(CallError::Closed { phase, .. }) = &error else { panic!("{error:?}") };
    assert_eq!((*phase, error.phase()), (Phase::OutcomeUnknown, Phase::OutcomeUnknown));
    // The next server hears nothing of it.
    let mut next = servers.modern().await;
    let asking = supervised.clone();
    let asked = tokio::spawn(async move { asking.call("tools/list", &()).await });
    let list = next.hear().await;
    assert_eq!(list["method"], "tools/list");
    next.answer(&list, r#"{"n":1}"#).await;
    assert_eq!(within(asked).await.expect("no panic").expect("an answer").as_str(), r#"{"n":1}"#);
}

/// One call may be in flight, and another waits behind it.
#[tokio::test(start_paused = true)]
async fn a_call_of_which_nothing_was_sent_is_sent_once_more_to_the_next_server() {
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    let (lanes, mut servers) = upstream();
    let builder = builder().preference(Preference::ModernOnly).limits(limits);
    let supervised = builder.supervise(lanes, policy());
    let asked = |method: &'static str| {
        let asking = supervised.clone();
        tokio::spawn(async move { asking.call(method, &()).await })
    };
    let mut far = servers.modern().await;
    let sent = asked("first");
    assert_eq!(far.hear().await["method"], "first");
    let waiting = asked("second");
    tokio::task::yield_now().await;
    drop(far);
    let error = within(sent).await.expect("no panic").expect_err("it was sent");
    assert_eq!(error.phase(), Phase::OutcomeUnknown);
    let mut far = servers.modern().await;
    let second = far.hear().await;
    assert_eq!(second["method"], "second");
    far.answer(&second, "{}").await;
    within(waiting).await.expect("no panic").expect("the next server has answered");
    let blocking = asked("third");
    assert_eq!(far.hear().await["method"], "third");
    // Not twice: of two that wait, one is behind the other at the next server as well.
    let waiting = [asked("fourth"), asked("fifth")];
    tokio::task::yield_now().await;
    drop(far);
    within(blocking).await.expect("no panic").expect_err("it was sent");
    let mut far = servers.modern().await;
    far.hear().await;
    drop(far);
    let mut phases = Vec::new();
    for waiting in waiting {
        let error = within(waiting).await.expect("no panic").expect_err("it has had two servers");
        assert!(matches!(error, SupervisedCallError::Call(CallError::Closed { .. })), "{error:?}");
        phases.push(error.phase());
    }
    phases.sort_by_key(|phase| *phase == Phase::NotSent);
    assert_eq!(phases, [Phase::OutcomeUnknown, Phase::NotSent]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_who_wait_are_released_by_one_server_at_once() {
    let (supervised, far, mut servers) = up(policy()).await;
    drop(far);
    until_state(&supervised, is_backing_off).await;
    let asked: Vec<_> = (0..100)
        .map(|n| {
            let asking = supervised.clone();
            tokio::spawn(async move { asking.call("tools/call", &serde_json::json!({"n": n})).await })
        })
        .collect();
    let mut far = servers.modern().await;
    for _ in 0..100 {
        let call = far.hear().await;
        far.answer(&call, &call["params"].to_string()).await;
    }
    for (n, answer) in asked.into_iter().enumerate() {
        let answer = within(answer).await.expect("no panic").expect("an answer");
        assert!(answer.as_str().contains(&format!(r#""n":{n}"#)), "{answer}");
    }
    assert!(!servers.opened(), "one is enough for all");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_a_crash_loop_fails_at_once_and_after_the_cool_down_it_is_tried_again() {
    let mut policy = policy();
    policy.max_quick_deaths = 2;
    policy.cool_down = 7 * SECOND;
    let (supervised, far, mut servers) = up(policy).await;
    drop(far);
    until_state(&supervised, is_backing_off).await;
    let asking = supervised.clone();
    let waiting = tokio::spawn(async move { asking.call("tools/list", &()).await });
    drop(servers.next().await);
    let error = within(waiting).await.expect("no panic").expect_err("it is left alone");
    let SupervisedCallError::Unavailable { source, .. } = &error else { panic!("{error:?}") };
    assert!(is_crash_loop(&source.state), "{source:?}");
    assert_eq!((source.again_in, error.phase()), (Some(7 * SECOND), Phase::NotSent));
    assert!(matches!(&source.reason, Some(Death::NotConnected(_))), "{source:?}");
    let began = Instant::now();
    let text = within(supervised.client()).await.expect_err("it is left alone").to_string();
    for part in ["max_quick_deaths", "cool_down", "another 7s", "before the handshake"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    let mut far = servers.modern().await;
    assert_eq!(began.elapsed(), 7 * SECOND);
    let asking = supervised.clone();
    let asked = tokio::spawn(async move { asking.call("tools/list", &()).await });
    let list = far.hear().await;
    far.answer(&list, "{}").await;
    within(asked).await.expect("no panic").expect("it is back");
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_no_longer_than_its_own_deadline() {
    let mut policy = policy();
    policy.back_off = 20 * SECOND;
    let (lanes, mut servers) = upstream();
    let mut timeouts = LinkTimeouts::default();
    timeouts.call.total = Some(3 * SECOND);
    let builder = builder().preference(Preference::ModernOnly).link_timeouts(timeouts);
    let timeouts = SupervisionTimeouts::default().with_wait(5 * SECOND);
    let supervised = builder.supervision_timeouts(timeouts).supervise(lanes, policy);
    drop(servers.modern().await);
    until_state(&supervised, is_backing_off).await;
    let began = Instant::now();
    let (call, client) = within(async {
        tokio::join!(async { (supervised.call("tools/list", &()).await, began.elapsed()) }, async {
            (supervised.client().await, began.elapsed())
        },)
    })
    .await;
    assert_eq!((call.1, client.1), (3 * SECOND, 5 * SECOND));
    let SupervisedCallError::Unavailable { source, .. } = call.0.expect_err("nothing was there") else {
        panic!("it was not sent")
    };
    assert_eq!((source.waited, source.again_in), (3 * SECOND, Some(17 * SECOND)));
    assert!(matches!(source.reason, Some(Death::Ended(_))));
    assert_eq!(client.0.expect_err("nothing was there").waited, 5 * SECOND);
    // What was waited is taken off the deadline of the call.
    pass(13 * SECOND).await;
    let asking = supervised.clone();
    let asked = tokio::spawn(async move { (asking.call("tools/list", &()).await, Instant::now()) });
    let began = Instant::now();
    let mut far = servers.modern().await;
    assert_eq!(began.elapsed(), 2 * SECOND);
    far.hear().await;
    let (error, ended) = within(asked).await.expect("no panic");
    assert_eq!(error.expect_err("no answer").phase(), Phase::OutcomeUnknown);
    assert_eq!(ended - began, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_during_the_handshake_is_a_death_like_any_other() {
    let (lanes, mut servers) = upstream();
    let supervised = builder().preference(Preference::LegacyOnly).supervise(lanes, policy());
    for _ in 0..2 {
        let mut far = servers.next().await;
        assert_eq!(far.hear().await["method"], "initialize");
        drop(far);
        let state = until_state(&supervised, is_backing_off).await;
        let SupervisionState::BackingOff { reason: Death::NotConnected(why), .. } = state else {
            panic!("{state:?}")
        };
        assert!(why.source().is_some(), "{why}");
    }
    servers.legacy().await;
    within(supervised.client()).await.expect("the third one is up");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_too_long_is_given_up() {
    let upstream = || async {
        pending::<()>().await;
        Err::<MemoryLane, _>(std::sync::Arc::new(std::io::Error::other("never")) as _)
    };
    let timeouts = SupervisionTimeouts::default().with_open(4 * SECOND);
    let supervised = builder().supervision_timeouts(timeouts).supervise(upstream, policy());
    let began = Instant::now();
    let state = until_state(&supervised, is_backing_off).await;
    assert_eq!(began.elapsed(), 4 * SECOND);
    let SupervisionState::BackingOff { reason: reason @ Death::Timeout(_), .. } = state else {
        panic!("{state:?}")
    };
    assert!(reason.to_string().contains("4s"), "{reason}");
    within(supervised.close()).await;
}

/// Some legacy servers end when they are asked what they speak.
#[tokio::test(start_paused = true)]
async fn a_server_that_dies_of_the_question_what_it_speaks_is_not_asked_again() {
    let (lanes, mut servers) = upstream();
    let mut policy = policy();
    policy.max_quick_deaths = 99;
    let supervised = builder().supervise(lanes, policy);
    let mut far = servers.next().await;
    assert_eq!(far.hear().await["method"], "server/discover");
    drop(far);
    drop(servers.legacy().await);
    // Nor are those that follow, until one fails.
    let mut far = servers.next().await;
    assert_eq!(far.hear().await["method"], "initialize");
    drop(far);
    let far = servers.modern().await;
    within(supervised.client()).await.expect("it has become a modern one");
    drop(far);
    // A server that has answered once must die of it twice.
    for asked in ["server/discover", "server/discover", "initialize"] {
        assert_eq!(servers.next().await.hear().await["method"], asked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_ended_as_it_should_is_started_again_only_if_that_is_wanted() {
    let mut once = policy();
    once.restart_on_success = false;
    let (supervised, far, mut servers) = up(once).await;
    drop(far);
    let error = within(supervised.call("tools/list", &())).await.expect_err("it is finished");
    let text = error.to_string();
    assert!(text.contains("restart_on_success") && text.contains("has closed"), "{text}");
    assert!(matches!(supervised.state(), SupervisionState::Finished { .. }));
    pass(1_000 * SECOND).await;
    assert!(!servers.opened());
    within(supervised.close()).await;
    let (_supervised, far, mut servers) = up(policy()).await;
    drop(far);
    servers.modern().await;
}

#[tokio::test(start_paused = true)]
async fn close_during_a_pause_is_at_once_and_tells_who_waits() {
    let mut policy = policy();
    policy.back_off = 20 * SECOND;
    let (supervised, far, mut servers) = up(policy).await;
    drop(far);
    until_state(&supervised, is_backing_off).await;
    let asking = supervised.clone();
    let waiting = tokio::spawn(async move { asking.client().await });
    tokio::task::yield_now().await;
    let mut states = supervised.states();
    let began = Instant::now();
    within(supervised.clone().close()).await;
    let error = within(waiting).await.expect("no panic").expect_err("it is closed");
    assert!(matches!(error.state, SupervisionState::Closed), "{error:?}");
    assert!(matches!(&error.reason, Some(Death::Ended(_))), "it is still known why there was none");
    assert!(matches!(within(states.next()).await, Some(SupervisionState::Closed)));
    assert!(within(states.next()).await.is_none());
    within(supervised.call("tools/list", &())).await.expect_err("it is closed");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!servers.opened());
}

#[tokio::test(start_paused = true)]
async fn close_during_a_start_gives_the_lane_up() {
    let (lanes, mut servers) = upstream();
    let supervised = builder().supervise(lanes, policy());
    let mut far = servers.next().await;
    assert_eq!(far.hear().await["method"], "server/discover");
    let asking = supervised.clone();
    let waiting = tokio::spawn(async move { asking.call("tools/list", &()).await });
    within(supervised.close()).await;
    assert_eq!(far.hear_text().await, None);
    within(waiting).await.expect("no panic").expect_err("it is closed");
}

#[tokio::test]
async fn close_ends_the_server_politely() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    let client = within(supervised.client()).await.expect("it is up");
    within(supervised.close()).await;
    assert_eq!(far.hear_text().await, None);
    assert!(matches!(client.peer().ended(), Some(LinkEnd::ClosedHere)));
    assert!(!servers.opened());
}

#[tokio::test]
async fn the_last_handle_that_is_dropped_ends_the_server_whoever_has_a_client_of_it() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    let client = within(supervised.client()).await.expect("it is up");
    let other = supervised.clone();
    drop(supervised);
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call("tools/list", &()).await }
    });
    let list = far.hear().await;
    far.answer(&list, "{}").await;
    within(asked).await.expect("no panic").expect("another handle is there");
    drop(other);
    assert_eq!(far.hear_text().await, None);
    within(client.peer().closed()).await;
    assert!(!servers.opened());
}

#[tokio::test]
async fn dropped_during_a_start_the_lane_is_too() {
    let (lanes, mut servers) = upstream();
    let supervised = builder().supervise(lanes, policy());
    let mut states = supervised.states();
    let mut far = servers.next().await;
    assert_eq!(far.hear().await["method"], "server/discover");
    drop(supervised);
    assert_eq!(far.hear_text().await, None);
    assert!(matches!(within(states.next()).await, Some(SupervisionState::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_server_of_another_era_is_spoken_to_in_it() {
    let (lanes, mut servers) = upstream();
    let supervised = builder().supervise(lanes, policy());
    let far = servers.modern().await;
    let modern = within(supervised.client()).await.expect("it is up").server().revision;
    drop(far);
    let mut far = servers.next().await;
    let discover = far.hear().await;
    far.refuse(&discover, r#"{"code":-32601,"message":"?"}"#).await;
    let initialize = far.hear().await;
    assert_eq!(initialize["method"], "initialize");
    far.answer(&initialize, supervise_support::INITIALIZED).await;
    assert_eq!(far.hear().await["method"], "notifications/initialized");
    let legacy = within(supervised.client()).await.expect("it is up").server().revision;
    assert_eq!((modern.to_string().as_str(), legacy.to_string().as_str()), ("2026-07-28", "2025-11-25"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_still_runs_does_not_keep_the_next_server_waiting() {
    struct Slow;
    impl towpath_client::ClientHandler for Slow {
        async fn request(
            &self,
            _: towpath_jsonrpc::Message,
            _: towpath_client::Context,
        ) -> Result<towpath_jsonrpc::RawJson, towpath_jsonrpc::ErrorObject> {
            pending().await
        }
    }
    let (lanes, mut servers) = upstream();
    let builder = builder()
        .preference(Preference::LegacyOnly)
        .handler(Slow)
        .capabilities(serde_json::json!({"roots":{}}));
    let supervised = builder.supervise(lanes, policy());
    for _ in 0..2 {
        let mut far = servers.next().await;
        let initialize = far.hear().await;
        assert_eq!(initialize["params"]["capabilities"], serde_json::json!({"roots":{}}));
        far.answer(&initialize, supervise_support::INITIALIZED).await;
        assert_eq!(far.hear().await["method"], "notifications/initialized");
        far.say(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
        let client = within(supervised.client()).await.expect("it is up");
        until("the handler runs", || client.peer().requests_in_flight() == 1).await;
        let began = Instant::now();
        drop(far);
        until_state(&supervised, is_backing_off).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
