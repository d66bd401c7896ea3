//! Files stay small enough to be read in one go.

use super::Findings;
use crate::source::Source;

/// Above this a file is pointed out.
const LONG: usize = 500;

/// Above this it has to be split.
const TOO_LONG: usize = 700;

/// The length of every file in `crates/`.
pub(super) fn check(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    for source in sources.iter().filter(|source| source.path.starts_with("crates/")) {
        findings.checked += 1;
        let lines = source.text.lines().count();
        if lines > TOO_LONG {
            findings.fail(&source.path, format!("{lines} lines, more than {TOO_LONG}: split it"));
        } else if lines > LONG {
            findings.warn(&source.path, format!("{lines} lines, more than {LONG}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_pointed_out_and_a_longer_one_refused() {
        let of = |lines: usize| check(&[Source::new("crates/x/src/a.rs", &"\n".repeat(lines))]);
        assert_eq!((of(500).warnings.len(), of(500).failures.len()), (0, 0));
        assert_eq!((of(501).warnings.len(), of(501).failures.len()), (1, 0));
        assert_eq!((of(701).warnings.len(), of(701).failures.len()), (0, 1));
    }
}
