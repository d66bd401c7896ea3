//! The newline framing: pure and synchronous, fed by the lanes above it.

mod decoder;
mod discard;
mod writer;

#[cfg(test)]
mod tests;

pub use decoder::LineDecoder;
pub use writer::LineWriter;

/// The size of the first reads, and of the reads from a quiet peer.
const SMALL_READ_BYTES: usize = 8 << 10;
/// The size of reads while the peer fills small ones.
const MEDIUM_READ_BYTES: usize = 64 << 10;
/// The size of reads while the peer fills medium ones.
const LARGE_READ_BYTES: usize = 256 << 10;
