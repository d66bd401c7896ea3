//! Bytes in, lines out.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memchr;
use towpath_raw::{Inbound, LaneLimits, MessageTooLarge, Rejected};

use super::{
    LARGE_READ_BYTES, MEDIUM_READ_BYTES, SMALL_READ_BYTES,
    discard::{Discard, MAX_HEAD_BYTES, MAX_TAIL_BYTES, is_blank, last},
};

/// Cuts a stream of bytes into lines.
///
/// It owns what was read. Frames are slices of its buffer and are not copied, and no byte is looked at twice
/// for its newline, so the cost is linear whatever the chunks.
///
/// - LF ends a line; one CR before it belongs to the delimiter.
/// - Blank lines (spaces, tabs, CR) are passed over and counted.
/// - A UTF-8 byte order mark at the very start is dropped.
/// - A line whose first byte after blanks is neither `{` nor `[` is [`Inbound::Skipped`]; of such a line only
///   the beginning is held, however long it is.
/// - A line over [`LaneLimits::max_message_bytes`] is counted and dropped while it is read, and reported once,
///   at its end, with its exact size.
/// - A last line without a newline is delivered like any other: a peer that is told everything by
///   `echo -n … |` must answer. One that does not end in `}` or `]` cannot be whole: it is counted in
///   [`LineDecoder::truncated_bytes`] instead. Only a JSON parser can say more.
///
/// # Memory
///
/// It holds at most `max_message_bytes` plus one chunk. While its buffer grows it holds the old one too, for as
/// long as the copy takes: half as much again at most, and up to as much again where `max_message_bytes` is not
/// much larger than a chunk. A frame shares the buffer that it was read into, of 8
/// to 256 KiB, with its neighbours, or has one to itself if it is larger: who keeps a small frame for long
/// copies it, or keeps all of that buffer.
///
/// # Example
///
/// ```
/// use towpath_raw::{Inbound, LaneLimits};
/// use towpath_stdio::LineDecoder;
///
/// let mut decoder = LineDecoder::new(&LaneLimits::default());
/// decoder.feed(b"{\"id\":1}\r\n\n{\"id\":");
/// let Some(Inbound::Frame(frame)) = decoder.decode() else { panic!("no frame") };
/// assert_eq!(frame, "{\"id\":1}");
/// assert!(decoder.decode().is_none(), "more bytes are needed");
/// ```
#[derive(Debug)]
pub struct LineDecoder {
    buffer: BytesMut,
    /// How far into the buffer there is no newline.
    scanned: usize,
    /// Whether the line at the front of the buffer begins as a message does.
    begun: bool,
    discard: Option<Discard>,
    /// Whether nothing was taken yet, so that a byte order mark may stand here.
    at_start: bool,
    limit: usize,
    read_bytes: usize,
    small_reads: u8,
    /// What the last line that did not fit into a read took: the next such line gets that at once.
    large_line_bytes: usize,
    blank_lines: u64,
    truncated_bytes: usize,
}

impl LineDecoder {
    /// A decoder at the start of a stream, without a buffer yet.
    pub fn new(limits: &LaneLimits) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            begun: false,
            discard: None,
            at_start: true,
            limit: limits.max_message_bytes,
            read_bytes: SMALL_READ_BYTES,
            small_reads: 0,
            large_line_bytes: 0,
            blank_lines: 0,
            truncated_bytes: 0,
        }
    }

    /// Takes a copy of a chunk. Call [`LineDecoder::decode`] until it gives nothing before the next one, else
    /// the decoder holds them all.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.make_room(chunk.len());
        self.buffer.extend_from_slice(chunk);
    }

    /// The room for the next read, so that nothing is copied. Tell [`LineDecoder::filled`] how much came.
    pub fn spare(&mut self) -> impl BufMut + '_ {
        self.make_room(self.read_bytes);
        (&mut self.buffer).limit(self.read_bytes)
    }

    /// So many bytes were put into [`LineDecoder::spare`]: the size of the next read follows the peer's pace.
    pub fn filled(&mut self, bytes: usize) {
        if bytes >= self.read_bytes {
            self.small_reads = 0;
            self.read_bytes = match self.read_bytes {
                SMALL_READ_BYTES => MEDIUM_READ_BYTES,
                _ => LARGE_READ_BYTES,
            };
        } else if self.read_bytes > SMALL_READ_BYTES && bytes < self.read_bytes / 8 {
            self.small_reads += 1;
            if self.small_reads == SMALL_READS_BEFORE_SHRINKING {
                self.small_reads = 0;
                self.read_bytes = match self.read_bytes {
                    LARGE_READ_BYTES => MEDIUM_READ_BYTES,
                    _ => SMALL_READ_BYTES,
                };
            }
        } else {
            self.small_reads = 0;
        }
    }

    /// The next line of what was fed: a frame, or what it was instead. `None`: more bytes are needed.
    ///
    /// It never gives [`Inbound::End`].
    pub fn decode(&mut self) -> Option<Inbound> {
        if self.at_start {
            match find_mark(&self.buffer) {
                Mark::Undecided => return None,
                Mark::Absent => {}
                Mark::Present => self.buffer.advance(BYTE_ORDER_MARK.len()),
            }
            self.at_start = false;
        }
        loop {
            if self.discard.is_some() {
                match self.pass_over()? {
                    Some(inbound) => return Some(inbound),
                    None => continue,
                }
            }
            if !self.begun {
                let rest = self.buffer.get(self.scanned..).unwrap_or_default();
                let blanks = rest.iter().position(|byte| !is_blank(*byte));
                self.scanned += blanks.unwrap_or(rest.len());
                match self.buffer.get(self.scanned) {
                    None if self.scanned <= self.limit => return None,
                    Some(b'\n') => {
                        self.buffer.advance(self.scanned + 1);
                        self.scanned = 0;
                        self.blank_lines += 1;
                        continue;
                    }
                    Some(b'{' | b'[') => self.begun = true,
                    None | Some(_) => {
                        self.start_discarding();
                        continue;
                    }
                }
            }
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            match memchr(b'\n', rest) {
                Some(at) => return Some(self.take_line(self.scanned + at)),
                None => {
                    self.scanned = self.buffer.len();
                    // The one byte over it may be the CR of the delimiter.
                    let cr = usize::from(self.buffer.last() == Some(&b'\r'));
                    if self.scanned - cr <= self.limit {
                        return None;
                    }
                    self.start_discarding();
                }
            }
        }
    }

    /// The last line, at the end of the stream; `None` when there is none (any more).
    ///
    /// Call [`LineDecoder::decode`] until it gives nothing before.
    pub fn finish(&mut self) -> Option<Inbound> {
        // Nothing but a part of a byte order mark can be undecided here, and it is no message.
        self.at_start = false;
        let last = match self.discard.take() {
            Some(mut discard) => {
                discard.absorb(&self.buffer);
                let last = discard.finish(self.limit);
                self.blank_lines += u64::from(last.is_none());
                last
            }
            None if self.begun => {
                let mut line = self.buffer.split();
                drop_cr(&mut line);
                if is_cut_off(&line) {
                    self.truncated_bytes = line.len();
                    None
                } else {
                    Some(Inbound::Frame(line.freeze()))
                }
            }
            None => {
                let mut discard = Discard::new();
                discard.absorb(&self.buffer);
                let last = discard.finish(self.limit);
                self.blank_lines += u64::from(last.is_none() && !self.buffer.is_empty());
                last
            }
        };
        self.buffer = BytesMut::new();
        self.scanned = 0;
        self.begun = false;
        last
    }

    /// How many blank lines were passed over.
    pub fn blank_lines(&self) -> u64 {
        self.blank_lines
    }

    /// How many bytes of a message that was cut off stood before the end of the stream, once
    /// [`LineDecoder::finish`] has found it.
    pub fn truncated_bytes(&self) -> usize {
        self.truncated_bytes
    }

    /// Whether a message has begun, and not ended.
    pub(crate) fn is_in_message(&self) -> bool {
        self.begun
    }

    /// How many bytes the decoder holds room for at this moment.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Goes on in a line that is not held: `None` when more of it is needed, `Some(None)` after a blank one.
    fn pass_over(&mut self) -> Option<Option<Inbound>> {
        let discard = self.discard.as_mut()?;
        let Some(end) = memchr(b'\n', &self.buffer) else {
            discard.absorb(&self.buffer);
            self.buffer.clear();
            return None;
        };
        discard.absorb(self.buffer.get(..end).unwrap_or_default());
        self.buffer.advance(end + 1);
        let inbound = self.discard.take().and_then(|discard| discard.finish(self.limit));
        self.blank_lines += u64::from(inbound.is_none());
        Some(inbound)
    }

    fn start_discarding(&mut self) {
        self.scanned = 0;
        self.begun = false;
        let mut discard = Discard::new();
        if memchr(b'\n', &self.buffer).is_none() {
            discard.absorb(&self.buffer);
            // What the line has taken is given back now; the rest of it goes through a buffer of one chunk.
            self.buffer = BytesMut::new();
            self.large_line_bytes = 0;
        }
        self.discard = Some(discard);
    }

    /// Takes the line that ends with the newline at `end`.
    fn take_line(&mut self, end: usize) -> Inbound {
        let mut line = self.buffer.split_to(end + 1);
        self.scanned = 0;
        self.begun = false;
        if end > KEPT_BUFFER_BYTES {
            // What follows must not keep the large buffer.
            self.replace(self.buffer.len());
        }
        line.truncate(end);
        drop_cr(&mut line);
        if line.len() > self.limit {
            let size = MessageTooLarge { limit: self.limit, seen: line.len(), exact: true };
            let head = Bytes::copy_from_slice(line.get(..MAX_HEAD_BYTES).unwrap_or(&line));
            let tail = Bytes::copy_from_slice(last(&line, MAX_TAIL_BYTES));
            return Inbound::Rejected(Rejected::TooLarge { size, head, tail });
        }
        if line.len() > self.read_bytes {
            self.large_line_bytes = line.len();
        }
        Inbound::Frame(line.freeze())
    }

    /// Makes room for `wanted` more bytes.
    fn make_room(&mut self, wanted: usize) {
        let len = self.buffer.len();
        if self.buffer.capacity() - len >= wanted {
            return;
        }
        let most = self.limit.saturating_add(1).max(len).saturating_add(wanted);
        if len < self.read_bytes {
            // Between lines, or shortly after: what has left the buffer is either free to be used again, or in
            // frames that live on, and then a new buffer is cheaper than to wait for them.
            if !self.buffer.try_reclaim(wanted) {
                self.replace(len.saturating_add(wanted));
            }
            return;
        }
        // A line that does not fit. The room doubles, so that the copies stay linear; the last step goes to
        // the limit, from at most half of it, so that the old and the new buffer together stay below it.
        let doubled = (self.buffer.capacity() * 2).max(len.saturating_add(wanted));
        let expected = self.large_line_bytes.saturating_add(wanted);
        self.large_line_bytes /= 2;
        let target = doubled.max(expected);
        self.replace(if target > most / 2 { most } else { target });
    }

    /// Moves to a new buffer.
    fn replace(&mut self, capacity: usize) {
        let mut buffer = BytesMut::with_capacity(capacity);
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
    }
}

enum Mark {
    Undecided,
    Absent,
    Present,
}

fn find_mark(start: &[u8]) -> Mark {
    if start.starts_with(BYTE_ORDER_MARK) {
        Mark::Present
    } else if BYTE_ORDER_MARK.starts_with(start) {
        Mark::Undecided
    } else {
        Mark::Absent
    }
}

fn drop_cr(line: &mut BytesMut) {
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
}

/// Whether a line that begins as a message does certainly lacks its end.
fn is_cut_off(line: &[u8]) -> bool {
    !matches!(line.iter().rfind(|byte| !is_blank(**byte)), Some(b'}' | b']'))
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A single small read says little: a large message can end in one.
const SMALL_READS_BEFORE_SHRINKING: u8 = 8;
/// A buffer larger than this is not kept after the line that needed it.
const KEPT_BUFFER_BYTES: usize = 2 * LARGE_READ_BYTES;
