//! Calls: what is written and what is checked. Schemas and lists have files of their own.

mod lists;
mod schemas;

use proptest::prelude::*;

use super::*;
use crate::Revision;
use crate::testing::{message, raw};

/// A schema with these properties.
fn properties(members: &str) -> RawJson {
    raw(&format!(r#"{{"type":"object","properties":{{{members}}}}}"#))
}

fn params() -> HeaderParams {
    let inner =
        r#""city":{"type":"string","x-mcp-header":"City"},"zip":{"type":"integer","x-mcp-header":"Zip"}"#;
    let members = format!(
        r#""region":{{"type":"string","x-mcp-header":"Region"}},
        "count":{{"type":"integer","x-mcp-header":"Count"}},
        "flag":{{"type":"boolean","x-mcp-header":"Flag"}},
        "plain":{{"type":"string"}},
        "address":{{"type":"object","properties":{{{inner}}}}}"#
    );
    HeaderParams::of_schema(&properties(&members)).unwrap()
}

fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(format!("mcp-param-{name}").as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

/// The part of the error that tells one from the other; empty if there is none.
fn outcome(lines: &[(&str, &[u8])], arguments: &str) -> String {
    let arguments = Some(arguments).filter(|arguments| !arguments.is_empty()).map(raw);
    match params().check(&headers(lines), arguments.as_ref()) {
        Ok(()) => String::new(),
        Err(fault) => {
            let reply = crate::wire_reply(&fault, Revision::LATEST.rules());
            assert_eq!(reply.http_status, 400, "{fault:?}");
            match fault {
                Fault::HeaderMismatch { header, detail } => {
                    assert_eq!(reply.code, -32020);
                    assert!(header.starts_with("Mcp-Param-"), "{header}");
                    detail
                }
                Fault::Malformed { detail, reason: DUPLICATE_KEY, .. } => {
                    assert_eq!(reply.code, -32600);
                    detail
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_header_says_what_the_argument_says_or_the_call_is_refused() {
    type Line<'a> = (&'a [(&'a str, &'a [u8])], &'a str, &'a str);
    let table: [Line<'_>; 45] = [
        (&[], "", ""),
        (&[], "{}", ""),
        (&[], r#"{"plain":"x"}"#, ""),
        (&[("region", b"us-west1")], r#"{"region":"us-west1"}"#, ""),
        (&[("region", b"  us-west1\t")], r#"{"region":"us-west1"}"#, ""),
        (&[("REGION", b"a")], r#"{"\u0072egion":"\u0061"}"#, ""),
        (&[("region", b"")], r#"{"region":""}"#, ""),
        (&[("region", b"US-WEST1")], r#"{"region":"us-west1"}"#, "says"),
        // Encoded values are decoded, and strictly.
        (&[("region", b"=?base64?SGVsbG8=?=")], r#"{"region":"Hello"}"#, ""),
        (&[("region", b"=?base64?IHBhZGRlZCA=?=")], r#"{"region":" padded "}"#, ""),
        (&[("region", b"=?base64?SGVsbG8?=")], r#"{"region":"Hello"}"#, "not valid Base64"),
        (&[("region", b"=?base64?SGVs!G8=?=")], r#"{"region":"Hello"}"#, "not valid Base64"),
        (&[("region", b"=?base64?SGVsbG8=")], r#"{"region":"Hello"}"#, "says"),
        (&[("region", b"SGVsbG8=?=")], r#"{"region":"Hello"}"#, "says"),
        (&[("region", b"=?BASE64?SGVsbG8=?=")], r#"{"region":"Hello"}"#, "says"),
        (&[("region", b"=?BASE64?SGVsbG8=?=")], r#"{"region":"=?BASE64?SGVsbG8=?="}"#, ""),
        (&[("region", b"=?base64?/w==?=")], r#"{"region":"\ufffd"}"#, "not UTF-8"),
        (&[("region", b"caf\xc3\xa9")], r#"{"region":"caf\u00e9"}"#, "a character"),
        // Header and argument, one without the other.
        (&[], r#"{"region":"us-west1"}"#, "missing"),
        (&[], r#"{"region":""}"#, "missing"),
        (&[("region", b"us-west1")], "{}", "mirrors nothing"),
        (&[("region", b"us-west1")], "", "mirrors nothing"),
        (&[("region", b"us-west1")], "[]", "mirrors nothing"),
        (&[("region", b"null")], r#"{"region":null}"#, "mirrors nothing"),
        (&[], r#"{"region":null}"#, ""),
        (&[("region", b"a"), ("region", b"a")], r#"{"region":"a"}"#, "more than one"),
        (&[("plain", b"b"), ("other", b"c")], r#"{"plain":"a"}"#, ""),
        // Numbers are compared as numbers, and only integers that every reader can hold.
        (&[("count", b"42")], r#"{"count":42}"#, ""),
        (&[("count", b"42.0")], r#"{"count":42}"#, ""),
        (&[("count", b"-7")], r#"{"count":-70e-1}"#, ""),
        (&[("count", b"=?base64?NDI=?=")], r#"{"count":42}"#, ""),
        (&[("count", b"43")], r#"{"count":42}"#, "says"),
        (&[("count", b"9007199254740993")], r#"{"count":9007199254740992}"#, "no string, boolean or integer"),
        (&[("count", b"9007199254740992")], r#"{"count":9007199254740991}"#, "says"),
        (&[("count", b"1.5")], r#"{"count":1.5}"#, "no string, boolean or integer"),
        (&[], r#"{"count":[1]}"#, "no string, boolean or integer"),
        (&[("region", b"42")], r#"{"region":"42.0"}"#, "says"),
        (&[("flag", b"true")], r#"{"flag":true}"#, ""),
        (&[("flag", b"True")], r#"{"flag":true}"#, "says"),
        (&[("flag", b"1")], r#"{"flag":true}"#, "says"),
        (&[("flag", b"false")], r#"{"flag":"false"}"#, ""),
        // At the exact path, and nowhere else.
        (&[("city", b"Bern"), ("zip", b"3000")], r#"{"address":{"city":"Bern","zip":3000}}"#, ""),
        (&[("city", b"Bern")], r#"{"city":"Bern","address":["Bern"]}"#, "mirrors nothing"),
        (&[], r#"{"address":{"city":"Bern"}}"#, "missing"),
        (&[], r#"{"region":"\ud800"}"#, "no string, boolean or integer"),
    ];
    for (lines, arguments, expected) in table {
        let outcome = outcome(lines, arguments);
        let fits = if expected.is_empty() { outcome.is_empty() } else { outcome.contains(expected) };
        assert!(fits, "{lines:?} {arguments}: {outcome:?}, not {expected:?}");
    }
}

#[test]
fn a_key_on_the_way_to_a_mirrored_value_is_there_once() {
    let region: &[(&str, &[u8])] = &[("region", b"a")];
    let city: &[(&str, &[u8])] = &[("city", b"Bern")];
    let table = [
        (region, r#"{"region":"a","region":"b"}"#, true),
        (region, r#"{"region":"a","region":"a"}"#, true),
        (region, r#"{"region":"b","\u0072egion":"a"}"#, true),
        (region, r#"{"region":"a","region":null}"#, true),
        (city, r#"{"address":{"city":"Bern","city":"Basel"}}"#, true),
        (city, r#"{"address":{"city":"Bern"},"address":{}}"#, true),
        (city, r#"{"address":7,"address":{"city":"Bern"}}"#, true),
        // What no header mirrors may occur twice: it passes as the bytes that came.
        (region, r#"{"region":"a","plain":"1","plain":"2"}"#, false),
        (city, r#"{"address":{"city":"Bern","x":1,"x":2}}"#, false),
        (region, r#"{"region":"a","x":{"region":"b"}}"#, false),
    ];
    for (lines, arguments, refused) in table {
        let outcome = outcome(lines, arguments);
        assert_eq!(outcome.contains("occurs twice"), refused, "{arguments}: {outcome}");
        assert_eq!(outcome.is_empty(), !refused, "{arguments}: {outcome}");
    }
}

#[test]
fn a_duplicate_is_refused_before_any_difference() {
    assert!(outcome(&[], r#"{"region":"a","count":1,"count":2}"#).contains("count"));
}

#[test]
fn a_call_has_its_arguments_once() {
    let call = |params: &str| {
        tool_arguments(&message(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#
        )))
    };
    let table = [
        (r#"{"name":"t","arguments":{"a":1}}"#, Some(r#"{"a":1}"#)),
        (r#"{"\u0061rguments": [ 1 ] }"#, Some("[ 1 ]")),
        (r#"{"name":"t","x":{"arguments":1}}"#, None),
        ("[1]", None),
    ];
    for (params, expected) in table {
        assert_eq!(call(params), Ok(expected.map(raw)), "{params}");
    }
    assert_eq!(tool_arguments(&message(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#)), Ok(None));
    let fault = call(r#"{"arguments":{"a":1},"argument\u0073":{"a":2}}"#).unwrap_err();
    assert!(matches!(fault, Fault::Malformed { code: -32600, reason: "duplicate_key", .. }), "{fault:?}");
}

#[test]
fn a_client_writes_what_can_be_mirrored_and_takes_out_what_is_old() {
    let table = [
        ("", ""),
        (r#"{"plain":"x"}"#, ""),
        (r#"{"region":"us-west1","count":42,"flag":false}"#, "region: us-west1|count: 42|flag: false"),
        (r#"{"region":""}"#, "region: "),
        (r#"{"region":" a","count":-7.0,"flag":true}"#, "region: =?base64?IGE=?=|count: -7|flag: true"),
        (r#"{"region":"a\r\nX-Evil: 1"}"#, "region: =?base64?YQ0KWC1FdmlsOiAx?="),
        (r#"{"region":"=?base64?x?="}"#, "region: =?base64?PT9iYXNlNjQ/eD89?="),
        (r#"{"region":null,"count":null,"flag":null}"#, ""),
        (r#"{"region":["a"],"count":1.5,"flag":{}}"#, ""),
        (r#"{"count":9007199254740992}"#, ""),
        (r#"{"count":9007199254740991}"#, "count: 9007199254740991"),
        (r#"{"region":"a","region":"b"}"#, ""),
        (r#"{"address":{"zip":3000,"city":"Bern"}}"#, "city: Bern|zip: 3000"),
    ];
    for (arguments, expected) in table {
        let mut out = headers(&[("region", b"old"), ("count", b"0"), ("zip", b"0"), ("zip", b"1")]);
        out.insert("mcp-param-other", HeaderValue::from_static("stays"));
        let arguments = Some(arguments).filter(|arguments| !arguments.is_empty()).map(raw);
        let params = params();
        params.write(arguments.as_ref(), &mut out);
        assert_eq!(out.remove("mcp-param-other").unwrap(), "stays");
        let mut lines = Vec::new();
        for name in params.headers() {
            for value in out.get_all(name) {
                lines.push(format!("{}: {}", &name.as_str()[10..], value.to_str().unwrap()));
            }
        }
        assert_eq!(lines.join("|"), expected, "{arguments:?}");
        assert_eq!(out.len(), lines.len());
    }
}

proptest! {
    #[test]
    fn what_a_client_writes_a_server_accepts(
        region in any::<Option<String>>(), count in any::<Option<i64>>(), flag in any::<Option<bool>>(),
        city in any::<Option<String>>(),
    ) {
        let count = count.map(|count| count >> 11);
        let arguments = serde_json::json!({
            "region": region, "count": count, "flag": flag, "address": { "city": city }
        });
        let arguments = RawJson::serialize(&arguments).unwrap();
        let (params, mut written) = (params(), HeaderMap::new());
        params.write(Some(&arguments), &mut written);
        prop_assert_eq!(params.check(&written, Some(&arguments)), Ok(()));
        // And without any one of the headers it does not.
        let names: Vec<HeaderName> = written.keys().cloned().collect();
        prop_assert_eq!(names.len(), [region.is_some(), count.is_some(), flag.is_some(), city.is_some()]
            .iter().filter(|there| **there).count());
        for name in names {
            let mut fewer = written.clone();
            fewer.remove(name);
            prop_assert!(params.check(&fewer, Some(&arguments)).is_err());
        }
    }
}
