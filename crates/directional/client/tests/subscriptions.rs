//! Being told of changes, in both eras.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::collections::BTreeSet;

use support::{Mirror, SECOND, builder, everything, legacy, mirror, modern, serve, until};
use towpath_client::{CallError, Event, Filter, LinkTimeouts, ListenError, Preference, SubscriptionLimits};
use towpath_testkit::{within, within_for};

const ERAS: [Preference; 2] = [Preference::ModernOnly, Preference::LegacyOnly];

fn tools() -> Filter {
    Filter { tools: true, ..Filter::default() }
}

#[tokio::test]
async fn changes_are_told_in_either_era_and_only_those_that_were_asked_for() {
    for era in ERAS {
        let server = mirror().build(Mirror);
        let client = within(builder().preference(era).connect(serve(&server).0)).await.expect("it connects");
        let publisher = server.publisher();
        let mut lists = within(client.listen(&everything(&["a:"]))).await.expect("it listens");
        let mut only_tools = within(client.listen(&tools())).await.expect("it listens, too");
        assert_eq!(lists.honoured(), &everything(&["a:"]));
        until("the server knows", || publisher.listeners() > 0).await;
        publisher.resource_updated("b:");
        publisher.resource_updated("a:");
        assert_eq!(within(lists.next()).await.expect("open"), Some(Event::ResourceUpdated("a:".into())));
        publisher.prompts_changed();
        assert_eq!(within(lists.next()).await.expect("open"), Some(Event::PromptsChanged));
        publisher.resources_changed();
        assert_eq!(within(lists.next()).await.expect("open"), Some(Event::ResourcesChanged));
        publisher.tools_changed();
        assert_eq!(within(lists.next()).await.expect("open"), Some(Event::ToolsChanged));
        assert_eq!(within(only_tools.next()).await.expect("open"), Some(Event::ToolsChanged), "{era:?}");
        let more = tokio::time::timeout(std::time::Duration::ZERO, only_tools.next()).await;
        assert!(more.is_err(), "{era:?}: {more:?} was not asked for");
    }
}

#[tokio::test]
async fn a_thousand_changes_while_nobody_looks_are_one_event_for_each_kind() {
    for era in ERAS {
        let server = mirror().build(Mirror);
        let client = within(builder().preference(era).connect(serve(&server).0)).await.expect("it connects");
        let publisher = server.publisher();
        let mut changes = within(client.listen(&everything(&["a:"]))).await.expect("it listens");
        until("the server knows", || publisher.listeners() > 0).await;
        for _ in 0..1_000 {
            publisher.tools_changed();
            publisher.prompts_changed();
            publisher.resource_updated("a:");
            tokio::task::yield_now().await;
        }
        // An answer comes after everything that was on its way before it.
        within(client.call("era", &())).await.expect("it answers");
        let mut events = Vec::new();
        for _ in 0..3 {
            events.push(format!("{:?}", within(changes.next()).await.expect("open")));
        }
        events.sort();
        let expected = [r#"Some(PromptsChanged)"#, r#"Some(ResourceUpdated("a:"))"#, "Some(ToolsChanged)"];
        assert_eq!(events, expected, "{era:?}");
        let more = tokio::time::timeout(std::time::Duration::ZERO, changes.next()).await;
        assert!(more.is_err(), "{era:?}: {more:?}");
    }
}

#[tokio::test]
async fn a_dropped_subscription_is_cancelled_on_the_wire_and_frees_its_place() {
    let server = mirror().max_subscriptions(1).build(Mirror);
    let client = within(builder().connect(serve(&server).0)).await.expect("it connects");
    for _ in 0..3 {
        let changes = within(client.listen(&tools())).await.expect("there is a place");
        assert_eq!(server.publisher().listeners(), 1);
        let full = within(client.listen(&tools())).await.expect_err("there is one place");
        let ListenError::Call(CallError::Answered { error, .. }) = &full else { panic!("{full:?}") };
        assert_eq!(error.code, -32600);
        drop(changes);
        until("its place is free", || server.publisher().listeners() == 0).await;
    }
    let (client, mut far) = modern(builder()).await;
    let listening = tokio::spawn({
        let client = client.clone();
        async move { client.listen(&tools()).await }
    });
    let listen = far.hear().await;
    assert_eq!(listen["params"]["notifications"], serde_json::json!({"toolsListChanged": true}));
    assert!(listen["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some());
    far.say(acknowledged(&listen["id"], r#"{"toolsListChanged":true}"#)).await;
    drop(within(listening).await.expect("no panic").expect("it listens"));
    let text = far.hear_text().await.expect("a cancellation");
    assert_eq!(
        text,
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{}}}}}"#,
            listen["id"]
        )
    );
}

fn acknowledged(id: &serde_json::Value, notifications: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{notifications}}}}}"#
    )
}

fn changed(id: &serde_json::Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    )
}

#[tokio::test]
async fn the_end_of_a_subscription_is_none_and_what_follows_is_nothing() {
    let endings = [
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":ID}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete"}}"#,
    ];
    for ending in endings {
        let (client, mut far) = modern(builder()).await;
        let listening = tokio::spawn({
            let client = client.clone();
            async move { client.listen(&tools()).await }
        });
        let listen = far.hear().await;
        let id = &listen["id"];
        far.say(acknowledged(id, r#"{"toolsListChanged":true}"#)).await;
        let mut changes = within(listening).await.expect("no panic").expect("it listens");
        far.say(changed(id)).await;
        far.say(ending.replace("ID", &id.to_string())).await;
        // Nothing may follow; if it does, it is no event.
        far.say(changed(id)).await;
        far.say(endings[1].replace("ID", &id.to_string())).await;
        until("all is read", || client.peer().stats().stray_notifications == 1).await;
        assert_eq!(within(changes.next()).await.expect("told before the end"), Some(Event::ToolsChanged));
        for _ in 0..2 {
            assert_eq!(within(changes.next()).await.expect("a polite end"), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_ends_them_politely_and_one_that_dies_does_not() {
    let server = mirror().build(Mirror);
    let (lane, serving) = serve(&server);
    let client = within(builder().connect(lane)).await.expect("it connects");
    let mut changes = within(client.listen(&tools())).await.expect("it listens");
    assert_eq!(within(server.drain(30 * SECOND)).await, Ok(()));
    assert_eq!(within(changes.next()).await.expect("a polite end"), None);
    within(serving).await.expect("no panic");

    for era in ERAS {
        let (lane, serving) = serve(&mirror().build(Mirror));
        let client = within(builder().preference(era).connect(lane)).await.expect("it connects");
        let mut changes = within(client.listen(&tools())).await.expect("it listens");
        serving.abort();
        let end = within(changes.next()).await;
        assert!(matches!(end, Err(CallError::Closed { .. })), "{era:?}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_acknowledges_costs_the_total_deadline() {
    let mut timeouts = LinkTimeouts::default();
    timeouts.call.total = Some(7 * SECOND);
    let (client, mut far) = modern(builder().link_timeouts(timeouts)).await;
    let start = tokio::time::Instant::now();
    let error = within_for(60 * SECOND, client.listen(&tools())).await.expect_err("nobody answers");
    assert!(matches!(error, ListenError::Call(CallError::Timeout { .. })), "{error:?}");
    assert_eq!(start.elapsed().as_secs(), 7);
    assert_eq!(far.hear().await["method"], "subscriptions/listen");
    assert_eq!(far.hear().await["method"], "notifications/cancelled");
}

#[tokio::test(start_paused = true)]
async fn an_open_subscription_has_no_deadline() {
    let server = mirror().build(Mirror);
    let mut timeouts = LinkTimeouts::default();
    timeouts.call.total = Some(SECOND);
    let client =
        within(builder().link_timeouts(timeouts).connect(serve(&server).0)).await.expect("it connects");
    let mut changes = within(client.listen(&tools())).await.expect("it listens");
    tokio::time::sleep(100_000 * SECOND).await;
    server.publisher().tools_changed();
    assert_eq!(within(changes.next()).await.expect("open"), Some(Event::ToolsChanged));
}

#[tokio::test]
async fn an_answer_in_place_of_the_acknowledgement_and_one_that_is_no_filter_are_errors() {
    let first = [
        (
            r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete"}}"#.to_owned(),
            "before it acknowledged",
        ),
        (changed(&"ID".into()).replace("\"ID\"", "ID"), "no filter"),
        (acknowledged(&"ID".into(), "7").replace("\"ID\"", "ID"), "no filter"),
        (r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"unknown"}}"#.to_owned(), "unknown"),
    ];
    for (message, expected) in first {
        let (client, mut far) = modern(builder()).await;
        let listening = tokio::spawn(async move { client.listen(&tools()).await });
        let listen = far.hear().await;
        far.say(message.replace("ID", &listen["id"].to_string())).await;
        let error = within(listening).await.expect("no panic").expect_err("no subscription").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_acknowledgement_over_the_clients_limits_is_an_error() {
    let small = [
        (SubscriptionLimits { max_uris: 1, ..SubscriptionLimits::default() }, r#"["a:","b:"]"#),
        (SubscriptionLimits { max_uri_bytes: 4, ..SubscriptionLimits::default() }, r#"["ab:cd"]"#),
    ];
    for (limits, uris) in small {
        for (limits, fits) in [(limits, false), (SubscriptionLimits::default(), true)] {
            let (client, mut far) = modern(builder().subscription_limits(limits)).await;
            let listening = tokio::spawn(async move { client.listen(&everything(&["a:", "b:"])).await });
            let listen = far.hear().await;
            let filter = format!(r#"{{"resourceSubscriptions":{uris}}}"#);
            far.say(acknowledged(&listen["id"], &filter)).await;
            assert_eq!(within(listening).await.expect("no panic").is_ok(), fits, "{uris}");
        }
    }
}

#[tokio::test]
async fn a_legacy_resource_is_unsubscribed_when_the_last_who_wants_it_closes() {
    let (client, mut far) = legacy(builder()).await;
    let serving = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(text) = far.hear_text().await {
            let request: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            heard.push(format!(
                "{} {}",
                request["method"].as_str().expect("text"),
                request["params"]["uri"].as_str().unwrap_or_default()
            ));
            far.answer(&request, "{}").await;
        }
        heard
    });
    let uris = |uris: &[&str]| {
        let uris: BTreeSet<Box<str>> = uris.iter().map(|uri| Box::from(*uri)).collect();
        Filter { uris, ..Filter::default() }
    };
    let one = within(client.listen(&uris(&["a:", "b:"]))).await.expect("it listens");
    let other = within(client.listen(&uris(&["b:"]))).await.expect("it listens");
    within(one.close()).await.expect("the server agrees");
    within(other.close()).await.expect("the server agrees");
    within(client.close()).await;
    assert_eq!(
        within(serving).await.expect("no panic"),
        [
            "resources/subscribe a:",
            "resources/subscribe b:",
            "resources/subscribe b:",
            "resources/unsubscribe a:",
            "resources/unsubscribe b:",
        ]
    );
}

#[tokio::test]
async fn a_legacy_subscription_of_which_one_resource_is_refused_leaves_none_behind() {
    let (client, mut far) = legacy(builder()).await;
    let listening = tokio::spawn(async move { client.listen(&everything(&["a:", "b:", "c:"])).await });
    let request = far.hear().await;
    far.answer(&request, "{}").await;
    let request = far.hear().await;
    far.refuse(&request, r#"{"code":-32002,"message":"no such resource"}"#).await;
    let taken_back = far.hear().await;
    assert_eq!(
        (&taken_back["method"], &taken_back["params"]["uri"]),
        (&"resources/unsubscribe".into(), &"a:".into())
    );
    far.answer(&taken_back, "{}").await;
    let error = within(listening).await.expect("no panic").expect_err("it was refused").to_string();
    assert!(error.contains("no such resource"), "{error}");
}
