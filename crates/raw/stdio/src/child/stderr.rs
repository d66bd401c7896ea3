//! What a child writes to stderr: kept in a bounded ring, passed on by line.

use std::{collections::VecDeque, fmt, mem, sync::Arc};

use memchr::memchr;

use super::log::Audience;

/// The stderr of one child.
pub(super) struct StderrLog {
    audience: Arc<Audience>,
    ring: VecDeque<u8>,
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// The lines that have ended and were not passed on: at most what one push brings.
    lines: Vec<u8>,
}

impl StderrLog {
    pub(super) fn new(audience: Arc<Audience>) -> Self {
        Self { audience, ring: VecDeque::new(), line: Vec::new(), lines: Vec::new() }
    }

    /// Who hears of the child.
    pub(super) fn audience(&self) -> &Arc<Audience> {
        &self.audience
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
                self.end_line();
            }
        }
        self.pass_on();
    }

    /// Nothing follows: a last line without a newline is passed on too.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.pass_on();
    }

    /// Nobody is left who could write.
    pub(super) fn close(self) {
        self.audience.finish();
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

    fn end_line(&mut self) {
        self.lines.append(&mut self.line);
        self.lines.push(b'\n');
    }

    fn pass_on(&mut self) {
        let lines = mem::take(&mut self.lines);
        if !lines.is_empty() && self.audience.wants_lines() {
            self.audience.lines(lines);
        }
    }
}

impl fmt::Debug for StderrLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StderrLog").field("held_bytes", &self.ring.len()).finish_non_exhaustive()
    }
}

pub(super) fn printable(bytes: &[u8]) -> String {
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
    use std::{
        sync::mpsc::{self, Receiver},
        time::Duration,
    };

    use super::*;

    fn log() -> (StderrLog, Receiver<String>) {
        let (lines, heard) = mpsc::channel();
        let on_line = move |line: &str| lines.send(line.to_owned()).expect("the test listens");
        (StderrLog::new(Audience::new("child 1 (x)".into(), Some(Arc::new(on_line)))), heard)
    }

    /// All lines, after the last of them.
    fn heard(log: StderrLog, lines: &Receiver<String>) -> Vec<String> {
        log.close();
        let next = || lines.recv_timeout(Duration::from_secs(60));
        let mut all = Vec::new();
        loop {
            match next() {
                Ok(line) => all.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return all,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the callback lives on after: {all:?}"),
            }
        }
    }

    #[test]
    fn lines_are_passed_on_whole_whatever_the_chunks() {
        let (mut log, lines) = log();
        for chunk in ["on", "e\r\ntw", "o\n", "\nlast"] {
            log.push(chunk.as_bytes());
        }
        log.finish();
        assert_eq!(heard(log, &lines), ["one", "two", "", "last"]);
    }

    #[test]
    fn a_flood_is_held_within_the_ring_and_a_long_line_in_pieces() {
        let (mut log, lines) = log();
        for _ in 0..40 {
            log.push(&[b'x'; 10_000]);
        }
        assert!(log.ring.len() <= RING_BYTES && log.line.len() <= LINE_BYTES && log.lines.is_empty());
        log.finish();
        let lines = heard(log, &lines);
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), 400_000);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES));
    }

    #[test]
    fn the_tail_is_short_and_printable() {
        let (mut log, _lines) = log();
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
    fn a_callback_that_panics_is_not_called_again_and_those_of_others_are() {
        let (calls, count) = mpsc::channel();
        let on_line = move |_: &str| {
            calls.send(()).expect("the test listens");
            panic!("in a callback")
        };
        let mut broken = StderrLog::new(Audience::new("child 1 (x)".into(), Some(Arc::new(on_line))));
        broken.push(b"one\ntwo\n");
        broken.push(b"three\n");
        assert_eq!(broken.tail(), "one\ntwo\nthree");
        broken.close();
        let (mut log, lines) = log();
        log.push(b"of another child\n");
        assert_eq!(heard(log, &lines), ["of another child"]);
        assert_eq!(count.iter().count(), 1);
    }
}
