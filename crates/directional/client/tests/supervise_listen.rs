//! Subscriptions that outlive their server, in both eras.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod supervise_support;
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use supervise_support::{Servers, is_crash_loop, legacy_up, pass, policy, until_state, up};
use support::{Far, SECOND, everything};
use tokio::{task::JoinHandle, time::Instant};
use towpath_client::{
    Event, ListenError, Supervised, SupervisedEvent, SupervisedListenError, SupervisedSubscription,
};
use towpath_testkit::within;

type Listening = JoinHandle<Result<SupervisedSubscription, SupervisedListenError>>;

fn listening(supervised: &Supervised) -> Listening {
    let supervised = supervised.clone();
    tokio::spawn(async move { supervised.listen(&everything(&["a:"])).await })
}

/// Waits for the next event, in a task of its own.
fn next(mut changes: SupervisedSubscription) -> JoinHandle<(Told, SupervisedSubscription)> {
    tokio::spawn(async move { (changes.next().await, changes) })
}

type Told = Result<Option<SupervisedEvent>, ListenError>;

async fn told(next: JoinHandle<(Told, SupervisedSubscription)>) -> (Told, SupervisedSubscription) {
    within(next).await.expect("no panic")
}

/// The modern server is asked for a subscription, and acknowledges it.
async fn acknowledge(far: &mut Far) -> Value {
    let listen = far.hear().await;
    assert_eq!(listen["method"], "subscriptions/listen");
    assert_eq!(listen["params"]["notifications"]["resourceSubscriptions"], json!(["a:"]));
    let id = listen["id"].clone();
    far.say(about(
        &id,
        "notifications/subscriptions/acknowledged",
        r#","notifications":{"toolsListChanged":true}"#,
    ))
    .await;
    id
}

fn about(id: &Value, method: &str, more: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}{more}}}}}"#
    )
}

/// The legacy server is asked for a resource, and agrees.
async fn subscribe(far: &mut Far) {
    let subscribe = far.hear().await;
    assert_eq!(
        (&subscribe["method"], &subscribe["params"]["uri"]),
        (&json!("resources/subscribe"), &json!("a:"))
    );
    far.answer(&subscribe, "{}").await;
}

const TOOLS: SupervisedEvent = SupervisedEvent::Changed(Event::ToolsChanged);
const LEGACY_TOOLS: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

#[tokio::test(start_paused = true)]
async fn a_modern_subscription_is_opened_again_and_says_so() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    let opened = listening(&supervised);
    let id = acknowledge(&mut far).await;
    let changes = within(opened).await.expect("no panic").expect("it is acknowledged");
    assert!(changes.honoured().tools && !changes.honoured().prompts);
    far.say(about(&id, "notifications/tools/list_changed", "")).await;
    let (event, changes) = told(next(changes)).await;
    assert_eq!(event.expect("open"), Some(TOOLS));
    let waiting = next(changes);
    for _ in 0..2 {
        drop(far);
        far = servers.modern().await;
    }
    let id = acknowledge(&mut far).await;
    let (event, changes) = told(waiting).await;
    assert_eq!(event.expect("open again"), Some(SupervisedEvent::Reopened));
    far.say(about(&id, "notifications/tools/list_changed", "")).await;
    let (event, changes) = told(next(changes)).await;
    assert_eq!(event.expect("open"), Some(TOOLS));
    // It knows when it is over.
    let waiting = next(changes);
    within(supervised.close()).await;
    let (event, changes) = told(waiting).await;
    assert_eq!(event.expect("a polite end"), None);
    assert_eq!(told(next(changes)).await.0.expect("still"), None);
}

#[tokio::test(start_paused = true)]
async fn a_legacy_subscription_is_made_again_after_the_handshake() {
    let (supervised, mut far, mut servers) = legacy_up(policy()).await;
    let opened = listening(&supervised);
    subscribe(&mut far).await;
    let mut changes = within(opened).await.expect("no panic").expect("it is subscribed");
    for _ in 0..3 {
        let waiting = next(changes);
        drop(far);
        far = servers.legacy().await;
        subscribe(&mut far).await;
        let (event, again) = told(waiting).await;
        assert_eq!(event.expect("open again"), Some(SupervisedEvent::Reopened));
        far.say(LEGACY_TOOLS).await;
        let (event, again) = told(next(again)).await;
        assert_eq!(event.expect("open"), Some(TOOLS));
        changes = again;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_while_it_is_asked_for_a_subscription_is_followed_by_the_next() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    // The first time.
    let opened = listening(&supervised);
    assert_eq!(far.hear().await["method"], "subscriptions/listen");
    drop(far);
    let mut far = servers.modern().await;
    acknowledge(&mut far).await;
    let changes = within(opened).await.expect("no panic").expect("the next one acknowledges");
    // When it is opened again.
    let waiting = next(changes);
    drop(far);
    let mut far = servers.modern().await;
    assert_eq!(far.hear().await["method"], "subscriptions/listen");
    drop(far);
    let mut far = servers.modern().await;
    acknowledge(&mut far).await;
    assert_eq!(told(waiting).await.0.expect("open again"), Some(SupervisedEvent::Reopened));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_again_and_again_opens_the_subscription_once() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    let opened = listening(&supervised);
    acknowledge(&mut far).await;
    let mut changes = within(opened).await.expect("no panic").expect("it is acknowledged");
    drop(far);
    let look = async |changes: &mut SupervisedSubscription| {
        tokio::time::timeout(Duration::from_millis(1), changes.next()).await
    };
    assert!(look(&mut changes).await.is_err());
    let mut far = servers.modern().await;
    for _ in 0..20 {
        assert!(look(&mut changes).await.is_err(), "nothing is acknowledged");
    }
    acknowledge(&mut far).await;
    let event = within(changes.next()).await.expect("open again");
    assert_eq!(event, Some(SupervisedEvent::Reopened));
    // Nothing else was said.
    let asked = tokio::spawn({
        let supervised = supervised.clone();
        async move { supervised.call("tools/list", &()).await }
    });
    assert_eq!(far.hear().await["method"], "tools/list");
    asked.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_it_and_lives_on_is_asked_again_after_a_growing_pause() {
    let mut policy = policy();
    policy.quick = 60 * SECOND;
    policy.back_off = SECOND;
    policy.max_back_off = 3 * SECOND;
    let (supervised, mut far, mut servers) = up(policy).await;
    let opened = listening(&supervised);
    let mut id = acknowledge(&mut far).await;
    let mut changes = within(opened).await.expect("no panic").expect("it is acknowledged");
    for pause in [1, 2, 3, 3] {
        let waiting = next(changes);
        let began = Instant::now();
        far.answer(&json!({"id": id}), r#"{"resultType":"complete"}"#).await;
        id = acknowledge(&mut far).await;
        assert_eq!(began.elapsed(), pause * SECOND);
        let (event, again) = told(waiting).await;
        assert_eq!(event.expect("open again"), Some(SupervisedEvent::Reopened));
        changes = again;
    }
    // One that lasts is forgiven; a server that follows is not waited for.
    let waiting = next(changes);
    pass(60 * SECOND).await;
    far.answer(&json!({"id": id}), r#"{"resultType":"complete"}"#).await;
    drop(far);
    let began = Instant::now();
    let mut far = servers.modern().await;
    acknowledge(&mut far).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(told(waiting).await.0.expect("open again"), Some(SupervisedEvent::Reopened));
}

#[tokio::test(start_paused = true)]
async fn a_next_server_that_refuses_ends_it_with_an_error() {
    let (supervised, mut far, mut servers) = up(policy()).await;
    let opened = listening(&supervised);
    acknowledge(&mut far).await;
    let waiting = next(within(opened).await.expect("no panic").expect("it is acknowledged"));
    drop(far);
    let mut far = servers.modern().await;
    let listen = far.hear().await;
    far.refuse(&listen, r#"{"code":-32600,"message":"too many"}"#).await;
    let (event, changes) = told(waiting).await;
    assert!(event.expect_err("refused").to_string().contains("too many"));
    assert_eq!(told(next(changes)).await.0.expect("over"), None);
    let opened = listening(&supervised);
    acknowledge(&mut far).await;
    drop(within(opened).await.expect("no panic").expect("one more try is free"));
}

#[tokio::test(start_paused = true)]
async fn it_outlives_a_crash_loop_and_one_that_is_to_be_opened_fails_at_once() {
    let mut policy = policy();
    policy.max_quick_deaths = 1;
    policy.cool_down = 7 * SECOND;
    let (supervised, mut far, mut servers): (_, _, Servers) = up(policy).await;
    let opened = listening(&supervised);
    acknowledge(&mut far).await;
    let waiting = next(within(opened).await.expect("no panic").expect("it is acknowledged"));
    drop(far);
    until_state(&supervised, is_crash_loop).await;
    let began = Instant::now();
    let refused = within(listening(&supervised)).await.expect("no panic").expect_err("it is left alone");
    assert!(
        matches!(&refused, SupervisedListenError::Unavailable(why) if is_crash_loop(&why.state)),
        "{refused}"
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    let mut far = servers.modern().await;
    acknowledge(&mut far).await;
    assert_eq!(told(waiting).await.0.expect("open again"), Some(SupervisedEvent::Reopened));
    assert_eq!(began.elapsed(), 7 * SECOND);
}
