//! Server-sent events, in random chunks.

use proptest::prelude::*;
use towpath_invariants::event;
use towpath_sse::SseLimits;

/// Streams of the bytes that matter, so that most of them mean something.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let ending = prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n"]);
    let name =
        prop::sample::select(vec!["data:", "data: ", "data", "id: ", "id", "event: ", "retry: ", ": ", ":"]);
    let value = "[ -~é\u{feff}\0]{0,12}";
    let line = (name.clone(), value, ending.clone())
        .prop_map(|(name, value, ending)| [name, &value, ending].concat());
    let piece = prop_oneof![
        4 => line,
        4 => ending.prop_map(str::to_owned),
        4 => name.prop_map(str::to_owned),
        2 => value,
        1 => "[0-9]{1,30}",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn limits() -> impl Strategy<Value = SseLimits> {
    (1..40_usize, any::<bool>()).prop_map(|(limit, strict)| {
        SseLimits::default()
            .with_max_event_bytes(limit)
            .with_max_id_bytes(8)
            .with_max_name_bytes(8)
            .with_strict_end(strict)
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![1 => Just(vec![1]), 3 => prop::collection::vec(0..20_usize, 1..20)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same(stream in stream(), sizes in sizes(), limits in limits()) {
        event::any_chunking_gives_the_same(&stream, &limits, &sizes);
    }

    #[test]
    fn a_dropped_wait_loses_nothing_wherever_it_waits(stream in stream(), sizes in sizes(), limits in limits()) {
        event::a_dropped_wait_loses_nothing(&stream, &limits, &sizes);
    }

    #[test]
    fn any_bytes_are_survived(
        stream in stream(),
        bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut stream = stream;
        for (at, byte) in bytes {
            stream.insert(at.index(stream.len() + 1), byte);
        }
        event::holds(&stream);
    }

    #[test]
    fn what_was_read_can_be_written(stream in stream()) {
        event::what_is_read_is_written(&stream);
    }

    #[test]
    fn what_is_written_is_read(
        id in prop::option::of("[ -~é]{0,20}"),
        name in prop::option::of("[ -~é]{1,20}"),
        data in prop::collection::vec(prop::sample::select(b"ab: \r\n\xFF".to_vec()), 0..40),
    ) {
        event::written_and_read(id.as_deref(), name.as_deref(), &data);
    }
}
