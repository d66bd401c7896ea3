//! Where heads begin and end in what an HTTP/2 peer sends: hyper tells of a head when it is whole, and a peer that sends
//! one byte by byte has to be noticed before.

/// Follows the frames, chunk by chunk, without keeping any.
#[derive(Debug)]
pub(super) struct Frames {
    /// How many bytes are to come of what is not looked into: the preface, or the payload of a frame.
    skip: usize,
    header: [u8; HEADER_BYTES],
    seen: usize,
    /// Whether the frame whose payload is coming is the last of a head.
    is_last: bool,
}

/// What happened to a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Begun,
    Whole,
}

impl Frames {
    /// Before the preface.
    pub(super) fn new() -> Self {
        Self { skip: PREFACE.len(), header: [0; HEADER_BYTES], seen: 0, is_last: false }
    }

    /// Takes what has come, and tells what it means for heads, in order.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Head)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip > 0 {
                return;
            }
            if std::mem::take(&mut self.is_last) {
                tell(Head::Whole);
            }
            let Some((first, rest)) = bytes.split_first() else { return };
            self.header[self.seen] = *first;
            self.seen += 1;
            bytes = rest;
            if self.seen < HEADER_BYTES {
                continue;
            }
            self.seen = 0;
            let [a, b, c, kind, flags, ..] = self.header;
            self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if kind == HEADERS {
                tell(Head::Begun);
            }
            self.is_last = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
        }
    }
}

/// How an HTTP/2 connection begins.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, 1];
        frame.resize(9 + length, HEADERS);
        frame
    }

    #[test]
    fn heads_are_found_wherever_the_bytes_are_cut() {
        let mut all = PREFACE.to_vec();
        // Settings, a head in one frame, data, a head in three of which one is empty, a ping.
        for (kind, flags, length) in
            [(4, 0, 6), (1, 4, 300), (0, 1, 1000), (1, 1, 5), (9, 0, 0), (9, 4, 2), (6, 4, 8)]
        {
            all.extend(frame(kind, flags, length));
        }
        for size in [1, 2, 7, 9, 10, 100, all.len()] {
            let (mut frames, mut told) = (Frames::new(), Vec::new());
            all.chunks(size).for_each(|chunk| frames.take(chunk, |head| told.push(head)));
            assert_eq!(told, [Head::Begun, Head::Whole, Head::Begun, Head::Whole], "chunks of {size}");
        }
    }

    #[test]
    fn a_head_is_whole_with_its_last_byte() {
        let (mut frames, mut told) = (Frames::new(), Vec::new());
        frames.take(PREFACE, |head| told.push(head));
        let head = frame(1, 4, 50);
        frames.take(&head[..head.len() - 1], |head| told.push(head));
        assert_eq!(told, [Head::Begun]);
        frames.take(&head[head.len() - 1..], |head| told.push(head));
        assert_eq!(told, [Head::Begun, Head::Whole]);
    }
}
