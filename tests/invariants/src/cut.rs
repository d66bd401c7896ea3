//! Where an input is cut.

/// The bytes in chunks of these sizes, which are begun again when they are used up. A size of 0 is an empty chunk.
pub fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    if sizes.iter().all(|size| *size == 0) {
        return vec![rest];
    }
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Choices that follow from an input, so that the same input is always the same check.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn from(bytes: &[u8]) -> Self {
        // FNV-1a.
        let mixed = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mixed))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap_or_default()
    }

    /// Sizes for [`cut`]: mostly small ones.
    pub(crate) fn sizes(&mut self) -> Vec<usize> {
        let largest = [2, 8, 40, 300][self.below(4)];
        (0..=self.below(12)).map(|_| self.below(largest)).collect()
    }
}
