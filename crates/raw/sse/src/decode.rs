//! Cuts a stream of bytes into lines, and makes events of them.

mod build;
mod skip;

use std::{mem, ops::Range, time::Duration};

use bytes::Bytes;
use memchr::memchr2;

use self::build::{Builder, Field};
use crate::{SseError, SseEvent, SseLimits};

/// Makes events of a stream of bytes, however it is cut into chunks. It does no I/O.
///
/// It follows the `text/event-stream` format of the HTML standard: CR, LF and CRLF end a line, a byte order mark at the
/// very start is dropped, data lines are joined, unknown fields and comments are passed over. It differs in two
/// points: UTF-8 is not checked, and an event that the end of the stream cuts off is given by default
/// ([`SseLimits::strict_end`]).
///
/// No byte is looked at twice for the end of its line, and data is copied at most once, when a line is broken over chunks
/// or an event has several data lines; so the cost is linear whatever the chunks.
///
/// ```
/// use towpath_sse::{Decoder, SseLimits};
///
/// let mut decoder = Decoder::new(&SseLimits::default());
/// decoder.push("data: one\n\ndata: t".into());
/// assert_eq!(decoder.next_event().unwrap().unwrap().data, "one");
/// assert!(decoder.next_event().unwrap().is_none());
/// decoder.push("wo\n\n".into());
/// assert_eq!(decoder.next_event().unwrap().unwrap().data, "two");
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// What was pushed, read up to `at`.
    chunk: Bytes,
    at: usize,
    /// How many bytes of a byte order mark were seen; its length once none can come any more.
    bom: usize,
    /// Whether the last byte read was a CR: an LF after it belongs to it.
    after_cr: bool,
    /// What is known of a line that earlier chunks began.
    partial: Partial,
    /// What has to be kept of that line: its name while that is not known, and the value of a short field.
    line: Vec<u8>,
    builder: Builder,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Partial {
    /// The next byte begins a line.
    #[default]
    None,
    /// The name of the field is not known yet.
    Name,
    /// What follows is its value.
    Value(Field),
}

impl Decoder {
    /// A decoder at the start of a stream. It takes no memory yet.
    pub fn new(limits: &SseLimits) -> Self {
        Self {
            chunk: Bytes::new(),
            at: 0,
            bom: 0,
            after_cr: false,
            partial: Partial::None,
            line: Vec::new(),
            builder: Builder::new(limits.clone()),
        }
    }

    /// Takes a chunk. Call [`Decoder::next_event`] until it gives nothing before the next one: what is still unread is
    /// joined with the new chunk by copying both.
    pub fn push(&mut self, chunk: Bytes) {
        if self.at < self.chunk.len() {
            let unread = self.chunk.slice(self.at..);
            self.chunk = [unread, chunk].concat().into();
        } else {
            self.chunk = chunk;
        }
        self.at = 0;
    }

    /// The next event; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`SseError`]: that one event is lost. Go on calling: the events after it are given.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, SseError> {
        if self.bom < BYTE_ORDER_MARK.len() {
            self.skip_byte_order_mark();
        }
        while self.at < self.chunk.len() {
            let rest = self.chunk.get(self.at..).unwrap_or_default();
            if mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                self.at += 1;
                continue;
            }
            let start = self.at;
            // A blank line follows every event; no search is needed to see it.
            let blank = matches!(rest.first(), Some(b'\r' | b'\n'));
            let Some(length) = (if blank { Some(0) } else { line_end(rest) }) else {
                self.at = self.chunk.len();
                self.keep(start..self.at)?;
                break;
            };
            self.at += length + 1;
            match rest.get(length..) {
                Some([b'\r', b'\n', ..]) => self.at += 1,
                Some([b'\r']) => self.after_cr = true,
                _ => {}
            }
            let line = start..start + length;
            if self.partial != Partial::None {
                self.keep_last(line)?;
            } else if length > 0 {
                self.builder.line(&self.chunk, line)?;
            } else if let Some(event) = self.builder.dispatch()? {
                return Ok(Some(event));
            }
        }
        // A chunk that was read must not be held until the next one comes.
        self.chunk = Bytes::new();
        self.at = 0;
        Ok(None)
    }

    /// The stream has ended: the event that it cut off, unless [`SseLimits::strict_end`] is set.
    ///
    /// Call [`Decoder::next_event`] until it gives nothing before.
    ///
    /// # Errors
    ///
    /// [`SseError`]: the last event was cut off, and was too large besides.
    pub fn finish(&mut self) -> Result<Option<SseEvent>, SseError> {
        let kept = if self.partial == Partial::None { Ok(()) } else { self.keep_last(0..0) };
        let last =
            if self.builder.limits().strict_end { self.builder.give_up() } else { self.builder.cut_off() };
        kept.and(last)
    }

    /// How many bytes of an unfinished event are there: 0 between events. Of an event that is passed over it counts
    /// what was seen of its data.
    pub fn pending_bytes(&self) -> usize {
        self.builder.pending_bytes() + self.line.len()
    }

    /// Whether the bytes so far end where an event does, or before the first one.
    pub fn is_between_events(&self) -> bool {
        let harmless = [Partial::None, Partial::Value(Field::Comment), Partial::Value(Field::Unknown)];
        harmless.contains(&self.partial) && self.builder.is_empty()
    }

    /// The id to resume from, if an event gave one: what to send as `Last-Event-ID`. Empty: none.
    ///
    /// It changes at the blank line that ends an event, with or without data; so an event that the end of the stream
    /// cuts off does not set it, though it may be given.
    pub fn last_event_id(&self) -> &[u8] {
        self.builder.last_event_id()
    }

    /// How long to wait before connecting again, if the peer said so.
    pub fn retry(&self) -> Option<Duration> {
        self.builder.retry()
    }

    /// How many comments there were. They mean nothing but that the stream is alive.
    pub fn comments(&self) -> u64 {
        self.builder.comments()
    }

    fn skip_byte_order_mark(&mut self) {
        while let (Some(expected), Some(byte)) = (BYTE_ORDER_MARK.get(self.bom), self.chunk.get(self.at)) {
            if expected != byte {
                if self.bom > 0 {
                    // A part of the mark was the beginning of a name; no known one begins so.
                    self.partial = Partial::Value(Field::Unknown);
                }
                self.bom = BYTE_ORDER_MARK.len();
                return;
            }
            self.bom += 1;
            self.at += 1;
        }
    }

    /// Keeps what is needed of a line that goes on in the next chunk.
    fn keep(&mut self, part: Range<usize>) -> Result<(), SseError> {
        let mut rest = self.chunk.get(part).unwrap_or_default();
        let mut begun = Ok(());
        if !matches!(self.partial, Partial::Value(_)) {
            let room = LONGEST_NAME_BYTES.saturating_sub(self.line.len()).min(rest.len());
            let (prefix, after) = rest.split_at(room);
            self.line.extend_from_slice(prefix);
            rest = after;
            let Some((field, value)) = Field::of_beginning(&self.line) else {
                self.partial = Partial::Name;
                return Ok(());
            };
            self.partial = Partial::Value(field);
            self.line.drain(..value);
            begun = self.builder.begin(field);
        }
        let Partial::Value(field) = self.partial else { return begun };
        let kept = match self.builder.limit_of(field) {
            Some(limit) if rest.len() + self.line.len() <= limit => {
                self.line.extend_from_slice(rest);
                return begun;
            }
            Some(_) => {
                self.partial = Partial::Value(Field::Unknown);
                self.builder.too_large(field)
            }
            None if field == Field::Data => {
                // Every byte has to be counted, be there an error already or not.
                let first = self.builder.more_data(&self.line);
                first.and(self.builder.more_data(rest))
            }
            None => Ok(()),
        };
        self.line.clear();
        begun.and(kept)
    }

    /// The end of a line that earlier chunks began.
    fn keep_last(&mut self, part: Range<usize>) -> Result<(), SseError> {
        let kept = self.keep(part);
        let line = Bytes::copy_from_slice(&self.line);
        self.line.clear();
        let ended = match mem::take(&mut self.partial) {
            Partial::None => Ok(()),
            Partial::Name => self.builder.line(&line, 0..line.len()),
            Partial::Value(field) => self.builder.short_field(field, &line, 0..line.len()),
        };
        kept.and(ended)
    }
}

/// Where the first CR or LF is.
///
/// A long line is mostly text, and text is above the control characters: the least byte of a block, which takes a compiler
/// one instruction for many bytes, is found several times faster than either of two bytes.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    let (short, long) = bytes.split_at(bytes.len().min(SHORT_LINE_BYTES));
    if let Some(at) = memchr2(b'\r', b'\n', short) {
        return Some(at);
    }
    let mut blocks = long.chunks(BLOCK_BYTES).enumerate();
    blocks.find_map(|(number, block)| {
        let least = block.iter().copied().fold(u8::MAX, u8::min);
        let at = if least <= b'\r' { memchr2(b'\r', b'\n', block)? } else { return None };
        Some(short.len() + number * BLOCK_BYTES + at)
    })
}

const SHORT_LINE_BYTES: usize = 256;

const BLOCK_BYTES: usize = 1 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// With the colon and the space after it: so much of a line tells its field and where the value begins.
const LONGEST_NAME_BYTES: usize = "retry: ".len();

#[cfg(test)]
mod tests;
