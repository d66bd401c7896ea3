//! Lines: `LineDecoder`, `LineSource`, `LineWriter`.
#![allow(clippy::expect_used, reason = "to panic is how an invariant reports")]

use std::io::IoSlice;

use bytes::Bytes;
use towpath_raw::{Frame, FrameSourceExt, Inbound, LaneLimits, Rejected};
use towpath_stdio::{LineDecoder, LineSource, LineWriter};

use crate::{
    cut::{Draw, cut},
    hesitant::{Hesitant, once},
};

/// What a line was, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A message.
    Frame(Vec<u8>),
    /// Something else of this length.
    Skipped(usize),
    /// A message of this length, over the limit.
    TooLarge(usize),
    /// So much of a message that the end of the stream cut off.
    Truncated(usize),
}

/// All of this module, for any stream.
pub fn holds(stream: &[u8]) {
    let mut draw = Draw::from(stream);
    let limit = 1 + draw.below(100);
    let sizes = draw.sizes();
    for sizes in [&[usize::MAX][..], &[1], &sizes] {
        any_chunking_gives_what_the_rules_say(stream, limit, sizes);
        a_dropped_receive_loses_nothing(stream, limit, sizes);
    }
    let frames = rules(stream, usize::MAX).0.into_iter().filter_map(|line| match line {
        Line::Frame(frame) => Some(frame),
        Line::Skipped(_) | Line::TooLarge(_) | Line::Truncated(_) => None,
    });
    let frames = frames.map(|frame| {
        let mut body = Bytes::from(frame);
        let head = body.split_to(draw.below(body.len()));
        let tail = body.split_off(draw.below(body.len()));
        Frame::segmented(head, body, tail)
    });
    let frames = frames.collect();
    what_is_written_is_read(frames, 1 + sizes.iter().sum::<usize>());
}

/// However it is cut, the decoder gives what the rules say, and holds the limit, a byte and one chunk at most.
pub fn any_chunking_gives_what_the_rules_say(stream: &[u8], limit: usize, sizes: &[usize]) {
    let chunks = cut(stream, sizes);
    let longest = chunks.iter().map(|chunk| chunk.len()).max().unwrap_or(0);
    let mut decoder = LineDecoder::new(&LaneLimits::default().with_max_message_bytes(limit));
    let (mut lines, mut most) = (Vec::new(), 0);
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
    lines.extend(truncated(decoder.truncated_bytes()));
    assert_eq!((lines, decoder.blank_lines()), rules(stream, limit), "limit {limit}, sizes {sizes:?}");
    assert!(most <= limit + 1 + longest, "room for {most} bytes, with a limit of {limit}");
}

/// A receive that is dropped wherever it can be pending takes nothing with it.
pub fn a_dropped_receive_loses_nothing(stream: &[u8], limit: usize, sizes: &[usize]) {
    let peer = Hesitant::new(&cut(stream, sizes));
    let mut pauses = peer.pauses();
    let mut source = LineSource::new(peer, "peer", &LaneLimits::default().with_max_message_bytes(limit));
    let mut lines = Vec::new();
    loop {
        match once(source.receive()) {
            Some(Ok(Inbound::End(end))) => {
                lines.extend(truncated(end.truncated_bytes));
                break;
            }
            Some(inbound) => lines.push(line(inbound.expect("nothing fails here"))),
            None => pauses = pauses.checked_sub(1).expect("it waits only where its peer does"),
        }
    }
    assert_eq!((lines, source.blank_lines()), rules(stream, limit), "limit {limit}, sizes {sizes:?}");
}

/// Frames that are written, `step` bytes at a time, are read again, with spaces for their line breaks; and what the
/// writer says of its queue is true at every step.
pub fn what_is_written_is_read(frames: Vec<Frame>, step: usize) {
    let limits = LaneLimits::default();
    let mut writer = LineWriter::new(&limits);
    let mut expected = Vec::new();
    for frame in frames {
        let text = frame.clone().into_bytes();
        expected.push(text.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }).collect());
        writer.push(&"peer".into(), frame).expect("within the limit");
    }
    let mut wire = Vec::new();
    let total = writer.queued_bytes();
    let mut ended = 0;
    while writer.queued_bytes() > 0 {
        let mut slices = [IoSlice::new(&[]); LineWriter::MAX_SLICES];
        let count = writer.slices(&mut slices);
        let before = wire.len();
        wire.extend(slices[..count].iter().flat_map(|slice| slice.iter()).take(step));
        ended += wire[before..].iter().filter(|byte| **byte == b'\n').count();
        writer.advance(wire.len() - before);
        assert_eq!(writer.queued_bytes(), total - wire.len());
        // A frame has begun when the byte after the newline before it is taken.
        let begun = ended + usize::from(wire.last() != Some(&b'\n'));
        assert_eq!(writer.frames_begun(), begun as u64);
        assert_eq!(writer.queued_frames(), expected.len() - ended);
    }
    let read: Vec<Vec<u8>> = wire.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    assert_eq!(read.len(), expected.len(), "a frame is a line");
    let lines = expected.into_iter().map(Line::Frame).collect::<Vec<_>>();
    assert_eq!(rules(&wire, usize::MAX), (lines, 0));
    any_chunking_gives_what_the_rules_say(&wire, limits.max_message_bytes, &[step]);
}

/// What the rules say, line by line; and how many blank lines there were.
fn rules(mut stream: &[u8], limit: usize) -> (Vec<Line>, u64) {
    stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut lines, mut blank) = (Vec::new(), 0);
    let mut rest: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    if rest.last().is_some_and(|last| last.is_empty()) {
        rest.pop();
    }
    let unended = rest.len().checked_sub(1).filter(|_| !stream.ends_with(b"\n"));
    for (at, line) in rest.into_iter().enumerate() {
        let body = line.strip_suffix(b"\r").unwrap_or(line);
        let is_blank = |byte: &&u8| b" \t\r".contains(byte);
        let is_whole = matches!(line.iter().rfind(|byte| !is_blank(byte)), Some(b'}' | b']'));
        match line.iter().find(|byte| !is_blank(byte)) {
            None => blank += 1,
            Some(b'{' | b'[') if body.len() > limit => lines.push(Line::TooLarge(body.len())),
            Some(b'{' | b'[') if unended == Some(at) && !is_whole => lines.push(Line::Truncated(body.len())),
            Some(b'{' | b'[') => lines.push(Line::Frame(body.to_vec())),
            Some(_) => lines.push(Line::Skipped(body.len())),
        }
    }
    (lines, blank)
}

fn truncated(bytes: usize) -> Option<Line> {
    (bytes > 0).then_some(Line::Truncated(bytes))
}

fn line(inbound: Inbound) -> Line {
    match inbound {
        Inbound::Frame(bytes) => Line::Frame(bytes.to_vec()),
        Inbound::Skipped(skipped) => {
            assert!(skipped.text.len() <= 256 && !skipped.text.chars().any(char::is_control), "{skipped:?}");
            Line::Skipped(skipped.length)
        }
        Inbound::Rejected(Rejected::TooLarge { size, head, tail }) => {
            assert!(size.exact && head.len() <= 1 << 10 && tail.len() <= 256, "{size:?}");
            Line::TooLarge(size.seen)
        }
        other => panic!("not from a decoder: {other:?}"),
    }
}
