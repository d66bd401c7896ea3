//! What waits to be given to the sink.

use std::{collections::VecDeque, convert::Infallible};

use bytes::{Bytes, BytesMut};
use towpath_buffer::{BufferPool, PooledBuffer};
use towpath_jsonrpc::{Id, encode};
use towpath_raw::{Frame, Route};

/// Bodies up to this size are copied into the common buffer; a larger one is a segment of its own.
const COPY_BYTES: usize = 4 << 10;

/// Why a frame is in the outbox; it decides what becomes of it at the limits and at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A request of ours: its id.
    Call(u64),
    /// The answer to a request of the peer.
    Answer,
    /// A refusal: the answer to a request that was not taken.
    Refusal,
    /// The answers to a batch, with so many refusals among them.
    Batch { refusals: usize },
    /// A notification from a handler.
    Notification,
    /// The cancellation of a request of ours, by its id.
    Cancellation(u64),
}

impl Origin {
    /// Whether nothing follows it on the exchange that it is part of.
    fn ends_its_exchange(self) -> bool {
        match self {
            Origin::Answer | Origin::Refusal | Origin::Batch { .. } => true,
            Origin::Call(_) | Origin::Notification | Origin::Cancellation(_) => false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) frame: Frame,
    pub(crate) origin: Origin,
}

/// How much of each kind the peer has not taken yet, in the outbox and beyond it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unread {
    pub(crate) answers: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) refusals: usize,
    pub(crate) notification_bytes: usize,
}

impl Unread {
    pub(crate) fn add(&mut self, origin: Origin, bytes: usize) {
        match origin {
            Origin::Answer => {
                self.answers += 1;
                self.answer_bytes += bytes;
            }
            Origin::Batch { refusals } => {
                self.answers += 1;
                self.answer_bytes += bytes;
                self.refusals += refusals;
            }
            Origin::Refusal => self.refusals += 1,
            Origin::Notification => self.notification_bytes += bytes,
            Origin::Call(_) | Origin::Cancellation(_) => {}
        }
    }

    /// Takes off what the peer has begun to take, or will never get.
    pub(crate) fn subtract(&mut self, begun: Unread) {
        self.answers -= begun.answers;
        self.answer_bytes -= begun.answer_bytes;
        self.refusals -= begun.refusals;
        self.notification_bytes -= begun.notification_bytes;
    }
}

/// Frames in the order in which they are to be sent. Small ones share one buffer, which is lent by a pool: an idle
/// link holds none.
#[derive(Debug)]
pub(crate) struct Outbox {
    pool: BufferPool,
    buffer: Option<PooledBuffer>,
    frames: VecDeque<Outgoing>,
    pub(crate) unread: Unread,
}

impl Outbox {
    pub(crate) fn new(pool: BufferPool) -> Self {
        Self { pool, buffer: None, frames: VecDeque::new(), unread: Unread::default() }
    }

    /// Gives the buffer back, when there is nothing to be written: an idle link has no use for it.
    pub(crate) fn rest(&mut self) {
        self.buffer = None;
    }

    /// Queues a frame for an exchange: what `write` appends to the common buffer, the body that it gives, and a tail.
    /// When it fails, nothing is queued.
    pub(crate) fn try_push<E>(
        &mut self,
        origin: Origin,
        route: Route,
        tail: &'static [u8],
        write: impl FnOnce(&mut BytesMut) -> Result<Bytes, E>,
    ) -> Result<(), E> {
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        let body = match write(buffer) {
            Ok(body) => body,
            Err(error) => {
                buffer.clear();
                return Err(error);
            }
        };
        let frame = if body.len() <= COPY_BYTES {
            buffer.extend_from_slice(&body);
            buffer.extend_from_slice(tail);
            Frame::from(buffer.split_frozen())
        } else {
            Frame::segmented(buffer.split_frozen(), body, Bytes::from_static(tail))
        };
        self.push_frame(origin, route, frame);
        Ok(())
    }

    /// Ends an exchange that gets no answer. The lane itself has no end but its own.
    pub(crate) fn end_exchange(&mut self, route: Route) {
        if route != Route::LANE {
            // A peer that leaves these unread is not read any more, as with refusals.
            self.push_frame(Origin::Refusal, route, Frame::default());
        }
    }

    fn push_frame(&mut self, origin: Origin, route: Route, frame: Frame) {
        let frame = frame.on(route);
        let frame = if origin.ends_its_exchange() { frame.last() } else { frame };
        self.unread.add(origin, frame.len());
        self.frames.push_back(Outgoing { frame, origin });
    }

    /// Queues a whole message that `write` appends.
    pub(crate) fn push(&mut self, origin: Origin, route: Route, write: impl FnOnce(&mut BytesMut)) {
        let pushed = self.try_push(origin, route, b"", |out| {
            write(out);
            Ok::<_, Infallible>(Bytes::new())
        });
        match pushed {
            Ok(()) => {}
        }
    }

    /// Queues an error answer.
    pub(crate) fn push_error(
        &mut self,
        origin: Origin,
        route: Route,
        id: Option<&Id>,
        error: &towpath_jsonrpc::ErrorObject,
    ) {
        self.push(origin, route, |out| encode::error(out, id, error));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Moves all frames to the end of `queue`.
    pub(crate) fn take_into(&mut self, queue: &mut VecDeque<Outgoing>) {
        if queue.is_empty() {
            std::mem::swap(&mut self.frames, queue);
        } else {
            queue.append(&mut self.frames);
        }
    }

    /// Takes the request of a call back, if it is still here.
    pub(crate) fn retract(&mut self, id: u64) -> bool {
        let Some(at) = self.frames.iter().position(|f| f.origin == Origin::Call(id)) else { return false };
        self.frames.remove(at);
        true
    }
}

#[cfg(test)]
mod tests {
    use towpath_buffer::PoolLimits;

    use super::*;

    #[test]
    fn small_bodies_are_joined_and_large_ones_are_not_copied() {
        let mut outbox = Outbox::new(BufferPool::new(PoolLimits::stdio()));
        let large = Bytes::from(vec![b'x'; COPY_BYTES + 1]);
        let address = large.as_ptr();
        for body in [Bytes::from("body"), large] {
            let pushed = outbox.try_push(Origin::Answer, Route::LANE, b"}", |out| {
                out.extend_from_slice(b"{");
                Ok::<_, Infallible>(body)
            });
            assert!(pushed.is_ok());
        }
        assert_eq!(outbox.unread.answers, 2);
        let mut frames = VecDeque::new();
        outbox.take_into(&mut frames);
        assert!(outbox.is_empty());
        assert_eq!(frames[0].frame.clone().into_bytes(), "{body}");
        assert_eq!(frames[1].frame.segments()[1].as_ptr(), address);
    }

    #[test]
    fn an_outbox_at_rest_holds_no_buffer() {
        let pool = BufferPool::new(PoolLimits::stdio());
        let mut outbox = Outbox::new(pool.clone());
        for _ in 0..3 {
            outbox.push(Origin::Answer, Route::LANE, |out| out.extend_from_slice(b"{}"));
            let mut frames = VecDeque::new();
            outbox.take_into(&mut frames);
            drop(frames);
            outbox.rest();
            assert_eq!(pool.stats().pooled_buffers, 1, "the buffer was not given back");
        }
        assert_eq!((pool.stats().misses, pool.stats().hits), (1, 2));
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let mut outbox = Outbox::new(BufferPool::new(PoolLimits::stdio()));
        let failed = outbox.try_push(Origin::Answer, Route::LANE, b"}", |out| {
            out.extend_from_slice(b"half a mess");
            Err("refused")
        });
        assert_eq!(failed, Err("refused"));
        outbox.push(Origin::Answer, Route::LANE, |out| out.extend_from_slice(b"{}"));
        let mut frames = VecDeque::new();
        outbox.take_into(&mut frames);
        assert_eq!(frames.pop_front().map(|f| f.frame.into_bytes()), Some(Bytes::from("{}")));
    }

    #[test]
    fn a_request_can_be_taken_back_until_it_has_left() {
        let mut outbox = Outbox::new(BufferPool::new(PoolLimits::stdio()));
        for id in 0..3 {
            outbox.push(Origin::Call(id), Route::new(id + 1), |out| out.extend_from_slice(b"{}"));
        }
        assert!(outbox.retract(1) && !outbox.retract(1));
        let mut frames = VecDeque::new();
        outbox.take_into(&mut frames);
        assert_eq!(frames.len(), 2);
        assert!(!outbox.retract(0));
    }
}
