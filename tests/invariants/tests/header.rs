//! Values of headers.

use proptest::prelude::*;
use towpath_invariants::header;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_text_comes_back_through_a_header(text in "(=\\?base64\\?)?(\\PC|[ \t\r\n]){0,20}(\\?=)?") {
        header::every_text_comes_back(&text);
    }

    #[test]
    fn any_value_is_read_or_refused(value in "[ \t]?(=\\?base64\\?)?[A-Za-d0-9+/= ]{0,12}(\\?=)?[ \t]?") {
        header::holds(value.as_bytes());
    }
}
