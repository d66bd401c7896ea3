//! Modern clients over HTTP, in front of one server on a lane.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::time::Duration;

use support::{
    http::{Modern, ask, modern, modern_params, modern_probe},
    notification, progress, raw, result,
};
use towpath_jsonrpc::Member;
use towpath_relay::AppOptions;
use towpath_server::{EndpointLimits, EndpointSettings};
use towpath_testkit::within;

const PROGRESS: &str = r#""progressToken":"t""#;

async fn bench() -> Modern {
    modern(AppOptions::default(), EndpointSettings::new()).await
}

#[tokio::test]
async fn values_pass_as_the_bytes_that_came_in() {
    let mut bench = bench().await;
    let params = modern_params(r#""n":9223372036854775808,"\u0061":1e400"#);
    let answer = tokio::spawn(ask(&bench.service, "9223372036854775808", "tools/list", &params));
    let (ours, method, passed) = bench.server.hear_request().await;
    assert_eq!((method.as_str(), passed.as_str()), ("tools/list", params.as_str()));
    let value = r#"{"resultType":"complete","a":-0,"a":1e400, "t":"\u0041"}"#;
    bench.server.say(result(&ours, value)).await;
    let answer = within(answer).await.expect("no panic");
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text().await, result("9223372036854775808", value));
}

#[tokio::test]
async fn what_the_server_says_of_itself_is_its_own() {
    let mut bench = bench().await;
    let answer = tokio::spawn(ask(&bench.service, "1", "server/discover", &modern_params("")));
    let (ours, method, _) = bench.server.hear_request().await;
    assert_eq!(method, "server/discover");
    bench.server.say(result(&ours, r#"{"supportedVersions":["x"],"z":-0}"#)).await;
    let answer = within(answer).await.expect("no panic");
    assert_eq!(answer.text().await, result("1", r#"{"supportedVersions":["x"],"z":-0}"#));
}

#[tokio::test]
async fn clients_with_one_id_and_one_token_get_each_its_own_progress_and_answer() {
    let mut bench = bench().await;
    const CLIENTS: u32 = 40;
    let mut answers = Vec::new();
    let mut ours = Vec::new();
    for n in 0..CLIENTS {
        let params = modern_params(&format!(r#"{PROGRESS},"n":{n}"#));
        answers.push(tokio::spawn(ask(&bench.service, "1", "tools/list", &params)));
        let (id, _, passed) = bench.server.hear_request().await;
        assert_eq!(passed, params.replace(r#""t""#, &id));
        ours.push(id);
    }
    for n in (0..CLIENTS).rev() {
        bench.server.say(progress(&ours[n as usize], n)).await;
        bench.server.say(result(&ours[n as usize], &format!(r#"{{"n":{n}}}"#))).await;
    }
    for (n, answer) in (0..).zip(answers) {
        let mut answer = within(answer).await.expect("no panic");
        assert_eq!(answer.event().await, Some(progress(r#""t""#, n)));
        assert_eq!(answer.event().await, Some(result("1", &format!(r#"{{"n":{n}}}"#))));
        assert_eq!(answer.event().await, None);
    }
}

#[tokio::test]
async fn a_stream_that_is_closed_is_cancelled_at_the_server_with_our_id() {
    let mut bench = bench().await;
    let answer = tokio::spawn(ask(&bench.service, "77", "tools/list", &modern_params(PROGRESS)));
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say(progress(&ours, 1)).await;
    let mut answer = within(answer).await.expect("no panic");
    assert!(answer.event().await.is_some());
    drop(answer);
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
}

#[tokio::test]
async fn a_burst_of_progress_reaches_a_slow_reader_and_over_the_bound_only_that_one_fails() {
    let mut options = AppOptions::default();
    options.relay.limits.max_waiting_note_bytes = 128 << 10;
    let mut limits = EndpointLimits::default();
    limits.max_unread_event_bytes = 1 << 10;
    let mut bench = modern(options, EndpointSettings::new().limits(limits)).await;
    for (burst, survives) in [(1_000, true), (3_000, false)] {
        let answer = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params(PROGRESS)));
        let (ours, ..) = bench.server.hear_request().await;
        bench.server.say(progress(&ours, 0)).await;
        // Its stream is there, and nobody reads on.
        let mut answer = within(answer).await.expect("no panic");
        let sibling = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")));
        let (other, ..) = bench.server.hear_request().await;
        bench.server.say_all((1..burst).map(|n| progress(&ours, n))).await;
        if survives {
            bench.server.say(result(&ours, "{}")).await;
        } else {
            let told = bench.server.hear().await;
            assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
        }
        bench.server.say(result(&other, r#"{"sibling":1}"#)).await;
        assert_eq!(within(sibling).await.expect("no panic").text().await, result("1", r#"{"sibling":1}"#));
        let mut events = Vec::new();
        while let Some(event) = answer.event().await {
            events.push(event);
        }
        let last = events.pop().expect("an answer");
        for (n, event) in (0..).zip(&events) {
            assert_eq!(*event, progress(r#""t""#, n));
        }
        if survives {
            assert_eq!((events.len(), last), (1_000, result("1", "{}")));
        } else {
            assert!(last.contains("limit_reached") && last.contains("max_waiting_note_bytes"), "{last}");
        }
    }
}

#[tokio::test]
async fn a_subscription_has_the_clients_id_and_ends_politely_when_the_service_drains() {
    let mut bench = bench().await;
    let params =
        format!(r#"{{"_meta":{{{}}},"notifications":{{"toolsListChanged":true}}}}"#, support::http::META);
    let answer = tokio::spawn(ask(&bench.service, r#""\u0073""#, "subscriptions/listen", &params));
    let (ours, ..) = bench.server.hear_request().await;
    let named = |id: &str| format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}"#);
    bench.server.say(notification("notifications/subscriptions/acknowledged", &named(&ours))).await;
    let mut answer = within(answer).await.expect("no panic");
    let acknowledged = notification("notifications/subscriptions/acknowledged", &named(r#""\u0073""#));
    assert_eq!(answer.event().await, Some(acknowledged));
    let service = bench.service.clone();
    let drained = tokio::spawn(async move { service.drain(Duration::from_secs(5)).await });
    let cancelled = answer.event().await.expect("a cancellation");
    assert!(cancelled.contains(r#""notifications/cancelled","params":{"requestId":"\u0073""#), "{cancelled}");
    let ended = answer.event().await.expect("the result");
    assert!(ended.contains(r#""io.modelcontextprotocol/subscriptionId":"\u0073""#), "{ended}");
    assert_eq!(answer.event().await, None);
    let told = bench.server.hear().await;
    assert_eq!((told.method(), raw(&told, Member::RequestId)), ("notifications/cancelled", ours));
    drop(answer);
    within(drained).await.expect("no panic").expect("nothing was cut");
}

#[tokio::test]
async fn a_log_reaches_the_one_client_that_it_can_be_about_and_no_other() {
    let mut bench = bench().await;
    let log = |n: u32| notification("notifications/message", &format!(r#"{{"level":"info","data":{n}}}"#));
    let wants = modern_params(r#""io.modelcontextprotocol/logLevel":"info""#);
    let first = tokio::spawn(ask(&bench.service, "1", "tools/list", &wants));
    let (first_id, ..) = bench.server.hear_request().await;
    let quiet = tokio::spawn(ask(&bench.service, "2", "tools/list", &modern_params("")));
    let (quiet_id, ..) = bench.server.hear_request().await;
    bench.server.say(log(1)).await;
    let mut first = within(first).await.expect("no panic");
    assert_eq!(first.event().await, Some(log(1)));
    // Two may be meant: it is nobody's.
    let second = tokio::spawn(ask(&bench.service, "3", "tools/list", &wants));
    let (second_id, ..) = bench.server.hear_request().await;
    bench.server.say(log(2)).await;
    // One is meant again, but the other was given up a moment ago.
    drop(first);
    assert_eq!(raw(&bench.server.hear().await, Member::RequestId), first_id);
    bench.server.say_all([log(3), result(&second_id, "{}"), result(&quiet_id, "{}")]).await;
    assert_eq!(within(second).await.expect("no panic").text().await, result("3", "{}"));
    assert_eq!(within(quiet).await.expect("no panic").text().await, result("2", "{}"));
}

#[tokio::test]
async fn a_lost_server_fails_who_waits_and_the_next_request_starts_another_once() {
    let mut bench = bench().await;
    let waiting = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")));
    bench.server.hear_request().await;
    drop(bench.server);
    let failed = within(waiting).await.expect("no panic").text().await;
    for part in [r#""id":1"#, "-32603", "upstream_closed", "it has closed the connection", "outcome_unknown"]
    {
        assert!(failed.contains(part), "{part} is missing in: {failed}");
    }
    assert!(!failed.contains("status 3"), "what the lane knows is not for everybody: {failed}");
    assert!(!bench.servers.opened(), "nobody has asked for another");
    let asked: Vec<_> =
        (0..8).map(|_| tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")))).collect();
    let mut second = bench.servers.next().await;
    modern_probe(&mut second, r#""2026-07-28""#).await;
    for _ in 0..8 {
        let (ours, ..) = second.hear_request().await;
        second.say(result(&ours, "{}")).await;
    }
    for answer in asked {
        assert_eq!(within(answer).await.expect("no panic").text().await, result("1", "{}"));
    }
    assert!(!bench.servers.opened(), "one is enough for all");
    assert_eq!(bench.app.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_again_and_again_is_left_alone_for_a_while() {
    let mut options = AppOptions::default();
    options.restart.jitter = false;
    options.restart.max_quick_deaths = 3;
    options.restart.back_off = Duration::from_millis(200);
    options.restart.cool_down = Duration::from_secs(7);
    options.restart.quick = Duration::from_secs(60);
    let mut bench = modern(options, EndpointSettings::new()).await;
    drop(bench.server);
    for delay in [200, 400] {
        let began = tokio::time::Instant::now();
        let asked = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")));
        drop(bench.servers.next().await);
        assert_eq!(began.elapsed().as_millis(), delay);
        let failed = within(asked).await.expect("no panic").text().await;
        assert!(failed.contains("upstream_not_started"), "{failed}");
    }
    let refused = within(ask(&bench.service, "1", "tools/list", &modern_params(""))).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "7"));
    let refused = refused.text().await;
    assert!(refused.contains("overloaded") && refused.contains("max_quick_deaths"), "{refused}");
    assert!(!bench.servers.opened());
    tokio::time::advance(Duration::from_secs(7)).await;
    let began = tokio::time::Instant::now();
    let asked = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")));
    let mut next = bench.servers.next().await;
    assert_eq!(began.elapsed(), Duration::ZERO, "the delay is over since long");
    modern_probe(&mut next, r#""2026-07-28""#).await;
    let (ours, ..) = next.hear_request().await;
    next.say(result(&ours, "{}")).await;
    assert_eq!(within(asked).await.expect("no panic").text().await, result("1", "{}"));
    // It has lived long enough now to be forgiven.
    tokio::time::advance(Duration::from_secs(61)).await;
    drop(next);
    let asked = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")));
    let began = tokio::time::Instant::now();
    modern_probe(&mut bench.servers.next().await, r#""2026-07-28""#).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    asked.abort();
}

#[tokio::test]
async fn one_subscription_too_many_is_refused_and_other_requests_are_not() {
    let mut options = AppOptions::default();
    options.max_subscriptions = 1;
    let mut bench = modern(options, EndpointSettings::new()).await;
    let first = tokio::spawn(ask(&bench.service, "1", "subscriptions/listen", &modern_params("")));
    let (first_id, ..) = bench.server.hear_request().await;
    let refused = within(ask(&bench.service, "2", "subscriptions/listen", &modern_params(""))).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert!(refused.text().await.contains("max_subscriptions"));
    let other = tokio::spawn(ask(&bench.service, "3", "tools/list", &modern_params("")));
    let (ours, ..) = bench.server.hear_request().await;
    bench.server.say_all([result(&ours, "{}"), result(&first_id, "{}")]).await;
    assert_eq!(within(other).await.expect("no panic").text().await, result("3", "{}"));
    assert_eq!(within(first).await.expect("no panic").text().await, result("1", "{}"));
    let again = tokio::spawn(ask(&bench.service, "4", "subscriptions/listen", &modern_params("")));
    assert_eq!(bench.server.hear_request().await.1, "subscriptions/listen", "the seat was given back");
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_server_is_told_at_once_that_the_app_is_gone() {
    let mut options = AppOptions::default();
    options.restart.jitter = false;
    options.restart.back_off = Duration::from_secs(5);
    let bench = modern(options, EndpointSettings::new()).await;
    drop(bench.server);
    let began = tokio::time::Instant::now();
    let mut asked = tokio::spawn(ask(&bench.service, "1", "tools/list", &modern_params("")));
    let none_yet = tokio::time::timeout(Duration::from_secs(1), &mut asked).await;
    assert!(none_yet.is_err(), "it waits for the back-off");
    drop((bench.service, bench.app));
    let failed = within(asked).await.expect("no panic").text().await;
    assert!(failed.contains("upstream_not_started") && failed.contains("not_sent"), "{failed}");
    assert_eq!(began.elapsed().as_secs(), 1);
}
