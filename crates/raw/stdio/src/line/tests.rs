//! The codec and its bounds. Any input, however it is cut, is for `tests/invariants`.

use std::io::IoSlice;

use bytes::{BufMut, Bytes};
use towpath_raw::{Frame, Inbound, LaneError, LaneLimits, Rejected};

use super::*;

/// What a line was, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Frame(Vec<u8>),
    Skipped(usize),
    TooLarge(usize),
    /// The last line, cut off.
    Truncated(usize),
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
    if decoder.truncated_bytes() > 0 {
        lines.push(Line::Truncated(decoder.truncated_bytes()));
    }
    (lines, decoder.blank_lines(), most)
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
fn a_last_line_without_a_newline_is_whole_or_says_how_much_of_it_came() {
    for (last, expected) in [
        ("{\"id\":1}", Line::Frame(b"{\"id\":1}".to_vec())),
        ("[{\"id\":1}] \r", Line::Frame(b"[{\"id\":1}] ".to_vec())),
        ("{\"id\":1", Line::Truncated(7)),
        ("{", Line::Truncated(1)),
        ("npm notice", Line::Skipped(10)),
    ] {
        let bytes = [b"{}\n", last.as_bytes()].concat();
        let (lines, ..) = decode(&limits(), &[&bytes]);
        assert_eq!(lines, [Line::Frame(b"{}".to_vec()), expected], "{last}");
    }
}

#[test]
fn a_byte_order_mark_nul_bytes_and_bad_utf_8_are_told_apart_from_messages() {
    let bytes = b"\xef\xbb\xbf{\"id\":1}\r\n\r\n\0\0{}\n\xff\xfe{}\n{\"a\":\"\xff\0\"}\n\xef\xbb\xbf{}\n";
    let (lines, blank, _) = decode(&limits(), &[bytes]);
    let expected = [
        Line::Frame(b"{\"id\":1}".to_vec()),
        Line::Skipped(4),
        Line::Skipped(4),
        // What is inside of a message is for the parser to refuse.
        Line::Frame(b"{\"a\":\"\xff\0\"}".to_vec()),
        // A mark is one at the very start only.
        Line::Skipped(5),
    ];
    assert_eq!((lines.as_slice(), blank), (expected.as_slice(), 1));
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
    let mut chunks = vec![chunk.as_slice(); 16 << 10];
    chunks.push(b"\n");
    let (lines, _, most) = decode(&LaneLimits::default(), &chunks);
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
