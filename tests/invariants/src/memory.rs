//! What the decoders hold, counted by the allocator.

use bytes::Bytes;
use towpath_raw::LaneLimits;
use towpath_sse::{Decoder, SseLimits};
use towpath_stdio::LineDecoder;
use towpath_testkit::leak::CountingAllocator;

use crate::cut::{Draw, cut};

/// Whatever is sent, each decoder holds no more than its limit and one chunk, and as much again while its buffer grows.
///
/// It counts only in a program that has installed the [`CountingAllocator`], and where no other thread allocates
/// meanwhile.
pub fn is_bounded(stream: &[u8]) {
    let limit = 64 + Draw::from(stream).below(1000);
    for size in [1, 64, 1000] {
        let chunks = cut(stream, &[size]);
        let most = 2 * (limit + 1 + size) + OVERHEAD_BYTES;
        let lines = peak(|| {
            let mut decoder = LineDecoder::new(&LaneLimits::default().with_max_message_bytes(limit));
            for chunk in &chunks {
                decoder.feed(chunk);
                while decoder.decode().is_some() {}
            }
            while decoder.finish().is_some() {}
        });
        assert!(lines <= most, "{lines} bytes for lines of {limit} in chunks of {size}: {most} are allowed");
        let events = peak(|| {
            let mut decoder = Decoder::new(&SseLimits::default().with_max_event_bytes(limit));
            for chunk in &chunks {
                decoder.push(Bytes::copy_from_slice(chunk));
                while !matches!(decoder.next_event(), Ok(None)) {}
            }
            drop(decoder.finish());
        });
        assert!(
            events <= most,
            "{events} bytes for events of {limit} in chunks of {size}: {most} are allowed"
        );
    }
}

fn peak(run: impl FnOnce()) -> usize {
    CountingAllocator::reset_peak();
    let before = CountingAllocator::live_bytes();
    run();
    CountingAllocator::peak_bytes().saturating_sub(before)
}

/// Ids and names of events, the beginning and the end of what is passed over, and the handles of shared buffers.
const OVERHEAD_BYTES: usize = 8 << 10;
