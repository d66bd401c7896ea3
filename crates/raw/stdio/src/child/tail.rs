//! The end of what a child wrote to stderr.

use std::{collections::VecDeque, fmt};

use towpath_raw::{Level, Mutex};

/// A bounded ring of bytes, which the reaper fills and every owner may look at.
pub(super) struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Level::Handler, "Tail::0", VecDeque::new()))
    }

    /// The child has written this.
    pub(super) fn push(&self, bytes: &[u8]) {
        let last = bytes.get(bytes.len().saturating_sub(RING_BYTES)..).unwrap_or_default();
        let mut ring = self.0.lock();
        let excess = (ring.len() + last.len()).saturating_sub(RING_BYTES);
        ring.drain(..excess);
        ring.extend(last);
    }

    /// At most [`TAIL_LINES`] lines and [`TAIL_BYTES`] bytes, printable.
    pub(super) fn text(&self) -> String {
        let last: Vec<u8> = {
            let ring = self.0.lock();
            ring.iter().skip(ring.len().saturating_sub(TAIL_BYTES)).copied().collect()
        };
        let text = printable(&last);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n");
        // Replacement characters are larger than what they stand for.
        let cut = (0..=tail.len()).find(|at| tail.is_char_boundary(*at) && tail.len() - at <= TAIL_BYTES);
        tail.drain(..cut.unwrap_or(0));
        tail
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").finish_non_exhaustive()
    }
}

/// Text that a terminal or a log can be given: what would control it, or change the order of what follows, is replaced.
pub(super) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .replace("\r\n", "\n")
        .chars()
        .map(|char| if is_hidden(char) { '?' } else { char })
        .collect()
}

fn is_hidden(char: char) -> bool {
    let controls = char.is_control() && !matches!(char, '\n' | '\t');
    controls || matches!(char, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const RING_BYTES: usize = 32 << 10;
const TAIL_LINES: usize = 8;
const TAIL_BYTES: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_short_and_printable() {
        let tail = Tail::new();
        for line in 0..20 {
            tail.push(format!("\x1b[31mline {line}\x1b[0m\n").as_bytes());
        }
        let text = tail.text();
        assert_eq!(text.lines().count(), TAIL_LINES);
        assert!(text.starts_with("?[31mline 12") && text.ends_with("line 19?[0m"), "{text}");
        tail.push(&[0xff; 100_000]);
        assert!(tail.text().len() <= TAIL_BYTES);
    }

    #[test]
    fn a_flood_is_held_within_the_ring() {
        let tail = Tail::new();
        for length in [10_000, 1, 100_000, 30_000] {
            tail.push(&vec![b'x'; length]);
            assert!(tail.0.lock().len() <= RING_BYTES);
        }
        assert_eq!(tail.0.lock().len(), RING_BYTES);
    }

    #[test]
    fn what_would_control_a_terminal_is_replaced() {
        let bytes = b"a\0b\x1b]0;title\x07c\xff\xe2\x80\xaed\x7f\te\r\nf\rg\xc2\x9bh";
        assert_eq!(printable(bytes), "a?b?]0;title?c\u{fffd}?d?\te\nf?g?h");
    }
}
