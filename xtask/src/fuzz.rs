//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, where there is a fuzzer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{Run, works};
use crate::workspace::{Result, root};

/// Feed the codecs what a fuzzer makes up, beginning with the inputs of tests/invariants/corpus
///
/// It needs cargo-fuzz, a nightly toolchain and a C++ compiler; what is missing is said.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this target: line, event, envelope or header
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// How long to run each target; 0 only builds them
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Fail where something that is needed is missing
    #[arg(long)]
    require: bool,
}

/// How long a build may take, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long the fuzzer may take to begin and to end.
const GRACE: Duration = Duration::from_secs(60);

/// The longest input that it makes up, in bytes: what matters to a codec happens within less.
const LONGEST: usize = 4096;

impl Args {
    /// Builds the targets, and runs each for its time.
    pub(crate) fn run(self) -> Result<()> {
        let targets = targets(&root().join("fuzz/fuzz_targets"))?;
        let chosen: Vec<&String> =
            targets.iter().filter(|name| self.target.as_ref().is_none_or(|wanted| wanted == *name)).collect();
        if chosen.is_empty() {
            return Err(format!("no such target; there are {}", targets.join(", ")).into());
        }
        let missing = missing();
        if !missing.is_empty() {
            let text = format!("NOT RUN, nothing was fuzzed: {} missing", missing.join(" and "));
            println!("{text}");
            return if self.require { Err(text.into()) } else { Ok(()) };
        }
        let run = Run::new();
        for target in chosen {
            run.show(fuzz("build").arg(target), BUILD_LIMIT)?.success()?;
            if self.seconds == 0 {
                continue;
            }
            // What it finds worth keeping goes to the first folder, which is not part of the project.
            let kept = root().join("fuzz/corpus").join(target);
            std::fs::create_dir_all(&kept)?;
            let mut command = fuzz("run");
            command.arg(target).arg(&kept).arg(root().join("tests/invariants/corpus").join(target));
            command.args([
                "--",
                &format!("-max_total_time={}", self.seconds),
                &format!("-max_len={LONGEST}"),
            ]);
            run.show(&mut command, Duration::from_secs(self.seconds).saturating_add(GRACE))?
                .success()
                .map_err(|error| format!("{target}: {error}; the input is in fuzz/artifacts/{target}"))?;
        }
        Ok(())
    }
}

/// The names of the targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().filter(|_| path.extension().is_some_and(|rust| rust == "rs")) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// What is needed and is not there.
fn missing() -> Vec<&'static str> {
    let needed = [
        ("cargo-fuzz (cargo install cargo-fuzz)", fuzz("--version")),
        ("a nightly toolchain (rustup toolchain install nightly)", nightly(&["rustc", "--version"])),
        ("a C++ compiler", version(&std::env::var("CXX").unwrap_or_else(|_| "c++".into()))),
    ];
    needed.into_iter().filter_map(|(name, mut command)| (!works(&mut command)).then_some(name)).collect()
}

fn fuzz(command: &str) -> Command {
    let mut fuzz = nightly(&["cargo", "fuzz", command]);
    fuzz.current_dir(root());
    fuzz
}

fn nightly(command: &[&str]) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly"]).args(command);
    // Those of the cargo that runs us name another toolchain.
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        rustup.env_remove(variable);
    }
    rustup
}

fn version(program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("--version");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_inputs_to_begin_with() {
        let targets = targets(&root().join("fuzz/fuzz_targets")).unwrap();
        assert_eq!(targets, ["envelope", "event", "header", "line"]);
        for target in targets {
            let inputs = root().join("tests/invariants/corpus").join(&target);
            assert!(std::fs::read_dir(&inputs).unwrap().count() > 0, "{target}");
            let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
    }
}
