//! What is a message, what is not, and what a refusal still knows.

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{
    EnvelopeError, EnvelopeLimits, ErrorObject, Id, IdError, Kind, Member, Message, Parsed, Place, RawJson,
    Scan, Violation, code, encode, parse_any,
};

fn parse(text: &str) -> Result<Message, EnvelopeError> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &EnvelopeLimits::default())
}

fn violation(text: &str) -> Violation {
    match parse(text) {
        Err(error @ EnvelopeError::Invalid { violation, .. }) => {
            assert_eq!(error.code(), code::INVALID_REQUEST);
            violation
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_four_kinds_of_message() {
    let request =
        parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#).unwrap();
    assert_eq!(
        (request.kind(), request.method(), request.id()),
        (Kind::Request, "tools/call", Some(&Id::from(1u64)))
    );
    assert_eq!(request.params().unwrap().as_str(), r#"{"name":"echo"}"#);
    assert_eq!(request.string(Member::Name).unwrap(), "echo");
    assert!(request.result().is_none() && request.error().is_none());

    let notification =
        parse(r#"{"method":"notifications/cancelled","jsonrpc":"2.0","params":{"requestId":"a"}}"#).unwrap();
    assert_eq!((notification.kind(), notification.id()), (Kind::Notification, None));
    assert_eq!(notification.raw(Member::RequestId).unwrap(), b"\"a\"");

    let result = parse(r#"{"jsonrpc":"2.0","id":"x","result":null}"#).unwrap();
    assert_eq!((result.kind(), result.method()), (Kind::Result, ""));
    assert_eq!(result.result(), Some(RawJson::null()));

    let error = parse(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}"#).unwrap();
    assert_eq!(error.kind(), Kind::Error);
    assert_eq!(error.error().unwrap(), ErrorObject::new(code::METHOD_NOT_FOUND, "no"));
    assert_eq!(error.id().unwrap().as_u64(), Some(2));
}

#[test]
fn an_error_response_may_lack_an_id() {
    for id in ["", r#""id":null,"#] {
        let error = parse(&format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":1,"message":"m"}}}}"#)).unwrap();
        assert_eq!((error.kind(), error.id()), (Kind::Error, None));
    }
}

#[test]
fn an_error_that_is_not_one_is_an_internal_error_with_all_of_it_as_data() {
    let error = parse(r#"{"jsonrpc":"2.0","id":1,"error":{"code":"E1"}}"#).unwrap().error().unwrap();
    assert_eq!((error.code, error.data.unwrap().as_str()), (code::INTERNAL_ERROR, r#"{"code":"E1"}"#));
}

#[test]
fn what_breaks_a_rule_is_an_invalid_request() {
    for (text, expected) in [
        ("1", Violation::NotAnObject),
        ("[]", Violation::Batch),
        ("{}", Violation::Version),
        (r#"{"id":1,"method":"m"}"#, Violation::Version),
        (r#"{"jsonrpc":"2.00","id":1,"method":"m"}"#, Violation::Version),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, Violation::Version),
        (r#"{"jsonrpc":"2.0","id":1}"#, Violation::Shapeless),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":1}"#, Violation::Mixed),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","error":{}}"#, Violation::Mixed),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":null}"#, Violation::Mixed),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, Violation::MethodNotString),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, Violation::ParamsNotStructured),
        (r#"{"jsonrpc":"2.0","method":"m","params":"x"}"#, Violation::ParamsNotStructured),
        (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, Violation::ErrorNotObject),
        (r#"{"jsonrpc":"2.0","result":1}"#, Violation::NoId),
        (r#"{"jsonrpc":"2.0","id":null,"result":1}"#, Violation::Id(IdError::Null)),
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, Violation::Id(IdError::Null)),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#, Violation::Id(IdError::NotAnInteger)),
        (r#"{"jsonrpc":"2.0","id":{},"error":{}}"#, Violation::Id(IdError::WrongType)),
    ] {
        assert_eq!(violation(text), expected, "{text}");
    }
}

#[test]
fn params_may_be_an_array() {
    let message = parse(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[{"name":1}]}"#).unwrap();
    assert_eq!(message.params().unwrap().as_bytes(), br#"[{"name":1}]"#);
    assert_eq!(message.span(Member::Name), None);
}

#[test]
fn params_of_a_response_are_an_unknown_member() {
    let message =
        parse(r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{"name":"x","_meta":{"baggage":1}}}"#).unwrap();
    assert_eq!(message.kind(), Kind::Result);
    for member in [Member::Params, Member::Name, Member::Meta, Member::MetaBaggage] {
        assert_eq!(message.span(member), None);
    }
}

#[test]
fn a_key_twice_is_refused_where_readers_could_differ() {
    for (text, place) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, Place::Envelope),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#, Place::Envelope),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","x":1,"y":1,"\u0078":1}"#, Place::Envelope),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","\ud800":1,"\udfff":1}"#, Place::Envelope),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"a","name":"b"}}"#, Place::Params),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"uri":"a","ur\u0069":"b"}}"#, Place::Params),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_meta":1}}"#, Place::Params),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"requestId":1,"requestId":1}}"#, Place::Params),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"baggage":1,"baggage":1}}}"#,
            Place::Meta,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"z":1,"\u007a":1}}}"#, Place::Meta),
    ] {
        assert_eq!(violation(text), Violation::DuplicateKey { place }, "{text}");
        assert_eq!(parse(text).unwrap_err().reason(), "duplicate_key");
        assert_eq!(parse(text).unwrap_err().reply_id(), Some(&Id::from(1u64)));
    }
}

#[test]
fn a_key_twice_passes_elsewhere() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":1,"x":2,"arguments":{"name":1,"name":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"x":{"a":1,"a":2}}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":1,"resultType":2}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[{"_meta":1,"_meta":2}]}"#,
    ] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

#[test]
fn of_two_result_metas_the_last_counts_with_all_that_is_in_it() {
    let first = r#""_meta":{"io.modelcontextprotocol/serverInfo":1}"#;
    for last in [r#""_meta":{}"#, r#""_meta":[]"#] {
        let message = parse(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{first},{last}}}}}"#)).unwrap();
        assert_eq!(message.span(Member::ResultMetaServerInfo), None);
        assert_eq!(message.raw(Member::ResultMeta).unwrap(), last.split_once(':').unwrap().1.as_bytes());
    }
}

#[test]
fn only_the_places_that_are_named_are_indexed() {
    let message = parse(
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":[]},"arguments":{"b":{},"name":1}},
            "x":{"y":{"z":{},"progressToken":1},"name":2,"_meta":{"baggage":3}},"y":[[[{}],{"baggage":1}]]}"#,
    )
    .unwrap();
    for member in [Member::Name, Member::MetaProgressToken, Member::MetaBaggage, Member::ProgressToken] {
        assert_eq!(message.raw(member), None, "{member:?}");
    }
    assert_eq!(message.raw(Member::Meta).unwrap(), br#"{"a":[]}"#);
}

#[test]
fn escapes_are_decoded_in_keys_and_methods() {
    let message = parse(
        r#"{"\u006asonrpc":"2\u002e0","\u0069d":5,"method":"tools\/\u0063all","p\u0061rams":{"n\u0061me":"\ud83d\ude00\ud800"}}"#,
    )
    .unwrap();
    assert_eq!((message.method(), message.id()), ("tools/call", Some(&Id::from(5u64))));
    assert_eq!(message.string(Member::Name).unwrap(), "😀\u{fffd}");
    assert_eq!(message.string(Member::Params), None);
}

#[test]
fn awkward_values_keep_their_bytes() {
    for value in [
        "[9223372036854775808,-0,1e400,1E-400,0.10,123456789012345678901234567890]",
        r#"{"\u0061":"\ud800 \uDFFF \/ \b","a":"\u0000","":{"":null},"a":[ ] }"#,
        "{\"é\" :\t\"漢\u{7f}\u{2028}\"\r\n}",
        r#"{"_meta":{"unknown/key":1.0},"name":"n","extra":true}"#,
    ] {
        let text = format!(r#" {{ "jsonrpc" : "2.0" , "method":"m","params":{value}, "id":1,"later":[1]}} "#);
        let message = parse(&text).unwrap();
        assert_eq!(message.params().unwrap().as_bytes(), value.as_bytes());
        assert_eq!(message.bytes(), text.as_bytes());
    }
}

#[test]
fn a_million_levels_are_only_a_long_message() {
    let levels = 1_000_000;
    let deep = format!("{}{}", "[{\"\":".repeat(levels / 2), "0".to_owned() + &"}]".repeat(levels / 2));
    let text = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params},"x":1}}"#);
    let message = parse(&text(&deep)).unwrap();
    assert_eq!(message.params().unwrap().len(), deep.len());
    // The wrong bracket, in the middle of all of them.
    let at = deep.len() - levels / 2;
    let mut wrong = deep.into_bytes();
    wrong[at] ^= b']' ^ b'}';
    let error = parse(&text(std::str::from_utf8(&wrong).unwrap())).unwrap_err();
    let begin = text("").find("\"params\":").unwrap() + "\"params\":".len();
    assert!(matches!(error, EnvelopeError::NotJson { at: place, .. } if place == begin + at), "{error:?}");
}

#[test]
fn a_refusal_names_the_id_wherever_the_fault_is() {
    let seven = Id::from(7u64);
    for text in [
        r#"{"jsonrpc":"1.0","method":"m","id":7}"#,
        r#"{"method":"a","method":"b","jsonrpc":"2.0","id":7}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"m","params":[1,]}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":nul}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"m"}x"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"m""#,
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(
            (error.id(), error.reply_id(), error.is_response()),
            (Some(&seven), Some(&seven), false),
            "{text}"
        );
    }
    let error = Message::parse(
        Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"m\",\"x\":\"\xff\"}"),
        &EnvelopeLimits::default(),
    )
    .unwrap_err();
    assert_eq!((error.code(), error.reason(), error.id()), (code::PARSE_ERROR, "not_utf8", Some(&seven)));
}

#[test]
fn a_refused_response_names_its_id_but_gets_no_reply() {
    for text in [
        r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":[1,]}"#,
        r#"{"jsonrpc":"1.0","id":7,"error":{}}"#,
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!((error.id(), error.reply_id()), (Some(&Id::from(7u64)), None), "{text}");
        assert!(error.is_response());
    }
    // As far as it goes this may be either, and a reply could end a request of the peer's own.
    assert_eq!(parse(r#"{"jsonrpc":"2.0","id":7,"#).unwrap_err().reply_id(), None);
}

#[test]
fn of_two_ids_neither_is_named() {
    let error = parse(r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"m"}"#).unwrap_err();
    assert_eq!((error.reason(), error.id()), ("duplicate_key", None));
}

#[test]
fn text_that_is_not_json_is_a_parse_error_whatever_else_is_wrong_with_it() {
    for text in [
        "",
        "{",
        "nul",
        r#"{"a":1,"a":2,}"#,
        r#"{"jsonrpc":"2.0","method":"m","params":[1,]}"#,
        r#"{"jsonrpc":"2.0","method":"m"} {}"#,
        "{\"jsonrpc\":\"2.0\",\"method\":\"a\nb\"}",
        r#"{"jsonrpc":"2.0","method":"\x"}"#,
        r#"{"jsonrpc":"2.0","method":"m","x":01}"#,
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!((error.code(), error.reason()), (code::PARSE_ERROR, "not_json"), "{text}");
    }
}

#[test]
fn each_limit_holds_and_the_message_at_the_limit_passes() {
    let limits =
        EnvelopeLimits { max_message_bytes: 200, max_meta_members: 2, max_envelope_members: 4, max_batch: 2 };
    let parse = |text: &str| Message::parse(Bytes::copy_from_slice(text.as_bytes()), &limits);
    let reason = |text: &str| parse(text).unwrap_err().reason();

    let sized = |len: usize| format!("{:>len$}", r#"{"jsonrpc":"2.0","method":"m"}"#);
    assert!(parse(&sized(200)).is_ok());
    assert_eq!(reason(&sized(201)), "message_too_large");
    assert_eq!(parse(&sized(201)).unwrap_err().code(), code::INVALID_REQUEST);

    assert!(parse(r#"{"jsonrpc":"2.0","method":"m","id":1,"a":1}"#).is_ok());
    assert_eq!(reason(r#"{"jsonrpc":"2.0","method":"m","id":1,"a":1,"b":1}"#), "too_many_members");

    assert!(parse(r#"{"jsonrpc":"2.0","method":"m","params":{"_meta":{"a":1,"baggage":1}}}"#).is_ok());
    let meta = r#"{"jsonrpc":"2.0","method":"m","params":{"_meta":{"a":1,"baggage":1,"c":1}}}"#;
    assert_eq!(reason(meta), "too_many_members");

    let one = r#"{"jsonrpc":"2.0","method":"m"}"#;
    let batch = |text: String| parse_any(Bytes::from(text), &limits);
    assert!(batch(format!("[{one},{one}]")).is_ok());
    assert_eq!(batch(format!("[{one},{one},{one}]")).unwrap_err().reason(), "batch_too_long");
}

#[test]
fn a_key_in_the_envelope_has_at_most_1024_bytes() {
    let text = |len: usize| format!(r#"{{"jsonrpc":"2.0","method":"m","{}":1}}"#, "k".repeat(len));
    assert!(parse(&text(1024)).is_ok());
    assert_eq!(violation(&text(1025)), Violation::KeyTooLong { place: Place::Envelope, len: 1025 });
}

#[test]
fn a_batch_is_its_messages_good_and_bad() {
    let text = r#" [ {"jsonrpc":"2.0","method":"a"} ,1,{"jsonrpc":"2.0","id":1,"result":[[],{}]},[]] "#;
    let Ok(Parsed::Batch(messages)) = parse_any(Bytes::from(text), &EnvelopeLimits::default()) else {
        panic!()
    };
    let reasons: Vec<_> =
        messages.iter().map(|m| m.as_ref().map_err(|e| e.reason()).map(Message::method)).collect();
    assert_eq!(reasons, [Ok("a"), Err("not_an_object"), Ok(""), Err("batch")]);

    let refused = |text: &'static str| {
        let error = parse_any(Bytes::from(text), &EnvelopeLimits::default()).unwrap_err();
        (error.code(), error.reason())
    };
    assert_eq!(refused("[ ]"), (code::INVALID_REQUEST, "empty_batch"));
    assert_eq!(refused(r#"[{"jsonrpc":"2.0","method":"a"},]"#), (code::PARSE_ERROR, "not_json"));
    let single = parse_any(Bytes::from(r#" {"jsonrpc":"2.0","method":"a"}"#), &EnvelopeLimits::default());
    assert!(matches!(single, Ok(Parsed::Single(message)) if message.method() == "a"));
}

#[test]
fn what_is_encoded_parses_to_the_same() {
    let id = Id::from("a\"b");
    let odd = "line\nquote\" back\\ \u{0} \u{8}\u{c}\r\t\u{1f} é";
    let mut out = BytesMut::new();
    encode::request(&mut out, &id, odd, Some(b"{\"x\":1e400}"));
    let request = Message::parse(out.split().freeze(), &EnvelopeLimits::default()).unwrap();
    assert_eq!((request.kind(), request.id(), request.method()), (Kind::Request, Some(&id), odd));
    assert_eq!(request.params().unwrap().as_bytes(), b"{\"x\":1e400}");

    encode::notification(&mut out, "m", None);
    assert_eq!(out.split(), br#"{"jsonrpc":"2.0","method":"m"}"#.as_slice());
    encode::notification(&mut out, "m", Some(b"[]"));
    assert_eq!(out.split(), br#"{"jsonrpc":"2.0","method":"m","params":[]}"#.as_slice());
    encode::request(&mut out, &Id::from(3u64), "m", None);
    assert_eq!(out.split(), br#"{"jsonrpc":"2.0","id":3,"method":"m"}"#.as_slice());
    encode::result(&mut out, &Id::from(-3i64), b"{}");
    assert_eq!(out.split(), br#"{"jsonrpc":"2.0","id":-3,"result":{}}"#.as_slice());

    let mut segments = BytesMut::new();
    encode::result_head(&mut segments, &id);
    segments.extend_from_slice(b"[1]");
    segments.extend_from_slice(encode::TAIL);
    encode::result(&mut out, &id, b"[1]");
    assert_eq!(out.split(), segments);
}

#[test]
fn an_error_is_written_without_an_id_that_is_not_known() {
    let mut out = BytesMut::new();
    let error = ErrorObject::new(-1, "a\"b").with_data(RawJson::serialize(&[1]).unwrap());
    encode::error(&mut out, None, &error);
    assert_eq!(
        out.split(),
        br#"{"jsonrpc":"2.0","error":{"code":-1,"message":"a\"b","data":[1]}}"#.as_slice()
    );
    encode::error(&mut out, Some(&Id::from(9u64)), &ErrorObject::new(code::PARSE_ERROR, "m"));
    let text = out.split().freeze();
    assert_eq!(text, br#"{"jsonrpc":"2.0","id":9,"error":{"code":-32700,"message":"m"}}"#.as_slice());
    let message = Message::parse(text, &EnvelopeLimits::default()).unwrap();
    assert_eq!(message.error().unwrap(), ErrorObject::new(code::PARSE_ERROR, "m"));
}

#[test]
fn strings_are_written_as_serde_json_writes_them() {
    for text in [
        "",
        "plain",
        "\u{0}\u{1}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}",
        "a\"b\\c/",
        "é漢😀\u{2028}",
        &"long \" ".repeat(99),
    ] {
        let mut out = BytesMut::new();
        encode::write_string(&mut out, text);
        assert_eq!(out, serde_json::to_string(text).unwrap().as_bytes());
    }
}

#[test]
fn another_id_changes_nothing_else() {
    let text = |id: &str| {
        format!(r#" {{"x":[1e400 ],"\u0069d" : {id} ,"jsonrpc":"2.0","method":"a\/b","é":2.50}} "#)
    };
    let mut out = BytesMut::new();
    assert!(encode::replace_id(&mut out, &parse(&text("\"long one\"")).unwrap(), &Id::from(1u64)));
    assert_eq!(out.split(), text("1").as_bytes());
    assert!(encode::replace_id(&mut out, &parse(&text("2")).unwrap(), &Id::from("p")));
    assert_eq!(out.split(), text("\"p\"").as_bytes());
    let none = r#"{"jsonrpc":"2.0","method":"m"}"#;
    assert!(!encode::replace_id(&mut out, &parse(none).unwrap(), &Id::from(1u64)));
    assert_eq!(out, none.as_bytes());
}

#[test]
fn a_method_has_at_most_1024_bytes() {
    let text = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
    assert!(parse(&text(&"m".repeat(1024))).is_ok());
    assert_eq!(violation(&text(&"m".repeat(1025))), Violation::MethodTooLong { len: 1025 });
    assert_eq!(violation(&text(&"\\n".repeat(513))), Violation::MethodTooLong { len: 1026 });
}

#[test]
fn a_message_shows_no_payload() {
    let bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"token":"secret"}}"#);
    let message = Message::parse(bytes.clone(), &EnvelopeLimits::default()).unwrap();
    assert!(!format!("{message:?}").contains("secret"), "{message:?}");
    let scan = Scan::new(bytes, &EnvelopeLimits::default());
    assert!(!format!("{scan:?}").contains("secret"), "{scan:?}");
}

#[test]
fn values_are_slices_of_the_message() {
    let within = |message: &Message, value: &RawJson| {
        message.bytes().as_ptr_range().contains(&value.as_bytes().as_ptr())
    };
    let message = parse(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#).unwrap();
    assert!(within(&message, &message.params().unwrap()));
    let message = parse(r#"{"jsonrpc":"2.0","id":1,"result":[1]}"#).unwrap();
    assert!(within(&message, &message.result().unwrap()));
    let message = parse(r#"{"jsonrpc":"2.0","error":{"code":1,"message":"m","data":[1]}}"#).unwrap();
    assert!(within(&message, &message.error().unwrap().data.unwrap()));
}
