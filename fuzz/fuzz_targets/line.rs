//! Lines, for any stream: see `towpath_invariants::line`.
#![no_main]

use towpath_testkit::leak::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    towpath_invariants::line::holds(stream);
    towpath_invariants::memory::is_bounded(stream);
});
