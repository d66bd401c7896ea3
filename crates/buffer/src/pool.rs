//! The pool: a stack of empty buffers under a byte budget.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::BytesMut;
use towpath_raw::{Level, Mutex};

use crate::{PoolLimits, PooledBuffer};

/// A pool of buffers for one owner. Clones are handles of the same pool.
///
/// The pool keeps its memory as long as it or a clone of it lives, or a buffer that it lent; see
/// [`clear`](Self::clear).
#[derive(Clone)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

struct Shared {
    limits: PoolLimits,
    kept: Mutex<Kept>,
    counters: Counters,
}

/// What lies in the pool: each buffer empty and the only handle of its allocation.
#[derive(Default)]
struct Kept {
    buffers: Vec<BytesMut>,
    bytes: usize,
    // Counted under the lock that is held anyway: an atomic would cost as much again.
    hits: u64,
    misses: u64,
}

#[derive(Default)]
struct Counters {
    discarded_oversized: AtomicU64,
    discarded_over_budget: AtomicU64,
    discarded_shared: AtomicU64,
    discarded_undersized: AtomicU64,
}

/// What a [`BufferPool`] has counted since it was made, and what lies in it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Buffers lent that had been used before.
    pub hits: u64,
    /// Buffers lent that had to be allocated.
    pub misses: u64,
    /// Buffers freed for being larger than [`PoolLimits::max_pooled_buffer_bytes`].
    pub discarded_oversized: u64,
    /// Buffers freed for want of room under [`PoolLimits::max_pooled_bytes`].
    pub discarded_over_budget: u64,
    /// Buffers let go because a frozen part of them was still in use.
    pub discarded_shared: u64,
    /// Buffers freed for being smaller than [`PoolLimits::initial_bytes`], such as one that was swapped for
    /// another.
    pub discarded_undersized: u64,
    /// The bytes that lie in the pool.
    pub pooled_bytes: usize,
    /// The buffers that lie in the pool.
    pub pooled_buffers: usize,
}

impl BufferPool {
    /// An empty pool, which allocates no buffer before one is asked for.
    pub fn new(limits: PoolLimits) -> Self {
        let limits = PoolLimits { initial_bytes: limits.initial_bytes.max(MIN_INITIAL_BYTES), ..limits };
        let kept = Mutex::new(Level::Handler, "BufferPool::kept", Kept::default());
        Self { shared: Arc::new(Shared { limits, kept, counters: Counters::default() }) }
    }

    /// Lends an empty buffer: the one given back last, or else a new one of [`PoolLimits::initial_bytes`].
    pub fn take(&self) -> PooledBuffer {
        let kept = self.shared.kept.lock().pop();
        match kept {
            Some(buffer) => PooledBuffer::kept(buffer, self.clone()),
            None => PooledBuffer::new(
                BytesMut::with_capacity(self.shared.limits.initial_bytes),
                Some(self.clone()),
            ),
        }
    }

    /// Lends an empty buffer with room for at least so many bytes.
    ///
    /// Below [`PoolLimits::initial_bytes`] it is allocated to measure and never comes to the pool, whose lock
    /// would cost more than that; it is counted neither as a hit nor as a miss.
    pub fn take_sized(&self, bytes: usize) -> PooledBuffer {
        if bytes < self.shared.limits.initial_bytes {
            return PooledBuffer::new(BytesMut::with_capacity(bytes), None);
        }
        let mut buffer = self.take();
        buffer.reserve(bytes);
        buffer
    }

    /// Frees what lies in the pool, for an owner that has become idle. Buffers that are lent are not touched.
    pub fn clear(&self) {
        let freed = self.shared.kept.lock().clear();
        drop(freed);
    }

    /// What was counted so far, and what lies in the pool now.
    pub fn stats(&self) -> PoolStats {
        let (hits, misses, pooled_bytes, pooled_buffers) = {
            let kept = self.shared.kept.lock();
            (kept.hits, kept.misses, kept.bytes, kept.buffers.len())
        };
        let counters = &self.shared.counters;
        PoolStats {
            hits,
            misses,
            discarded_oversized: counters.discarded_oversized.load(Relaxed),
            discarded_over_budget: counters.discarded_over_budget.load(Relaxed),
            discarded_shared: counters.discarded_shared.load(Relaxed),
            discarded_undersized: counters.discarded_undersized.load(Relaxed),
            pooled_bytes,
            pooled_buffers,
        }
    }

    /// Keeps a buffer, or lets it go; only one that may be kept is worth the lock. `unmoved` says that it is
    /// still where it was when the pool lent it.
    pub(crate) fn give_back(&self, mut buffer: BytesMut, unmoved: bool) {
        let Shared { limits, kept, counters } = &*self.shared;
        buffer.clear();
        if buffer.capacity() > limits.max_pooled_buffer_bytes {
            counters.discarded_oversized.fetch_add(1, Relaxed);
            return;
        }
        let Some(buffer) = whole(buffer, unmoved) else {
            counters.discarded_shared.fetch_add(1, Relaxed);
            return;
        };
        let refused = if buffer.capacity() > limits.max_pooled_buffer_bytes {
            &counters.discarded_oversized
        } else if buffer.capacity() < limits.initial_bytes {
            &counters.discarded_undersized
        } else {
            match kept.lock().push(buffer, limits.max_pooled_bytes) {
                Ok(()) => return,
                // The buffer is freed here, after the lock.
                Err(_buffer) => &counters.discarded_over_budget,
            }
        };
        refused.fetch_add(1, Relaxed);
    }
}

impl Kept {
    fn pop(&mut self) -> Option<BytesMut> {
        let buffer = self.buffers.pop();
        match &buffer {
            Some(buffer) => {
                self.bytes -= buffer.capacity();
                self.hits += 1;
            }
            None => self.misses += 1,
        }
        buffer
    }

    fn clear(&mut self) -> Vec<BytesMut> {
        self.bytes = 0;
        std::mem::take(&mut self.buffers)
    }

    fn push(&mut self, buffer: BytesMut, budget: usize) -> Result<(), BytesMut> {
        let bytes = self.bytes.saturating_add(buffer.capacity());
        if bytes > budget {
            return Err(buffer);
        }
        self.bytes = bytes;
        self.buffers.push(buffer);
        Ok(())
    }
}

/// An empty buffer with all of its allocation, or `None` when a part of that is in use elsewhere.
///
/// What a buffer shows is not what it holds: after a split it may show 8 KiB and keep 64 KiB alive, and the
/// budget would count the wrong number.
fn whole(mut buffer: BytesMut, unmoved: bool) -> Option<BytesMut> {
    // Splitting off nothing gives the buffer a reference count, once in its life; without one, each of the
    // conversions below would allocate one and free it. A buffer that was here before has one, unless it has
    // been given other memory.
    if !unmoved {
        drop(buffer.split_to(0));
    }
    // Only `Bytes` tells whether it is the only handle. Neither conversion copies or allocates.
    let mut buffer = buffer.freeze().try_into_mut().ok()?;
    // The room before the part that is shown comes back, if there is any.
    let shown = buffer.capacity();
    let _ = buffer.try_reclaim(shown + 1);
    Some(buffer)
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferPool")
            .field("limits", &self.shared.limits)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Below this the bookkeeping would outweigh the buffers.
const MIN_INITIAL_BYTES: usize = 64;
