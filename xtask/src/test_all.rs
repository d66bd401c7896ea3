//! `cargo xtask test-all`: everything that has to hold, in one command. It needs Rust and a POSIX shell; without git, or
//! outside a checkout, the house rules and the look at `git status` are not run, and it says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Run, shown, works};
use crate::workspace::{self, Result, cargo, list, root};
use crate::{controls, tidy};

/// Run every check, in order, and see that nothing is left behind.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on after a step that failed
    #[arg(long)]
    keep_going: bool,
    /// Run only the steps whose name contains this; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the steps
    #[arg(long)]
    list: bool,
}

/// What our own programs and tests name their temporary files with.
const TEMPORARY_PREFIX: &str = "towpath-";

/// An example whose text has this is built and not run.
const BUILD_ONLY: &str = "xtask: build only";

/// How long a build may take, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long all tests together may run; each has a limit of its own under nextest.
const TEST_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long an example may run.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(60);

/// How long a process that ends by itself may take to be gone.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// What the steps share.
struct Bench {
    run: Run,
    metadata: Value,
    /// What `git status` said; `None` without git.
    status_before: Option<String>,
}

/// How a step ended, if it did not fail.
enum Outcome {
    Passed,
    NotRun(&'static str),
}

/// How a step ends that needs git.
const NO_GIT: Outcome = Outcome::NotRun("git, or a checkout, is not there");

type Step = (&'static str, fn(&Bench) -> Result<Outcome>);

const STEPS: &[Step] = &[
    ("fmt", |bench| {
        bench.cargo(BUILD_LIMIT, &["fmt", "--all", "--check"])?;
        // A workspace of its own.
        bench.cargo(BUILD_LIMIT, &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    }),
    ("clippy", |bench| {
        let all = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
        bench.cargo(BUILD_LIMIT, &all)
    }),
    ("tidy", Bench::tidy),
    ("features", Bench::features),
    ("controls", |_| (controls::Args {}).run().map(|()| Outcome::Passed)),
    ("tests", Bench::tests),
    ("doc tests", |bench| bench.cargo(TEST_LIMIT, &["test", "--workspace", "--all-features", "--doc"])),
    ("docs", Bench::docs),
    ("examples", Bench::examples),
    ("licences", Bench::licences),
    ("nothing left: processes", Bench::processes_left),
    ("nothing left: files", Bench::files_left),
    ("nothing left: git status", Bench::status_left),
];

impl Args {
    /// Runs the steps and reports them.
    pub(crate) fn run(self) -> Result<()> {
        if self.list {
            STEPS.iter().for_each(|(name, _)| println!("{name}"));
            return Ok(());
        }
        let bench = Bench::new()?;
        let chosen: Vec<&Step> = STEPS.iter().filter(|(name, _)| self.is_wanted(name)).collect();
        let mut report = Report::default();
        for (index, (name, step)) in chosen.iter().enumerate() {
            println!("\n== [{}/{}] {name}", index + 1, chosen.len());
            let start = Instant::now();
            let result = step(&bench);
            if let Err(error) = &result {
                eprintln!("{name}: {error}");
            }
            report.add(name, start.elapsed(), result);
            if report.failed > 0 && !self.keep_going {
                break;
            }
        }
        report.not_reached = chosen.len() - report.lines.len();
        println!("\n{}", report.text());
        if report.failed == 0 { Ok(()) } else { Err("not everything passed".into()) }
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

impl Bench {
    fn new() -> Result<Self> {
        Ok(Self { run: Run::new(), metadata: workspace::metadata()?, status_before: status()? })
    }

    fn cargo(&self, limit: Duration, arguments: &[&str]) -> Result<Outcome> {
        let mut command = cargo();
        command.args(arguments);
        self.show(&mut command, limit)
    }

    fn show(&self, command: &mut Command, limit: Duration) -> Result<Outcome> {
        println!("$ {}", shown(command));
        self.run.show(command, limit)?.success()?;
        Ok(Outcome::Passed)
    }

    fn tidy(&self) -> Result<Outcome> {
        if self.status_before.is_none() {
            return Ok(NO_GIT);
        }
        tidy::Args::default().run().map(|()| Outcome::Passed)
    }

    fn tests(&self) -> Result<Outcome> {
        if works(cargo().args(["nextest", "--version"])) {
            self.cargo(BUILD_LIMIT, &["nextest", "run", "--workspace", "--all-features", "--no-run"])?;
            return self.cargo(TEST_LIMIT, &["nextest", "run", "--workspace", "--all-features"]);
        }
        println!("cargo nextest is not installed: cargo test, under one limit for all");
        let targets = ["test", "--workspace", "--all-features", "--lib", "--bins", "--tests", "--examples"];
        self.cargo(BUILD_LIMIT, &[&targets[..], &["--no-run"]].concat())?;
        self.cargo(TEST_LIMIT, &[&targets[..], &["--no-fail-fast"]].concat())
    }

    fn docs(&self) -> Result<Outcome> {
        let mut command = cargo();
        // The binary has the name of the library, and its page would take that page's place.
        command.args(["doc", "--workspace", "--exclude", "towpath-cli", "--no-deps", "--all-features"]);
        self.show(command.env("RUSTDOCFLAGS", "-D warnings"), BUILD_LIMIT)
    }

    fn examples(&self) -> Result<Outcome> {
        // The flags of the tests, so that what the tests have built is used again.
        self.cargo(BUILD_LIMIT, &["build", "--workspace", "--all-features", "--examples"])?;
        let folder = workspace::target_directory(&self.metadata)?.join("debug/examples");
        let examples = examples(&self.metadata, "towpath")?;
        if examples.is_empty() {
            return Ok(Outcome::NotRun("there are none"));
        }
        for (name, source) in examples {
            if std::fs::read_to_string(&source)?.contains(BUILD_ONLY) {
                println!("{name}: built, not run");
                continue;
            }
            self.show(&mut Command::new(folder.join(&name)), EXAMPLE_LIMIT)
                .map_err(|error| format!("example {name}: {error}"))?;
        }
        Ok(Outcome::Passed)
    }

    fn features(&self) -> Result<Outcome> {
        let check = ["check", "--quiet", "--package", "towpath", "--no-default-features"];
        self.cargo(BUILD_LIMIT, &check)?;
        for feature in features(&self.metadata, "towpath")? {
            self.cargo(BUILD_LIMIT, &[&check[..], &["--features", &feature]].concat())?;
        }
        Ok(Outcome::Passed)
    }

    fn licences(&self) -> Result<Outcome> {
        if !works(cargo().args(["deny", "--version"])) {
            return Ok(Outcome::NotRun("cargo deny is not installed"));
        }
        self.cargo(TEST_LIMIT, &["deny", "check", "licenses", "bans", "sources"])
    }

    fn processes_left(&self) -> Result<Outcome> {
        if !Path::new("/proc/self/environ").exists() {
            return Ok(Outcome::NotRun("there is no /proc"));
        }
        nothing(self.run.left_after(EXIT_GRACE), "processes of this run still live")
    }

    fn files_left(&self) -> Result<Outcome> {
        // What is left in there was left by this run and no other.
        nothing(with_prefix(self.run.temporary(), TEMPORARY_PREFIX)?, "temporary files of ours are left")
    }

    fn status_left(&self) -> Result<Outcome> {
        match (&self.status_before, status()?) {
            (Some(before), Some(after)) => {
                nothing(changed(before, &after), "`git status` is not what it was")
            }
            _ => Ok(NO_GIT),
        }
    }
}

#[derive(Default)]
struct Report {
    lines: Vec<String>,
    total: Duration,
    passed: usize,
    failed: usize,
    not_run: usize,
    not_reached: usize,
}

impl Report {
    fn add(&mut self, name: &str, took: Duration, result: Result<Outcome>) {
        let word = match result {
            Ok(Outcome::Passed) => {
                self.passed += 1;
                "passed".to_owned()
            }
            Ok(Outcome::NotRun(reason)) => {
                self.not_run += 1;
                format!("not run: {reason}")
            }
            Err(_) => {
                self.failed += 1;
                "FAILED".to_owned()
            }
        };
        self.total += took;
        self.lines.push(format!("{name:<26} {:>8.1} s  {word}", took.as_secs_f64()));
    }

    fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push_str(&format!("\n{:<26} {:>8.1} s\n", "in all", self.total.as_secs_f64()));
        for (count, word) in [(self.not_run, "not run"), (self.not_reached, "not reached")] {
            if count > 0 {
                text.push_str(&format!("\nsteps {word}: {count}"));
            }
        }
        text.push_str(&format!("\nsteps: {} passed, {} failed", self.passed, self.failed));
        text
    }
}

fn nothing(found: Vec<String>, what: &str) -> Result<Outcome> {
    if found.is_empty() {
        Ok(Outcome::Passed)
    } else {
        Err(format!("{what}:\n  {}", found.join("\n  ")).into())
    }
}

/// What git says of the files; `None` if there is no git.
fn status() -> Result<Option<String>> {
    if !workspace::has_git() {
        return Ok(None);
    }
    let mut git = Command::new("git");
    workspace::output(git.current_dir(root()).args(["status", "--porcelain", "--untracked-files=all"]))
        .map(Some)
}

/// The lines that one has and the other has not.
fn changed(before: &str, after: &str) -> Vec<String> {
    let before: BTreeSet<&str> = before.lines().collect();
    let after: BTreeSet<&str> = after.lines().collect();
    before.symmetric_difference(&after).map(|line| (*line).to_owned()).collect()
}

fn with_prefix(folder: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if !folder.exists() {
        // Nothing was run.
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            found.push(name);
        }
    }
    Ok(found)
}

fn package<'a>(metadata: &'a Value, name: &str) -> Result<&'a Value> {
    let found = workspace::members(metadata).into_iter().find(|package| package["name"] == name);
    found.ok_or_else(|| format!("no package {name}").into())
}

fn features(metadata: &Value, name: &str) -> Result<Vec<String>> {
    let table = package(metadata, name)?["features"].as_object().cloned().unwrap_or_default();
    Ok(table.keys().filter(|feature| *feature != "default").cloned().collect())
}

fn examples(metadata: &Value, name: &str) -> Result<Vec<(String, PathBuf)>> {
    let targets = list(&package(metadata, name)?["targets"]);
    let examples = targets.iter().filter(|target| list(&target["kind"]).iter().any(|kind| kind == "example"));
    examples
        .map(|target| {
            let source = PathBuf::from(workspace::text(target, "src_path")?);
            Ok((workspace::text(target, "name")?.to_owned(), source))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_failed_is_counted_as_failed() {
        let mut report = Report::default();
        report.add("a", Duration::from_secs(1), Ok(Outcome::Passed));
        report.add("b", Duration::from_secs(1), Err("x".into()));
        report.add("c", Duration::from_secs(1), Ok(Outcome::NotRun("not installed")));
        let text = report.text();
        assert!(text.ends_with("steps not run: 1\nsteps: 1 passed, 1 failed"), "{text}");
    }

    #[test]
    fn a_file_that_appeared_is_a_change() {
        assert_eq!(changed(" M a\n", " M a\n?? b\n"), ["?? b"]);
        assert!(changed(" M a\n", " M a\n").is_empty());
    }

    #[test]
    fn a_temporary_file_of_ours_is_seen() {
        let folder = std::env::temp_dir().join(format!("xtask-prefix-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("towpath-spool")).unwrap();
        std::fs::create_dir_all(folder.join("other")).unwrap();
        let found = with_prefix(&folder, TEMPORARY_PREFIX).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["towpath-spool"]);
    }

    #[test]
    fn features_are_read_from_the_manifest() {
        let metadata: Value = serde_json::from_str(
            r#"{"workspace_members":["x"],"packages":[{"id":"x","name":"towpath","features":{"default":["a"],"a":[],"b":[]}}]}"#,
        )
        .unwrap();
        assert_eq!(features(&metadata, "towpath").unwrap(), ["a", "b"]);
        assert!(features(&metadata, "other").is_err());
    }
}
