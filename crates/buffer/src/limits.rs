//! How large the buffers of a pool are, and how much of them is kept.

/// The limits of a [`BufferPool`](crate::BufferPool).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// The capacity of a new buffer, in bytes; 8 KiB by default and for stdio, 16 KiB for HTTP, 1 KiB for
    /// JSON, at least 64.
    ///
    /// A buffer grows beyond it as it is written. One that comes back with less is not kept. The worst case
    /// is this much for each buffer that is lent, however little is written to it.
    pub initial_bytes: usize,
    /// The largest buffer that is kept, in bytes of capacity; 64 KiB by default.
    ///
    /// A larger one is freed when it comes back, so that one huge message does not stay for ever. The worst
    /// case is that of `max_pooled_bytes`. 0 keeps none.
    pub max_pooled_buffer_bytes: usize,
    /// How much may lie in the pool, in bytes of capacity; 4 MiB by default.
    ///
    /// A buffer for which there is no room is freed when it comes back. The worst case is this much for each
    /// pool, and about 100 bytes of bookkeeping for each buffer in it. 0 keeps none.
    pub max_pooled_bytes: usize,
}

impl PoolLimits {
    /// For newline-framed lanes: buffers of 8 KiB.
    pub fn stdio() -> Self {
        Self::starting_with(8 * KIB)
    }

    /// For HTTP bodies: buffers of 16 KiB.
    pub fn http() -> Self {
        Self::starting_with(16 * KIB)
    }

    /// For single JSON messages: buffers of 1 KiB.
    pub fn json() -> Self {
        Self::starting_with(KIB)
    }

    fn starting_with(initial_bytes: usize) -> Self {
        Self { initial_bytes, max_pooled_buffer_bytes: 64 * KIB, max_pooled_bytes: 4 * 1024 * KIB }
    }
}

impl Default for PoolLimits {
    /// As [`PoolLimits::stdio`].
    fn default() -> Self {
        Self::stdio()
    }
}

const KIB: usize = 1024;
