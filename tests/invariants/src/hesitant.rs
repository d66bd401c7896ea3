//! A peer that is not ready before any chunk, and a caller that gives up each time.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use towpath_raw::{Chunks, ExchangeError};

/// Gives its chunks, and is pending once before each of them, and before the end.
pub(crate) struct Hesitant {
    chunks: VecDeque<Bytes>,
    is_ready: bool,
}

impl Hesitant {
    pub(crate) fn new(chunks: &[&[u8]]) -> Self {
        // An empty one would be taken for the end.
        let chunks = chunks.iter().filter(|chunk| !chunk.is_empty());
        Self { chunks: chunks.map(|chunk| Bytes::copy_from_slice(chunk)).collect(), is_ready: false }
    }

    /// How often it will be pending, at most.
    pub(crate) fn pauses(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len().div_ceil(SMALLEST_READ_BYTES)).sum::<usize>() + 1
    }

    fn is_pending(&mut self) -> bool {
        self.is_ready = !self.is_ready;
        self.is_ready
    }
}

impl AsyncRead for Hesitant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_pending() {
            return Poll::Pending;
        }
        if let Some(chunk) = self.chunks.front_mut() {
            buffer.put_slice(&chunk.split_to(chunk.len().min(buffer.remaining())));
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Chunks for Hesitant {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        if self.is_pending() { Poll::Pending } else { Poll::Ready(Ok(self.chunks.pop_front())) }
    }
}

/// Polls a future once, and drops it if it is not done.
pub(crate) fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Nobody reads less at once where there is more.
const SMALLEST_READ_BYTES: usize = 4 << 10;
