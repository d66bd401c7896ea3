//! What a child writes to stderr: its end is kept, and it is passed on by line.

use std::{fmt, mem, sync::Arc};

use memchr::memchr;

use super::{log::Audience, tail::Tail};

/// The stderr of one child.
pub(super) struct StderrLog {
    audience: Arc<Audience>,
    tail: Arc<Tail>,
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// The lines that have ended and were not passed on: at most what one push brings.
    lines: Vec<u8>,
}

impl StderrLog {
    pub(super) fn new(audience: Arc<Audience>, tail: Arc<Tail>) -> Self {
        Self { audience, tail, line: Vec::new(), lines: Vec::new() }
    }

    /// Who hears of the child.
    pub(super) fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// The child has written this.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
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
        f.debug_struct("StderrLog").field("tail", &self.tail).finish_non_exhaustive()
    }
}

/// A longer line is passed on in pieces.
const LINE_BYTES: usize = 4 << 10;

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
        let audience = Audience::new("child 1 (x)".into(), Some(Arc::new(on_line)));
        (StderrLog::new(audience, Arc::new(Tail::new())), heard)
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
    fn a_flood_is_not_held_and_a_long_line_is_passed_on_in_pieces() {
        let (mut log, lines) = log();
        for _ in 0..40 {
            log.push(&[b'x'; 10_000]);
        }
        assert!(log.line.len() <= LINE_BYTES && log.lines.is_empty());
        log.finish();
        let lines = heard(log, &lines);
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), 400_000);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES));
    }

    #[test]
    fn a_callback_that_panics_is_not_called_again_and_those_of_others_are() {
        let (calls, count) = mpsc::channel();
        let on_line = move |_: &str| {
            calls.send(()).expect("the test listens");
            panic!("in a callback")
        };
        let tail = Arc::new(Tail::new());
        let audience = Audience::new("child 1 (x)".into(), Some(Arc::new(on_line)));
        let mut broken = StderrLog::new(audience, tail.clone());
        broken.push(b"one\ntwo\n");
        broken.push(b"three\n");
        assert_eq!(tail.text(), "one\ntwo\nthree");
        broken.close();
        let (mut log, lines) = log();
        log.push(b"of another child\n");
        assert_eq!(heard(log, &lines), ["of another child"]);
        assert_eq!(count.iter().count(), 1);
    }
}
