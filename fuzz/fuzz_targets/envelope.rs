//! Messages, batches and ids, for any text: see `towpath_invariants::envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| towpath_invariants::envelope::holds(bytes));
