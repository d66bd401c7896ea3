//! The cost of an event, beside `eventsource-stream` and a copy of the bytes: the best of several rounds.
//!
//! `cargo bench -p towpath-sse --bench decode`
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use towpath_sse::{Decoder, SseLimits};

const CHUNK: usize = 16 << 10;

fn chunks(stream: &str) -> Vec<Bytes> {
    stream.as_bytes().chunks(CHUNK).map(Bytes::copy_from_slice).collect()
}

fn best(rounds: usize, mut work: impl FnMut() -> usize) -> (Duration, usize) {
    let mut best = Duration::MAX;
    let mut count = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        count = black_box(work());
        best = best.min(start.elapsed());
    }
    (best, count)
}

fn ours(limits: &SseLimits, chunks: &[Bytes]) -> usize {
    let mut decoder = Decoder::new(limits);
    let mut events = 0;
    for chunk in chunks {
        decoder.push(chunk.clone());
        while let Some(event) = decoder.next_event().unwrap() {
            black_box(&event);
            events += 1;
        }
    }
    events
}

fn reference(chunks: &[Bytes]) -> usize {
    let chunks = stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>));
    eventsource_stream::EventStream::new(chunks).count().now_or_never().unwrap()
}

fn copy(chunks: &[Bytes]) -> usize {
    let mut whole = Vec::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in chunks {
        whole.extend_from_slice(chunk);
    }
    black_box(&whole).len()
}

fn main() {
    let limits = SseLimits::default();
    let message = r#"{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"hello"}]}}"#;
    let small = [
        ("data alone", format!("data: {message}\n\n")),
        ("event and data", format!("event: message\ndata: {message}\n\n")),
        ("id, event and data, CRLF", format!("id: 1234\r\nevent: message\r\ndata: {message}\r\n\r\n")),
    ];
    println!("{:<36} {:>14} {:>14}", "small events, in chunks of 16 KiB", "ours", "reference");
    for (name, event) in small {
        let chunks = chunks(&event.repeat(20_000));
        let (time, events) = best(5, || ours(&limits, &chunks));
        let (beside, _) = best(1, || reference(&chunks));
        let each = |time: Duration| format!("{:.1} ns", time.as_nanos() as f64 / events as f64);
        println!("{name:<36} {:>14} {:>14}", each(time), each(beside));
    }
    println!("{:<36} {:>14} {:>14}", "one large event", "ours", "copy");
    for mib in [1, 16] {
        let chunks = chunks(&format!("data: {}\n\n", "x".repeat(mib << 20)));
        let (time, events) = best(10, || ours(&limits, &chunks));
        assert_eq!(events, 1);
        let (beside, _) = best(10, || copy(&chunks));
        println!("{:<36} {time:>14.2?} {beside:>14.2?}", format!("{mib} MiB"));
    }
}
