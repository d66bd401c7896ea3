//! Server-sent events, for any stream: see `towpath_invariants::event`.
#![no_main]

use towpath_testkit::leak::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    towpath_invariants::event::holds(stream);
    towpath_invariants::memory::is_bounded(stream);
});
