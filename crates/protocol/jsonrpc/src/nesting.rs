//! How deep the scanner is, and in what: one bit a level.

/// A stack of containers, objects as 1 and arrays as 0. The 64 innermost are at hand, the rest are in words on
/// the heap, so that a million levels take 125 kB and common messages none.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    depth: usize,
    inner: u64,
    outer: Vec<u64>,
}

impl Nesting {
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the innermost container is an object.
    #[inline]
    pub(crate) fn in_object(&self) -> bool {
        self.inner & 1 == 1
    }

    #[inline]
    pub(crate) fn push(&mut self, object: bool) {
        if self.depth.is_multiple_of(64) && self.depth != 0 {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(object);
        self.depth += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.inner >>= 1;
        if self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        self.outer.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_levels_are_remembered_at_a_bit_each() {
        let kind = |level: usize| (level * level / 7 + level).is_multiple_of(3);
        let mut nesting = Nesting::default();
        for level in 0..1_000_000 {
            nesting.push(kind(level));
            assert_eq!(nesting.in_object(), kind(level));
        }
        assert!(nesting.heap_bytes() <= 262_144, "{}", nesting.heap_bytes());
        for level in (0..1_000_000).rev() {
            assert_eq!((nesting.depth(), nesting.in_object()), (level + 1, kind(level)));
            nesting.pop();
        }
        assert_eq!(nesting.depth(), 0);
    }
}
