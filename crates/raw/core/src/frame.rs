//! One message on its way out.

use bytes::{Bytes, BytesMut};

/// One message on its way out: up to three segments, written back to back.
///
/// A small message is one segment. A large one is an envelope around a payload that need not be copied: head,
/// body, tail. The delimiter of the framing is not part of it.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    head: Bytes,
    body: Bytes,
    tail: Bytes,
}

impl Frame {
    /// A frame of three segments; any of them may be empty.
    pub fn segmented(head: Bytes, body: Bytes, tail: Bytes) -> Self {
        Self { head, body, tail }
    }

    /// The length of the whole frame in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }

    /// Whether there is not a single byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segments in order; empty ones are among them.
    pub fn segments(&self) -> [&Bytes; 3] {
        [&self.head, &self.body, &self.tail]
    }

    /// The segments in order, given away.
    pub fn into_segments(self) -> [Bytes; 3] {
        [self.head, self.body, self.tail]
    }

    /// The frame as one run of bytes: free of copying when only one segment has any.
    pub fn into_bytes(self) -> Bytes {
        match (self.head.is_empty(), self.body.is_empty(), self.tail.is_empty()) {
            (_, true, true) => self.head,
            (true, _, true) => self.body,
            (true, true, _) => self.tail,
            _ => {
                let mut whole = BytesMut::with_capacity(self.len());
                for segment in self.segments() {
                    whole.extend_from_slice(segment);
                }
                whole.freeze()
            }
        }
    }
}

impl From<Bytes> for Frame {
    fn from(head: Bytes) -> Self {
        Self { head, body: Bytes::new(), tail: Bytes::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_is_not_copied() {
        let bytes = Bytes::from(vec![7; 64]);
        let address = bytes.as_ptr();
        assert_eq!(Frame::from(bytes.clone()).into_bytes().as_ptr(), address);
        let body_only = Frame::segmented(Bytes::new(), bytes, Bytes::new());
        assert_eq!(body_only.into_bytes().as_ptr(), address);
    }

    #[test]
    fn segments_join_in_order() {
        let frame = Frame::segmented("ab".into(), "cd".into(), "e".into());
        assert_eq!(frame.len(), 5);
        assert_eq!(frame.into_bytes(), "abcde");
    }
}
