//! What the suite has written about a run: a `checks.json` for every scenario.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Side;
use super::expected::Expected;
use crate::workspace::Result;

/// The scenarios of one run, by name.
pub(super) struct Results {
    scenarios: BTreeMap<String, Scenario>,
    /// Those that the suite lists and has written nothing about.
    missing: Vec<String>,
}

#[derive(Default)]
struct Scenario {
    checks: Vec<Check>,
    /// Whether our client has said that it came to its end; always, where a server is under test.
    ended_well: bool,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    id: String,
    name: String,
    status: Status,
    #[serde(default)]
    description: String,
    #[serde(default)]
    error_message: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Success,
    Failure,
    Warning,
    Skipped,
    Info,
}

/// What our client prints when it has done all that a scenario asks for.
const DONE: &str = "done";

/// The check that every scenario has: alone it says little.
const WIRE: &str = "wire-schema-valid";

/// How the entries of the suite's journal begin: they are no checks.
const JOURNAL: &[&str] = &["incoming-", "outgoing-", "stream-", "server-info"];

impl Results {
    /// Reads the results of a run.
    pub(super) fn read(folder: &Path, side: Side, listed: Vec<String>) -> Result<Self> {
        let mut scenarios = BTreeMap::new();
        for file in checks_below(folder)? {
            let checks: Vec<Check> = serde_json::from_slice(&std::fs::read(&file)?)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let own = file.parent().unwrap_or(folder);
            let said = std::fs::read_to_string(own.join("stdout.txt")).unwrap_or_default();
            let ended_well = side == Side::Server || said.lines().last() == Some(DONE);
            let name = own.strip_prefix(folder)?.to_string_lossy();
            scenarios.insert(scenario_name(&name, side), Scenario { checks, ended_well });
        }
        let missing = listed.into_iter().filter(|name| !scenarios.contains_key(name)).collect();
        Ok(Self { scenarios, missing })
    }

    /// What is not as expected, a line each.
    pub(super) fn wrong(&self, expected: &Expected) -> Vec<String> {
        let mut wrong: Vec<String> = self.missing.iter().map(|name| format!("{name}: no result")).collect();
        for (name, scenario) in &self.scenarios {
            let bad = scenario.bad().filter(|check| !covers(&expected.failures, name, &check.id));
            wrong.extend(bad.map(|check| format!("{name}:{}", check.shown())));
            // Where a whole scenario is expected to fail, it does not matter how far it got.
            if !expected.failures.contains(name) {
                let unchecked = scenario.unchecked().into_iter().map(|check| format!("{name}:{check}"));
                let unknown = unchecked.filter(|entry| !expected.unchecked.contains(entry));
                wrong.extend(unknown.map(|entry| format!("{entry}: was not checked")));
            }
            if scenario.passes() && !scenario.ended_well {
                wrong.push(format!("{name}: the client did not end well"));
            }
        }
        let stale = expected.failures.iter().filter(|entry| !self.fails(entry));
        wrong.extend(stale.map(|entry| format!("{entry}: is expected to fail, and does not")));
        let checked = expected.unchecked.iter().filter(|entry| !self.is_unchecked(entry));
        wrong.extend(checked.map(|entry| format!("{entry}: is expected to be unchecked, and is not")));
        wrong
    }

    /// The names of the scenarios that fail, as expected or not.
    pub(super) fn failed(&self) -> Vec<&str> {
        let failed = self.scenarios.iter().filter(|(_, scenario)| scenario.bad().next().is_some());
        failed.map(|(name, _)| name.as_str()).collect()
    }

    /// The counts, in one line. A scenario that passes without a check of its own does not count as one that passes.
    pub(super) fn summary(&self, required: &Option<Vec<String>>) -> String {
        let all = self.scenarios.len() + self.missing.len();
        let count =
            |is: fn(&Scenario) -> bool| self.scenarios.values().filter(|scenario| is(scenario)).count();
        let (passed, empty) = (count(Scenario::passes), count(Scenario::is_empty));
        let checks = |status| {
            let of =
                |scenario: &Scenario| scenario.checks.iter().filter(|check| check.status == status).count();
            self.scenarios.values().map(of).sum::<usize>()
        };
        let mut text = format!(
            "{passed} of {all} scenarios pass, {} fail, {empty} check nothing; checks: {} pass, {} fail, {} skipped",
            all - passed - empty,
            checks(Status::Success),
            checks(Status::Failure) + checks(Status::Warning),
            checks(Status::Skipped),
        );
        if let Some(required) = required {
            let passes = |name: &&String| self.scenarios.get(*name).is_some_and(Scenario::passes);
            let good = required.iter().filter(passes).count();
            text.push_str(&format!("; {good} of the {} required scenarios pass", required.len()));
        }
        text
    }

    fn fails(&self, entry: &str) -> bool {
        let (name, id) = entry.split_once(':').map_or((entry, None), |(name, id)| (name, Some(id)));
        let scenario = self.scenarios.get(name);
        scenario.is_some_and(|scenario| scenario.bad().any(|check| id.is_none_or(|id| check.id == id)))
    }

    fn is_unchecked(&self, entry: &str) -> bool {
        entry.split_once(':').is_some_and(|(name, check)| {
            let scenario = self.scenarios.get(name);
            scenario.is_some_and(|scenario| scenario.unchecked().iter().any(|name| name == check))
        })
    }
}

impl Scenario {
    fn bad(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.status, Status::Failure | Status::Warning))
    }

    fn passes(&self) -> bool {
        self.bad().next().is_none() && !self.is_empty()
    }

    /// Whether nothing failed because nothing was checked.
    fn is_empty(&self) -> bool {
        let own = |check: &Check| check.status == Status::Success && check.id != WIRE;
        self.bad().next().is_none() && !self.checks.iter().any(own)
    }

    /// The names of the checks that say neither yes nor no, each once; and `nothing` for a scenario that passes without
    /// a check of its own.
    fn unchecked(&self) -> Vec<String> {
        let silent = |check: &&Check| match check.status {
            Status::Skipped => true,
            Status::Info => !JOURNAL.iter().any(|start| check.id.starts_with(start)),
            _ => false,
        };
        let mut names: Vec<String> =
            self.checks.iter().filter(silent).map(|check| check.name.clone()).collect();
        names.sort();
        names.dedup();
        if names.is_empty() && self.is_empty() {
            names.push("nothing".to_owned());
        }
        names
    }
}

impl Check {
    fn shown(&self) -> String {
        let warning = if self.status == Status::Warning { " (a warning)" } else { "" };
        let why = self.error_message.as_deref().unwrap_or(&self.description);
        let why: String = why.chars().take(300).collect();
        format!("{}{warning}: {}", self.id, why.replace('\n', " "))
    }
}

/// Whether a list has an entry for a check.
fn covers(entries: &[String], scenario: &str, id: &str) -> bool {
    entries.iter().any(|entry| match entry.split_once(':') {
        Some((name, check)) => name == scenario && check == id,
        None => entry == scenario,
    })
}

/// `server-tools-list-2026-01-02T03-04-05-678Z` is the folder of `tools-list`.
fn scenario_name(folder: &str, side: Side) -> String {
    let name = folder.len().checked_sub(STAMP.len()).and_then(|end| folder.get(..end)).unwrap_or(folder);
    let name = if side == Side::Server { name.strip_prefix("server-").unwrap_or(name) } else { name };
    name.to_owned()
}

/// The form of the time at the end of a folder's name.
const STAMP: &str = "-2026-01-02T03-04-05-678Z";

/// All files named `checks.json`: the names of some scenarios are paths.
fn checks_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "checks.json") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, status: Status) -> Check {
        let (description, error_message) = (String::new(), None);
        Check { id: id.to_owned(), name: format!("Name-{id}"), status, description, error_message }
    }

    fn results(checks: Vec<Check>, ended_well: bool) -> Results {
        let scenarios = BTreeMap::from([("a".to_owned(), Scenario { checks, ended_well })]);
        Results { scenarios, missing: Vec::new() }
    }

    fn expected(failures: &[&str], unchecked: &[&str]) -> Expected {
        let owned = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        Expected { failures: owned(failures), unchecked: owned(unchecked) }
    }

    #[test]
    fn a_failure_and_a_warning_are_wrong_unless_they_are_expected() {
        for status in [Status::Failure, Status::Warning] {
            let results = results(vec![check("x", Status::Success), check("y", status)], true);
            assert_eq!(results.wrong(&expected(&[], &[])).len(), 1);
            for entry in ["a", "a:y"] {
                assert_eq!(results.wrong(&expected(&[entry], &[])), Vec::<String>::new());
            }
            assert_eq!(results.wrong(&expected(&["a:x"], &[])).len(), 2, "y is wrong, and x is stale");
            assert_eq!(results.failed(), ["a"]);
        }
    }

    #[test]
    fn an_entry_that_passes_or_does_not_exist_is_wrong() {
        let results = results(vec![check("x", Status::Success)], true);
        assert_eq!(results.wrong(&expected(&[], &[])), Vec::<String>::new());
        for entry in ["a", "a:x", "b"] {
            assert_eq!(results.wrong(&expected(&[entry], &[])).len(), 1, "{entry}");
        }
        assert_eq!(results.wrong(&expected(&[], &["a:Name-x"])).len(), 1);
    }

    #[test]
    fn what_was_not_checked_is_wrong_unless_it_is_expected() {
        let silent = [
            (vec![check("x", Status::Success), check("y", Status::Skipped)], "a:Name-y"),
            (vec![check("x", Status::Success), check("y", Status::Info)], "a:Name-y"),
            (vec![check(WIRE, Status::Success), check("incoming-request", Status::Info)], "a:nothing"),
            (vec![], "a:nothing"),
        ];
        for (checks, entry) in silent {
            let results = results(checks, true);
            assert_eq!(results.wrong(&expected(&[], &[])).len(), 1, "{entry}");
            assert_eq!(results.wrong(&expected(&[], &[entry])), Vec::<String>::new());
        }
        let failing = results(vec![check("x", Status::Failure), check("y", Status::Skipped)], true);
        assert_eq!(failing.wrong(&expected(&["a"], &[])), Vec::<String>::new(), "it fails as a whole");
        assert_eq!(failing.wrong(&expected(&["a:x"], &[])).len(), 1, "it fails in one check");
    }

    #[test]
    fn a_scenario_that_checks_nothing_does_not_count_as_one_that_passes() {
        let summary = results(vec![check(WIRE, Status::Success)], true).summary(&None);
        assert!(summary.starts_with("0 of 1 scenarios pass, 0 fail, 1 check nothing"), "{summary}");
    }

    #[test]
    fn a_client_that_does_not_end_well_is_wrong_though_its_checks_pass() {
        assert_eq!(results(vec![check("x", Status::Success)], false).wrong(&expected(&[], &[])).len(), 1);
    }

    #[test]
    fn results_are_read_from_the_folders_of_the_suite() {
        let run = crate::process::Run::new();
        let folder = run.temporary().join("results");
        let own = folder.join(format!("auth/x{STAMP}"));
        std::fs::create_dir_all(&own).unwrap();
        let checks = r#"[{"id":"i","name":"I","description":"","status":"SUCCESS","timestamp":""}]"#;
        std::fs::write(own.join("checks.json"), checks).unwrap();
        std::fs::write(own.join("stdout.txt"), "listed\ndone\n").unwrap();
        let listed = || vec!["auth/x".to_owned(), "y".to_owned()];
        let results = Results::read(&folder, Side::Client, listed());
        let results = results.unwrap();
        assert_eq!(results.wrong(&expected(&[], &[])), ["y: no result"]);
        let summary = results.summary(&Some(vec!["auth/x".to_owned()]));
        assert!(summary.starts_with("1 of 2 scenarios pass, 1 fail, 0 check nothing"), "{summary}");
        assert!(summary.ends_with("1 of the 1 required scenarios pass"), "{summary}");
        assert_eq!(scenario_name(&format!("server-server-x{STAMP}"), Side::Server), "server-x");
    }
}
