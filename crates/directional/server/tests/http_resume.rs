//! Streams of sessions that break off, and go on (2025-11-25, basic/transports, "Resumability and Redelivery").

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::{collections::HashSet, sync::atomic::Ordering::SeqCst, time::Duration};

use http_support::{Answer, Client, Endpoint, call_text, endpoint, endpoint_with};
use serde_json::{Value, json};
use support::{SECOND, Script, builder, until};
use tokio::time::Instant;
use towpath_server::{EndpointSettings, EndpointTimeouts, Server};
use towpath_testkit::within;

async fn session(endpoint: &Endpoint) -> Client<Server<Script>> {
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    until("the session listens", || endpoint.server.publisher().listeners() > 0).await;
    client
}

fn id(answer: &Answer) -> String {
    answer.last_id.clone().expect("an id")
}

/// Tells the session something that belongs to no request.
async fn news(endpoint: &Endpoint, client: &Client<Server<Script>>) {
    endpoint.server.publisher().tools_changed();
    // A round trip: it has been sent.
    assert_eq!(client.call(100, "x").await.status, 200);
}

async fn refused(answer: Answer) {
    assert_eq!(answer.status, 400);
    let answer = answer.json().await;
    assert_eq!((&answer["id"], &answer["error"]["data"]["reason"]), (&Value::Null, &json!("event_unknown")));
}

#[tokio::test]
async fn every_event_has_an_id_that_is_unique_in_its_session_and_names_its_stream() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let (mut seen, mut streams) = (HashSet::new(), HashSet::new());
    let mut listening = client.get().await;
    news(&endpoint, &client).await;
    let mut read = vec![listening.sse().await.expect("a beginning"), listening.sse().await.expect("news")];
    let of_get = read.len();
    for _ in 0..3 {
        let mut answer = client.call(9, "progress").await;
        while let Some(event) = answer.sse().await {
            read.push(event);
        }
    }
    // A beginning, three steps and an answer each.
    assert_eq!(read.len(), of_get + 3 * 5);
    for (at, event) in read.iter().enumerate() {
        let id = event.id.clone().expect("every event has one");
        let stream = id.rsplit_once('-').expect("a stream and a number").0.to_owned();
        assert!(seen.insert(id), "{event:?} again");
        assert_eq!(stream.contains("-g"), at < of_get, "{stream}");
        streams.insert(stream);
    }
    assert_eq!(streams.len(), 4);
}

#[tokio::test]
async fn a_stream_begins_with_an_id_and_a_retry_where_the_revision_polls() {
    let mut timeouts = EndpointTimeouts::default();
    timeouts.stream_retry = Duration::from_millis(1234);
    let endpoint = endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts));
    for (version, polls) in [("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)] {
        let client = Client::open(&endpoint.service, version).await;
        for mut answer in [client.get().await, client.call(1, "progress").await] {
            let first = answer.sse().await.expect("something at once");
            assert_eq!(first.retry.as_deref(), polls.then_some("1234"), "{version}");
            assert_eq!(
                first.id.is_some() && first.data.as_deref() == Some(""),
                polls,
                "{version}: {first:?}"
            );
        }
        // Ids have all three.
        assert!(
            client.call(1, "progress").await.events_with_ids().await.iter().all(|id| id.is_some()),
            "{version}"
        );
    }
}

#[tokio::test]
async fn a_broken_response_goes_on_where_it_was_and_ends_with_the_answer() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "steps").await;
    let first = answer.event().await.expect("a step");
    assert_eq!(first["params"]["progress"], 1.0);
    let last = id(&answer);
    // What its client does not hear is kept; and so it is when the handler speaks while nobody is there.
    drop(answer);
    endpoint.seen.release.notify_one();
    assert_eq!(client.call(2, "x").await.status, 200);
    let mut resumed = client.resume(&last).await;
    assert_eq!((resumed.status.as_u16(), resumed.is_stream()), (200, true));
    assert_eq!(resumed.event().await.expect("a step")["params"]["progress"], 2.0);
    // It goes on live.
    endpoint.seen.release.notify_one();
    let answered = resumed.event().await.expect("the answer");
    assert_eq!((&answered["id"], &answered["result"]["era"]), (&json!(7), &json!("Legacy")));
    assert_eq!(resumed.event().await, None);
    assert_eq!(endpoint.service.dropped_messages(), 0);
    assert_eq!(*endpoint.seen.dropped.lock(), []);
}

#[tokio::test]
async fn an_answer_waits_for_its_client_and_can_be_had_again() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    let first = id(&answer);
    drop(answer);
    for _ in 0..2 {
        endpoint.seen.release.notify_one();
        assert_eq!(client.call(2, "x").await.status, 200);
    }
    until("it has answered", || endpoint.seen.running.load(SeqCst) == 0).await;
    let mut last = String::new();
    for _ in 0..3 {
        let mut resumed = client.resume(&first).await;
        let events = resumed.events().await;
        assert_eq!((events.len(), &events[1]["id"]), (2, &json!(7)), "{events:?}");
        last = id(&resumed);
    }
    // After the answer there is nothing, and it says so by its end.
    let mut over = client.resume(&last).await;
    assert_eq!((over.status.as_u16(), over.event().await), (200, None));
}

#[tokio::test]
async fn only_the_stream_of_the_id_is_replayed() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut listening = client.get().await;
    news(&endpoint, &client).await;
    listening.event().await.expect("news");
    let (mut one, mut other) = (client.call(1, "steps").await, client.call(2, "steps").await);
    one.event().await.expect("a step");
    other.event().await.expect("a step");
    let (of_one, of_get) = (id(&one), id(&listening));
    drop((one, other, listening));
    for _ in 0..2 {
        endpoint.seen.release.notify_waiters();
        assert_eq!(client.call(3, "x").await.status, 200);
    }
    news(&endpoint, &client).await;
    until("both have answered", || endpoint.seen.running.load(SeqCst) == 0).await;
    let events = client.resume(&of_one).await.events().await;
    assert!(
        events.iter().all(|event| event["params"]["progressToken"] == 1 || event["id"] == 1),
        "{events:?}"
    );
    assert_eq!(events.len(), 2);
    let mut listening = client.resume(&of_get).await;
    assert_eq!(listening.event().await.expect("news")["method"], "notifications/tools/list_changed");
    client.delete().await;
    assert_eq!(listening.event().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_stream_replaces_the_connection_that_held_it() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    let last = id(&answer);
    let mut resumed = client.resume(&last).await;
    // The one that was live is over, and its end takes nothing with it.
    assert_eq!(answer.event().await, None);
    drop(answer);
    let mut again = client.resume(&last).await;
    assert_eq!(resumed.event().await, None);
    endpoint.seen.release.notify_one();
    assert_eq!(again.event().await.expect("a step")["params"]["progress"], 2.0);
    endpoint.seen.release.notify_one();
    assert_eq!(again.event().await.expect("the answer")["id"], 7);
    // The same for the stream of a GET.
    let mut listening = client.get().await;
    news(&endpoint, &client).await;
    listening.event().await.expect("news");
    let mut resumed = client.resume(&id(&listening)).await;
    assert_eq!(listening.event().await, None);
    drop(listening);
    news(&endpoint, &client).await;
    assert!(resumed.event().await.is_some());
}

#[tokio::test]
async fn a_get_stream_that_another_replaced_keeps_what_was_its_own() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut first = client.get().await;
    news(&endpoint, &client).await;
    first.event().await.expect("news");
    let last = id(&first);
    let mut second = client.get().await;
    news(&endpoint, &client).await;
    second.event().await.expect("news");
    // What the second got is not the first's.
    let mut resumed = client.resume(&last).await;
    endpoint.server.publisher().prompts_changed();
    assert_eq!(resumed.event().await.expect("news")["method"], "notifications/prompts/list_changed");
    assert_eq!(second.event().await, None);
}

#[tokio::test]
async fn a_thousand_resumes_of_a_stream_that_goes_on_lose_nothing_and_keep_nothing() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    let last = id(&answer);
    let mut held = Vec::new();
    for _ in 0..1000 {
        held.push(client.resume(&last).await);
    }
    endpoint.seen.release.notify_one();
    let mut newest = held.pop().expect("the newest");
    assert_eq!(newest.event().await.expect("a step")["params"]["progress"], 2.0);
    for mut replaced in held {
        assert_eq!(replaced.event().await, None);
    }
    endpoint.seen.release.notify_one();
    assert_eq!(newest.events().await.len(), 1);
    assert_eq!(endpoint.service.dropped_messages(), 0);
}

#[tokio::test]
async fn an_id_that_means_nothing_here_is_refused_and_harms_nobody() {
    let endpoint = endpoint();
    let (client, other) = (session(&endpoint).await, session(&endpoint).await);
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    let last = id(&answer);
    // Of another session, though that one has the same numbers.
    let mut others = other.call(7, "steps").await;
    others.event().await.expect("a step");
    refused(other.resume(&last).await).await;
    let (stream, number) = last.rsplit_once('-').expect("a stream and a number");
    let (tag, _) = stream.split_once('-').expect("a session and a stream");
    let number: u64 = number.parse().expect("a number");
    let long = "9".repeat(100_000);
    let forged = [
        format!("{stream}-{}", number + 1),
        format!("{stream}-{}", u64::MAX),
        format!("{stream}-{long}"),
        format!("{tag}-p99-{number}"),
        format!("{tag}-g1-{number}"),
        "1".to_owned(),
        long,
    ];
    for id in forged {
        refused(client.resume(&id).await).await;
    }
    // The stream has its reader still.
    endpoint.seen.release.notify_waiters();
    assert_eq!(answer.event().await.expect("a step")["params"]["progress"], 2.0);
}

#[tokio::test]
async fn a_response_whose_head_was_not_sent_cannot_be_resumed() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut listening = client.get().await;
    let prime = listening.sse().await.and_then(|prime| prime.id).expect("an id");
    let waiting = tokio::spawn(client.posting(call_text(1, "wait")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    // The POSTs before it were `initialize` and its notification.
    let tag = prime.split_once('-').expect("a tag").0;
    for number in 0..8 {
        refused(client.resume(&format!("{tag}-p{number}-1")).await).await;
    }
    endpoint.seen.release.notify_one();
    assert_eq!(within(waiting).await.expect("no panic").status, 200);
}

#[tokio::test]
async fn without_replay_events_have_no_ids_and_streams_end_with_their_connection() {
    let endpoint = endpoint_with(builder(), EndpointSettings::new().replay(None));
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    assert_eq!(answer.last_id, None);
    drop(answer);
    endpoint.seen.release.notify_one();
    assert_eq!(client.call(2, "x").await.status, 200);
    assert_eq!(endpoint.service.dropped_messages(), 1);
    refused(client.resume("00000000-p2-1").await).await;
    let polling = tokio::spawn(client.posting(call_text(3, "poll")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 2).await;
    assert!(!endpoint.seen.closed.load(SeqCst));
    endpoint.seen.release.notify_waiters();
    let mut polled = within(polling).await.expect("no panic");
    assert_eq!(polled.events().await.len(), 2);
}

#[tokio::test]
async fn a_handler_sends_its_client_away_and_the_answer_is_there_when_it_comes_back() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    for (params, told) in [("", "1000"), (r#","retry":250"#, "250")] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"poll"{params},"_meta":{{"progressToken":7}}}}}}"#
        );
        let mut answer = client.post(body).await;
        assert!(answer.is_stream() && endpoint.seen.closed.load(SeqCst));
        let mut retries = Vec::new();
        while let Some(event) = answer.sse().await {
            assert!(event.data.is_none_or(|data| data.is_empty()));
            retries.extend(event.retry);
        }
        assert_eq!(retries, ["1000", told]);
        // It runs on, and what it says waits.
        assert_eq!(endpoint.seen.running.load(SeqCst), 1);
        endpoint.seen.release.notify_one();
        until("it has answered", || endpoint.seen.running.load(SeqCst) == 0).await;
        let events = client.resume(&id(&answer)).await.events().await;
        assert_eq!((events.len(), &events[1]["id"]), (2, &json!(7)));
    }
}

#[tokio::test]
async fn a_client_that_does_not_poll_is_not_sent_away() {
    let endpoint = endpoint();
    for version in ["2025-03-26", "2025-06-18"] {
        let client = Client::open(&endpoint.service, version).await;
        let waiting = tokio::spawn(client.posting(call_text(1, "poll")));
        until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
        assert!(!endpoint.seen.closed.load(SeqCst));
        endpoint.seen.release.notify_one();
        let mut answer = within(waiting).await.expect("no panic");
        assert_eq!(answer.events().await.len(), 2);
    }
}

#[tokio::test]
async fn a_batch_whose_response_broke_is_answered_by_one_array_still() {
    let mut timeouts = EndpointTimeouts::default();
    timeouts.stream_after = Some(Duration::ZERO);
    let endpoint = endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts));
    let client = Client::open(&endpoint.service, "2025-03-26").await;
    let batch = format!("[{},{}]", call_text(1, "steps"), call_text(2, "wait"));
    let mut answer = client.post(batch).await;
    answer.event().await.expect("a step");
    let last = id(&answer);
    drop(answer);
    until("both run", || endpoint.seen.running.load(SeqCst) == 2).await;
    endpoint.seen.release.notify_waiters();
    until("one has answered", || endpoint.seen.running.load(SeqCst) == 1).await;
    endpoint.seen.release.notify_one();
    let events = client.resume(&last).await.events().await;
    assert_eq!(events.last().and_then(Value::as_array).map(Vec::len), Some(2), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_tells_whoever_resumed_a_request() {
    let endpoint = endpoint();
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    let mut resumed = client.resume(&id(&answer)).await;
    let begun = Instant::now();
    client.delete().await;
    let events = resumed.events().await;
    assert_eq!((events.len(), &events[0]["id"]), (1, &json!(7)));
    assert_eq!(events[0]["error"]["data"]["reason"], "session_closed");
    assert!(begun.elapsed() < SECOND);
    assert_eq!(client.resume(&id(&answer)).await.status, 404);
}
