//! The text of the project speaks to its users, about itself.

use super::Findings;
use crate::source::words;

/// Words that have no place in it, in halves, so that this list does not contain them.
const WORDS: &[(&str, &str)] = &[
    ("iss", "ue #"),
    ("cla", "ude"),
    ("llm", "-generated"),
    ("session", " of work"),
    ("/wo", "rk/"),
    ("design", ".md"),
    ("systems", ".md"),
    ("behaviours", ".md"),
    ("targets", ".md"),
    ("techniques", ".md"),
    ("style", ".md"),
];

/// Pages of ours that share a name with one of the words.
const OWN_PAGES: &[&str] = &["docs/systems.md", "docs/behaviours.md"];

/// Every text file but the lock file.
pub(super) fn check(texts: &[(String, String)]) -> Findings {
    let mut findings = Findings::default();
    for (path, text) in texts.iter().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        findings.checked += 1;
        for (index, line) in text.lines().enumerate() {
            for word in found(line) {
                findings.fail(format_args!("{path}:{}", index + 1), format!("says {word:?}"));
            }
        }
    }
    findings
}

fn found(line: &str) -> Vec<String> {
    let line = line.to_lowercase();
    let mut found = Vec::new();
    for (first, second) in WORDS {
        let word = format!("{first}{second}");
        let own = |at: &usize| {
            OWN_PAGES.iter().any(|page| {
                let name = page.trim_start_matches("docs/");
                word == name && is_own_page(&line, *at)
            })
        };
        if words(&line, &word).any(|at| !own(&at)) {
            found.push(word);
        }
    }
    found
}

/// `docs/systems.md`, or a link from a neighbouring page: `](systems.md`.
fn is_own_page(line: &str, at: usize) -> bool {
    line[..at].ends_with("docs/") || line[..at].ends_with("](") || line[..at].ends_with("](./")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_refused() {
        for (first, second) in WORDS {
            let line = format!("// as {}{second} says", first.to_uppercase());
            assert_eq!(check(&[("a.md".into(), line.clone())]).failures.len(), 1, "{line}");
        }
    }

    #[test]
    fn parts_of_words_and_our_own_pages_pass() {
        for line in ["a network/working copy", "see docs/systems.md", "[rows](behaviours.md#3)", "the issue"]
        {
            assert!(check(&[("a.md".into(), line.into())]).failures.is_empty(), "{line}");
        }
        assert_eq!(check(&[("Cargo.lock".into(), "x".into())]).checked, 0);
    }
}
