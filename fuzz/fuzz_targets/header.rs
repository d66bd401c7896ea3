//! Values of HTTP headers, for any bytes: see `towpath_invariants::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| towpath_invariants::header::holds(bytes));
