//! Every kind of client against every kind of server (2026-07-28, basic/versioning, "Compatibility Matrix", and
//! basic/transports/stdio, "Backward Compatibility").

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{Far, Mirror, builder, lanes, mirror, serve};
use tokio::time::Instant;
use towpath_client::{Preference, Revision};
use towpath_testkit::{MemoryLane, within, within_for};

use Preference::{Auto, LegacyOnly, ModernOnly};

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A server of Towpath with these revisions.
    Real(&'static [Revision]),
    /// Hears nothing but `initialize`.
    Silent,
    /// Answers `server/discover` with this member of an answer.
    Answers(&'static str),
}

const MODERN: &str = "modern";
const LEGACY: &str = "legacy";
const TO_AUTO: &str = "Set `Preference::Auto`";

fn table() -> Vec<(Kind, [&'static str; 3], u64)> {
    use Kind::{Answers, Real, Silent};
    const LEGACY_ONLY: &[Revision] = &[Revision::V2025_03_26, Revision::V2025_11_25];
    // What an Auto, a ModernOnly and a LegacyOnly client get; and how many seconds the first two take for it.
    vec![
        (Real(&[Revision::V2026_07_28]), [MODERN, MODERN, "speaks 2026-07-28"], 0),
        (Real(LEGACY_ONLY), [LEGACY, TO_AUTO, LEGACY], 0),
        (Real(&Revision::ALL), [MODERN, MODERN, LEGACY], 0),
        (Silent, [LEGACY, TO_AUTO, LEGACY], 5),
        (Answers(r#""error":{"code":-32601,"message":"x"}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""error":{"code":-32602,"message":"x"}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""error":{"code":-32600,"message":"x"}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""error":{"code":-32000,"message":"x"}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""error":{"code":0,"message":""}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""result":{"tools":[]}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""result":null"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (Answers(r#""result":{},"error":{"code":1,"message":"both"}"#), [LEGACY, TO_AUTO, LEGACY], 0),
        (
            Answers(r#""error":{"code":-32022,"message":"x","data":{"supported":["2026-07-28"]}}"#),
            [MODERN, MODERN, LEGACY],
            0,
        ),
        (
            Answers(r#""error":{"code":-32022,"message":"x","data":{"supported":["2099-01-01"]}}"#),
            ["the server speaks 2099-01-01", "the server speaks 2099-01-01", LEGACY],
            0,
        ),
        (Answers(r#""error":{"code":-32022,"message":"x"}"#), [LEGACY, TO_AUTO, LEGACY], 0),
    ]
}

/// A server that does nothing but what its kind says, and tells by which era it is asked.
async fn answer(mut far: Far, kind: Kind) {
    while let Some(text) = far.hear_text().await {
        let request: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let modern = request["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some();
        match (request["method"].as_str().expect("a method"), kind) {
            ("server/discover", Kind::Answers(member)) => {
                assert!(modern, "the probe carries the metadata: {text}");
                far.say(format!(r#"{{"jsonrpc":"2.0","id":{},{member}}}"#, request["id"])).await;
            }
            ("initialize", _) => {
                assert!(!modern, "the handshake carries none: {text}");
                far.answer(&request, r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#).await;
            }
            ("era", _) => {
                let era = if modern { "Modern" } else { "Legacy" };
                far.answer(&request, &format!(r#"{{"era":"{era}"}}"#)).await;
            }
            _ => {}
        }
    }
}

fn open(kind: Kind) -> MemoryLane {
    match kind {
        Kind::Real(revisions) => serve(&mirror().revisions(revisions).build(Mirror)).0,
        Kind::Silent | Kind::Answers(_) => {
            let (near, far) = lanes();
            tokio::spawn(answer(far, kind));
            near
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_client_and_server_agree_on_an_era_or_say_why_not() {
    for (kind, expected, seconds) in table() {
        for (preference, expected) in [Auto, ModernOnly, LegacyOnly].into_iter().zip(expected) {
            let case = format!("{preference:?} client, server {kind:?}");
            let start = Instant::now();
            let connected = within(builder().preference(preference).connect(open(kind))).await;
            let took = if matches!(preference, LegacyOnly) { 0 } else { seconds };
            assert_eq!(start.elapsed().as_secs(), took, "{case}");
            match connected {
                Ok(client) => {
                    let answer = within(client.call("era", &())).await.expect("it answers");
                    let era = if expected == MODERN { r#""era":"Modern""# } else { r#""era":"Legacy""# };
                    assert!(answer.as_str().contains(era), "{case}: {answer}");
                    let server = client.server().revision;
                    assert_eq!(format!("{:?}", server.era()).to_lowercase(), expected, "{case}: {server}");
                }
                Err(error) => {
                    assert!(error.to_string().contains(expected), "{case}: {error}");
                    let names_what_is_spoken = error.to_string().contains("2026-07-28");
                    assert!(names_what_is_spoken, "{case}: {error}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_probe_that_comes_too_late_changes_nothing() {
    let (client, mut far) = support::connecting(builder());
    let discover = far.hear().await;
    let initialize = within_for(10 * support::SECOND, far.hear()).await;
    assert_eq!(initialize["method"], "initialize", "no cancellation of the probe: {initialize}");
    far.answer(&discover, r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#).await;
    far.answer(&initialize, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#).await;
    let client = within(client).await.expect("no panic").expect("it connects");
    assert_eq!(client.server().revision, Revision::V2025_11_25);
    assert_eq!(client.peer().stats().late_answers, 1);
}

#[tokio::test]
async fn a_server_that_dies_of_the_probe_is_an_error_at_once() {
    let (client, mut far) = support::connecting(builder());
    far.hear().await;
    drop(far);
    let error = within(client).await.expect("no panic").expect_err("there is nobody");
    assert!(error.to_string().contains("before the handshake was done"), "{error}");
    assert!(error.to_string().contains("has closed the connection"), "{error}");
}
