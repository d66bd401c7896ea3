//! The envelope: what is JSON, where the members are, and that slicing changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;
use towpath_invariants::{
    MEMBERS, META_PREFIX,
    envelope::{holds, slices_change_nothing},
};
use towpath_jsonrpc::Member;

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
        1 => Just(format!("\"{META_PREFIX}other\"")),
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
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_read_as_serde_json_reads_it(text in json()) {
        holds(text.as_bytes());
    }

    #[test]
    fn any_message_is_read_as_serde_json_reads_it(text in envelope()) {
        holds(text.as_bytes());
    }

    #[test]
    fn damaged_messages_are_refused_where_serde_json_refuses_them(text in envelope(), edits in edits()) {
        holds(&edits.into_iter().fold(text.into_bytes(), edit));
    }

    #[test]
    fn damaged_json_is_refused_where_serde_json_refuses_it(text in json(), edits in edits()) {
        holds(&edits.into_iter().fold(text.into_bytes(), edit));
    }

    #[test]
    fn no_bytes_at_all_surprise_the_scanner(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes);
    }
}

/// The chunks in which UTF-8 is checked, and the blocks in which strings are skipped, have edges; all of them pass
/// over every kind of byte here.
#[test]
fn a_text_longer_than_a_chunk_is_read_the_same_wherever_it_is_cut() {
    for shift in 0..70 {
        let pad = "x".repeat(shift);
        let body = format!(r#"é漢😀\n\ud83d\ude00 {}"#, "é漢😀".repeat(4000));
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{pad}","params":{{"a":["{body}",{}e{}],"name":"{pad}"}}}}"#,
            "1".repeat(20_000),
            "2".repeat(20_000)
        );
        let outcome =
            slices_change_nothing(&text.clone().into(), &[1013, 8104, 17_741, 5200, 37_413, 22_904]);
        assert!(outcome.is_ok(), "{outcome:?}");
        let mut bad = text.into_bytes();
        bad[16_384 + shift] = 0xff;
        let outcome = slices_change_nothing(&bad.into(), &[1000]);
        assert_eq!(outcome.unwrap_err().reason(), "not_utf8");
    }
}
