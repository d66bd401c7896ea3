//! An event that is counted and passed over while it is read.

use towpath_raw::MessageTooLarge;

use crate::SseError;

/// What an event that is not held has shown so far of its data.
#[derive(Debug, Default)]
pub(super) struct Skip {
    seen: usize,
    head: Vec<u8>,
    tail: Vec<u8>,
    reported: bool,
}

impl Skip {
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Somebody was told about it: it is only to be passed over.
    pub(super) fn set_reported(&mut self) {
        self.reported = true;
        (self.head, self.tail) = (Vec::new(), Vec::new());
    }

    pub(super) fn absorb(&mut self, bytes: &[u8]) {
        self.seen = self.seen.saturating_add(bytes.len());
        if self.reported {
            return;
        }
        let room = MAX_HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let last = bytes.get(bytes.len().saturating_sub(MAX_TAIL_BYTES)..).unwrap_or(bytes);
        self.tail.extend_from_slice(last);
        self.tail.drain(..self.tail.len().saturating_sub(MAX_TAIL_BYTES));
    }

    /// Reports it, unless that was done.
    pub(super) fn report(&mut self, limit: usize, ended: bool) -> Result<(), SseError> {
        if self.reported {
            return Ok(());
        }
        let size = MessageTooLarge { limit, seen: self.seen, exact: ended };
        let head = std::mem::take(&mut self.head).into();
        let tail = std::mem::take(&mut self.tail);
        self.reported = true;
        Err(SseError::EventTooLarge {
            size,
            head,
            tail: if ended { tail.into() } else { Default::default() },
        })
    }
}

/// How much is kept of the beginning.
const MAX_HEAD_BYTES: usize = 1 << 10;

/// How much is kept of the end.
const MAX_TAIL_BYTES: usize = 256;
