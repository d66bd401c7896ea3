//! What the decoders hold, whatever is sent.

use towpath_invariants::memory;
use towpath_testkit::leak::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Streams that never end, in chunks of every kind. One test, so that nothing else allocates in this process meanwhile.
#[test]
fn what_never_ends_costs_bounded_memory() {
    assert!(CountingAllocator::is_installed());
    for unit in ["[", "x", " ", "{\"a\":", "data: xxxxxxx\n", "id: 1", "data\n", "event:e", ":", "\r", "{}\n"]
    {
        memory::is_bounded(unit.repeat(20_000 / unit.len()).as_bytes());
        memory::is_bounded(format!("data: {}", unit.repeat(20_000 / unit.len())).as_bytes());
    }
}
