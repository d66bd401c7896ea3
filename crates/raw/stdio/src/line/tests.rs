//! The codec against a model, and its bounds.

use std::io::IoSlice;

use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use towpath_raw::{Frame, Inbound, LaneError, LaneLimits, Rejected};

use super::*;

/// What a line was, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Frame(Vec<u8>),
    Skipped(usize),
    TooLarge(usize),
}

const LIMIT: usize = 64;

fn limits() -> LaneLimits {
    LaneLimits::default().with_max_message_bytes(LIMIT)
}

fn line(inbound: Inbound) -> Line {
    match inbound {
        Inbound::Frame(bytes) => Line::Frame(bytes.to_vec()),
        Inbound::Skipped(skipped) => Line::Skipped(skipped.length),
        Inbound::Rejected(Rejected::TooLarge { size, .. }) if size.exact => Line::TooLarge(size.seen),
        other => panic!("not from a decoder: {other:?}"),
    }
}

/// Everything that a decoder gives for these chunks, and the most that it had room for.
fn decode(limits: &LaneLimits, chunks: &[&[u8]]) -> (Vec<Line>, u64, usize) {
    let mut decoder = LineDecoder::new(limits);
    let mut lines = Vec::new();
    let mut most = 0;
    for chunk in chunks {
        decoder.feed(chunk);
        most = most.max(decoder.capacity());
        while let Some(inbound) = decoder.decode() {
            lines.push(line(inbound));
        }
    }
    while let Some(inbound) = decoder.finish() {
        lines.push(line(inbound));
    }
    (lines, decoder.blank_lines(), most)
}

/// What the rules say, line by line.
fn model(mut bytes: &[u8]) -> (Vec<Line>, u64) {
    bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut lines, mut blank) = (Vec::new(), 0);
    let mut rest: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    if rest.last().is_some_and(|last| last.is_empty()) {
        rest.pop();
    }
    for line in rest {
        let body = line.strip_suffix(b"\r").unwrap_or(line);
        match line.iter().find(|byte| !b" \t\r".contains(byte)) {
            None => blank += 1,
            Some(b'{' | b'[') if body.len() > LIMIT => lines.push(Line::TooLarge(body.len())),
            Some(b'{' | b'[') => lines.push(Line::Frame(body.to_vec())),
            Some(_) => lines.push(Line::Skipped(body.len())),
        }
    }
    (lines, blank)
}

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

fn cut(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
    cuts.iter_mut().for_each(|cut| *cut %= bytes.len() + 1);
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_chunking_gives_what_the_rules_say(
        bytes in stream(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let expected = model(&bytes);
        for chunks in [vec![bytes.as_slice()], cut(&bytes, cuts), bytes.chunks(1).collect()] {
            let longest = chunks.iter().map(|chunk| chunk.len()).max().unwrap_or(0);
            let (lines, blank, most) = decode(&limits(), &chunks);
            prop_assert_eq!((lines, blank), expected.clone());
            prop_assert!(most <= LIMIT + 1 + longest, "room for {} bytes", most);
        }
    }

    #[test]
    fn what_was_encoded_is_decoded(
        values in proptest::collection::vec((0..200_usize, 0..200_usize, 0..9000_usize), 1..10),
        step in 50..5000_usize,
    ) {
        let limits = LaneLimits::default();
        let mut writer = LineWriter::new(&limits);
        let mut expected = Vec::new();
        for (head, tail, body) in values {
            let head = Bytes::from(format!("{{{}", "h".repeat(head)));
            let frame = Frame::segmented(head, vec![b'b'; body].into(), format!("{tail}}}").into());
            expected.push(Line::Frame(frame.clone().into_bytes().to_vec()));
            writer.push(&"peer".into(), frame).expect("a small frame");
        }
        let mut wire = Vec::new();
        let total = writer.queued_bytes();
        while writer.queued_bytes() > 0 {
            let mut slices = [IoSlice::new(&[]); LineWriter::MAX_SLICES];
            let count = writer.slices(&mut slices);
            let before = wire.len();
            wire.extend(slices[..count].iter().flat_map(|slice| slice.iter()).take(step));
            writer.advance(wire.len() - before);
            prop_assert_eq!(writer.queued_bytes(), total - wire.len());
            // A frame has begun when the byte after the newline before it is taken.
            let ended = memchr::memchr_iter(b'\n', &wire).count();
            let begun = ended + usize::from(wire.last() != Some(&b'\n'));
            prop_assert_eq!(writer.frames_begun(), begun as u64);
            prop_assert_eq!(writer.queued_frames(), expected.len() - ended);
        }
        prop_assert_eq!(decode(&limits, &[&wire]).0, expected);
    }
}

fn one(bytes: &[u8]) -> Inbound {
    let mut decoder = LineDecoder::new(&limits());
    decoder.feed(bytes);
    decoder.decode().expect("a line")
}

#[test]
fn a_banner_is_told_by_its_printable_beginning() {
    let mut banner = b"\x1b[32mready\x07\t".to_vec();
    banner.extend([0xff; 1000]);
    banner.extend(b"\r\n");
    let Inbound::Skipped(skipped) = one(&banner) else { panic!("not skipped") };
    assert_eq!(skipped.length, banner.len() - 2);
    assert!(skipped.text.starts_with("?[32mready? "), "{}", skipped.text);
    assert!(skipped.text.len() <= 256 && !skipped.text.chars().any(char::is_control));
}

#[test]
fn frames_are_slices_of_what_was_read() {
    let mut decoder = LineDecoder::new(&limits());
    decoder.feed(b"{\"id\":1}\n{\"id\":2}\n");
    let (Some(Inbound::Frame(one)), Some(Inbound::Frame(two))) = (decoder.decode(), decoder.decode()) else {
        panic!("no frames")
    };
    assert_eq!(two.as_ptr() as usize - one.as_ptr() as usize, 9, "they were copied");
}

#[test]
fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
    let message = |length: usize| [b"{".as_slice(), &vec![b'x'; length - 1]].concat();
    for end in ["\n", "\r\n"] {
        let whole = [message(LIMIT), end.into()].concat();
        for chunks in [vec![whole.as_slice()], whole.chunks(1).collect()] {
            assert_eq!(decode(&limits(), &chunks).0, [Line::Frame(message(LIMIT))]);
        }
        let over = [message(LIMIT + 1), end.into(), b"{}".to_vec()].concat();
        for chunks in [vec![over.as_slice()], over.chunks(1).collect()] {
            let expected = [Line::TooLarge(LIMIT + 1), Line::Frame(b"{}".to_vec())];
            assert_eq!(decode(&limits(), &chunks).0, expected);
        }
    }
}

#[test]
fn a_line_without_an_end_takes_bounded_memory() {
    let chunk = vec![b'x'; 64 << 10];
    for first in [b"{".as_slice(), b"banner", b" "] {
        let mut chunks = vec![first];
        chunks.extend(std::iter::repeat_n(chunk.as_slice(), 1024));
        let (lines, _, most) = decode(&LaneLimits::default().with_max_message_bytes(1 << 20), &chunks);
        assert_eq!(lines.len(), 1, "one report for one line");
        assert!(most <= (1 << 20) + 1 + chunk.len(), "room for {most} bytes");
    }
}

#[test]
fn a_buffer_that_grows_takes_half_as_much_again_for_a_moment_and_no_more() {
    for (limit, chunk) in [(16 << 20, 64 << 10), (17 << 20, 64 << 10), (1 << 20, 1 << 10)] {
        let mut decoder = LineDecoder::new(&LaneLimits::default().with_max_message_bytes(limit));
        let (chunk, mut at_once) = (vec![b'['; chunk], 0);
        for _ in 0..limit / chunk.len() {
            let before = decoder.capacity();
            decoder.feed(&chunk);
            assert!(decoder.decode().is_none());
            if decoder.capacity() != before {
                at_once = at_once.max(before + decoder.capacity());
            }
        }
        let times = at_once as f64 / (limit + 1 + chunk.len()) as f64;
        assert!(times > 1.0 && times <= 1.5, "{times} times the limit and a chunk");
    }
}

#[test]
fn a_large_line_in_small_chunks_takes_linear_time() {
    // Looking again at what was looked at would take 16,384 × 8 MiB here: minutes, not moments.
    let chunk = [b'['; 1 << 10];
    let (lines, _, most) = decode(&LaneLimits::default(), &vec![chunk.as_slice(); 16 << 10]);
    assert_eq!(lines, [Line::Frame(vec![b'['; 16 << 20])]);
    assert!(most <= (16 << 20) + 1 + chunk.len());
}

#[test]
fn the_buffer_of_a_large_line_is_not_kept() {
    // Taken, or refused.
    for limit in [16 << 20, 4 << 20] {
        let mut decoder = LineDecoder::new(&LaneLimits::default().with_max_message_bytes(limit));
        decoder.feed(&[b"[".as_slice(), &vec![b'x'; 8 << 20], b"\n{}"].concat());
        drop(decoder.decode());
        decoder.feed(b"\n");
        assert!(decoder.capacity() <= 64 << 10, "it keeps {} bytes", decoder.capacity());
    }
}

#[test]
fn reads_grow_while_the_peer_fills_them_and_shrink_again() {
    let mut decoder = LineDecoder::new(&LaneLimits::default());
    let mut sizes = Vec::new();
    for fills in [true, true, true].into_iter().chain([false; 16]) {
        let size = decoder.spare().remaining_mut();
        if sizes.last() != Some(&size) {
            sizes.push(size);
        }
        decoder.filled(if fills { size } else { 1 });
    }
    sizes.push(decoder.spare().remaining_mut());
    assert_eq!(sizes, [8 << 10, 64 << 10, 256 << 10, 64 << 10, 8 << 10]);
}

#[test]
fn small_frames_are_coalesced_and_large_segments_are_not_copied() {
    let mut writer = LineWriter::new(&LaneLimits::default());
    let peer = "peer".into();
    for _ in 0..100 {
        writer.push(&peer, Bytes::from("{}").into()).expect("a small frame");
    }
    let body = Bytes::from(vec![b'x'; 100_000]);
    let frame = Frame::segmented("[".into(), body.clone(), "]".into());
    writer.push(&peer, frame).expect("within the limit");
    let mut all = [IoSlice::new(&[]); LineWriter::MAX_SLICES];
    assert_eq!(writer.slices(&mut all), 3);
    assert_eq!(all[0].len(), 301);
    assert_eq!(all[1].as_ptr(), body.as_ptr());
    assert_eq!(&*all[2], b"]\n");
}

#[test]
fn a_newline_inside_a_frame_becomes_a_space() {
    let mut writer = LineWriter::new(&LaneLimits::default());
    let large = format!("[1,\r\n{}]", " ".repeat(10_000));
    for frame in ["{\n\"id\":\r1}\n", &large] {
        writer.push(&"peer".into(), Bytes::from(frame.to_owned()).into()).expect("within the limit");
    }
    let mut all = [IoSlice::new(&[]); LineWriter::MAX_SLICES];
    let count = writer.slices(&mut all);
    let wire: Vec<u8> = all[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    let expected = format!("{{ \"id\": 1}} \n[1,  {}]\n", " ".repeat(10_000));
    assert_eq!(String::from_utf8(wire).expect("text"), expected);
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_queued() {
    let mut writer = LineWriter::new(&limits());
    let frame = |length| Frame::from(Bytes::from(vec![b'x'; length]));
    writer.push(&"peer".into(), frame(LIMIT)).expect("within the limit");
    let refused = writer.push(&"peer".into(), frame(LIMIT + 1));
    let Err(LaneError::TooLarge { source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((source.limit, source.seen, source.exact), (LIMIT, LIMIT + 1, true));
    assert_eq!((writer.queued_bytes(), writer.queued_frames()), (LIMIT + 1, 1));
}

#[test]
fn there_is_room_until_one_of_the_queue_limits() {
    let by_bytes = LaneLimits::default().with_write_queue_bytes(9);
    let by_frames = LaneLimits::default().with_write_queue_frames(3);
    for limits in [by_bytes, by_frames] {
        let mut writer = LineWriter::new(&limits);
        for _ in 0..3 {
            assert!(writer.has_room());
            writer.push(&"peer".into(), Bytes::from("{}").into()).expect("a small frame");
        }
        assert!(!writer.has_room(), "{limits:?}");
        writer.advance(3);
        assert!(writer.has_room());
    }
}

#[test]
fn a_frame_has_begun_with_its_first_byte_and_not_before() {
    let mut writer = LineWriter::new(&LaneLimits::default());
    for _ in 0..2 {
        writer.push(&"peer".into(), Bytes::from("{}").into()).expect("a small frame");
    }
    let begun = [0, 1, 2, 1].map(|bytes| {
        writer.advance(bytes);
        (writer.frames_begun(), writer.queued_frames(), writer.queued_bytes())
    });
    assert_eq!(begun, [(0, 2, 6), (1, 2, 5), (1, 1, 3), (2, 1, 2)]);
}
