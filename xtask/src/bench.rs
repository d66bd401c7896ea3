//! `cargo xtask bench`: Towpath beside its floors and the other implementations, in interleaved rounds.
//!
//! Machines are noisy, so no absolute figure is judged: what counts is the ratio to the floor in the same round. Every
//! sample is a process of its own; in each round every subject has its turn, and each round begins with another
//! one. Latency is compared closer still: a subject and the floor take turns, slice by slice, in one process.

mod plan;
mod plot;
mod report;
mod stats;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Ended, Run};
use crate::workspace::{self, Result, cargo, root};
use plan::{FLOOR, Home, Kind, Measure, PLAN, Row};

/// Measure Towpath beside its floors and the other implementations.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Few short rounds, under two minutes: prints the tables and writes no page
    #[arg(long)]
    quick: bool,
    /// How many rounds [default: 12, quick: 3]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Run only the cases whose name contains this, and write no page; repeatable
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Do not build or run the other implementations, and write no page
    #[arg(long)]
    no_peers: bool,
    /// Where the page and its plot go
    #[arg(long, value_name = "FOLDER", default_value = "docs")]
    docs: PathBuf,
}

/// How long a build may take, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long one sample may take beyond its warm-up and its window: the start of its processes.
const SAMPLE_GRACE: Duration = Duration::from_secs(30);

/// How long each part of a sample takes.
struct Pace {
    warm_up: Duration,
    window: Duration,
    /// Of each of the two subjects whose latency is compared.
    latency_window: Duration,
}

const QUICK: Pace = Pace {
    warm_up: Duration::from_millis(100),
    window: Duration::from_millis(350),
    latency_window: Duration::from_millis(200),
};

const FULL: Pace = Pace {
    warm_up: Duration::from_millis(300),
    window: Duration::from_millis(1500),
    latency_window: Duration::from_millis(1000),
};

/// What one subject gave in one round.
#[derive(Clone, Copy, Debug)]
struct Point {
    round: u32,
    value: f64,
    /// The floor's value in the same process, where it ran there.
    floor: Option<f64>,
    cpu: Option<f64>,
}

/// Everything that was measured, by case and subject.
#[derive(Default)]
struct Results {
    points: BTreeMap<(&'static str, &'static str), Vec<Point>>,
    missing: BTreeSet<(&'static str, &'static str)>,
    failures: Vec<String>,
}

/// The variable that tells a sample where the `towpath` command is.
const COMMAND: &str = "TOWPATH_BENCH_COMMAND";

/// The programs that have the subjects.
struct Programs {
    own: Option<PathBuf>,
    peers: Option<PathBuf>,
    /// The `towpath` command, where a case needs it.
    command: Option<PathBuf>,
    available: BTreeSet<(String, String)>,
}

impl Args {
    /// Builds, measures, prints, and in full mode writes the page.
    pub(crate) fn run(self) -> Result<()> {
        let rounds = self.rounds.unwrap_or(if self.quick { 3 } else { 12 });
        let pace = if self.quick { &QUICK } else { &FULL };
        let rows: Vec<&Row> = PLAN.iter().filter(|row| self.wants(row)).collect();
        if rows.is_empty() {
            let names: Vec<_> = PLAN.iter().map(|row| row.case).collect();
            return Err(format!("no case is called that; there are {}", names.join(", ")).into());
        }
        let run = Run::new();
        let bridge = rows.iter().any(|row| row.has_bridge());
        let programs = Programs::build(&run, !self.no_peers, bridge)?;
        let started = Instant::now();
        let results = measure(&run, &programs, &rows, rounds, pace);

        print!("{}", report::tables(&rows, &results, !self.quick));
        println!("\n{rounds} rounds in {:.0} s", started.elapsed().as_secs_f64());
        if !results.failures.is_empty() {
            return Err(format!("samples failed:\n{}", results.failures.join("\n")).into());
        }
        if self.quick || self.no_peers || !self.only.is_empty() {
            return Ok(());
        }
        let docs = root().join(&self.docs);
        std::fs::create_dir_all(&docs)?;
        std::fs::write(docs.join("benchmarks.md"), report::page(&rows, &results, rounds))?;
        std::fs::write(docs.join("benchmarks.svg"), plot::svg(&rows, &results))?;
        println!("{} written", docs.join("benchmarks.md").display());
        Ok(())
    }

    fn wants(&self, row: &Row) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| row.case.contains(part.as_str()))
    }
}

impl Programs {
    fn build(run: &Run, peers: bool, bridge: bool) -> Result<Self> {
        let target = workspace::target_directory(&workspace::metadata()?)?;
        build(run, &root(), &target, "towpath-benches")
            .map_err(|error| format!("the benchmarks do not build: {error}"))?;
        let own = target.join("release/towpath-bench");
        // On its own: in one go with the command, the benchmarks would be built with the command's features.
        if bridge {
            build(run, &root(), &target, "towpath-cli")
                .map_err(|error| format!("the command does not build: {error}"))?;
        }
        let command = bridge.then(|| target.join("release/towpath"));
        // Not to have the peers (no network, say) is no reason to measure nothing: they are then reported as missing.
        let peers = if peers {
            build(run, &root().join("benches/peers"), &target.join("peers"), "towpath-bench-peers")
                .map(|()| target.join("peers/release/towpath-bench-peers"))
                .inspect_err(|error| eprintln!("warning: the other implementations do not build: {error}"))
                .ok()
        } else {
            None
        };
        let mut programs = Self { own: Some(own), peers, command, available: BTreeSet::new() };
        for program in [&programs.own, &programs.peers].into_iter().flatten() {
            let list = workspace::output(Command::new(program).arg("list"))?;
            for line in list.lines() {
                let line: Value = serde_json::from_str(line)?;
                let name = |key| workspace::text(&line, key).map(str::to_owned);
                programs.available.insert((name("case")?, name("subject")?));
            }
        }
        Ok(programs)
    }

    fn program(&self, home: Home) -> Option<&Path> {
        match home {
            Home::Own => self.own.as_deref(),
            Home::Peers => self.peers.as_deref(),
        }
    }

    fn has(&self, case: &str, subject: &str, home: Home) -> bool {
        self.program(home).is_some() && self.available.contains(&(case.to_owned(), subject.to_owned()))
    }
}

/// Builds the programs of a package in release mode, with the versions that the lock file names.
fn build(run: &Run, folder: &Path, target: &Path, package: &str) -> Result<()> {
    let mut command = cargo();
    command.current_dir(folder).env("CARGO_TARGET_DIR", target);
    command.args(["build", "--release", "--locked", "--quiet", "--bins", "--package", package]);
    run.show(&mut command, BUILD_LIMIT)?.success()
}

fn measure(run: &Run, programs: &Programs, rows: &[&'static Row], rounds: u32, pace: &Pace) -> Results {
    let mut results = Results::default();
    for row in rows {
        for subject in
            row.subjects.iter().filter(|subject| !programs.has(row.case, subject.name, subject.home))
        {
            results.missing.insert((row.case, subject.name));
        }
    }
    for round in 0..rounds {
        for row in rows {
            eprintln!("round {} of {rounds}: {}", round + 1, row.case);
            let count = row.subjects.len();
            for turn in 0..count {
                // Each round begins with another subject, so that none always follows the same one.
                let subject = row.subjects[(turn + round as usize) % count];
                if results.missing.contains(&(row.case, subject.name)) {
                    continue;
                }
                // Where latency is compared, the floor runs in the process of each of the others.
                if row.kind() == Kind::Latency && subject.name == FLOOR {
                    continue;
                }
                let taken = programs
                    .program(subject.home)
                    .ok_or_else(|| "it has no program".into())
                    .and_then(|program| {
                        let mut command = Command::new(program);
                        command.envs(programs.command.iter().map(|path| (COMMAND, path)));
                        sample(run, command, row, subject.name, round, pace)
                    });
                match taken {
                    Ok(points) => {
                        for (name, point) in points {
                            results.points.entry((row.case, name)).or_default().push(point);
                        }
                    }
                    Err(error) => {
                        let failure = format!("{}, {}, round {}: {error}", row.case, subject.name, round + 1);
                        eprintln!("warning: {failure}");
                        results.failures.push(failure);
                    }
                }
            }
        }
    }
    results
}

/// Runs one process and reads its samples: of the subject, and of the floor if that ran beside it.
fn sample(
    run: &Run,
    mut command: Command,
    row: &'static Row,
    subject: &'static str,
    round: u32,
    pace: &Pace,
) -> Result<Vec<(&'static str, Point)>> {
    let latency = row.kind() == Kind::Latency;
    let window = if latency { pace.latency_window } else { pace.window };
    command.args(["sample", row.case, subject, "--round", &round.to_string()]);
    command.args(["--warm-up-ms", &pace.warm_up.as_millis().to_string()]);
    command.args(["--window-ms", &window.as_millis().to_string()]);
    if latency {
        command.args(["--beside", FLOOR]);
    }
    let limit = (pace.warm_up + window) * 2 + SAMPLE_GRACE;
    let output = match run.capture(&mut command, limit)? {
        Ended::Done(output) => output,
        Ended::TimeLimit(limit) => return Err(format!("not done after {limit:?}").into()),
    };
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    read(&String::from_utf8_lossy(&output.stdout), row, subject, round)
}

fn read(
    lines: &str,
    row: &'static Row,
    subject: &'static str,
    round: u32,
) -> Result<Vec<(&'static str, Point)>> {
    let field = row.kind().field();
    let mut points = Vec::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line)?;
        let name = if line["subject"] == subject { subject } else { FLOOR };
        if line["wrong"] != 0 {
            return Err(format!("{} answers of {name} were wrong", line["wrong"]).into());
        }
        let value = line[field].as_f64().ok_or_else(|| format!("a sample without {field}: {line}"))?;
        points.push((name, Point { round, value, floor: None, cpu: line["cpu_us_per_req"].as_f64() }));
    }
    let floor = points.iter().find(|(name, _)| *name == FLOOR).map(|(_, point)| point.value);
    let own = points.iter_mut().find(|(name, _)| *name == subject).ok_or("no sample of the subject")?;
    own.1.floor = floor;
    Ok(points)
}

impl Results {
    fn of(&self, case: &'static str, subject: &'static str) -> &[Point] {
        self.points.get(&(case, subject)).map_or(&[], Vec::as_slice)
    }

    fn values(&self, case: &'static str, subject: &'static str) -> Vec<f64> {
        self.of(case, subject).iter().map(|point| point.value).collect()
    }

    /// The values of a subject with those of another in the same round; the floor's from the same process, if it
    /// ran there.
    fn pairs(
        &self,
        case: &'static str,
        subject: &'static str,
        other: &'static str,
        measure: Measure,
    ) -> Vec<(f64, f64)> {
        let others = self.of(case, other);
        let of = |point: &Point| match measure {
            Measure::Value => Some(point.value),
            Measure::Cpu => point.cpu,
        };
        let pair = |point: &Point| {
            let beside = point.floor.filter(|_| other == FLOOR && measure == Measure::Value);
            let same_round = || of(others.iter().find(|other| other.round == point.round)?);
            Some((of(point)?, beside.or_else(same_round)?))
        };
        self.of(case, subject).iter().filter_map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::plan::{FLOOR, Measure, PLAN, TOWPATH};
    use super::{Point, Results, read};

    fn row(case: &str) -> &'static super::Row {
        PLAN.iter().find(|row| row.case == case).unwrap()
    }

    #[test]
    fn a_sample_beside_the_floor_is_paired_with_it() {
        let lines = r#"{"case":"pipes-latency","subject":"rmcp","beside":"floor","round":1,"p50_us":90.5,"requests":9,"wrong":0}
{"case":"pipes-latency","subject":"floor","beside":"rmcp","round":1,"p50_us":10.0,"requests":9,"wrong":0}"#;
        let points = read(lines, row("pipes-latency"), "rmcp", 1).unwrap();
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].1.value, points[0].1.floor), (90.5, Some(10.0)));
        assert_eq!((points[1].0, points[1].1.floor), (FLOOR, None));
    }

    #[test]
    fn wrong_answers_and_missing_figures_are_failures() {
        let of = |line: &str| read(line, row("memory-rate"), "rmcp", 0).unwrap_err().to_string();
        assert!(
            of(r#"{"subject":"rmcp","req_per_s":5.0,"wrong":3}"#).contains("3 answers of rmcp were wrong")
        );
        assert!(of(r#"{"subject":"rmcp","wrong":0}"#).contains("req_per_s"));
        assert!(of("").contains("no sample"));
    }

    #[test]
    fn pairs_are_made_within_a_round_and_never_across() {
        let mut results = Results::default();
        let point = |round, value| Point { round, value, floor: None, cpu: None };
        results.points.insert(("memory-rate", "rmcp"), vec![point(0, 1.0), point(1, 2.0), point(2, 3.0)]);
        results.points.insert(("memory-rate", FLOOR), vec![point(2, 30.0), point(0, 10.0)]);
        let pairs = |measure| results.pairs("memory-rate", "rmcp", FLOOR, measure);
        assert_eq!(pairs(Measure::Value), [(1.0, 10.0), (3.0, 30.0)]);
        assert_eq!(pairs(Measure::Cpu), []);
    }

    #[test]
    fn cpu_time_is_paired_with_cpu_time() {
        let mut results = Results::default();
        let point = |value, cpu| Point { round: 0, value, floor: None, cpu: Some(cpu) };
        results.points.insert(("http-json-rate", TOWPATH), vec![point(90_000.0, 6.0)]);
        results.points.insert(("http-json-rate", FLOOR), vec![point(100_000.0, 5.0)]);
        assert_eq!(results.pairs("http-json-rate", TOWPATH, FLOOR, Measure::Cpu), [(6.0, 5.0)]);
    }
}
