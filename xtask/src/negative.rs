//! `cargo xtask negative`: shows that the tests can fail.
//!
//! `xtask/negative.toml` has a case for each promise and limit: a place in the code, a change that breaks it, and the
//! test that has to notice. The change is made in a copy of the sources, and the named test is run alone: red is right.
//! First each test is run without the change, where it has to be green, so that red means the change was noticed. The
//! cases are taken package by package, so that as little as possible is built again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::process::{Ended, Run};
use crate::workspace::{self, Result, cargo, list, root};

/// Break the code on purpose, in a copy, and see that the test for each promise fails.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the cases whose name, promise, file, package or test contains this; repeatable
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// List the cases
    #[arg(long)]
    list: bool,
}

const TABLE: &str = "xtask/negative.toml";

/// A test that runs longer than this is red without a change, too.
const TEST_LIMIT: Duration = Duration::from_secs(60);

/// With the change, a test hangs if it takes so many times as long as without, and at least so long. Its own limit would
/// end it later, but nobody has to wait for that.
const PATIENCE: u32 = 10;
const LEAST_PATIENCE: Duration = Duration::from_secs(8);

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

/// One way to break the code.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A name of its own.
    name: String,
    /// The promise or limit that the change breaks.
    promise: String,
    /// The file to change.
    file: String,
    /// The text to replace; it stands there exactly once.
    find: String,
    /// What to put in its place.
    replace: String,
    /// The package of the test.
    package: String,
    /// The test, with its module path.
    test: String,
    /// The file in `tests/` that the test is in; if there is none, the package's own unit tests.
    in_file: Option<String>,
}

/// A test: package, file in `tests/`, path.
type Key = (String, Option<String>, String);

/// How a case ended.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The test failed, as it had to.
    Red(&'static str),
    /// Anything else, which is a failure.
    Wrong(String),
}

impl Args {
    /// Runs the cases.
    pub(crate) fn run(self) -> Result<()> {
        let cases = read(&std::fs::read_to_string(root().join(TABLE))?)?;
        let wanted = |case: &&Case| self.only.is_empty() || self.only.iter().any(|text| case.mentions(text));
        let chosen: Vec<&Case> = cases.iter().filter(wanted).collect();
        if self.list {
            chosen
                .iter()
                .for_each(|case| println!("{:<44} {:<18} {}", case.name, case.package, case.promise));
            return Ok(());
        }
        if chosen.is_empty() {
            return Err("no case of that name".into());
        }
        let copy = Copy::new()?;
        let begun = Instant::now();
        let mut failed = 0;
        let mut lines = Vec::new();
        for cases in by_target(&chosen) {
            let green = copy.greens(&cases)?;
            for case in cases {
                let start = Instant::now();
                let verdict = match green.get(&case.key()) {
                    Some(Ok(took)) => copy.judge(case, (*took * PATIENCE).clamp(LEAST_PATIENCE, TEST_LIMIT)),
                    Some(Err(error)) => Verdict::Wrong(format!("without the change: {error}")),
                    None => Verdict::Wrong("was not run without the change".to_owned()),
                };
                let shown = match &verdict {
                    Verdict::Red(how) => format!("red    {how}"),
                    Verdict::Wrong(why) => {
                        failed += 1;
                        format!("WRONG  {why}")
                    }
                };
                println!("{}: {shown}", case.name);
                lines.push(format!("{:<44} {:>6.1} s  {shown}", case.name, start.elapsed().as_secs_f64()));
            }
        }
        let (red, seconds) = (chosen.len() - failed, begun.elapsed().as_secs());
        println!("\n{}\n\n{red} red, {failed} wrong, in {seconds} s", lines.join("\n"));
        if failed == 0 { Ok(()) } else { Err("a change went unnoticed, or a case is stale".into()) }
    }
}

fn read(text: &str) -> Result<Vec<Case>> {
    let table: Table = toml::from_str(text).map_err(|error| format!("{TABLE}: {error}"))?;
    let mut names = BTreeSet::new();
    for case in &table.case {
        if !names.insert(&case.name) {
            return Err(format!("{TABLE}: two cases are named {:?}", case.name).into());
        }
        if case.find == case.replace {
            return Err(format!("{TABLE}: {:?} changes nothing", case.name).into());
        }
    }
    Ok(table.case)
}

/// What the cases break: the text of each `promise`.
pub(crate) fn promises() -> Result<Vec<String>> {
    let cases = read(&std::fs::read_to_string(root().join(TABLE))?)?;
    Ok(cases.into_iter().map(|case| case.promise).collect())
}

/// The cases whose place is not in the sources any more: what is wrong with each.
pub(crate) fn stale() -> Result<Vec<String>> {
    let cases = read(&std::fs::read_to_string(root().join(TABLE))?)?;
    let wrong = |case: &Case| {
        let text = std::fs::read_to_string(root().join(&case.file)).unwrap_or_default();
        case.apply(&text).err().map(|error| format!("{}: {error}", case.name))
    };
    Ok(cases.iter().filter_map(wrong).collect())
}

/// The cases of one test program each, programs and cases in the order of the table.
fn by_target<'a>(cases: &[&'a Case]) -> Vec<Vec<&'a Case>> {
    let mut targets: Vec<Vec<&Case>> = Vec::new();
    for case in cases {
        match targets.iter_mut().find(|others| others[0].target() == case.target()) {
            Some(others) => others.push(case),
            None => targets.push(vec![case]),
        }
    }
    targets
}

impl Case {
    fn mentions(&self, text: &str) -> bool {
        [&self.name, &self.promise, &self.file, &self.package, &self.test]
            .iter()
            .any(|field| field.contains(text))
    }

    /// What tells one test from another.
    fn key(&self) -> Key {
        (self.package.clone(), self.in_file.clone(), self.test.clone())
    }

    /// The test program that it is in: package, file in `tests/`.
    fn target(&self) -> (&str, Option<&str>) {
        (&self.package, self.in_file.as_deref())
    }

    /// The changed text, if the place is there exactly once.
    fn apply(&self, text: &str) -> Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(format!("stale: the text to replace is {count} times in {}", self.file).into()),
        }
    }
}

/// The copy of the sources that is changed.
struct Copy {
    sources: PathBuf,
    target: PathBuf,
    /// The packages whose own tests are those of a library, not of a binary.
    libraries: BTreeSet<String>,
    run: Run,
}

impl Copy {
    fn new() -> Result<Self> {
        let metadata = workspace::metadata()?;
        let folder = workspace::target_directory(&metadata)?.join("negative");
        let copy = Self {
            sources: folder.join("src"),
            target: folder.join("target"),
            libraries: libraries(&metadata),
            run: Run::new(),
        };
        sync(&root(), &workspace::files()?, &copy.sources)?;
        Ok(copy)
    }

    /// Runs every test of these cases, which are all in one program, without a change: how long it takes.
    fn greens(&self, cases: &[&Case]) -> Result<BTreeMap<Key, Result<Duration>>> {
        let mut found = BTreeMap::new();
        let built = cases.first().map_or(Ok(()), |case| self.build(case)).map_err(|error| error.to_string());
        for case in cases {
            if found.contains_key(&case.key()) {
                continue;
            }
            let start = Instant::now();
            let result = match &built {
                Ok(()) => match self.test(case, TEST_LIMIT)? {
                    Verdict::Red(how) => Err(format!("red: {how}").into()),
                    Verdict::Wrong(green) if green == GREEN => Ok(start.elapsed()),
                    Verdict::Wrong(other) => Err(other.into()),
                },
                Err(error) => Err(error.clone().into()),
            };
            found.insert(case.key(), result);
        }
        Ok(found)
    }

    /// Changes the code, runs the test, changes it back.
    fn judge(&self, case: &Case, limit: Duration) -> Verdict {
        let path = self.sources.join(&case.file);
        let judged = || -> Result<Verdict> {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("stale: {}: {error}", case.file))?;
            let _restore = Restore { path: &path, text: &text };
            std::fs::write(&path, case.apply(&text)?)?;
            self.build(case)?;
            self.test(case, limit)
        };
        judged().unwrap_or_else(|error| Verdict::Wrong(error.to_string()))
    }

    fn cargo(&self, case: &Case) -> Command {
        let mut command = cargo();
        command
            .current_dir(&self.sources)
            .env("CARGO_TARGET_DIR", &self.target)
            // Nobody debugs these, and they are built once for each case.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("TOWPATH_NEGATIVE", &case.name)
            .args(["test", "--quiet", "--package", &case.package, "--all-features"]);
        match &case.in_file {
            Some(file) => command.args(["--test", file]),
            None if self.libraries.contains(&case.package) => command.arg("--lib"),
            None => command.arg("--bins"),
        };
        command
    }

    /// A change that does not compile proves nothing.
    fn build(&self, case: &Case) -> Result<()> {
        let ended = self.run.capture(self.cargo(case).arg("--no-run"), BUILD_LIMIT)?;
        ended.success().map_err(|error| match &ended {
            Ended::Done(output) => {
                let log = String::from_utf8_lossy(&output.stderr);
                let first = log.lines().find(|line| line.starts_with("error")).unwrap_or("").to_owned();
                format!("does not compile: {first}").into()
            }
            Ended::TimeLimit(_) => error,
        })
    }

    fn test(&self, case: &Case, limit: Duration) -> Result<Verdict> {
        let mut command = self.cargo(case);
        command.args(["--", "--exact", &case.test]);
        let ended = self.run.capture(&mut command, limit)?;
        self.run.kill();
        Ok(match ended {
            Ended::TimeLimit(_) => Verdict::Red("the test hangs: ended at its limit"),
            Ended::Done(output) => verdict(output.status.success(), &String::from_utf8_lossy(&output.stdout)),
        })
    }
}

fn libraries(metadata: &Value) -> BTreeSet<String> {
    let has_library = |package: &&Value| {
        list(&package["targets"]).iter().any(|target| list(&target["kind"]).iter().any(|kind| kind == "lib"))
    };
    let names = workspace::members(metadata).into_iter().filter(has_library);
    names.filter_map(|package| package["name"].as_str()).map(str::to_owned).collect()
}

const GREEN: &str = "green: the test does not notice";

/// What a run of one test says. The test has to be there, and to have failed by itself.
fn verdict(success: bool, log: &str) -> Verdict {
    let ran = log.lines().any(|line| line == "running 1 test");
    match (ran, success) {
        (false, _) => Verdict::Wrong("stale: there is no such test".to_owned()),
        (true, true) => Verdict::Wrong(GREEN.to_owned()),
        (true, false) if log.contains("test result: FAILED") => Verdict::Red("the test failed"),
        (true, false) => Verdict::Red("the test process died"),
    }
}

/// Puts a file back, whatever happens in between.
struct Restore<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(self.path, self.text) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// Makes `to` hold these files of `from` and no others. What is the same stays untouched, so that it is not built again.
fn sync(from: &Path, files: &[String], to: &Path) -> Result<()> {
    for path in files {
        let (source, copy) = (from.join(path), to.join(path));
        let text = std::fs::read(&source)?;
        if std::fs::read(&copy).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = copy.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&copy, text)?;
    }
    let wanted: BTreeSet<PathBuf> = files.iter().map(|path| to.join(path)).collect();
    remove_others(to, &wanted)
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), wanted)?;
        } else if !wanted.contains(&entry.path()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
        [[case]]
        name = "a"
        promise = "1"
        file = "f.rs"
        find = "if x"
        replace = "if false"
        package = "p"
        test = "tests::t"
    "#;

    #[test]
    fn a_place_that_is_not_there_exactly_once_is_stale() {
        let case = &read(TOML).unwrap()[0];
        assert_eq!(case.apply("a if x b").unwrap(), "a if false b");
        assert!(case.apply("nothing").is_err());
        assert!(case.apply("if x if x").is_err());
    }

    #[test]
    fn a_name_twice_and_an_unknown_key_are_refused() {
        assert!(read(&format!("{TOML}{TOML}")).is_err());
        assert!(read(&format!("{TOML}\nother = 1")).is_err());
        assert!(read(&TOML.replace("if false", "if x")).is_err());
    }

    #[test]
    fn the_cases_of_one_program_stay_together() {
        let case = |name: &str, package: &str, file: Option<&str>| Case {
            name: name.to_owned(),
            package: package.to_owned(),
            in_file: file.map(str::to_owned),
            ..read(TOML).unwrap().remove(0)
        };
        let cases =
            [case("a", "p", None), case("b", "q", None), case("c", "p", Some("f")), case("d", "p", None)];
        let grouped = by_target(&cases.iter().collect::<Vec<_>>());
        let names: Vec<Vec<&str>> =
            grouped.iter().map(|group| group.iter().map(|c| &*c.name).collect()).collect();
        assert_eq!(names, [vec!["a", "d"], vec!["b"], vec!["c"]]);
    }

    #[test]
    fn only_a_test_that_ran_and_failed_is_red() {
        let failed = "running 1 test\ntest result: FAILED. 0 passed; 1 failed";
        assert_eq!(verdict(false, failed), Verdict::Red("the test failed"));
        assert!(matches!(verdict(true, "running 1 test\ntest result: ok"), Verdict::Wrong(_)));
        assert!(matches!(verdict(true, "running 0 tests"), Verdict::Wrong(_)));
        assert!(matches!(verdict(false, ""), Verdict::Wrong(_)));
    }

    #[test]
    fn the_copy_follows_the_sources() {
        let folder = std::env::temp_dir().join(format!("xtask-sync-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        std::fs::create_dir_all(from.join("b")).unwrap();
        std::fs::write(from.join("a"), "1").unwrap();
        std::fs::write(from.join("b/c"), "2").unwrap();
        sync(&from, &["a".into(), "b/c".into()], &to).unwrap();
        let first = std::fs::metadata(to.join("a")).unwrap().modified().unwrap();
        sync(&from, &["a".into()], &to).unwrap();
        let again = std::fs::metadata(to.join("a")).unwrap().modified().unwrap();
        let gone = !to.join("b/c").exists();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(gone);
        assert_eq!(first, again);
    }
}
