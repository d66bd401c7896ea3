//! A look at the top level of a JSON object or array: where its members are, nothing else.
//!
//! The text is known to be valid JSON, so nested values are skipped without looking into them: strings by
//! `memchr`, containers by counting their own brackets.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr2, memchr3};

/// Where an object lies in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Just after the opening brace.
    pub(crate) open: usize,
    /// Whether it has no member.
    pub(crate) empty: bool,
}

/// The text is no JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// The text is no JSON array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnArray;

/// Calls `member` with each key (between its quotes, escapes untouched) and the span of its value.
pub(crate) fn object(
    text: &[u8],
    mut member: impl FnMut(&[u8], Range<usize>),
) -> Result<Object, NotAnObject> {
    let start = blank(text, 0);
    if text.get(start) != Some(&b'{') {
        return Err(NotAnObject);
    }
    let open = start + 1;
    let mut at = blank(text, open);
    if text.get(at) == Some(&b'}') {
        return Ok(Object { open, empty: true });
    }
    loop {
        let key_end = string(text, at).ok_or(NotAnObject)?;
        let key = text.get(at + 1..key_end - 1).ok_or(NotAnObject)?;
        let colon = blank(text, key_end);
        if text.get(colon) != Some(&b':') {
            return Err(NotAnObject);
        }
        let from = blank(text, colon + 1);
        let to = value(text, from).ok_or(NotAnObject)?;
        member(key, from..to);
        at = blank(text, to);
        match text.get(at) {
            Some(b',') => at = blank(text, at + 1),
            Some(b'}') => return Ok(Object { open, empty: false }),
            _ => return Err(NotAnObject),
        }
    }
}

/// Calls `element` with the span of each element of an array, first with the blanks around it, then without.
pub(crate) fn array(
    text: &[u8],
    mut element: impl FnMut(Range<usize>, Range<usize>),
) -> Result<(), NotAnArray> {
    let start = blank(text, 0);
    if text.get(start) != Some(&b'[') {
        return Err(NotAnArray);
    }
    let mut segment = start + 1;
    if text.get(blank(text, segment)) == Some(&b']') {
        return Ok(());
    }
    loop {
        let from = blank(text, segment);
        let to = value(text, from).ok_or(NotAnArray)?;
        let end = blank(text, to);
        let Some(after @ (b',' | b']')) = text.get(end) else { return Err(NotAnArray) };
        element(segment..end, from..to);
        if *after == b']' {
            return Ok(());
        }
        segment = end + 1;
    }
}

/// A key, as it stands between its quotes, without escapes. `None` if it is not Unicode.
pub(crate) fn decoded(key: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !key.contains(&b'\\') {
        return Some(Cow::Borrowed(key));
    }
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).ok().map(|decoded| Cow::Owned(decoded.into_bytes()))
}

/// Whether a key, as it stands between its quotes, is `name`.
pub(crate) fn key_is(key: &[u8], name: &str) -> bool {
    decoded(key).is_some_and(|decoded| *decoded == *name.as_bytes())
}

/// Where the value that starts at `from` ends.
fn value(text: &[u8], from: usize) -> Option<usize> {
    match text.get(from)? {
        b'"' => string(text, from),
        b'{' => container(text, from + 1, b'{', b'}'),
        b'[' => container(text, from + 1, b'[', b']'),
        _ => {
            let rest = text.get(from..)?;
            let length = rest
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
                .unwrap_or(rest.len());
            (length > 0).then_some(from + length)
        }
    }
}

/// Where the string whose quote stands at `from` ends, after its closing quote.
fn string(text: &[u8], from: usize) -> Option<usize> {
    if text.get(from) != Some(&b'"') {
        return None;
    }
    let mut at = from + 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the container ends whose content starts at `at`. The other kind of bracket need not be counted: in
/// valid JSON it is balanced.
fn container(text: &[u8], mut at: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 1usize;
    loop {
        at += memchr3(b'"', open, close, text.get(at..)?)?;
        match text.get(at)? {
            b'"' => at = string(text, at)?,
            byte if *byte == open => {
                depth += 1;
                at += 1;
            }
            _ => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
    }
}

fn blank(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::json_object;

    fn members(text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        object(text.as_bytes(), |key, span| {
            found.push((String::from_utf8_lossy(key).into_owned(), text[span].to_owned()));
        })
        .ok()
        .map(|_| found)
    }

    #[test]
    fn members_are_found_and_nested_values_are_skipped() {
        let text = " { \"a\" : [1,{\"b\":\"]}\"},[]] ,\"\\u0062\":\"x\\\\\",\"c\":{\"d\":{\"e\":\"\\\"}\"}},\"f\":-1.5e3\n,\"g\":null }";
        let expected = [
            ("a", "[1,{\"b\":\"]}\"},[]]"),
            ("\\u0062", "\"x\\\\\""),
            ("c", "{\"d\":{\"e\":\"\\\"}\"}}"),
            ("f", "-1.5e3"),
            ("g", "null"),
        ];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        assert_eq!(members(text), Some(expected));
        assert!(key_is(b"\\u0062", "b") && key_is(b"b", "b") && !key_is(b"\\u0062", "\\u0062"));
    }

    #[test]
    fn elements_are_found_with_their_blanks_and_without() {
        let elements = |text: &str| {
            let mut found = Vec::new();
            array(text.as_bytes(), |segment, span| {
                found.push((text[segment].to_owned(), text[span].to_owned()));
            })
            .map(|()| found)
        };
        let pair = |around: &str, element: &str| (around.to_owned(), element.to_owned());
        assert_eq!(elements(" [ ] "), Ok(vec![]));
        let nested = pair("\n[\"]\",{}]", "[\"]\",{}]");
        assert_eq!(
            elements("[ 1 ,\n[\"]\",{}],{\"a\":[]} ]"),
            Ok(vec![pair(" 1 ", "1"), nested, pair("{\"a\":[]} ", "{\"a\":[]}"),])
        );
        for text in ["", "{}", "[", "[1", "[1,", "[1,]", "[1 2]", "[,]", "[\"", "[[]"] {
            assert_eq!(elements(text), Err(NotAnArray), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_a_panic() {
        let table = [
            "",
            " ",
            "[]",
            "1",
            "\"{\"",
            "{",
            "{\"",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":[",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\";1}",
            "{a:1}",
            "{\"a\":}",
            "{\"a\":{\"b\":\"}\"",
        ];
        for text in table {
            assert_eq!(members(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_scan_agrees_with_serde_json(text in json_object()) {
            let expected: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(&text).unwrap();
            let found = members(&text).unwrap();
            prop_assert_eq!(found.len(), expected.len());
            for (key, value) in found {
                let key: String = serde_json::from_str(&format!("\"{key}\"")).unwrap();
                prop_assert_eq!(value.as_str(), expected[&key].get());
            }
        }

        #[test]
        fn no_text_makes_the_scan_panic(text in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b','), Just(b':'),
                Just(b'\\'), Just(b'a'), Just(b' ')], 0..24), key in any::<bool>()) {
            let start = if key { &b"{\""[..] } else { b"{\"a\":" };
            let _ = object(&[start, &text].concat(), |_, _| {});
        }
    }
}
