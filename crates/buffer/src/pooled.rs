//! The guard of a buffer that is lent.

use std::{
    mem,
    ops::{Deref, DerefMut},
};

use bytes::{Bytes, BytesMut};

use crate::BufferPool;

/// A buffer lent by a [`BufferPool`]. Dropped, it is emptied and given back.
pub struct PooledBuffer {
    buffer: BytesMut,
    /// `None` when the buffer does not go back.
    pool: Option<BufferPool>,
    /// The address of a buffer that has lain in the pool; 0 for a new one.
    kept_at: usize,
}

impl PooledBuffer {
    pub(crate) fn new(buffer: BytesMut, pool: Option<BufferPool>) -> Self {
        Self { buffer, pool, kept_at: 0 }
    }

    pub(crate) fn kept(buffer: BytesMut, pool: BufferPool) -> Self {
        let kept_at = buffer.as_ptr() as usize;
        Self { buffer, pool: Some(pool), kept_at }
    }

    /// What was written, without a copy. The memory leaves the pool, all of it, for as long as a part of the
    /// result is in use: for a small part of a large buffer prefer [`split_frozen`](Self::split_frozen), or a
    /// copy.
    pub fn freeze(mut self) -> Bytes {
        self.pool = None;
        mem::take(&mut self.buffer).freeze()
    }

    /// What was written since the last split, without a copy; the spare capacity stays for what comes next.
    ///
    /// So many small frames share one allocation. When it is used up, the next `reserve` (every write of
    /// [`BufMut`](bytes::BufMut) that does not fit includes one) takes the whole allocation again if all
    /// parts are gone, and else allocates. A buffer that is dropped while a part is in use does not return to
    /// the pool.
    pub fn split_frozen(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            let unmoved = self.buffer.as_ptr() as usize == self.kept_at;
            pool.give_back(mem::take(&mut self.buffer), unmoved);
        }
    }
}

impl Deref for PooledBuffer {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.buffer
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }
}

impl std::fmt::Debug for PooledBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PooledBuffer")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
