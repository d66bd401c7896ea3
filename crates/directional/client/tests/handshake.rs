//! The legacy handshake from the client's side (2025-11-25, basic/lifecycle).

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::time::Duration;

use support::{SECOND, builder, connecting, legacy};
use tokio::time::Instant;
use towpath_client::{ClientTimeouts, ConnectError, Preference, ProbeTimeouts, Revision};
use towpath_raw::{Operation, Timeout};
use towpath_testkit::{within, within_for};

fn legacy_only() -> towpath_client::ClientBuilder {
    builder().preference(Preference::LegacyOnly)
}

#[tokio::test]
async fn the_handshake_offers_the_newest_legacy_revision_and_is_confirmed_before_any_call() {
    let capable = legacy_only().capabilities(serde_json::json!({"roots": {"listChanged": true}}));
    let (client, mut far) = connecting(capable);
    let initialize = far.hear().await;
    assert_eq!(
        initialize["params"],
        serde_json::json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {"listChanged": true}},
            "clientInfo": {"name": "client under test", "version": "1.0.0"},
        })
    );
    far.answer(
        &initialize,
        r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"0"},"instructions":"be kind"}"#,
    )
    .await;
    let client = within(client).await.expect("no panic").expect("it connects");
    let call = client.call("tools/list", &()).start();
    assert_eq!(
        far.hear_text().await.as_deref(),
        Some(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
    );
    assert_eq!(far.hear().await["method"], "tools/list");
    drop(call);
    let server = client.server();
    assert_eq!(server.revision, Revision::V2024_11_05);
    assert_eq!(server.instructions.as_deref(), Some("be kind"));
    assert_eq!(server.info.as_ref().map(|info| info.as_str()), Some(r#"{"name":"old","version":"0"}"#));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_too_long_is_a_typed_error_and_is_never_cancelled_on_the_wire() {
    let mut timeouts = ClientTimeouts::default();
    timeouts.handshake = 3 * SECOND;
    let (client, mut far) = connecting(legacy_only().timeouts(timeouts));
    let start = Instant::now();
    assert_eq!(far.hear().await["method"], "initialize");
    let error = within(client).await.expect("no panic").expect_err("nobody answers");
    let ConnectError::Timeout { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*source, Timeout { operation: Operation::Handshake, after: 3 * SECOND });
    assert!(error.to_string().contains("handshake"), "{error}");
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(far.hear_text().await, None, "nothing follows but the end of the lane");
}

#[tokio::test]
async fn a_connection_that_is_given_up_ends_the_lane_without_a_cancellation() {
    let (client, mut far) = connecting(legacy_only());
    assert_eq!(far.hear().await["method"], "initialize");
    client.abort();
    assert_eq!(far.hear_text().await, None);
}

#[tokio::test]
async fn a_refused_handshake_says_with_what() {
    let (client, mut far) = connecting(legacy_only());
    let initialize = far.hear().await;
    far.refuse(
        &initialize,
        r#"{"code":-32602,"message":"this server speaks 2026-07-28","data":{"supported":["2026-07-28"]}}"#,
    )
    .await;
    let error = within(client).await.expect("no panic").expect_err("it is refused");
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error:?}");
    assert!(error.to_string().contains("this server speaks 2026-07-28"), "{error}");
    assert_eq!(far.hear_text().await, None);
}

#[tokio::test]
async fn a_revision_that_is_not_spoken_here_is_an_error_that_names_both_sides() {
    for offered in ["1999-01-01", "2026-07-28", "2025-03-26"] {
        let revisions = [Revision::V2025_06_18, Revision::V2025_11_25];
        let (client, mut far) = connecting(legacy_only().revisions(revisions));
        let initialize = far.hear().await;
        far.answer(&initialize, &format!(r#"{{"protocolVersion":"{offered}","capabilities":{{}}}}"#)).await;
        let error = within(client).await.expect("no panic").expect_err("it is not spoken").to_string();
        assert!(error.contains(offered) && error.contains("2025-06-18"), "{error}");
        assert_eq!(far.hear_text().await, None, "`initialized` was sent");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_initialize_result_is_malformed() {
    for result in ["{}", "[]", "null", r#"{"protocolVersion":7}"#] {
        let (client, mut far) = connecting(legacy_only());
        let initialize = far.hear().await;
        far.answer(&initialize, result).await;
        let error = within(client).await.expect("no panic").expect_err("it is nonsense").to_string();
        assert!(error.contains("malformed"), "{result}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_patience_of_the_probe_is_its_own_setting() {
    let mut timeouts = ClientTimeouts::default();
    timeouts.probe = ProbeTimeouts { discover: 2 * SECOND };
    let (client, mut far) = connecting(builder().timeouts(timeouts));
    let start = Instant::now();
    assert_eq!(far.hear().await["method"], "server/discover");
    assert_eq!(far.hear().await["method"], "initialize");
    assert_eq!(start.elapsed().as_secs(), 2);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn deadlines_that_no_clock_reaches_are_none() {
    let mut timeouts = ClientTimeouts::default();
    timeouts.handshake = Duration::MAX;
    timeouts.close_grace = Duration::MAX;
    timeouts.probe = ProbeTimeouts { discover: Duration::MAX };
    let (client, mut far) = connecting(builder().timeouts(timeouts));
    let discover = far.hear().await;
    far.refuse(&discover, r#"{"code":-32601,"message":"x"}"#).await;
    let initialize = far.hear().await;
    far.answer(&initialize, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#).await;
    let client = within(client).await.expect("no panic").expect("it connects");
    within(client.close()).await;
}

#[tokio::test(start_paused = true)]
async fn close_lets_calls_go_on_for_its_grace() {
    for (grace, answered) in [(Duration::ZERO, false), (10 * SECOND, true)] {
        let mut timeouts = ClientTimeouts::default();
        timeouts.close_grace = grace;
        let (client, mut far) = legacy(builder().timeouts(timeouts)).await;
        let call = client.call("tools/list", &()).start();
        let request = far.hear().await;
        let closing = tokio::spawn({
            let client = client.clone();
            async move { client.close().await }
        });
        if answered {
            tokio::time::sleep(9 * SECOND).await;
            far.answer(&request, "{}").await;
        }
        assert_eq!(within(call).await.is_ok(), answered, "{grace:?}");
        within_for(20 * SECOND, closing).await.expect("no panic");
        // A second one is told the same, at once.
        within_for(SECOND, client.close()).await;
        assert!(within(client.call("tools/list", &())).await.is_err());
    }
}
