//! Lines, in random chunks.

use bytes::Bytes;
use proptest::prelude::*;
use towpath_invariants::line;
use towpath_raw::Frame;

const LIMIT: usize = 64;

/// Streams of what matters around lines, and of lines around the limit.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b" \t".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just(b"npm notice\x1b[0m".to_vec()),
        Just(b"{\"id\":1}".to_vec()),
        (0..2 * LIMIT).prop_map(|length| [b"[".as_slice(), &vec![b'x'; length]].concat()),
        (0..2 * LIMIT).prop_map(|length| vec![b' '; length]),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![usize::MAX]),
        Just(vec![1]),
        proptest::collection::vec(0..20_usize, 1..20),
        proptest::collection::vec(0..300_usize, 1..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_what_the_rules_say(stream in stream(), sizes in sizes()) {
        line::any_chunking_gives_what_the_rules_say(&stream, LIMIT, &sizes);
    }

    #[test]
    fn a_dropped_receive_loses_nothing_wherever_it_waits(stream in stream(), sizes in sizes()) {
        line::a_dropped_receive_loses_nothing(&stream, LIMIT, &sizes);
    }

    #[test]
    fn any_stream_and_any_limit_keep_the_rules_of_lines(stream in stream()) {
        line::holds(&stream);
    }

    #[test]
    fn what_was_encoded_is_decoded(
        values in proptest::collection::vec((0..200_usize, 0..200_usize, 0..9000_usize), 1..10),
        step in 50..5000_usize,
    ) {
        let frames = values.into_iter().map(|(head, tail, body)| {
            let head = Bytes::from(format!("{{{}", "h".repeat(head)));
            Frame::segmented(head, vec![b'b'; body].into(), format!("{tail}}}").into())
        });
        line::what_is_written_is_read(frames.collect(), step);
    }
}
