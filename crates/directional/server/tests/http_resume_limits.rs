//! What is kept of the streams of sessions, at its limits; and whose sessions they are.

#![cfg(feature = "http")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod http_support;
mod support;

use std::{
    sync::{
        atomic::Ordering::SeqCst,
        mpsc::{Sender, channel},
    },
    time::Instant as StdInstant,
};

use http_support::{Answer, Client, Endpoint, call_text, endpoint_with, open, post_request, request, send};
use serde_json::json;
use support::{SECOND, Script, builder, until};
use tokio::time::sleep;
use towpath_server::{
    CancelReason, EndpointLimits, EndpointSettings, EndpointTimeouts, EventStore, Principal, ReplayLimits,
    ReplayRing, Server, StoredEvent, StreamId,
};
use towpath_testkit::within;

fn kept(set: impl FnOnce(&mut ReplayLimits)) -> Endpoint {
    let mut limits = ReplayLimits::default();
    set(&mut limits);
    endpoint_with(builder(), EndpointSettings::new().replay(limits))
}

fn timed(set: impl FnOnce(&mut EndpointTimeouts)) -> Endpoint {
    let mut timeouts = EndpointTimeouts::default();
    set(&mut timeouts);
    endpoint_with(builder(), EndpointSettings::new().timeouts(timeouts))
}

async fn session(endpoint: &Endpoint) -> Client<Server<Script>> {
    let client = Client::open(&endpoint.service, "2025-11-25").await;
    until("the session listens", || endpoint.server.publisher().listeners() > 0).await;
    client
}

fn id(answer: &Answer) -> String {
    answer.last_id.clone().expect("an id")
}

/// A request that has said one thing, and lost its client.
async fn broken(client: &Client<Server<Script>>) -> String {
    let mut answer = client.call(7, "steps").await;
    answer.event().await.expect("a step");
    id(&answer)
}

async fn answers(endpoint: &Endpoint, client: &Client<Server<Script>>) {
    for _ in 0..2 {
        endpoint.seen.release.notify_one();
        assert_eq!(client.call(2, "x").await.status, 200);
    }
    until("it has answered", || endpoint.seen.running.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn what_is_kept_has_max_events_and_what_is_missing_is_told_as_a_gap() {
    let endpoint = kept(|limits| limits.max_events = 1);
    let client = session(&endpoint).await;
    let last = broken(&client).await;
    answers(&endpoint, &client).await;
    let mut resumed = client.resume(&last).await;
    assert_eq!(resumed.event_text().await.as_deref(), Some(":"));
    let gap = resumed.sse().await.expect("a gap");
    assert_eq!(gap.event.as_deref(), Some("gap"), "{gap:?}");
    assert_eq!(gap.data.as_deref(), Some(r#"{"reason":"events_lost"}"#));
    // Its id is a place on the stream as any other.
    let after_gap = gap.id.expect("an id");
    assert_eq!(resumed.event().await.expect("the answer")["id"], 7);
    assert_eq!(client.resume(&after_gap).await.events().await.len(), 1);
}

#[tokio::test]
async fn an_answer_larger_than_max_bytes_that_nobody_reads_becomes_a_small_error() {
    let endpoint = kept(|limits| limits.max_bytes = 400);
    let client = session(&endpoint).await;
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "poll"}});
    let polled = client.post(body.to_string()).await;
    assert!(endpoint.seen.closed.load(SeqCst));
    let mut polled = polled;
    assert_eq!(polled.events().await.len(), 0);
    endpoint.seen.release.notify_one();
    until("it has answered", || endpoint.seen.running.load(SeqCst) == 0).await;
    let small = client.resume(&id(&polled)).await.events().await;
    assert_eq!(small.last().expect("an answer")["result"]["era"], "Legacy");

    let endpoint = kept(|limits| limits.max_bytes = 360);
    let client = session(&endpoint).await;
    let mut large = client.call(8, "poll_large").await;
    assert_eq!(large.events().await.len(), 0);
    endpoint.seen.release.notify_one();
    until("it has answered", || endpoint.seen.running.load(SeqCst) == 0).await;
    let answer = client.resume(&id(&large)).await.events().await;
    assert_eq!((answer.len(), &answer[0]["id"]), (1, &json!(8)));
    let data = &answer[0]["error"]["data"];
    assert_eq!(*data, json!({"reason": "answer_not_kept", "setting": "max_bytes"}));
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_max_age_is_gone() {
    let endpoint = kept(|limits| limits.max_age = Some(60 * SECOND));
    let client = session(&endpoint).await;
    let last = broken(&client).await;
    answers(&endpoint, &client).await;
    sleep(59 * SECOND).await;
    assert_eq!(client.resume(&last).await.events().await.len(), 2);
    sleep(SECOND).await;
    let gone = client.resume(&last).await;
    assert_eq!((gone.status.as_u16(), gone.reason().await.as_str()), (400, "event_unknown"));
}

#[tokio::test]
async fn a_listener_that_fell_behind_is_told_of_the_gap_and_comes_back_for_the_rest() {
    let mut limits = EndpointLimits::default();
    limits.max_session_queue_bytes = 300;
    let mut replay = ReplayLimits::default();
    replay.max_events = 2;
    let settings = EndpointSettings::new().limits(limits).replay(replay);
    let endpoint = endpoint_with(builder(), settings);
    let client = session(&endpoint).await;
    let mut listening = client.get().await;
    let subscribe = |n: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"resources/subscribe","params":{{"uri":"test:{n}"}}}}"#
        )
    };
    let mut said = Vec::new();
    for n in 0..16 {
        assert_eq!(client.post(subscribe(n)).await.status, 200);
        endpoint.server.publisher().resource_updated(&format!("test:{n}"));
        // A round trip: what was published has been sent.
        assert_eq!(client.call(100, "x").await.status, 200);
        if n == 0 {
            // It reads, so it is live.
            said.push(listening.event().await.expect("news"));
        }
    }
    let gap = listening.sse().await.expect("a gap");
    assert_eq!(gap.event.as_deref(), Some("gap"));
    let retry = listening.sse().await.expect("when to come back");
    assert_eq!((retry.retry.as_deref(), listening.sse().await), (Some("1000"), None));
    let mut resumed = client.resume(&id(&listening)).await;
    while said.last().is_none_or(|last| last["params"]["uri"] != "test:15") {
        said.push(resumed.event().await.expect("the newest is kept"));
    }
    let uris: Vec<_> = said.iter().map(|event| event["params"]["uri"].as_str().expect("a URI")).collect();
    assert!((4..=8).contains(&uris.len()), "{uris:?}");
    // In order, and without a further gap.
    let newest: Vec<_> = (17 - uris.len()..16).map(|n| format!("test:{n}")).collect();
    assert_eq!(uris[1..], newest);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalled_gets_what_was_kept_meanwhile() {
    let mut limits = EndpointLimits::default();
    limits.max_unread_event_bytes = 1;
    let endpoint = endpoint_with(builder(), EndpointSettings::new().limits(limits));
    let client = session(&endpoint).await;
    let mut answer = client.call(7, "progress").await;
    sleep(10 * SECOND).await;
    until("it has answered", || endpoint.seen.running.load(SeqCst) == 0).await;
    let events = answer.events().await;
    assert_eq!((events.len(), &events[3]["id"]), (4, &json!(7)), "{events:?}");
    assert_eq!(endpoint.service.dropped_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_disconnect_a_request_is_cancelled_in_time_if_that_is_set() {
    let endpoint = timed(|timeouts| timeouts.cancel_after_disconnect = Some(5 * SECOND));
    let client = session(&endpoint).await;
    let last = broken(&client).await;
    // Who comes back in time cancels nothing.
    sleep(4 * SECOND).await;
    let resumed = client.resume(&last).await;
    sleep(60 * SECOND).await;
    assert_eq!(endpoint.seen.running.load(SeqCst), 1);
    drop(resumed);
    sleep(4 * SECOND).await;
    assert_eq!(endpoint.seen.running.load(SeqCst), 1);
    sleep(2 * SECOND).await;
    let why = CancelReason::ByPeer(Some("the client went away".into()));
    assert_eq!(*endpoint.seen.dropped.lock(), [Some(why)]);
    // It ends without an answer.
    assert_eq!(client.resume(&last).await.event().await, None);
    // Nor does it need a stream.
    let waiting = tokio::spawn(client.posting(call_text(8, "forever")));
    until("it runs", || endpoint.seen.running.load(SeqCst) == 1).await;
    waiting.abort();
    assert!(within(waiting).await.is_err());
    sleep(6 * SECOND).await;
    assert_eq!(endpoint.seen.running.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_cancels_nothing_by_default() {
    let endpoint = timed(|timeouts| timeouts.stream_after = Some(SECOND));
    let client = session(&endpoint).await;
    let last = broken(&client).await;
    sleep(200 * SECOND).await;
    answers(&endpoint, &client).await;
    assert_eq!(client.resume(&last).await.events().await.len(), 2);
    assert_eq!(*endpoint.seen.dropped.lock(), []);
}

/// The principal is what the header `user` says.
fn of_users(limits: EndpointLimits) -> Endpoint {
    let settings = EndpointSettings::new().limits(limits).principal(|head| {
        let user = head.headers.get("user")?;
        Some(Principal::new(user.to_str().ok()?))
    });
    endpoint_with(builder(), settings)
}

async fn initialize(endpoint: &Endpoint, user: &[(&str, &str)]) -> Answer {
    let params = support::initialize("2025-11-25");
    let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{{params}}}}}"#);
    within(send(&endpoint.service, post_request(user, body))).await
}

#[tokio::test]
async fn a_session_is_only_known_to_its_principal() {
    let endpoint = of_users(EndpointLimits::default());
    let opened = initialize(&endpoint, &[("user", "ann")]).await;
    let session = opened.header("mcp-session-id").to_owned();
    let strangers: [&[(&str, &str)]; 3] = [&[("user", "bob")], &[("user", "an")], &[]];
    for user in strangers.into_iter().chain([&[("user", "ann")][..]]) {
        let own = user == [("user", "ann")];
        let headers: Vec<_> = [("mcp-session-id", session.as_str()), ("accept", "text/event-stream")]
            .into_iter()
            .chain(user.iter().copied())
            .collect();
        let service = &endpoint.service;
        let resume: Vec<_> = headers.iter().copied().chain([("last-event-id", "00000000-g1-1")]).collect();
        for (request, status) in [
            (post_request(&headers, call_text(1, "x")), 200),
            (post_request(&headers, format!("[{}]", call_text(1, "x"))), 400),
            (request("GET", &headers, ""), 200),
            (request("GET", &resume, ""), 400),
            (request("DELETE", &headers, ""), 204),
        ] {
            let answer = within(send(service, request)).await;
            assert_eq!(answer.status, if own { status } else { 404 }, "{user:?}");
            if !own {
                assert_eq!(answer.reason().await, "session_unknown");
            }
        }
    }
    // A session of nobody is not anybody's.
    let opened = open(&endpoint.service, "2025-11-25").await;
    let headers = [("mcp-session-id", opened.header("mcp-session-id")), ("user", "ann")];
    assert_eq!(within(send(&endpoint.service, post_request(&headers, call_text(1, "x")))).await.status, 404);
}

#[tokio::test]
async fn no_more_sessions_of_a_principal_than_max_sessions_per_principal() {
    let mut limits = EndpointLimits::default();
    limits.max_sessions_per_principal = 2;
    let endpoint = of_users(limits);
    let ann = [("user", "ann")];
    let first = initialize(&endpoint, &ann).await.header("mcp-session-id").to_owned();
    assert_eq!(initialize(&endpoint, &ann).await.status, 200);
    let refused = initialize(&endpoint, &ann).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.json().await["error"]["data"]["setting"], "max_sessions_per_principal");
    // Others have their own, and nobody in particular has no limit.
    assert_eq!(initialize(&endpoint, &[("user", "bob")]).await.status, 200);
    for _ in 0..3 {
        assert_eq!(initialize(&endpoint, &[]).await.status, 200);
    }
    let headers = [("user", "ann"), ("mcp-session-id", first.as_str())];
    assert_eq!(within(send(&endpoint.service, request("DELETE", &headers, ""))).await.status, 204);
    until("its task has ended", || endpoint.server.lanes() == 5).await;
    assert_eq!(initialize(&endpoint, &ann).await.status, 200);
    assert_eq!(initialize(&endpoint, &ann).await.status, 503);
}

/// A ring of which the test sees what goes in.
struct Watched {
    ring: ReplayRing,
    seen: Sender<(StreamId, bool)>,
}

impl EventStore for Watched {
    fn append(&mut self, event: StoredEvent, now: StdInstant) -> bool {
        self.seen.send((event.stream, event.frame.is_last())).expect("the test listens");
        self.ring.append(event, now)
    }

    fn next(&mut self, stream: StreamId, after: u64, now: StdInstant) -> Option<StoredEvent> {
        self.ring.next(stream, after, now)
    }

    fn knows(&mut self, stream: StreamId, now: StdInstant) -> bool {
        self.ring.knows(stream, now)
    }
}

#[tokio::test]
async fn the_events_of_a_session_can_be_kept_elsewhere() {
    let (sees, seen) = channel();
    let settings = EndpointSettings::new().event_stores(move |session| {
        assert!(!session.as_str().is_empty());
        Box::new(Watched { ring: ReplayRing::new(ReplayLimits::default()), seen: sees.clone() })
    });
    let endpoint = endpoint_with(builder(), settings);
    let client = session(&endpoint).await;
    let last = broken(&client).await;
    answers(&endpoint, &client).await;
    assert_eq!(client.resume(&last).await.events().await.len(), 2);
    // What is answered by one JSON body is none of its business.
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen.iter().map(|(_, last)| *last).collect::<Vec<_>>(), [false, false, true]);
    assert!(seen.iter().all(|(stream, _)| *stream == seen[0].0), "{seen:?}");
}
