//! Lines in a large buffer, many at a time.

use bytes::{Buf, BytesMut};

/// Room for every read.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Bytes that were read, taken line by line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    read: BytesMut,
    /// How much of `read` is known to hold no newline.
    searched: usize,
}

impl Lines {
    /// The whole lines that are there, with their newlines, in one piece.
    pub(crate) fn whole(&mut self) -> &[u8] {
        let end = memchr::memrchr(b'\n', &self.read[self.searched..]);
        let Some(end) = end else {
            self.searched = self.read.len();
            return &[];
        };
        &self.read[..=self.searched + end]
    }

    /// Forgets the `bytes` bytes that [`whole`](Self::whole) gave: all of them, up to the last newline.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.read.advance(bytes);
        self.searched = self.read.len();
    }

    /// The buffer to read into, with room.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        self.read.reserve(READ_BYTES);
        &mut self.read
    }
}

/// The lines of `whole`, with their newlines.
pub(crate) fn split(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', whole).map(move |newline| {
        let line = &whole[start..=newline];
        start = newline + 1;
        line
    })
}

#[cfg(test)]
mod tests {
    use super::{Lines, split};

    #[test]
    fn lines_come_out_whole_whatever_the_chunks_they_came_in() {
        let bytes = b"one\n\ntwo two\nthree\nnot whole";
        for chunk in 1..=bytes.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(chunk) {
                lines.room().extend_from_slice(chunk);
                let whole = lines.whole().to_vec();
                if !whole.is_empty() {
                    seen.extend(split(&whole).map(<[u8]>::to_vec));
                    lines.consume(whole.len());
                }
            }
            assert_eq!(seen, [&b"one\n"[..], b"\n", b"two two\n", b"three\n"]);
        }
    }
}
