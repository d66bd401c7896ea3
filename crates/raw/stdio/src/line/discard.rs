//! A line that is counted and passed over while it is read.

use towpath_raw::{Inbound, MessageTooLarge, Rejected, SkipReason, Skipped};

/// What a line that is not held has shown so far.
#[derive(Debug)]
pub(super) struct Discard {
    kind: Kind,
    /// The bytes of the line so far.
    seen: usize,
    /// Whether the last of them is a CR, which belongs to the delimiter if the line ends here.
    ends_in_cr: bool,
}

#[derive(Debug)]
enum Kind {
    /// Only blanks so far.
    Blank,
    /// It does not begin as a message does; this is its beginning.
    Banner(Vec<u8>),
    /// It begins as a message does, and is larger than the limit; this is how it begins and ends.
    TooLarge { head: Vec<u8>, tail: Vec<u8> },
}

impl Discard {
    /// A line of which nothing is known.
    pub(super) fn new() -> Self {
        Self { kind: Kind::Blank, seen: 0, ends_in_cr: false }
    }

    /// More of the line, without its newline.
    pub(super) fn absorb(&mut self, bytes: &[u8]) {
        let mut first = 0;
        if matches!(self.kind, Kind::Blank) {
            first = bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(bytes.len());
            match bytes.get(first) {
                None => {}
                Some(b'{' | b'[') => self.kind = Kind::TooLarge { head: Vec::new(), tail: Vec::new() },
                Some(_) => self.kind = Kind::Banner(Vec::new()),
            }
        }
        let (beginning, most) = match &mut self.kind {
            Kind::Blank => (None, 0),
            Kind::Banner(beginning) => (Some(beginning), MAX_TEXT_BYTES),
            Kind::TooLarge { head, tail } => {
                tail.extend_from_slice(last(bytes, MAX_TAIL_BYTES));
                tail.drain(..tail.len().saturating_sub(MAX_TAIL_BYTES));
                (Some(head), MAX_HEAD_BYTES)
            }
        };
        if let Some(beginning) = beginning {
            let room = most.saturating_sub(beginning.len());
            beginning.extend(bytes.iter().skip(first).take(room));
        }
        self.seen += bytes.len();
        if let Some(last) = bytes.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }

    /// The line has ended: what it was, or nothing for a blank one.
    pub(super) fn finish(self, limit: usize) -> Option<Inbound> {
        let length = self.seen - usize::from(self.ends_in_cr);
        match self.kind {
            Kind::Blank => None,
            Kind::Banner(beginning) => {
                let text = printable(&beginning);
                Some(Inbound::Skipped(Skipped { reason: SkipReason::NotAMessage, length, text }))
            }
            Kind::TooLarge { head, tail } => {
                let size = MessageTooLarge { limit, seen: length, exact: true };
                Some(Inbound::Rejected(Rejected::TooLarge { size, head: head.into(), tail: tail.into() }))
            }
        }
    }
}

/// How much is kept of the beginning of a message that is too large.
pub(super) const MAX_HEAD_BYTES: usize = 1 << 10;

/// How much is kept of its end.
pub(super) const MAX_TAIL_BYTES: usize = 256;

/// The last bytes, at most so many.
pub(super) fn last(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(most)..).unwrap_or(bytes)
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The bytes as text that is safe to print, of at most [`MAX_TEXT_BYTES`].
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for char in String::from_utf8_lossy(bytes).trim_end().chars() {
        let char = match char {
            '\t' => ' ',
            // Escape sequences of a coloured banner must not reach the terminal of whoever reads the log.
            char if char.is_control() => '?',
            char => char,
        };
        if text.len() + char.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        text.push(char);
    }
    text
}

const MAX_TEXT_BYTES: usize = 256;
