//! `cargo xtask controls`: code that must not pass, and does not.
//!
//! Each folder of `tests/controls/` is a small package outside the workspace with one fault in it. A lint that is
//! switched on but never fires looks the same as a lint that works; here it has to fire, and nothing else may.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Ended, Run};
use crate::workspace::{self, Result, cargo, root};

/// Each control, and the one error that clippy must have for it.
const CONTROLS: &[(&str, &str)] = &[("lock-across-await", "clippy::await_holding_invalid_type")];

const LIMIT: Duration = Duration::from_secs(600);

/// See that code which must be refused is refused.
#[derive(clap::Args)]
pub(crate) struct Args {}

impl Args {
    /// Runs clippy on every control.
    pub(crate) fn run(self) -> Result<()> {
        let named: BTreeSet<String> = CONTROLS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let present = folders()?;
        if named != present {
            return Err(format!("tests/controls/ has {present:?}, the table has {named:?}").into());
        }
        let mut failures = Vec::new();
        for (name, lint) in CONTROLS {
            match check(name, lint) {
                Ok(message) => println!("{name}: refused, as it must be: {message}"),
                Err(error) => failures.push(format!("{name}: {error}")),
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
    }
}

fn folders() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("tests/controls"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// The message of the lint, if that and nothing else is what clippy refuses the package for.
fn check(name: &str, lint: &str) -> Result<String> {
    let folder = root().join("tests/controls").join(name);
    // The same versions as the workspace has: nothing is fetched, nothing is built twice.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let mut command = cargo();
    command
        .current_dir(&folder)
        .args(["clippy", "--quiet", "--message-format=json"])
        .env("CLIPPY_CONF_DIR", root())
        .env("CARGO_TARGET_DIR", workspace::target_directory(&workspace::metadata()?)?);
    match Run::new().capture(&mut command, LIMIT)? {
        Ended::Done(output) if output.status.success() => Err("clippy passes it".into()),
        Ended::Done(output) => {
            let errors = errors(&String::from_utf8_lossy(&output.stdout));
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            judge(&errors, lint).map_err(|error| format!("{error}\n{complaints}").into())
        }
        Ended::TimeLimit(limit) => Err(format!("clippy is not done after {limit:?}").into()),
    }
}

/// The errors of a JSON build log: code and text. The closing "could not compile" has no code and is left out.
fn errors(log: &str) -> Vec<(String, String)> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|entry| entry["reason"] == "compiler-message" && entry["message"]["level"] == "error")
        .map(|entry| {
            let rendered = entry["message"]["rendered"].as_str().unwrap_or("").trim().to_owned();
            (entry["message"]["code"]["code"].as_str().unwrap_or("").to_owned(), rendered)
        })
        .filter(|(code, rendered)| !(code.is_empty() && rendered.starts_with("error: aborting")))
        .collect()
}

fn judge(errors: &[(String, String)], lint: &str) -> Result<String> {
    match errors {
        [(code, rendered)] if code == lint => {
            Ok(rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
        [] => Err("refused, but without an error of its own".into()),
        others => {
            let shown: Vec<&str> = others.iter().map(|(_, rendered)| rendered.as_str()).collect();
            Err(format!("expected one {lint}, got {}:\n{}", others.len(), shown.join("\n")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(code: &str, text: &str) -> String {
        format!(
            r#"{{"reason":"compiler-message","message":{{"level":"error","code":{{"code":"{code}"}},"rendered":"error: {text}"}}}}"#
        )
    }

    #[test]
    fn the_named_lint_alone_is_a_refusal() {
        let log = line("clippy::a", "holds it");
        assert_eq!(judge(&errors(&log), "clippy::a").unwrap(), "holds it");
    }

    #[test]
    fn another_error_is_not_a_refusal() {
        assert!(judge(&errors(&line("E0308", "mismatched types")), "clippy::a").is_err());
        let both = format!("{}\n{}", line("clippy::a", "x"), line("E0308", "y"));
        assert!(judge(&errors(&both), "clippy::a").is_err());
        assert!(judge(&errors("not json"), "clippy::a").is_err());
    }
}
