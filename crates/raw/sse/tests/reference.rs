//! The decoder against `eventsource-stream`, on random streams in random chunks.
//!
//! Where the two are known to differ, the streams keep away from it:
//!
//! - a byte order mark: the reference panics, because it cuts one byte off a character of three;
//! - UTF-8: the reference refuses a stream that is none, this decoder leaves that to the layer above;
//! - a CR as the very last byte: the reference waits for an LF, so every stream here ends in a comment;
//! - `retry`: the reference takes a sign before the digits, and forgets the value with an event without data;
//! - the end of the stream: the reference drops what it cuts off, so `strict_end` is set.

#![allow(clippy::unwrap_used, reason = "to panic is how a test reports")]

use bytes::Bytes;
use eventsource_stream::EventStream;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use towpath_sse::{Decoder, SseLimits};

type Event = (String, String, String);

fn reference(chunks: &[Bytes]) -> Vec<Event> {
    let chunks = chunks.iter().cloned().map(Ok::<_, std::convert::Infallible>).collect::<Vec<_>>();
    let events = EventStream::new(stream::iter(chunks));
    let collected = events.map(|event| event.unwrap()).collect::<Vec<_>>().now_or_never();
    collected.unwrap().into_iter().map(|event| (event.event, event.data, event.id)).collect()
}

fn ours(chunks: &[Bytes]) -> Vec<Event> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut decoder = Decoder::new(&SseLimits::default().with_strict_end(true));
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk.clone());
        while let Some(event) = decoder.next_event().unwrap() {
            // The reference says of every event which id is in force.
            let id = Bytes::copy_from_slice(decoder.last_event_id());
            events.push((text(event.name), text(event.data), text(id)));
        }
    }
    assert_eq!(decoder.finish(), Ok(None));
    events
}

fn line() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec!["data", "event", "id", "retry", "", "dat", "datas", "Data", "é"]);
    let colon = prop::sample::select(vec!["", ":", ": ", ":  "]);
    let ending = prop::sample::select(vec!["\n", "\r", "\r\n"]);
    prop_oneof![
        5 => (known, colon, "[ -*,-~é漢\0]{0,10}", ending.clone())
            .prop_map(|(name, colon, value, ending)| format!("{name}{colon}{value}{ending}")),
        2 => ending.prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn it_gives_what_the_reference_gives(
        lines in prop::collection::vec(line(), 0..30),
        sizes in prop::collection::vec(1..40usize, 1..10),
    ) {
        let mut rest = Bytes::from(lines.concat() + ": end\n");
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            chunks.push(rest.split_to((*size).min(rest.len())));
        }
        prop_assert_eq!(ours(&chunks), reference(&chunks));
    }
}
