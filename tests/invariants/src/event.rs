//! Server-sent events: `Decoder`, `EventStream`, `write_event`.
#![allow(clippy::expect_used, reason = "to panic is how an invariant reports")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use towpath_sse::{
    Decoder, EventStream, EventStreamError, SseError, SseEvent, SseLimits, SseTimeouts, write_event,
};

use crate::{
    cut::{Draw, cut},
    hesitant::{Hesitant, once},
};

/// What a stream gave, in order, and what it left behind.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    given: Vec<Result<SseEvent, SseError>>,
    last_event_id: Vec<u8>,
    retry: Option<Duration>,
    comments: u64,
    between_events: bool,
}

/// All of this module, for any stream.
pub fn holds(stream: &[u8]) {
    let mut draw = Draw::from(stream);
    let limits = SseLimits::default()
        .with_max_event_bytes(1 + draw.below(60))
        .with_max_id_bytes(draw.below(16))
        .with_max_name_bytes(draw.below(16))
        .with_strict_end(draw.below(2) == 1);
    let sizes = draw.sizes();
    for limits in [&limits, &SseLimits::default()] {
        for sizes in [&[1][..], &sizes] {
            any_chunking_gives_the_same(stream, limits, sizes);
        }
        a_dropped_wait_loses_nothing(stream, limits, &sizes);
    }
    what_is_read_is_written(stream);
}

/// However it is cut, the decoder gives what it gives for all of it at once, and nothing over a limit.
pub fn any_chunking_gives_the_same(stream: &[u8], limits: &SseLimits, sizes: &[usize]) {
    let mut whole = decode(limits, &[stream]);
    let mut pieces = decode(limits, &cut(stream, sizes));
    for event in whole.given.iter().chain(&pieces.given).flatten() {
        assert!(event.data.len() <= limits.max_event_bytes, "{event:?}");
        assert!(event.id.as_ref().is_none_or(|id| id.len() <= limits.max_id_bytes), "{event:?}");
        assert!(event.is_message() || event.name.len() <= limits.max_name_bytes, "{event:?}");
    }
    // How far an event is counted beyond its limit before it is reported depends on the chunks.
    for outcome in [&mut whole, &mut pieces] {
        for given in &mut outcome.given {
            if let Err(SseError::EventTooLarge { size, head, tail }) = given {
                assert!(size.seen > size.limit && head.len() <= 1 << 10 && tail.len() <= 256, "{size:?}");
                let beginning = head.slice(..head.len().min(limits.max_event_bytes));
                (size.seen, size.exact, *head, *tail) = (0, false, beginning, Bytes::new());
            }
        }
    }
    assert_eq!(pieces, whole, "{limits:?}, sizes {sizes:?}");
}

/// A wait that is dropped wherever it can be pending takes nothing with it.
pub fn a_dropped_wait_loses_nothing(stream: &[u8], limits: &SseLimits, sizes: &[usize]) {
    let chunks = cut(stream, sizes);
    let peer = Hesitant::new(&chunks);
    let mut pauses = peer.pauses();
    let mut events = EventStream::new(peer, "peer", limits, &SseTimeouts::default());
    let mut given = Vec::new();
    loop {
        match once(events.event()) {
            // A last event that is too large is an error, and the end comes after it.
            Some(Ok(None)) => break,
            Some(Ok(Some(event))) => given.push(Ok(event)),
            Some(Err(EventStreamError::Event { source, .. })) => given.push(Err(source)),
            Some(Err(other)) => panic!("nothing fails here: {other}"),
            None => pauses = pauses.checked_sub(1).expect("it waits only where its peer does"),
        }
    }
    let got = Outcome {
        given,
        last_event_id: events.last_event_id().to_vec(),
        retry: events.retry(),
        comments: events.comments(),
        between_events: events.end().expect("it has ended").complete,
    };
    assert_eq!(got, decode(limits, &chunks), "{limits:?}, sizes {sizes:?}");
}

/// An event that was read, written again, is read as the same.
pub fn what_is_read_is_written(stream: &[u8]) {
    // A writer takes text, and leaves NUL out of it.
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.contains('\0'));
    for event in decode(&SseLimits::default(), &[stream]).given.into_iter().flatten() {
        let id = event.id.as_ref().map(text);
        let (Some(name), None | Some(Some(_))) = (text(&event.name), &id) else { continue };
        written_and_read(id.flatten().as_deref(), Some(&name), &event.data);
    }
}

/// What is written is read, with LF for its line breaks, as one event.
pub fn written_and_read(id: Option<&str>, name: Option<&str>, data: &[u8]) {
    let mut out = BytesMut::new();
    write_event(&mut out, id, name, data);
    let outcome = decode(&SseLimits::default().with_strict_end(true), &[&out]);
    assert!(outcome.between_events, "{out:?}");
    let mut expected = Vec::new();
    for (at, byte) in data.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && data[at - 1] == b'\r' => {}
            b'\r' => expected.push(b'\n'),
            byte => expected.push(*byte),
        }
    }
    let [Ok(event)] = &*outcome.given else { panic!("not one event: {outcome:?}") };
    assert_eq!(event.data, expected);
    assert_eq!(event.id.as_deref(), id.map(str::as_bytes));
    assert_eq!(event.name, name.unwrap_or("message"));
}

fn decode(limits: &SseLimits, chunks: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut given = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(next) = decoder.next_event().transpose() {
            given.push(next);
        }
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
