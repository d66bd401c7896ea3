//! The scalars: words, numbers and strings. The last two can pause inside.

use super::{Fault, Lexer, Part, State, Str};
use crate::member::Role;
use crate::text::{escape_len, plain_run};

impl Lexer {
    pub(super) fn literal(&mut self, bytes: &[u8], pos: usize, word: &'static [u8]) -> Result<usize, Fault> {
        let end = pos + word.len();
        if bytes.get(pos..end) != Some(word) {
            return Err(Fault { at: pos, expected: "a value" });
        }
        self.value_end(pos, end);
        Ok(end)
    }

    #[inline]
    pub(super) fn number(&mut self, bytes: &[u8], start: usize, end: usize) -> Result<usize, Fault> {
        let first = start + usize::from(bytes.get(start) == Some(&b'-'));
        match bytes.get(first) {
            Some(b'0') => {
                // Nothing but a fraction or an exponent may follow; another digit is found to be out of place later.
                let pos = first + 1;
                match bytes.get(pos) {
                    Some(b'.' | b'e' | b'E') => self.number_tail(bytes, pos, end, start, Part::Integer),
                    _ => {
                        self.value_end(start, pos);
                        Ok(pos)
                    }
                }
            }
            Some(b'1'..=b'9') => self.number_part(bytes, first + 1, end, start, Part::Integer),
            _ => Err(Fault { at: first, expected: "a digit" }),
        }
    }

    /// Goes on inside the digits of a part.
    pub(super) fn number_part(
        &mut self,
        bytes: &[u8],
        from: usize,
        end: usize,
        start: usize,
        part: Part,
    ) -> Result<usize, Fault> {
        let mut pos = from;
        while pos < end && bytes.get(pos).is_some_and(u8::is_ascii_digit) {
            pos += 1;
        }
        if pos >= end && pos < bytes.len() {
            self.state = State::InNumber { start, part };
            return Ok(pos);
        }
        self.number_tail(bytes, pos, end, start, part)
    }

    /// What follows the digits of a part.
    fn number_tail(
        &mut self,
        bytes: &[u8],
        pos: usize,
        end: usize,
        start: usize,
        part: Part,
    ) -> Result<usize, Fault> {
        let (digits, part) = match (bytes.get(pos), part) {
            (Some(b'.'), Part::Integer) => (pos + 1, Part::Fraction),
            (Some(b'e' | b'E'), Part::Integer | Part::Fraction) => {
                let sign = matches!(bytes.get(pos + 1), Some(b'+' | b'-'));
                (pos + 1 + usize::from(sign), Part::Exponent)
            }
            _ => {
                self.value_end(start, pos);
                return Ok(pos);
            }
        };
        if !bytes.get(digits).is_some_and(u8::is_ascii_digit) {
            return Err(Fault { at: digits, expected: "a digit" });
        }
        // At most twice: the parts only go forward.
        self.number_part(bytes, digits + 1, end, start, part)
    }

    /// Goes on inside a string.
    #[inline]
    pub(super) fn string(
        &mut self,
        bytes: &[u8],
        from: usize,
        end: usize,
        mut string: Str,
    ) -> Result<usize, Fault> {
        let mut pos = from;
        loop {
            pos = plain_run(bytes, pos, end);
            if pos >= end {
                self.state = State::InString(string);
                return Ok(pos);
            }
            match bytes.get(pos) {
                Some(b'"') => break,
                Some(b'\\') => match escape_len(bytes, pos) {
                    Some(len) => {
                        string.escaped = true;
                        pos += len;
                    }
                    None => return Err(Fault { at: pos, expected: "an escape" }),
                },
                _ => return Err(Fault { at: pos, expected: "no control character" }),
            }
        }
        if string.key {
            if self.role != Role::Other {
                self.key(bytes, string.start + 1, pos, string.escaped);
            }
            // The usual next byte, without another turn of the loop.
            if bytes.get(pos + 1) == Some(&b':') {
                self.state = State::Value;
                return Ok(pos + 2);
            }
            self.state = State::Colon;
        } else {
            self.value_end(string.start, pos + 1);
        }
        Ok(pos + 1)
    }
}
