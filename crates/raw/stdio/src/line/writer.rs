//! Frames in, slices for vectored writes out.

use std::{collections::VecDeque, io::IoSlice, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;
use towpath_raw::{Frame, LaneError, LaneLimits, MessageTooLarge};

/// The queue of a sink: frames with their newlines, coalesced.
///
/// Small segments are copied into one buffer, so that many small frames go out as one slice; large ones are
/// kept as they are. A raw CR or LF in a frame, which in JSON can only stand between tokens, becomes a space,
/// so that a frame can never be taken for two.
///
/// An empty frame goes out as a blank line, which the other side passes over.
///
/// # Example
///
/// ```
/// use towpath_raw::{Frame, LaneLimits};
/// use towpath_stdio::LineWriter;
///
/// let mut writer = LineWriter::new(&LaneLimits::default());
/// writer.push(&"nobody".into(), Frame::from(bytes::Bytes::from("{\"id\":\n1}")))?;
/// let mut slices = [std::io::IoSlice::new(&[]); LineWriter::MAX_SLICES];
/// assert_eq!(writer.slices(&mut slices), 1);
/// assert_eq!(&*slices[0], b"{\"id\": 1}\n");
/// writer.advance(4);
/// assert_eq!((writer.queued_bytes(), writer.frames_begun()), (6, 1));
/// # Ok::<(), towpath_raw::LaneError>(())
/// ```
#[derive(Debug)]
pub struct LineWriter {
    segments: VecDeque<Bytes>,
    /// What stands after the segments, and grows.
    tail: BytesMut,
    queued_bytes: usize,
    /// All bytes ever queued and ever taken.
    pushed: u64,
    taken: u64,
    /// Where the frames that have not begun start, in the bytes ever queued.
    starts: VecDeque<u64>,
    frames_begun: u64,
    limits: LaneLimits,
}

impl LineWriter {
    /// The most slices that [`LineWriter::slices`] gives.
    pub const MAX_SLICES: usize = 64;

    /// An empty queue.
    pub fn new(limits: &LaneLimits) -> Self {
        Self {
            segments: VecDeque::new(),
            tail: BytesMut::new(),
            queued_bytes: 0,
            pushed: 0,
            taken: 0,
            starts: VecDeque::new(),
            frames_begun: 0,
            limits: limits.clone(),
        }
    }

    /// Queues a frame for `peer`, who is named in the error.
    ///
    /// # Errors
    ///
    /// [`LaneError::TooLarge`]: nothing was queued. Setting: [`LaneLimits::max_message_bytes`].
    pub fn push(&mut self, peer: &Arc<str>, frame: Frame) -> Result<(), LaneError> {
        let length = frame.len();
        let limit = self.limits.max_message_bytes;
        if length > limit {
            let source = MessageTooLarge { limit, seen: length, exact: true };
            return Err(LaneError::TooLarge { peer: peer.clone(), source });
        }
        self.starts.push_back(self.pushed);
        for segment in frame.into_segments() {
            if segment.len() < COPIED_SEGMENT_BYTES {
                let start = self.tail.len();
                self.tail.extend_from_slice(&segment);
                replace_newlines(self.tail.get_mut(start..).unwrap_or_default());
            } else {
                if !self.tail.is_empty() {
                    self.segments.push_back(self.tail.split().freeze());
                }
                self.segments.push_back(on_one_line(segment));
            }
        }
        self.tail.extend_from_slice(b"\n");
        self.queued_bytes += length + 1;
        self.pushed += length as u64 + 1;
        Ok(())
    }

    /// Whether there is room for another frame within [`LaneLimits::write_queue_bytes`] and
    /// [`LaneLimits::write_queue_frames`]. An empty queue always has room.
    pub fn has_room(&self) -> bool {
        self.queued_bytes == 0
            || self.queued_bytes < self.limits.write_queue_bytes
                && self.queued_frames() < self.limits.write_queue_frames
    }

    /// Fills in what is to be written next, and says how many slices that is.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; Self::MAX_SLICES]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&*self.tail);
        let queued = self.segments.iter().map(|segment| &**segment).chain(tail);
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(queued) {
            *slice = IoSlice::new(segment);
            count += 1;
        }
        count
    }

    /// So many bytes of the slices were taken.
    pub fn advance(&mut self, bytes: usize) {
        let mut rest = bytes.min(self.queued_bytes);
        self.queued_bytes -= rest;
        self.taken += rest as u64;
        while self.starts.front().is_some_and(|start| *start < self.taken) {
            self.starts.pop_front();
            self.frames_begun += 1;
        }
        while let Some(segment) = self.segments.front_mut() {
            if rest < segment.len() {
                segment.advance(rest);
                return;
            }
            rest -= segment.len();
            self.segments.pop_front();
        }
        self.tail.advance(rest.min(self.tail.len()));
        if self.tail.is_empty() && self.tail.capacity() > KEPT_TAIL_BYTES {
            self.tail = BytesMut::new();
        }
    }

    /// How many bytes are queued, newlines included.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// How many frames are queued, a partly written one included.
    pub fn queued_frames(&self) -> usize {
        let next = self.starts.front().copied().unwrap_or(self.pushed);
        self.starts.len() + usize::from(self.taken < next)
    }

    /// How many frames have had at least one byte taken.
    pub fn frames_begun(&self) -> u64 {
        self.frames_begun
    }

    /// Gives the memory back, and keeps the counts: nothing can be written any more.
    pub(crate) fn abandon(&mut self) {
        self.segments = VecDeque::new();
        self.tail = BytesMut::new();
    }
}

fn replace_newlines(bytes: &mut [u8]) {
    let Some(first) = memchr2(b'\n', b'\r', bytes) else { return };
    for byte in bytes.iter_mut().skip(first) {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The segment without raw newlines: copied only when it has one.
fn on_one_line(segment: Bytes) -> Bytes {
    if memchr2(b'\n', b'\r', &segment).is_none() {
        return segment;
    }
    let mut copy = BytesMut::from(&*segment);
    drop(segment);
    replace_newlines(&mut copy);
    copy.freeze()
}

/// Segments below this are copied: a slice of their own would cost more.
const COPIED_SEGMENT_BYTES: usize = 4 << 10;
/// A coalescing buffer up to this size is used again.
const KEPT_TAIL_BYTES: usize = 64 << 10;
