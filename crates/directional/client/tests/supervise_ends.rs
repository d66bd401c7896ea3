//! Supervision when what is around it goes wrong: panics, last states, and calls that were held up.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod supervise_support;
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use supervise_support::{is_backing_off, pass, policy, until_state, up, upstream};
use support::{Far, SECOND, builder};
use towpath_client::{
    Death, LinkLimits, LinkTimeouts, Preference, SupervisionState, SupervisionTimeouts, Upstream,
};
use towpath_raw::{Explanation, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
use towpath_testkit::{memory_pair, within};

#[tokio::test(start_paused = true)]
async fn states_that_are_asked_for_after_the_last_one_are_over() {
    let (supervised, _far, _servers) = up(policy()).await;
    let other = supervised.clone();
    within(supervised.close()).await;
    assert!(within(other.states().next()).await.is_none());
    let mut once = policy();
    once.restart_on_success = false;
    let (supervised, far, _servers) = up(once).await;
    let mut states = supervised.states();
    drop(far);
    assert!(matches!(within(states.next()).await, Some(SupervisionState::Finished { .. })));
    assert!(within(states.next()).await.is_none());
    assert!(within(supervised.states().next()).await.is_none());
}

/// It waits behind another for longer than a server is waited for.
#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_that_was_held_up_still_waits_for_the_next_server() {
    let mut policy = policy();
    policy.quick = 60 * SECOND;
    policy.back_off = SECOND;
    let mut limits = LinkLimits::default();
    limits.calls.max_in_flight = 1;
    let mut timeouts = LinkTimeouts::default();
    timeouts.call.total = None;
    let (lanes, mut servers) = upstream();
    let supervised = builder()
        .preference(Preference::ModernOnly)
        .limits(limits)
        .link_timeouts(timeouts)
        .supervision_timeouts(SupervisionTimeouts::default().with_wait(5 * SECOND))
        .supervise(lanes, policy);
    let asked = |method: &'static str| {
        let asking = supervised.clone();
        tokio::spawn(async move { asking.call(method, &()).await })
    };
    let mut far = servers.modern().await;
    let first = asked("first");
    assert_eq!(far.hear().await["method"], "first");
    let second = asked("second");
    pass(10 * SECOND).await;
    drop(far);
    within(first).await.expect("no panic").expect_err("it was sent");
    let mut far = servers.modern().await;
    let heard = far.hear().await;
    assert_eq!(heard["method"], "second");
    far.answer(&heard, "{}").await;
    within(second).await.expect("no panic").expect("the next server has answered");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_panics_is_a_start_that_failed() {
    let (lanes, mut servers) = upstream();
    let (lanes, starts) = (Arc::new(lanes), AtomicU32::new(0));
    let open = move || {
        assert!(starts.fetch_add(1, Ordering::Relaxed) > 0, "the first one panics");
        let lanes = Arc::clone(&lanes);
        async move { lanes.open().await }
    };
    let supervised = builder().preference(Preference::ModernOnly).supervise(open, policy());
    let state = until_state(&supervised, is_backing_off).await;
    let SupervisionState::BackingOff { reason: Death::NotOpened(why), .. } = state else {
        panic!("{state:?}")
    };
    assert!(why.to_string().contains("panicked"), "{why}");
    let _far = servers.modern().await;
    within(supervised.client()).await.expect("the second one does not");
}

/// It refuses the question, and ends of it when the handshake is on its way.
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_the_question_and_dies_of_it_then_is_not_asked_again() {
    let (lanes, mut servers) = upstream();
    let supervised = builder().supervise(lanes, policy());
    let mut far = servers.next().await;
    let discover = far.hear().await;
    far.refuse(&discover, r#"{"code":-32600,"message":"initialize comes first"}"#).await;
    assert_eq!(far.hear().await["method"], "initialize");
    drop(far);
    let _far = servers.legacy().await;
    within(supervised.client()).await.expect("it is up");
}

/// The server closes its side and still reads: what was given to the lane is written to it.
#[tokio::test(start_paused = true)]
async fn a_request_that_a_dying_server_may_still_read_is_not_sent_to_the_next() {
    let (opened, mut servers) = tokio::sync::mpsc::unbounded_channel();
    let narrow = move || {
        let limits = LaneLimits::default().with_write_queue_frames(1);
        let (near, far) = memory_pair(limits, LaneTimeouts::default());
        let (source, sink) = far.split();
        opened.send(Far { source, sink }).expect("the test is there");
        async { Ok::<_, Explanation>(near) }
    };
    let supervised = builder().preference(Preference::ModernOnly).supervise(narrow, policy());
    let modern = async |far: &mut Far| {
        let discover = far.hear().await;
        far.answer(&discover, supervise_support::DISCOVERED).await;
    };
    let mut far = within(servers.recv()).await.expect("a lane is opened");
    modern(&mut far).await;
    // Somebody keeps a client of it, and so the lane until its last bytes are written.
    let _kept = within(supervised.client()).await.expect("it is up");
    let asked: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .map(|method| {
            let asking = supervised.clone();
            tokio::spawn(async move { asking.call(method, &()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    drop(far.sink);
    let mut heard = Vec::new();
    let mut next = within(servers.recv()).await.expect("a lane is opened");
    modern(&mut next).await;
    while let Inbound::Frame(frame) = within(far.source.receive()).await.expect("the lane works") {
        let json: serde_json::Value = serde_json::from_slice(&frame).expect("JSON");
        heard.push(json["method"].as_str().expect("a request").to_owned());
    }
    // Whoever was not heard by the first one may go to the next.
    let waiting = tokio::spawn(async move {
        for answer in asked {
            let _ = within(answer).await.expect("no panic");
        }
        let _ = supervised.call("last", &()).await;
    });
    loop {
        let asked = next.hear().await;
        next.answer(&asked, "{}").await;
        let method = asked["method"].as_str().expect("a request").to_owned();
        if method == "last" {
            break;
        }
        assert!(!heard.contains(&method), "{method} is asked twice, after {heard:?}");
        heard.push(method);
    }
    within(waiting).await.expect("no panic");
    assert!(heard.len() > 2, "those of which nothing was sent are sent: {heard:?}");
}
