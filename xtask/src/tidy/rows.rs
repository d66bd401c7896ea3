//! The pages that list what is promised, row by row: each row names a test, and the test exists. A row that is not held
//! yet, with its number in brackets, says so instead, or names the step of `test-all` or the page that stands for a test,
//! or says that no test of ours could.

use std::collections::BTreeSet;

use super::Findings;
use crate::source::Source;

/// The pages with such rows.
pub(super) const PAGES: [&str; 3] = ["docs/systems.md", "docs/behaviours.md", "docs/specification.md"];

/// Every row whose first cell is a number names at least one test, and only tests that exist. One in brackets says "not
/// yet", or what holds it instead.
pub(super) fn check(pages: &[(String, String)], sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    let tests: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.functions().into_iter().filter(|f| source.in_test(f.at)).map(|f| f.name))
        .collect();
    for (path, text) in pages {
        let mut column = None;
        let mut numbers = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let Some(cells) = cells(line) else {
                column = None;
                continue;
            };
            let place = format!("{path}:{}", index + 1);
            let first = cells.first().copied().unwrap_or_default();
            let open = first.strip_prefix('(').and_then(|number| number.strip_suffix(')'));
            let Some(number) = Some(open.unwrap_or(first)).filter(|number| is_number(number)) else {
                column =
                    column.or_else(|| cells.iter().position(|cell| cell.to_lowercase().starts_with("test")));
                continue;
            };
            findings.checked += 1;
            if !numbers.insert(number.to_owned()) {
                findings.fail(&place, format!("row {number} is there twice"));
            }
            let named = match column {
                Some(column) => names(cells.get(column).copied().unwrap_or_default(), true),
                None => names(line, false),
            };
            let rest = cells.get(1..).unwrap_or_default().join(" ").to_lowercase();
            if open.is_some() {
                if !INSTEAD.iter().any(|word| rest.contains(word)) {
                    let message = format!("row ({number}) is in brackets: say one of {}", INSTEAD.join(", "));
                    findings.fail(&place, message);
                }
            } else if named.is_empty() {
                findings.fail(&place, format!("row {number} names no test"));
            }
            for test in named.iter().filter(|test| !tests.contains(test.as_str())) {
                findings.fail(&place, format!("row {number}: there is no test `{test}`"));
            }
        }
    }
    findings
}

/// What a row in brackets has to say: that it is not held yet, what holds it that is no test, or that it is not for us to
/// hold.
const INSTEAD: [&str; 4] = ["not yet", "step `", "by a page", "cannot be tested"];

fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?;
    Some(inside.strip_suffix('|').unwrap_or(inside).split('|').map(str::trim).collect())
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty()
        && cell.starts_with(|c: char| c.is_ascii_digit())
        && cell.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// What stands in backticks and can be the name of a test: `a_name`, `module::a_name`. In the column of tests anything
/// that is a name is one; elsewhere it takes two underscores.
fn names(text: &str, all: bool) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let names = quoted.map(|quoted| quoted.rsplit("::").next().unwrap_or(quoted));
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && name.matches('_').count() >= if all { 1 } else { 2 }
    };
    names.filter(is_name).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(page: &str) -> Vec<String> {
        let source =
            Source::new("crates/x/src/a.rs", "#[test]\nfn a_peer_is_cut_off() {}\nfn not_a_test() {}");
        check(&[("docs/systems.md".to_owned(), page.to_owned())], &[source]).failures
    }

    #[test]
    fn a_row_without_a_test_is_refused() {
        assert_eq!(failures("| 1.1 | something |").len(), 1);
        assert_eq!(failures("| # | Tests |\n|---|---|\n| 1.1 | |").len(), 1);
    }

    #[test]
    fn a_test_that_does_not_exist_is_refused() {
        assert_eq!(failures("| 1 | `a_peer_is_gone` |").len(), 1);
        assert_eq!(failures("| 1 | `not_a_test` |").len(), 1);
    }

    #[test]
    fn a_row_in_brackets_says_what_is_missing_or_what_holds_it() {
        assert_eq!(failures("| (4.1) | one pump | not yet: the relay | |"), Vec::<String>::new());
        assert_eq!(failures("| (1.14) | no warnings | the step `clippy` of it | |"), Vec::<String>::new());
        assert_eq!(
            failures("| (3.5) | authentication | cannot be tested: the host's | |"),
            Vec::<String>::new()
        );
        assert_eq!(failures("| (1) | something | |").len(), 1);
        // Without brackets it names a test all the same.
        assert_eq!(failures("| 3.5 | authentication | cannot be tested: the host's | |").len(), 1);
        // Held by a test and by nothing else: then the brackets are wrong.
        let page = "| # | What | Tests |\n|---|---|---|\n| (1) | something | `a_peer_is_cut_off` |";
        assert_eq!(failures(page).len(), 1);
        assert_eq!(
            failures("| (1) | not yet: x | |\n| 1 | `a_peer_is_cut_off` |").len(),
            1,
            "it is there twice"
        );
        assert_eq!(failures("| (1) | not yet, but `there_is_no_such_test` | |").len(), 1);
    }

    #[test]
    fn a_row_twice_is_refused() {
        assert_eq!(failures("| 1 | `a_peer_is_cut_off` |\n| 1 | `a_peer_is_cut_off` |").len(), 1);
    }

    #[test]
    fn a_row_with_its_test_passes() {
        let page =
            "| # | What | Tests |\n|---|---|---|\n| 1.2 | `max_message_bytes` | `x::a_peer_is_cut_off` |";
        assert_eq!(failures(page), Vec::<String>::new());
    }
}
