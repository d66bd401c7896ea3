//! Pooled byte buffers for Towpath.
//!
//! A [`BufferPool`] keeps buffers that are done with, so that the next reader or writer of the same owner (a
//! connection, a lane, an endpoint) finds one that has its size already. [`BufferPool::take`] lends a
//! [`PooledBuffer`], a guard around a [`BytesMut`](bytes::BytesMut): dropped, it gives the buffer back. What
//! was written leaves as [`Bytes`](bytes::Bytes) without a copy, by [`PooledBuffer::freeze`] (one large
//! message, whose memory leaves the pool) or by [`PooledBuffer::split_frozen`] (many small frames from one
//! allocation).
//!
//! ```
//! use bytes::BufMut;
//! use towpath_buffer::{BufferPool, PoolLimits};
//!
//! let pool = BufferPool::new(PoolLimits::stdio());
//! let mut buffer = pool.take();
//! buffer.put_slice(b"{\"jsonrpc\":\"2.0\"}\n");
//! let first = buffer.split_frozen();
//! buffer.put_slice(b"{}\n");
//! let second = buffer.split_frozen();
//! assert_eq!((first.len(), second.len()), (18, 3));
//!
//! drop((first, second));
//! drop(buffer);
//! assert_eq!(pool.take().capacity(), 8 * 1024);
//! assert_eq!(pool.stats().hits, 1);
//! ```
//!
//! # What it does not do
//!
//! It is not an allocator, and no global: a pool that all connections share is a lock that all connections
//! share. It does not wait and does not fail: an empty pool allocates, and a full one lets go. It does not
//! zero what it keeps; the old bytes are out of reach of safe code. It does not bound the buffers that are
//! lent, only those that lie in the pool: how much is read or written is limited where that is done.
//!
//! # When to use it
//!
//! `cargo bench -p towpath-buffer` compares it with plain allocation on your machine. A good allocator hands
//! out a small block several times faster than any shared pool can, so:
//!
//! - For a buffer that grows while it is written (a message of unknown length, some kilobytes or more), use a
//!   pool: one that has its size already saves the growth and the copies. Raise
//!   [`PoolLimits::max_pooled_buffer_bytes`] to the size of your usual messages.
//! - For a stream of small frames use one buffer and [`PooledBuffer::split_frozen`].
//! - For a buffer of known size that lives for one message, a pool gains nothing: below some kilobytes it is
//!   slower ([`BufferPool::take_sized`] then goes past it by itself), above, the bytes cost more than either.
//! - Do not share one pool between busy threads: they wait for its lock. Give each connection its own, and
//!   [`clear`](BufferPool::clear) it when the connection idles.
//! - Do not freeze a few bytes out of a large buffer and keep them: they keep all of its memory.
//!
//! # Cancel safety
//!
//! Nothing is async. A guard that is dropped with the future that owned it gives its buffer back. Giving back
//! takes a lock of the last level ([`Level::Handler`](towpath_raw::Level::Handler)) for a push: do not drop a
//! guard while another lock of that level is held.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod limits;
mod pool;
mod pooled;

pub use limits::PoolLimits;
pub use pool::{BufferPool, PoolStats};
pub use pooled::PooledBuffer;

#[cfg(test)]
mod tests;
