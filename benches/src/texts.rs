//! The texts that are echoed.

use std::sync::Arc;

/// A ring of prepared texts, all different, so that an answer to another call is noticed, and made
/// beforehand, so that no subject is measured together with the making of its payload.
#[derive(Clone, Debug)]
pub struct Texts(Arc<[String]>);

impl Texts {
    /// Makes a ring of texts of `bytes` bytes each, of characters that JSON need not escape.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        // About as much as stays in a core's cache; never so few that neighbours share a text.
        let count = (128 * 1024 / bytes.max(1)).clamp(4, 1024);
        Self((0..count).map(|n| text(n, bytes)).collect())
    }

    /// The `n`th text; the ring starts again after the last.
    #[must_use]
    pub fn text(&self, n: usize) -> &str {
        &self.0[n % self.0.len()]
    }

    /// How many different texts there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn text(n: usize, bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let head = format!("{n:08x}");
    let filler = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[(state >> 58) as usize])
    });
    head.chars().chain(filler).take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Texts;

    #[test]
    fn the_texts_have_the_size_asked_for_and_are_all_different() {
        for bytes in [100, 1 << 20] {
            let texts = Texts::new(bytes);
            let all: HashSet<&str> = (0..texts.count()).map(|n| texts.text(n)).collect();
            assert_eq!(all.len(), texts.count());
            assert!(all.iter().all(|text| text.len() == bytes));
        }
    }
}
