//! `cargo xtask tidy`: the house rules, as code.
//!
//! Each rule is a function from the sources to a [`Findings`], with a test on a text that breaks it. A rule says how
//! much it looked at, because one that looks at nothing passes too.

mod asynchrony;
mod banned;
mod broken;
mod graph;
mod limits;
mod rows;
mod size;
mod unsafety;
mod wording;

use crate::negative;
use crate::source;
use crate::workspace::{self, Result, root};

/// Check the house rules.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Write docs/limits.md from the doc comments of the limits, instead of checking that it is up to date
    #[arg(long)]
    write_limits: bool,
}

/// What a rule found.
#[derive(Default)]
pub(crate) struct Findings {
    /// How many places it looked at.
    checked: usize,
    failures: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn fail(&mut self, place: impl std::fmt::Display, message: impl std::fmt::Display) {
        self.failures.push(format!("{place}: {message}"));
    }

    fn warn(&mut self, place: impl std::fmt::Display, message: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {message}"));
    }
}

impl Args {
    /// Checks every rule and reports all that is wrong.
    pub(crate) fn run(self) -> Result<()> {
        let files = workspace::files()?;
        let sources = source::load(&files)?;
        let page = root().join(limits::PAGE);
        let structs = limits::collect(&sources);
        if self.write_limits {
            std::fs::create_dir_all(root().join("docs"))?;
            std::fs::write(&page, limits::page(&structs))?;
            println!("{} written: {} structs", limits::PAGE, structs.len());
            return Ok(());
        }
        let metadata = workspace::metadata()?;
        let page = std::fs::read_to_string(page).unwrap_or_default();
        let results = [
            ("dependencies between crates", graph::layers(&metadata)),
            ("foreign crates by layer", graph::foreign(&metadata)),
            ("one mutex", graph::one_mutex(&sources)),
            ("pure layers", graph::pure_layers(&sources)),
            ("limits have tests", limits::tested(&structs, &sources)),
            ("limits are documented", limits::documented(&structs, &page)),
            (
                "promises are broken, too",
                broken::check(&structs, &negative::promises()?, &negative::stale()?),
            ),
            ("async tests have deadlines", asynchrony::deadlines(&sources)),
            ("cancel safety is documented", asynchrony::cancel_safety(&sources)),
            ("no unbounded channels", banned::channels(&sources)),
            ("banned calls", banned::calls(&sources)),
            ("unsafe code", unsafety::check(&metadata, &sources)),
            ("file sizes", size::check(&sources)),
            ("wording", wording::check(&read_texts(&files))),
            ("rows name tests", rows::check(&read_rows(), &sources)),
        ];
        report(&results)
    }
}

fn read_texts(files: &[String]) -> Vec<(String, String)> {
    let read = |path: &String| Some((path.clone(), std::fs::read_to_string(root().join(path)).ok()?));
    files.iter().filter_map(read).collect()
}

fn read_rows() -> Vec<(String, String)> {
    read_texts(&rows::PAGES.map(str::to_owned))
}

fn report(results: &[(&str, Findings)]) -> Result<()> {
    let mut failed = 0;
    for (rule, findings) in results {
        let verdict = match (findings.failures.len(), findings.checked) {
            (0, 0) => "nothing to check".to_owned(),
            (0, _) => "ok".to_owned(),
            (count, _) => format!("{count} FAILED"),
        };
        println!("{rule:<30} checked {:>5}  {verdict}", findings.checked);
        for line in &findings.warnings {
            println!("  warning: {line}");
        }
        for line in &findings.failures {
            println!("  {line}");
        }
        failed += findings.failures.len();
    }
    if failed == 0 { Ok(()) } else { Err(format!("tidy: {failed} places break a rule").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_whole() {
        let mut bad = Findings::default();
        bad.fail("a.rs:1", "wrong");
        assert!(report(&[("good", Findings { checked: 1, ..Findings::default() })]).is_ok());
        assert!(report(&[("good", Findings::default()), ("bad", bad)]).is_err());
    }
}
