//! Generators and shorthands of this crate's tests.

use bytes::Bytes;
use proptest::prelude::*;
use towpath_jsonrpc::{EnvelopeLimits, Message, RawJson};

/// JSON text of any value, with blanks between tokens, escapes and numbers that no float holds.
pub(crate) fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("9223372036854775808".to_owned()),
        Just("-1.50e+400".to_owned()),
        json_string(),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[ {} ]", items.join(" ,"))),
            object_of(inner),
        ]
    })
}

/// JSON text of an object whose keys differ, escapes decoded.
pub(crate) fn json_object() -> impl Strategy<Value = String> {
    object_of(json_value())
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (proptest::collection::vec((json_string(), value), 0..5), "[ \n]{0,2}").prop_map(|(members, blank)| {
        let mut seen = std::collections::HashSet::new();
        let members: Vec<String> = members
            .into_iter()
            .filter(|(key, _)| {
                let decoded: String = serde_json::from_str(key).unwrap();
                decoded != "_meta" && decoded != "resultType" && seen.insert(decoded)
            })
            .map(|(key, value)| format!("{blank}{key}{blank}:{value}"))
            .collect();
        format!("{blank}{{{}{blank}}}", members.join(","))
    })
}

fn json_string() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just("a"),
            Just("é"),
            Just("{"),
            Just("]"),
            Just(","),
            Just("\\\""),
            Just("\\\\"),
            Just("\\u0041"),
            Just("\\n"),
            Just("\\ud83d\\ude00"),
        ],
        0..6,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()))
}

pub(crate) fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub(crate) fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &EnvelopeLimits::default()).unwrap()
}

/// The members of an object, values as they are written.
pub(crate) fn members(text: &[u8]) -> std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> {
    serde_json::from_slice(text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(text)))
}

/// An object as a caller may give it, with or without a `_meta` object anywhere among its members.
pub(crate) fn object_with_meta() -> impl Strategy<Value = String> {
    (json_object(), proptest::option::of(json_object()), any::<bool>()).prop_map(|(object, meta, first)| {
        let Some(meta) = meta else { return object };
        let body = match (members(object.as_bytes()).is_empty(), first) {
            (true, _) => format!("\"\\u005fmeta\" : {meta}"),
            (false, true) => format!("\"_meta\" : {meta},{}", inner(&object)),
            (false, false) => format!("{},\"_meta\":{meta}", inner(&object)),
        };
        format!("{{{body} }}")
    })
}

/// What stands between an object's braces.
fn inner(object: &str) -> &str {
    let object = object.trim();
    &object[1..object.len() - 1]
}
