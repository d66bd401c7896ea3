//! Values pass as the bytes that came in, from the client to the server and back, but for what docs/rewrites.md lists.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use support::{Mirror, builder, mirror, serve};
use towpath_client::{CallOptions, Preference, Revision};
use towpath_jsonrpc::RawJson;
use towpath_testkit::within;

fn corpus() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let wide = format!("[{}]", vec!["0"; 10_000].join(","));
    let long = format!(r#""{}""#, "x\\u00e9é".repeat(20_000));
    let mut values: Vec<String> = [
        "9223372036854775808",
        "18446744073709551616",
        "-0",
        "1e400",
        "-1E-400",
        "1.0",
        "1.10000000000000000000000000000000000001",
        r#""\u0041\/\b\f\n\r\t\\\"""#,
        r#""\ud800""#,
        r#""\udc00\ud800 \ud83d\ude00 😀""#,
        r#""\u0000\u001f  ""#,
        r#"{"nobody":{"knows":[null,true,false,{}]},"":0}"#,
        r#"{"twice":1,"twice":2,"tw\u0069ce":3}"#,
        r#"{ "spaces" : [ 1 ,  2 ] }"#,
        r#"{"__proto__":null,"constructor":{}}"#,
        r#"{"jsonrpc":"1.0","id":7,"method":"x","result":{},"error":{}}"#,
    ]
    .map(str::to_owned)
    .into();
    values.extend([deep, wide, long]);
    values
}

#[tokio::test]
async fn awkward_values_come_back_as_they_went_in_either_era() {
    for (era, revision) in [
        (Preference::ModernOnly, Revision::V2026_07_28),
        (Preference::LegacyOnly, Revision::V2025_11_25),
        (Preference::LegacyOnly, Revision::V2024_11_05),
    ] {
        let server = mirror().revisions([revision]).build(Mirror);
        let client = within(builder().preference(era).connect(serve(&server).0)).await.expect("it connects");
        for value in corpus() {
            let members = format!(r#""name":"x","value":{value},"valu\u0065":null"#);
            let params = RawJson::parse(format!("{{{members}}}")).expect("JSON");
            let answer = within(client.call_with("mirror", Some(params), CallOptions::default())).await;
            let answer = answer.unwrap_or_else(|error| panic!("{revision}: {error}"));
            let shown = &value[..value.len().min(60)];
            if era == Preference::LegacyOnly {
                assert_eq!(answer.as_bytes(), format!("{{{members}}}").as_bytes(), "{revision}: {shown}");
            } else {
                // `_meta` is added in front on the way there, and what a result lacks on the way back.
                assert!(answer.as_str().ends_with(&format!("{members}}}")), "{shown}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_data_of_an_error_comes_as_it_was_given() {
    let (client, mut far) = support::legacy(builder()).await;
    for value in corpus() {
        let call = client.call("x", &()).start();
        let request = far.hear().await;
        far.refuse(&request, &format!(r#"{{"code":-32000,"message":"m","data":{value}}}"#)).await;
        let error = within(call).await.expect_err("an error");
        let towpath_client::CallError::Answered { error, .. } = error else { panic!("{error:?}") };
        let data = error.data.expect("data");
        assert_eq!(data.as_bytes(), value.as_bytes());
    }
}
