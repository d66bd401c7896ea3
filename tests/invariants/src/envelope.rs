//! Messages: `Message`, `Scan`, `RawJson`, `Id`, `parse_any`, `encode`.
#![allow(clippy::expect_used, reason = "to panic is how an invariant reports")]

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use towpath_jsonrpc::{
    EnvelopeError, EnvelopeLimits, Id, IdError, Kind, Member, Message, Parsed, RawJson, Scan, code, encode,
    parse_any,
};

use crate::reference::{MEMBERS, Reference};

/// All of this module, for any text.
pub fn holds(text: &[u8]) {
    it_is_read_as_serde_json_reads_it(text);
    what_is_encoded_is_parsed(text);
    a_batch_is_read_message_by_message(text);
    an_id_is_written_as_it_came(text);
}

/// What `serde_json` takes is taken, and nothing else; the members are where it finds them; slices change nothing.
pub fn it_is_read_as_serde_json_reads_it(text: &[u8]) {
    let bytes = Bytes::copy_from_slice(text);
    let is_json = serde_json::from_slice::<&RawValue>(text);
    let ours = RawJson::parse(bytes.clone());
    assert_eq!(ours.is_ok(), is_json.is_ok(), "{:?}", ours);
    if let (Ok(ours), Ok(theirs)) = (&ours, &is_json) {
        assert_eq!(ours.as_str(), theirs.get());
    }

    let outcome = Message::parse(bytes.clone(), &limits());
    match &outcome {
        Err(error) => assert_eq!(error.code() == code::PARSE_ERROR, is_json.is_err(), "{:?}", error),
        Ok(_) => assert!(is_json.is_ok()),
    }
    // serde_json has no text for a key with half a surrogate pair, so it is no reference for those.
    let lone_key = is_json.is_ok() && text.windows(3).any(|part| part.eq_ignore_ascii_case(b"\\ud"));
    // Nor has it limits.
    let is_limited = outcome.as_ref().is_err_and(|error| error.reason().ends_with("_too_long"));
    if let (Ok(text), false) = (std::str::from_utf8(text), lone_key || is_limited) {
        match (Reference::read(text), &outcome) {
            (Some((kind, reference)), Ok(message)) => {
                assert_eq!(message.kind(), kind);
                for (member, ..) in MEMBERS {
                    assert_eq!(message.span(member), reference.span(member), "{:?}", member);
                }
            }
            (reference, outcome) => {
                assert_eq!(reference.is_some(), outcome.is_ok(), "{}", shown(outcome))
            }
        }
    }

    for budgets in
        [&[1][..], &[2], &[3], &[7], &[64], &[3, 1, 8, 9, 14, 5, 11, 7, 4, 6, 16, 15, 10, 2, 13, 0]]
    {
        drop(slices_change_nothing(&bytes, budgets));
    }
}

/// A message that is parsed and encoded again is the same message: by its parts, and byte for byte with its own id.
pub fn what_is_encoded_is_parsed(text: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(text), &limits()) else { return };
    let mut same = BytesMut::new();
    if let Some(id) = message.id() {
        assert!(encode::replace_id(&mut same, &message, id));
        assert_eq!(same, text, "its own id changes nothing");
    }
    let mut out = BytesMut::new();
    let params = message.params();
    let params = params.as_ref().map(RawJson::as_bytes);
    match (message.kind(), message.id()) {
        (Kind::Request, Some(id)) => encode::request(&mut out, id, message.method(), params),
        (Kind::Result, Some(id)) => {
            encode::result(&mut out, id, message.result().expect("a result has one").as_bytes())
        }
        (Kind::Notification, None) => encode::notification(&mut out, message.method(), params),
        (Kind::Error, id) => encode::error(&mut out, id, &message.error().expect("an error has one")),
        (kind, id) => panic!("{kind:?} with the id {id:?}"),
    }
    let again = Message::parse(out.freeze(), &limits()).expect("a message");
    assert_eq!((again.kind(), again.id(), again.method()), (message.kind(), message.id(), message.method()));
    for member in [Member::Params, Member::Result] {
        assert_eq!(again.value(member), message.value(member), "{member:?}");
    }
    match (again.error(), message.error()) {
        (Some(again), Some(error)) => {
            assert_eq!((again.code, &again.message), (error.code, &error.message));
            assert_eq!(again.data, error.data);
        }
        (again, error) => assert!(again.is_none() && error.is_none()),
    }
}

/// An array is a batch of its elements, each as good as by itself; anything else is one message.
pub fn a_batch_is_read_message_by_message(text: &[u8]) {
    let bytes = Bytes::copy_from_slice(text);
    let parsed = parse_any(bytes.clone(), &limits());
    let elements = serde_json::from_slice::<Vec<&RawValue>>(text).ok();
    match (parsed, elements) {
        (Ok(Parsed::Batch(messages)), Some(elements)) => {
            assert!(!messages.is_empty() && messages.len() <= limits().max_batch);
            assert_eq!(messages.len(), elements.len());
            for (message, element) in messages.iter().zip(elements) {
                let alone = Message::parse(Bytes::copy_from_slice(element.get().as_bytes()), &limits());
                assert_eq!(shown(message), shown(&alone));
            }
        }
        (Ok(Parsed::Single(message)), None) => {
            assert_eq!(shown(&Ok(message)), shown(&Message::parse(bytes, &limits())));
        }
        (Err(_), Some(elements)) => {
            assert!(elements.is_empty() || elements.len() > limits().max_batch, "a batch was refused");
        }
        (Err(_), None) => {}
        (Ok(parsed), elements) => panic!("{parsed:?}, and serde_json finds {elements:?}"),
    }
}

/// What is taken for an id is a JSON integer or string, and is written as it came.
pub fn an_id_is_written_as_it_came(token: &[u8]) {
    let json = serde_json::from_slice::<&RawValue>(token).ok().filter(|json| json.get().len() == token.len());
    match Id::parse_token(token) {
        Ok(id) => {
            let mut out = BytesMut::new();
            id.write(&mut out);
            assert_eq!(out, token);
            assert!(json.is_some(), "{id:?} is not JSON");
            assert_eq!(id.is_string(), token.first() == Some(&b'"'));
            assert_eq!(Id::parse_token(&out).as_ref(), Ok(&id));
        }
        Err(IdError::TooLong { len }) => assert_eq!(len, token.len()),
        Err(_) => {
            let may = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
            assert!(json.is_none() || token[0] != b'"' && !token.iter().all(may), "an id was refused");
        }
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

/// A scan in slices of these budgets, begun again when they are used up, ends as a parse does. Gives what that is.
///
/// # Errors
///
/// Those of the parse.
pub fn slices_change_nothing(text: &Bytes, budgets: &[usize]) -> Result<Message, EnvelopeError> {
    let whole = Message::parse(text.clone(), &limits());
    let mut scan = Scan::new(text.clone(), &limits());
    for budget in budgets.iter().cycle().take(text.len() + 1) {
        if let Poll::Ready(outcome) = scan.advance(*budget) {
            assert_eq!(shown(&outcome), shown(&whole), "in slices of {budgets:?}");
            assert_eq!(shown(&outcome), shown_again(&mut scan));
            return whole;
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

/// The members may be as many as they like: `serde_json` does not count them.
fn limits() -> EnvelopeLimits {
    EnvelopeLimits { max_meta_members: 1 << 20, max_envelope_members: 1 << 20, ..EnvelopeLimits::default() }
}
