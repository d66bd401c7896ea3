use std::time::Duration;

use bytes::Bytes;

use super::Decoder;
use crate::{SseError, SseEvent, SseLimits};

/// What a decoder gave, in order, and what it was left with.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    given: Vec<Result<SseEvent, SseError>>,
    last_event_id: Vec<u8>,
    retry: Option<Duration>,
    comments: u64,
    between_events: bool,
}

fn drain(decoder: &mut Decoder, given: &mut Vec<Result<SseEvent, SseError>>) {
    while let Some(next) = decoder.next_event().transpose() {
        given.push(next);
    }
}

fn decode_with(limits: &SseLimits, chunks: impl IntoIterator<Item = Bytes>) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut given = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        drain(&mut decoder, &mut given);
    }
    let between_events = decoder.is_between_events();
    given.extend(decoder.finish().transpose());
    Outcome {
        given,
        last_event_id: decoder.last_event_id().to_vec(),
        retry: decoder.retry(),
        comments: decoder.comments(),
        between_events,
    }
}

fn decode(stream: &str) -> Outcome {
    decode_with(&SseLimits::default(), [Bytes::copy_from_slice(stream.as_bytes())])
}

/// Names and data of the events, for the tests that are about these.
fn events(stream: &str) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let pair = |event: Result<SseEvent, SseError>| {
        let event = event.unwrap();
        (text(event.name), text(event.data))
    };
    decode(stream).given.into_iter().map(pair).collect()
}

fn messages(stream: &str) -> Vec<String> {
    events(stream).into_iter().map(|(_, data)| data).collect()
}

fn cut(stream: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(stream);
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to((*size).min(rest.len())));
    }
    chunks
}

#[test]
fn the_examples_of_the_standard() {
    assert_eq!(messages("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    let ids = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    let outcome = decode(ids);
    assert_eq!(messages(ids), ["first event", "second event", " third event"]);
    assert_eq!((outcome.comments, &*outcome.last_event_id), (1, &b""[..]));
    let strict = SseLimits::default().with_strict_end(true);
    let outcome = decode_with(&strict, ["data\n\ndata\ndata\n\ndata:".into()]);
    let data: Vec<_> = outcome.given.into_iter().map(|event| event.unwrap().data).collect();
    assert_eq!(data, ["", "\n"]);
    assert_eq!(messages("data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn every_line_ending_ends_a_line() {
    for ending in ["\n", "\r", "\r\n"] {
        let stream = format!("event: e{ending}data: a{ending}data: b{ending}{ending}data: c{ending}{ending}");
        assert_eq!(events(&stream), [("e".into(), "a\nb".into()), ("message".into(), "c".into())]);
    }
    assert_eq!(messages("data: a\r\r\ndata: b\n\r\ndata: c\r\n\n"), ["a", "b", "c"]);
}

#[test]
fn the_end_of_a_long_line_is_found_wherever_it_is() {
    for filler in ["x", "\t", "é"] {
        for length in [250, 255, 256, 257, 1279, 1280, 1281, 2303, 2304, 2305, 5000] {
            let text: String = filler.chars().cycle().take(length).collect();
            for ending in ["\n", "\r"] {
                let stream = format!("data:{text}{ending}data: b{ending}{ending}");
                assert_eq!(messages(&stream), [format!("{text}\nb")]);
            }
        }
    }
}

#[test]
fn a_line_break_that_is_cut_in_two_is_one() {
    let chunks = ["data: a\r", "\ndata: b\r", "\n\r", "\n", "\ndata: c\r", "\r", "data: d\n\n"];
    let outcome = decode_with(&SseLimits::default(), chunks.map(Bytes::from));
    let data: Vec<_> = outcome.given.into_iter().map(|event| event.unwrap().data).collect();
    assert_eq!(data, ["a\nb", "c", "d"]);
}

#[test]
fn a_byte_order_mark_counts_at_the_very_start_only() {
    assert_eq!(messages("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n"), ["a", "c"]);
    assert_eq!(messages("\u{feff}\u{feff}data: a\n\ndata: b\n\n"), ["b"]);
    // A part of one begins the name of an unknown field.
    let part =
        decode_with(&SseLimits::default(), [b"\xEF\xBB".as_slice().into(), "data: a\ndata: b\n\n".into()]);
    assert_eq!(part.given.into_iter().map(|event| event.unwrap().data).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn an_event_without_data_is_not_given_but_its_id_counts() {
    let outcome = decode("id: 7\nevent: gone\n\ndata: x\n\n");
    assert_eq!(outcome.given.len(), 1);
    let event = outcome.given.into_iter().next().unwrap().unwrap();
    assert!(event.is_message() && event.id.is_none());
    assert_eq!(outcome.last_event_id, b"7");
}

#[test]
fn an_event_with_an_id_and_an_empty_data_line_is_given() {
    let outcome = decode("id: abc\ndata:\nretry: 500\n\n");
    let event = outcome.given.into_iter().next().unwrap().unwrap();
    assert_eq!((event.data, event.id), (Bytes::new(), Some(Bytes::from("abc"))));
    assert_eq!((&*outcome.last_event_id, outcome.retry), (&b"abc"[..], Some(Duration::from_millis(500))));
}

#[test]
fn an_id_holds_once_its_event_has_ended_and_never_with_a_nul() {
    let mut decoder = Decoder::new(&SseLimits::default().with_strict_end(true));
    decoder.push("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: 3\ndata: c\n".into());
    let mut given = Vec::new();
    drain(&mut decoder, &mut given);
    assert_eq!(given.len(), 2);
    assert_eq!(decoder.last_event_id(), b"1");
    assert_eq!(decoder.finish(), Ok(None));
    assert_eq!(decoder.last_event_id(), b"1", "an event that is dropped sets no id");
}

#[test]
fn a_retry_is_digits_only_and_holds_at_once() {
    assert_eq!(decode("retry: 1500\n").retry, Some(Duration::from_millis(1500)));
    for odd in ["+5", "-5", "5s", "0x5", " 5", "", "99999999999999999999", "000000000000000000005"] {
        assert_eq!(
            decode(&format!("retry: 7\nretry: {odd}\n")).retry,
            Some(Duration::from_millis(7)),
            "{odd}"
        );
    }
}

#[test]
fn unknown_fields_and_comments_are_passed_over_and_comments_counted() {
    let outcome = decode(": one\n:\n:two\ndatax: no\ndat: no\nData: no\n data: no\ndata: yes\n\n");
    assert_eq!(outcome.comments, 3);
    assert_eq!(outcome.given.into_iter().next().unwrap().unwrap().data, "yes");
}

#[test]
fn what_stands_in_one_line_of_one_chunk_is_not_copied() {
    let chunk = Bytes::from(format!("event: other\nid: 5\ndata: {}\n\n", "x".repeat(100)).into_bytes());
    let within = |part: &Bytes| chunk.as_ptr_range().contains(&part.as_ptr());
    let mut decoder = Decoder::new(&SseLimits::default());
    decoder.push(chunk.clone());
    let event = decoder.next_event().unwrap().unwrap();
    assert!(within(&event.data) && within(&event.name) && event.id.as_ref().is_some_and(within));
    assert_eq!(event.data.len(), 100);
}

#[test]
fn a_chunk_that_was_read_is_not_held() {
    let chunk = Bytes::from(b"data: a\ndata: b\n\n: and so on".to_vec());
    let mut decoder = Decoder::new(&SseLimits::default());
    decoder.push(chunk.clone());
    assert_eq!(decoder.next_event().unwrap().unwrap().data, "a\nb");
    assert_eq!(decoder.next_event(), Ok(None));
    assert!(chunk.is_unique(), "the decoder still holds it");
}

#[test]
fn a_chunk_pushed_too_early_is_read_after_the_other() {
    let mut decoder = Decoder::new(&SseLimits::default());
    decoder.push("data: a\n\nda".into());
    decoder.push("ta: b\n\n".into());
    let mut given = Vec::new();
    drain(&mut decoder, &mut given);
    assert_eq!(given.len(), 2);
}

#[test]
fn the_end_gives_what_it_cut_off_unless_it_is_strict() {
    for cut_off in ["data: a\ndata: b\n", "data: a\ndata: b"] {
        let lenient = decode(cut_off);
        assert_eq!(lenient.given.into_iter().next().unwrap().unwrap().data, "a\nb");
        assert!(!lenient.between_events);
        let strict = decode_with(&SseLimits::default().with_strict_end(true), [cut_off.into()]);
        assert!(strict.given.is_empty() && !strict.between_events);
    }
    for cut_off in ["data: a\n\nda", "data: a\n\nid: 1", "event: a\n", "data:\n"] {
        assert!(!decode(cut_off).between_events, "{cut_off:?}");
    }
    for whole in ["", "data: a\n\n", ": comment", "data: a\n\n: ping\n"] {
        assert!(decode(whole).between_events, "{whole:?}");
    }
}

#[test]
fn an_event_over_the_limit_is_reported_with_its_ends_and_the_next_one_lives() {
    let limits = SseLimits::default().with_max_event_bytes(2000);
    let long = format!("{{{}}}", "x".repeat(2500));
    let stream = format!("data: {}\n\ndata: {long}\nid: 9\n\ndata: b\n\n", "y".repeat(2000));
    for size in [1, 7, 1000, 10_000] {
        let outcome = decode_with(&limits, cut(stream.as_bytes(), &[size]));
        let [Ok(fits), Err(SseError::EventTooLarge { size, head, tail }), Ok(next)] = &outcome.given[..]
        else {
            panic!("{:?}", outcome.given);
        };
        assert_eq!((fits.data.len(), &next.data[..]), (2000, &b"b"[..]));
        assert_eq!((size.limit, size.seen, size.exact), (2000, 2502, true));
        assert_eq!((&head[..], &tail[..]), (&long.as_bytes()[..1024], &long.as_bytes()[2502 - 256..]));
        assert_eq!(outcome.last_event_id, b"9", "to resume before it would only bring it again");
    }
}

#[test]
fn the_limit_of_an_event_counts_its_lines_together() {
    let limits = SseLimits::default().with_max_event_bytes(9);
    assert!(decode_with(&limits, ["data: 1234\ndata: 6789\n\n".into()]).given[0].is_ok());
    for over in
        ["data: 1234\ndata: 67890\n\n", "data: 123\ndata: 5\ndata: 7\ndata: 90\n\n", &"data\n".repeat(12)]
    {
        let outcome = decode_with(&limits, [Bytes::copy_from_slice(over.as_bytes())]);
        assert!(matches!(outcome.given[..], [Err(SseError::EventTooLarge { .. })]), "{:?}", outcome.given);
    }
}

#[test]
fn an_event_that_does_not_end_is_reported_once_and_before_its_end() {
    let limits = SseLimits::default().with_max_event_bytes(1000);
    let mut decoder = Decoder::new(&limits);
    let mut given = Vec::new();
    decoder.push("data: ".into());
    drain(&mut decoder, &mut given);
    for _ in 0..100 {
        decoder.push(Bytes::from(vec![b'x'; 100]));
        drain(&mut decoder, &mut given);
    }
    let [Err(SseError::EventTooLarge { size, head, tail })] = &given[..] else { panic!("{given:?}") };
    assert_eq!((size.seen, size.exact, head.len(), tail.len()), (2000, false, 1024, 0));
    decoder.push("\n\ndata: next\n\n".into());
    assert_eq!(decoder.next_event().unwrap().unwrap().data, "next");
}

#[test]
fn an_id_or_a_name_over_its_limit_loses_its_event_alone() {
    let limits = SseLimits::default().with_max_id_bytes(10).with_max_name_bytes(5);
    let ten = "i".repeat(10);
    let five = "n".repeat(5);
    let stream = format!(
        "id: {ten}\nevent: {five}\ndata: a\n\nid: {ten}i\ndata: b\n\ndata: c\nevent: {five}n\ndata: c\n\ndata: d\n\n"
    );
    for size in [1, 3, 8, 1000] {
        let outcome = decode_with(&limits, cut(stream.as_bytes(), &[size]));
        let [Ok(first), Err(id), Err(name), Ok(last)] = &outcome.given[..] else {
            panic!("{:?}", outcome.given)
        };
        assert_eq!((&first.name[..], &last.data[..]), (five.as_bytes(), &b"d"[..]));
        assert!(matches!(id, SseError::FieldTooLarge { field: "id", limit: 10, .. }));
        assert!(matches!(name, SseError::FieldTooLarge { field: "event", limit: 5, .. }));
        assert_eq!(outcome.last_event_id, ten.as_bytes());
    }
}
