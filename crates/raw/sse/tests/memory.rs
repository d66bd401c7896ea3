//! What the decoder holds, whatever is sent.
//!
//! One test, so that nothing else allocates in this process meanwhile.

use bytes::Bytes;
use towpath_sse::{Decoder, SseError, SseLimits};
use towpath_testkit::leak::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LIMIT: usize = 256 << 10;
const CHUNK: usize = 16 << 10;

/// The most that was held at one time while `beginning` was decoded, and `again` after it for 4 MiB; and how many
/// errors there were.
fn peak(beginning: &'static str, again: &'static str) -> (usize, usize) {
    let again = Bytes::from(again.repeat(CHUNK / again.len()));
    let mut decoder = Decoder::new(&SseLimits::default().with_max_event_bytes(LIMIT));
    CountingAllocator::reset_peak();
    let before = CountingAllocator::live_bytes();
    let mut errors = 0;
    decoder.push(Bytes::from_static(beginning.as_bytes()));
    for _ in 0..(4 << 20) / CHUNK {
        loop {
            match decoder.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => drop(event),
                Err(SseError::EventTooLarge { .. } | SseError::FieldTooLarge { .. }) => errors += 1,
                Err(error) => panic!("{error}"),
            }
        }
        decoder.push(again.clone());
    }
    (CountingAllocator::peak_bytes() - before, errors)
}

#[test]
fn whatever_is_sent_costs_bounded_memory() {
    // Twice the limit only for the moment in which the buffer grows.
    let whole = 2 * LIMIT + CHUNK;
    let nothing = 8 << 10;
    let cases = [
        ("an event of one line that never ends", "data: ", "xxxxxxxx", whole, 1),
        ("an event of many lines that never ends", "", "data: xxxxxxxx\n", whole, 1),
        ("an event of empty lines that never ends", "", "data\n", whole, 1),
        ("an id that never ends", "id: ", "xxxxxxxx", nothing, 1),
        ("a name that never ends", "event:", "xxxxxxxx", nothing, 1),
        ("a number that never ends", "retry:", "11111111", nothing, 0),
        ("a comment that never ends", ":", "xxxxxxxx", nothing, 0),
        ("a field that never ends", "", "xxxxxxxx", nothing, 0),
        ("comments", "", ":\n", nothing, 0),
        ("ids", "", "id: 12345\n", nothing, 0),
        ("blank lines", "", "\n\r\n", nothing, 0),
        ("events", "", "data: x\n\n", nothing, 0),
    ];
    for (what, beginning, again, most, expected) in cases {
        let (peak, errors) = peak(beginning, again);
        assert!(peak <= most, "{what}: {peak} bytes at the peak, and {most} are allowed");
        assert_eq!(errors, expected, "{what}");
    }
}
