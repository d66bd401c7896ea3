//! Legacy sessions over HTTP, each with a server of its own on a lane; and who is offered which era.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::{sync::Arc, time::Duration};

use support::{
    Explained,
    http::{
        Session, ask, initialized, lanes, legacy, legacy_handshake, legacy_probe, modern, modern_params,
        modern_probe, send, start,
    },
    progress, request, result,
};
use towpath_raw::Explanation;
use towpath_relay::{AppOptions, RelayApp, StartError, Upstream};
use towpath_server::{EndpointSettings, HttpApp, HttpService, Implementation, Revision};
use towpath_testkit::within;

#[tokio::test]
async fn each_session_has_a_server_of_its_own_which_ends_with_it() {
    let (service, mut servers) = legacy(AppOptions::default()).await;
    let (first, mut first_server) = Session::open(&service, &mut servers).await;
    let (second, mut second_server) = Session::open(&service, &mut servers).await;
    let params = r#"{"_meta":{"progressToken":"t"},"a":-0,"a":1e400}"#;
    for (session, server) in [(&first, &mut first_server), (&second, &mut second_server)] {
        let answer = tokio::spawn(session.send("POST", request(r#""\u0031""#, "tools/call", params)));
        let (ours, _, passed) = server.hear_request().await;
        assert_eq!(passed, params.replace(r#""t""#, &ours));
        server.say_all([progress(&ours, 1), result(&ours, "{}")]).await;
        let mut answer = within(answer).await.expect("no panic");
        assert_eq!(answer.event().await, Some(progress(r#""t""#, 1)));
        assert_eq!(answer.event().await, Some(result(r#""\u0031""#, "{}")));
        assert_eq!(answer.event().await, None);
    }
    assert_eq!(within(first.send("DELETE", String::new())).await.status, 204);
    assert!(first_server.hear_if_any().await.is_none(), "its server ends");
    let alive = tokio::spawn(second.send("POST", request("2", "ping", "{}")));
    let (ours, ..) = second_server.hear_request().await;
    second_server.say(result(&ours, "{}")).await;
    assert_eq!(within(alive).await.expect("no panic").text().await, result("2", "{}"));
    drop((service, first, second));
    assert!(second_server.hear_if_any().await.is_none(), "with the service all of them end");
}

#[tokio::test]
async fn what_a_server_asks_reaches_its_client_and_the_answer_it() {
    let (service, mut servers) = legacy(AppOptions::default()).await;
    let (session, mut server) = Session::open(&service, &mut servers).await;
    let mut stream = within(session.send("GET", String::new())).await;
    assert_eq!(stream.status, 200);
    server.say(request("77", "sampling/createMessage", r#"{"n":-0}"#)).await;
    let asked = stream.event().await.expect("a request");
    assert!(asked.ends_with(r#""method":"sampling/createMessage","params":{"n":-0}}"#), "{asked}");
    let id: serde_json::Value = serde_json::from_str(&asked).expect("JSON");
    let told = within(session.send("POST", result(&id["id"].to_string(), r#"{"m":1e400}"#))).await;
    assert_eq!(told.status, 202);
    assert_eq!(server.hear_text().await, result("77", r#"{"m":1e400}"#));
}

#[tokio::test]
async fn a_session_whose_server_is_lost_fails_who_waits_and_ends() {
    let (service, mut servers) = legacy(AppOptions::default()).await;
    let (session, mut server) = Session::open(&service, &mut servers).await;
    let waiting = tokio::spawn(session.send("POST", request("1", "tools/call", "{}")));
    server.hear_request().await;
    drop(server);
    let failed = within(waiting).await.expect("no panic").text().await;
    assert!(
        failed.contains("upstream_closed") && failed.contains("it has closed the connection"),
        "{failed}"
    );
    within(async {
        while session.send("POST", request("2", "ping", "{}")).await.status != 404 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(service.sessions(), 0);
}

#[tokio::test]
async fn a_server_that_cannot_be_started_for_a_session_is_an_error_without_its_path() {
    let (service, servers) = legacy(AppOptions::default()).await;
    drop(servers);
    let answer = within(send(&service, "POST", &[], request("1", "initialize", "{}"))).await;
    let text = answer.text().await;
    assert!(text.contains("upstream_not_started") && text.contains(r#""id":1"#), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(service.sessions(), 0);
}

#[tokio::test]
async fn clients_are_offered_what_the_server_speaks_and_told_so() {
    let (service, mut servers) = legacy(AppOptions::default()).await;
    let refused = within(ask(&service, "1", "tools/list", &modern_params(""))).await;
    assert_eq!(refused.status, 400);
    let refused = refused.text().await;
    assert!(refused.contains("-32600") && refused.contains(r#""2025-11-25""#), "{refused}");
    assert!(!refused.contains("2026-07-28"), "{refused}");
    assert!(!servers.opened());

    let bench = modern(AppOptions::default(), EndpointSettings::new()).await;
    let params = r#"{"protocolVersion":"2025-11-25"}"#;
    let refused = within(send(&bench.service, "POST", &[], request("1", "initialize", params))).await;
    let refused = refused.text().await;
    assert!(refused.contains(r#""supported":["2026-07-28"]"#), "{refused}");
}

#[tokio::test]
async fn a_server_of_both_eras_is_offered_in_both() {
    let (lanes, mut servers) = lanes();
    let mut shared = None;
    let app = start(lanes, AppOptions::default(), async {
        let mut first = servers.next().await;
        modern_probe(&mut first, r#""2026-07-28","2025-06-18","2099-01-01""#).await;
        shared = Some(first);
    })
    .await
    .expect("it starts");
    assert_eq!(app.identity().supported, [Revision::V2026_07_28, Revision::V2025_06_18]);
    let service = HttpService::new(Arc::new(app), EndpointSettings::new());
    let (_session, _own) = Session::open(&service, &mut servers).await;
    let mut shared = shared.expect("it was probed");
    let answer = tokio::spawn(ask(&service, "1", "tools/list", &modern_params("")));
    let (ours, ..) = shared.hear_request().await;
    shared.say(result(&ours, "{}")).await;
    assert_eq!(within(answer).await.expect("no panic").text().await, result("1", "{}"));
}

#[tokio::test]
async fn a_server_that_ends_when_it_is_asked_what_it_speaks_is_started_again_and_not_asked() {
    let (lanes, mut servers) = lanes();
    let app = start(lanes, AppOptions::default(), async {
        let mut first = servers.next().await;
        first.hear_request().await;
        drop(first);
        legacy_handshake(&mut servers.next().await, "2025-06-18").await;
    })
    .await
    .expect("it starts");
    assert_eq!(app.identity().supported.last(), Some(&Revision::V2025_06_18));
    assert_eq!(app.server().revision, Revision::V2025_06_18);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_does_not_start() {
    let (lanes, mut servers) = lanes();
    let mut options = AppOptions::default();
    options.start = Duration::from_secs(9);
    let began = tokio::time::Instant::now();
    let mut silent = None;
    let failed = start(lanes, options.clone(), async { silent = Some(servers.next().await) })
        .await
        .expect_err("it is silent");
    assert!(matches!(failed, StartError::NotUnderstood(_)), "{failed}");
    assert_eq!(began.elapsed().as_secs(), 9);
    let failed = within(RelayApp::start(Never, options)).await.expect_err("it never opens");
    assert!(matches!(failed, StartError::Timeout(_)), "{failed}");
    assert_eq!(began.elapsed().as_secs(), 18);
}

/// Nothing comes of it.
struct Never;

impl Upstream for Never {
    type Lane = Explained;

    async fn open(&self) -> Result<Explained, Explanation> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_server_is_told_who_asks() {
    let (lanes, mut servers) = lanes();
    let mut options = AppOptions::default();
    options.info = Implementation::new("the gateway", "7");
    start(lanes, options, async {
        let mut first = servers.next().await;
        let (_, _, params) = first.hear_request().await;
        assert!(params.contains(r#""name":"the gateway""#), "{params}");
        drop(first);
        let mut second = servers.next().await;
        let (_, _, params) = second.hear_request().await;
        assert!(params.contains(r#""name":"the gateway""#), "{params}");
    })
    .await
    .expect_err("it has gone");
}

#[tokio::test]
async fn a_legacy_server_is_spoken_to_in_the_revision_that_the_client_asks_for() {
    let (lanes, mut servers) = lanes();
    let app = start(lanes, AppOptions::default(), async {
        legacy_probe(&mut servers.next().await, "2025-03-26").await;
    })
    .await
    .expect("it starts");
    assert_eq!(app.identity().supported, [Revision::V2024_11_05, Revision::V2025_03_26]);
    let service = HttpService::new(Arc::new(app), EndpointSettings::new());
    let opened = tokio::spawn(send(&service, "POST", &[], request("5", "initialize", "{}")));
    let mut server = servers.next().await;
    let (ours, ..) = server.hear_request().await;
    server.say(initialized(&ours, "2024-11-05")).await;
    assert_eq!(within(opened).await.expect("no panic").text().await, initialized("5", "2024-11-05"));
}

#[tokio::test]
async fn a_modern_server_that_names_no_older_revision_is_asked_whether_it_takes_initialize() {
    let (lanes, mut servers) = lanes();
    let app = start(lanes, AppOptions::default(), async {
        let mut shared = servers.next().await;
        modern_probe(&mut shared, r#""2026-07-28""#).await;
        legacy_handshake(&mut servers.next().await, "2025-06-18").await;
    })
    .await
    .expect("it starts");
    let offered: Vec<&str> = app.supported().iter().map(|revision| revision.as_str()).collect();
    assert_eq!(offered, ["2024-11-05", "2025-03-26", "2025-06-18", "2026-07-28"]);
    let service = HttpService::new(Arc::new(app), EndpointSettings::new());
    let (session, mut server) = Session::open(&service, &mut servers).await;
    let waiting = tokio::spawn(session.send("POST", request("1", "ping", "{}")));
    let (id, method, _) = server.hear_request().await;
    assert_eq!(method, "ping");
    server.say(result(&id, "{}")).await;
    assert_eq!(within(waiting).await.expect("no panic").status, 200);
}
