//! The scanner against `serde_json`: what is JSON, where the members are, and that slicing changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::task::Poll;

use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use towpath_jsonrpc::{EnvelopeError, EnvelopeLimits, Id, Kind, Member, Message, RawJson, Scan, code};

const PREFIX: &str = "io.modelcontextprotocol/";

/// Each member, the object it is in, and its key.
const MEMBERS: [(Member, Option<Member>, &str); 25] = [
    (Member::Jsonrpc, None, "jsonrpc"),
    (Member::Id, None, "id"),
    (Member::Method, None, "method"),
    (Member::Params, None, "params"),
    (Member::Result, None, "result"),
    (Member::Error, None, "error"),
    (Member::Name, Some(Member::Params), "name"),
    (Member::Uri, Some(Member::Params), "uri"),
    (Member::RequestId, Some(Member::Params), "requestId"),
    (Member::ProgressToken, Some(Member::Params), "progressToken"),
    (Member::ProtocolVersion, Some(Member::Params), "protocolVersion"),
    (Member::Meta, Some(Member::Params), "_meta"),
    (Member::MetaProgressToken, Some(Member::Meta), "progressToken"),
    (Member::MetaProtocolVersion, Some(Member::Meta), "io.modelcontextprotocol/protocolVersion"),
    (Member::MetaClientInfo, Some(Member::Meta), "io.modelcontextprotocol/clientInfo"),
    (Member::MetaClientCapabilities, Some(Member::Meta), "io.modelcontextprotocol/clientCapabilities"),
    (Member::MetaLogLevel, Some(Member::Meta), "io.modelcontextprotocol/logLevel"),
    (Member::MetaSubscriptionId, Some(Member::Meta), "io.modelcontextprotocol/subscriptionId"),
    (Member::MetaTraceparent, Some(Member::Meta), "traceparent"),
    (Member::MetaTracestate, Some(Member::Meta), "tracestate"),
    (Member::MetaBaggage, Some(Member::Meta), "baggage"),
    (Member::ResultType, Some(Member::Result), "resultType"),
    (Member::ResultMeta, Some(Member::Result), "_meta"),
    (Member::ResultMetaSubscriptionId, Some(Member::ResultMeta), "io.modelcontextprotocol/subscriptionId"),
    (Member::ResultMetaServerInfo, Some(Member::ResultMeta), "io.modelcontextprotocol/serverInfo"),
];

/// An object as serde_json reads it: every member, in order, duplicates too.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// What serde_json makes of a text, and the rules in their slowest form.
struct Reference<'a> {
    text: &'a str,
    spans: Vec<(Member, &'a str)>,
}

impl<'a> Reference<'a> {
    /// `None`: the text is not a message.
    fn read(text: &'a str) -> Option<(Kind, Self)> {
        let mut reference = Self { text, spans: Vec::new() };
        reference.object(text, None)?;
        let first = |member| reference.value(member).map(|value| value.as_bytes()[0]);
        let version = reference.value(Member::Jsonrpc)?;
        if serde_json::from_str::<String>(version).ok()? != "2.0" {
            return None;
        }
        let kind = match (first(Member::Method), first(Member::Result), first(Member::Error)) {
            (Some(b'"'), None, None) if first(Member::Id).is_none() => Kind::Notification,
            (Some(b'"'), None, None) => Kind::Request,
            (None, Some(_), None) if first(Member::Id).is_some() => Kind::Result,
            (None, None, Some(b'{')) => Kind::Error,
            _ => return None,
        };
        match kind {
            Kind::Request | Kind::Notification => {
                if !matches!(first(Member::Params), None | Some(b'{' | b'[')) {
                    return None;
                }
            }
            Kind::Result | Kind::Error => {
                let params = [Some(Member::Params), Some(Member::Meta)];
                reference.spans.retain(|(member, _)| {
                    let (_, parent, _) = MEMBERS.iter().find(|known| known.0 == *member).unwrap();
                    *member != Member::Params && !params.contains(parent)
                });
            }
        }
        match reference.value(Member::Id) {
            Some("null") if kind == Kind::Error => {}
            Some(id) => drop(Id::parse_token(id.as_bytes()).ok()?),
            None => {}
        }
        Some((kind, reference))
    }

    fn object(&mut self, text: &'a str, place: Option<Member>) -> Option<()> {
        let pairs: Pairs<'a> = serde_json::from_str(text).ok()?;
        let mut seen = HashSet::new();
        for (key, value) in pairs.0 {
            let known = MEMBERS.iter().find(|(_, parent, name)| *parent == place && *name == key);
            let unique = match place {
                None | Some(Member::Meta) => true,
                Some(Member::Params) => known.is_some(),
                _ => false,
            };
            if !seen.insert(key) && unique {
                return None;
            }
            let Some(&(member, ..)) = known else { continue };
            self.spans.retain(|(other, _)| {
                let inside =
                    MEMBERS.iter().any(|(child, parent, _)| child == other && *parent == Some(member));
                *other != member && !inside
            });
            let value = value.get();
            self.spans.push((member, value));
            let inner = [Member::Params, Member::Meta, Member::Result, Member::ResultMeta].contains(&member);
            if inner && value.starts_with('{') {
                self.object(value, Some(member))?;
            }
        }
        Some(())
    }

    fn value(&self, member: Member) -> Option<&'a str> {
        self.spans.iter().find(|(other, _)| *other == member).map(|(_, value)| *value)
    }

    fn span(&self, member: Member) -> Option<Range<usize>> {
        let value = self.value(member)?;
        let start = value.as_ptr() as usize - self.text.as_ptr() as usize;
        Some(start..start + value.len())
    }
}

/// Everything that can be seen of an outcome.
fn shown(outcome: &Result<Message, EnvelopeError>) -> String {
    match outcome {
        Ok(message) => {
            let spans: Vec<_> = MEMBERS.iter().map(|(member, ..)| message.span(*member)).collect();
            format!("{:?} {:?} {:?} {spans:?}", message.kind(), message.id(), message.method())
        }
        Err(error) => format!("{error:?}"),
    }
}

fn sliced(bytes: &Bytes, mut budget: impl FnMut() -> usize) -> Result<Message, EnvelopeError> {
    let mut scan = Scan::new(bytes.clone(), &EnvelopeLimits::default());
    for _ in 0..=bytes.len() {
        if let Poll::Ready(outcome) = scan.advance(budget()) {
            assert_eq!(shown(&outcome), shown_again(&mut scan));
            return outcome;
        }
    }
    panic!("every advance goes on by a byte at least");
}

fn shown_again(scan: &mut Scan) -> String {
    assert_eq!(scan.remaining_bytes(), 0);
    match scan.advance(0) {
        Poll::Ready(outcome) => shown(&outcome),
        Poll::Pending => "pending".to_owned(),
    }
}

fn check(text: &[u8]) -> Result<(), TestCaseError> {
    let bytes = Bytes::copy_from_slice(text);
    let is_json = serde_json::from_slice::<&RawValue>(text);
    let ours = RawJson::parse(bytes.clone());
    prop_assert_eq!(ours.is_ok(), is_json.is_ok(), "{:?}", ours);
    if let (Ok(ours), Ok(theirs)) = (&ours, &is_json) {
        prop_assert_eq!(ours.as_str(), theirs.get());
    }

    let outcome = Message::parse(bytes.clone(), &EnvelopeLimits::default());
    match &outcome {
        Err(error) => prop_assert_eq!(error.code() == code::PARSE_ERROR, is_json.is_err(), "{:?}", error),
        Ok(_) => prop_assert!(is_json.is_ok()),
    }
    // serde_json has no text for a key with half a surrogate pair, so it is no reference for those.
    let lone_key = is_json.is_ok() && text.windows(3).any(|part| part.eq_ignore_ascii_case(b"\\ud"));
    if let (Ok(text), false) = (std::str::from_utf8(text), lone_key) {
        match (Reference::read(text), &outcome) {
            (Some((kind, reference)), Ok(message)) => {
                prop_assert_eq!(message.kind(), kind);
                for (member, ..) in MEMBERS {
                    prop_assert_eq!(message.span(member), reference.span(member), "{:?}", member);
                }
            }
            (reference, outcome) => {
                prop_assert_eq!(reference.is_some(), outcome.is_ok(), "{}", shown(outcome))
            }
        }
    }

    let whole = shown(&outcome);
    for budget in [1, 2, 3, 7, 64] {
        prop_assert_eq!(&shown(&sliced(&bytes, || budget)), &whole, "in slices of {}", budget);
    }
    let mut step = 0;
    let uneven = sliced(&bytes, || {
        step = (step * 5 + 3) % 17;
        step
    });
    prop_assert_eq!(&shown(&uneven), &whole, "in uneven slices");
    Ok(())
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")]
}

/// JSON text of any shape, with the values that parsers get wrong.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        proptest::sample::select(vec!["0", "-0", "1e400", "-0.0E+00", "9223372036854775808", "1.5e-3"])
            .prop_map(str::to_owned),
    ];
    let text = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        proptest::sample::select(vec![
            r#""\u0041\/\"\\""#,
            r#""\ud83d\ude00""#,
            r#""\ud800""#,
            r#""\udc00\ud800x""#,
            "\"é漢😀\u{7f}\"",
            r#""a long one, over sixty-four bytes, so that blocks of text are skipped as blocks, é and all""#,
        ])
        .prop_map(str::to_owned),
    ];
    let word = proptest::sample::select(vec!["true", "false", "null", "[]", "{}"]).prop_map(str::to_owned);
    prop_oneof![number, text, word].prop_recursive(5, 40, 6, |inner| {
        let item = (space(), inner.clone(), space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let member =
            (space(), key(), space(), inner).prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            proptest::collection::vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// Keys that matter, some of them escaped, and others.
fn key() -> impl Strategy<Value = String> {
    let known: Vec<_> = MEMBERS.iter().map(|(_, _, key)| *key).collect();
    prop_oneof![
        6 => proptest::sample::select(known.clone()).prop_map(|key| format!("\"{key}\"")),
        1 => proptest::sample::select(known).prop_map(escaped),
        2 => "[a-c]{1,2}".prop_map(|key| format!("\"{key}\"")),
        1 => Just(format!("\"{PREFIX}other\"")),
    ]
}

/// The key with its first character escaped.
fn escaped(key: &str) -> String {
    format!("\"\\u00{:02x}{}\"", key.as_bytes()[0], &key[1..])
}

/// Objects that are messages, or nearly.
fn envelope() -> impl Strategy<Value = String> {
    let member = |keys: Vec<&'static str>, value: BoxedStrategy<String>| {
        let own = proptest::sample::select(keys);
        let key = prop_oneof![
            16 => own.clone().prop_map(|key| format!("\"{key}\"")),
            3 => own.prop_map(escaped),
            1 => key(),
        ];
        (key, value).prop_map(|(key, value)| format!("{key}:{value}"))
    };
    let object = |members: BoxedStrategy<String>| {
        (proptest::collection::vec(members, 0..5), space())
            .prop_map(|(members, space)| format!("{{{space}{}{space}}}", members.join(",")))
            .boxed()
    };
    let keys = |place: Member| -> Vec<&'static str> {
        MEMBERS.iter().filter(|known| known.1 == Some(place)).map(|known| known.2).collect()
    };
    let meta = object(
        prop_oneof![member(keys(Member::Meta), json().boxed()), member(vec!["x", "y"], json().boxed())]
            .boxed(),
    );
    let result_meta = object(member(keys(Member::ResultMeta), json().boxed()).boxed());
    let params = object(
        prop_oneof![
            member(keys(Member::Params), json().boxed()),
            member(vec!["_meta"], meta),
            member(vec!["arguments"], json().boxed())
        ]
        .boxed(),
    );
    let result = object(
        prop_oneof![member(keys(Member::Result), json().boxed()), member(vec!["_meta"], result_meta)].boxed(),
    );
    let id = proptest::sample::select(vec![
        "1",
        "\"1\"",
        "null",
        "1.5",
        "18446744073709551616",
        "\"\\u0031\"",
        "[]",
    ])
    .prop_map(str::to_owned);
    let id = prop_oneof![3 => Just("7".to_owned()), 1 => id];
    let version = prop_oneof![12 => Just("\"2.0\""), 1 => Just("\"2\\u002e0\""), 1 => Just("\"1.0\""), 1 => Just("2.0")];
    let method = prop_oneof![8 => Just("\"tools/call\""), 1 => Just(r#""tools\/call""#), 1 => Just("null")];
    let named = |name: &'static str| move |value: String| Some(format!("\"{name}\":{value}"));
    let maybe = |odds: u32, some: BoxedStrategy<Option<String>>| prop_oneof![odds => some, 1 => Just(None)];
    let shape = prop_oneof![
        6 => (
            maybe(9, method.prop_map(str::to_owned).prop_map(named("method")).boxed()),
            maybe(3, prop_oneof![5 => params, 1 => json().boxed()].prop_map(named("params")).boxed()),
        ),
        4 => (
            maybe(9, prop_oneof![5 => result, 1 => json().boxed()].prop_map(named("result")).boxed()),
            maybe(1, Just(None).boxed()),
        ),
        1 => (maybe(9, json().prop_map(named("error")).boxed()), maybe(1, json().prop_map(named("params")).boxed())),
        4 => (
            Just(Some(r#""error":{"code":1,"message":"m"}"#.to_owned())).boxed(),
            maybe(1, Just(None).boxed()),
        ),
    ];
    let extra = (key(), json()).prop_map(|(key, value)| Some(format!("{key}:{value}")));
    (
        maybe(20, version.prop_map(str::to_owned).prop_map(named("jsonrpc")).boxed()),
        maybe(4, id.prop_map(named("id")).boxed()),
        shape,
        prop_oneof![1 => extra, 4 => Just(None)],
    )
        .prop_flat_map(|(version, id, (first, second), extra)| {
            let members: Vec<_> = [version, id, first, second, extra].into_iter().flatten().collect();
            (Just(members).prop_shuffle(), space(), space())
        })
        .prop_map(|(members, a, b)| format!("{a}{{{}{b}}}{b}", members.join(&format!("{a},"))))
}

/// One careless or hostile edit.
fn edit(mut text: Vec<u8>, (kind, at, byte): (u8, usize, u8)) -> Vec<u8> {
    const BYTES: &[u8] = b"\"\\{}[],:0123eE+-.ntu \n\t\x00\x1f\x7f\x80\xbf\xc0\xc3\xe2\xed\xf0\xf5\xffd8";
    let byte = BYTES[usize::from(byte) % BYTES.len()];
    let at = at % (text.len() + 1);
    match kind % 5 {
        0 => text.truncate(at),
        1 if at < text.len() => drop(text.remove(at)),
        2 if at < text.len() => text[at] = byte,
        3 => {
            let again = text[at..(at + usize::from(byte)).min(text.len())].to_vec();
            text.splice(at..at, again);
        }
        _ => text.insert(at, byte),
    }
    text
}

fn edits() -> impl Strategy<Value = Vec<(u8, usize, u8)>> {
    proptest::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_read_as_serde_json_reads_it(text in json()) {
        check(text.as_bytes())?;
    }

    #[test]
    fn any_message_is_read_as_serde_json_reads_it(text in envelope()) {
        check(text.as_bytes())?;
    }

    #[test]
    fn damaged_messages_are_refused_where_serde_json_refuses_them(text in envelope(), edits in edits()) {
        check(&edits.into_iter().fold(text.into_bytes(), edit))?;
    }

    #[test]
    fn damaged_json_is_refused_where_serde_json_refuses_it(text in json(), edits in edits()) {
        check(&edits.into_iter().fold(text.into_bytes(), edit))?;
    }

    #[test]
    fn no_bytes_at_all_surprise_the_scanner(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
    }
}

/// The chunks in which UTF-8 is checked, and the blocks in which strings are skipped, have edges; all of them pass
/// over every kind of byte here.
#[test]
fn a_text_longer_than_a_chunk_is_read_the_same_wherever_it_is_cut() {
    let limits = EnvelopeLimits::default();
    for shift in 0..70 {
        let pad = "x".repeat(shift);
        let body = format!(r#"é漢😀\n\ud83d\ude00 {}"#, "é漢😀".repeat(4000));
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{pad}","params":{{"a":["{body}",{}e{}],"name":"{pad}"}}}}"#,
            "1".repeat(20_000),
            "2".repeat(20_000)
        );
        let bytes = Bytes::from(text);
        let whole = Message::parse(bytes.clone(), &limits);
        assert!(whole.is_ok(), "{whole:?}");
        let mut budget = 0;
        let outcome = sliced(&bytes, || {
            budget = (budget * 7 + 1013) % 40_000;
            budget
        });
        assert_eq!(shown(&outcome), shown(&whole));
        let mut bad = bytes.to_vec();
        bad[16_384 + shift] = 0xff;
        let bad = Bytes::from(bad);
        let whole = Message::parse(bad.clone(), &limits);
        assert_eq!(whole.as_ref().unwrap_err().reason(), "not_utf8");
        assert_eq!(shown(&sliced(&bad, || 1000)), shown(&whole));
    }
}
