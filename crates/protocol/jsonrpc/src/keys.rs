//! The keys of one object, to find one that occurs twice.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::member::Span;
use crate::text;

/// The longest key that is remembered, as it stands on the wire.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Keys that have no place in the index. Those that have are found by their bit.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    seen: Vec<(u64, Span)>,
}

impl Keys {
    /// Whether the key at `span` (without its quotes) was there before. The caller bounds the number of calls.
    #[cold]
    pub(crate) fn insert(&mut self, bytes: &[u8], span: Span) -> bool {
        // The hash is keyed: a peer cannot choose keys that need long comparisons.
        static HASHER: OnceLock<RandomState> = OnceLock::new();
        let key = decoded(bytes, span);
        let hash = HASHER.get_or_init(RandomState::new).hash_one(key.as_bytes());
        let known =
            self.seen.iter().any(|&(other, other_span)| other == hash && decoded(bytes, other_span) == key);
        if !known {
            self.seen.push((hash, span));
        }
        known
    }
}

/// Lone surrogates are compared as U+FFFD: rather one duplicate too many than one too few.
fn decoded(bytes: &[u8], span: Span) -> Cow<'_, str> {
    text::decoded(span.range().and_then(|range| bytes.get(range)).unwrap_or_default())
}
