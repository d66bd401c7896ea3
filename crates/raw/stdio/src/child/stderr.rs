//! What a child writes to stderr: kept in a bounded ring, passed on by line.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use memchr::memchr;

/// Called with each line of stderr, on the thread that owns all children.
pub(super) type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// The stderr of one child.
pub(super) struct StderrLog {
    peer: Arc<str>,
    ring: VecDeque<u8>,
    /// The line that is not at its end yet.
    line: Vec<u8>,
    on_line: Option<OnLine>,
}

impl StderrLog {
    pub(super) fn new(peer: Arc<str>, on_line: Option<OnLine>) -> Self {
        Self { peer, ring: VecDeque::new(), line: Vec::new(), on_line }
    }

    /// The child has written this.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let last = bytes.get(bytes.len().saturating_sub(RING_BYTES)..).unwrap_or_default();
        let excess = (self.ring.len() + last.len()).saturating_sub(RING_BYTES);
        self.ring.drain(..excess);
        self.ring.extend(last);

        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_BYTES - self.line.len();
            let end = memchr(b'\n', rest);
            let taken = end.unwrap_or(rest.len()).min(room);
            let (part, after) = rest.split_at(taken);
            self.line.extend_from_slice(part);
            let at_newline = end == Some(taken);
            rest = after.get(usize::from(at_newline)..).unwrap_or_default();
            if at_newline || self.line.len() == LINE_BYTES {
                self.pass_on();
            }
        }
    }

    /// Nothing follows: a last line without a newline is passed on too.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.pass_on();
        }
    }

    /// The end of it: at most [`TAIL_LINES`] lines and [`TAIL_BYTES`] bytes, printable.
    pub(super) fn tail(&self) -> String {
        let skipped = self.ring.len().saturating_sub(TAIL_BYTES);
        let last: Vec<u8> = self.ring.iter().skip(skipped).copied().collect();
        let text = printable(&last);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n");
        // Replacement characters are larger than what they stand for.
        let cut = (0..=tail.len()).find(|at| tail.is_char_boundary(*at) && tail.len() - at <= TAIL_BYTES);
        tail.drain(..cut.unwrap_or(0));
        tail
    }

    fn pass_on(&mut self) {
        let is_traced = tracing::enabled!(target: "towpath::child", tracing::Level::DEBUG);
        if is_traced || self.on_line.is_some() {
            let text = printable(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
            let text = text.trim_end();
            // This thread owns every child of the process: somebody else's panic must not end it.
            let passed = catch_unwind(AssertUnwindSafe(|| {
                tracing::debug!(target: "towpath::child", child = %self.peer, "{text}");
                if let Some(on_line) = &self.on_line {
                    on_line(text);
                }
            }));
            if passed.is_err() {
                self.on_line = None;
            }
        }
        self.line.clear();
    }
}

impl fmt::Debug for StderrLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StderrLog").field("held_bytes", &self.ring.len()).finish_non_exhaustive()
    }
}

fn printable(bytes: &[u8]) -> String {
    let keep = |char: char| if char.is_control() && !matches!(char, '\n' | '\t') { '?' } else { char };
    String::from_utf8_lossy(bytes).replace("\r\n", "\n").chars().map(keep).collect()
}

const RING_BYTES: usize = 32 << 10;
/// A longer line is passed on in pieces.
const LINE_BYTES: usize = 4 << 10;
const TAIL_LINES: usize = 8;
const TAIL_BYTES: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use towpath_raw::{Level, Mutex};

    use super::*;

    fn log() -> (StderrLog, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Level::Handler, "tests::lines", Vec::new()));
        let seen = lines.clone();
        let on_line: OnLine = Arc::new(move |line: &str| seen.lock().push(line.to_owned()));
        (StderrLog::new("child 1 (x)".into(), Some(on_line)), lines)
    }

    #[test]
    fn lines_are_passed_on_whole_whatever_the_chunks() {
        let (mut log, lines) = log();
        for chunk in ["on", "e\r\ntw", "o\n", "\nlast"] {
            log.push(chunk.as_bytes());
        }
        assert_eq!(*lines.lock(), ["one", "two", ""]);
        log.finish();
        assert_eq!(lines.lock().last().map(String::as_str), Some("last"));
    }

    #[test]
    fn a_flood_is_held_within_the_ring_and_a_long_line_in_pieces() {
        let (mut log, lines) = log();
        for _ in 0..100 {
            log.push(&[b'x'; 10_000]);
        }
        assert!(log.ring.len() <= RING_BYTES && log.line.len() <= LINE_BYTES);
        log.finish();
        assert_eq!(lines.lock().iter().map(String::len).sum::<usize>(), 1_000_000);
        assert!(lines.lock().iter().all(|line| line.len() <= LINE_BYTES));
    }

    #[test]
    fn the_tail_is_short_and_printable() {
        let (mut log, _) = log();
        for line in 0..20 {
            log.push(format!("\x1b[31mline {line}\x1b[0m\n").as_bytes());
        }
        let tail = log.tail();
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("?[31mline 12") && tail.ends_with("line 19?[0m"), "{tail}");
        log.push(&[0xff; 100_000]);
        assert!(log.tail().len() <= TAIL_BYTES);
    }

    #[test]
    fn a_panicking_callback_is_dropped_and_the_log_goes_on() {
        let mut log = StderrLog::new("child 1 (x)".into(), Some(Arc::new(|_| panic!("in a callback"))));
        log.push(b"one\ntwo\n");
        assert!(log.on_line.is_none());
        assert_eq!(log.tail(), "one\ntwo");
    }
}
