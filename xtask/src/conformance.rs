//! `cargo xtask conformance`: our server and our client under the official conformance suite, over Streamable HTTP.
//!
//! The suite is pinned in `tests/conformance/` and installed under `target/conformance/`; nothing else is written. What
//! is known to fail stands in `tests/conformance/REVISION.yml`, and has to: a line that passes again is an error too.

mod expected;
mod ours;
mod results;
mod suite;

use std::fmt;

use clap::ValueEnum;

use self::expected::Expected;
use self::ours::{Ours, Serving};
use self::results::Results;
use self::suite::Suite;
use crate::workspace::{Result, root};

/// Run the scenarios of every revision, and say which pass.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail when the suite cannot be installed, instead of leaving everything out
    #[arg(long)]
    require: bool,
    /// Run the suite against our server; both sides unless one is named
    #[arg(long)]
    server: bool,
    /// Run the suite against our client
    #[arg(long)]
    client: bool,
    /// Run only this revision; repeatable
    #[arg(long, value_name = "REVISION")]
    revision: Vec<Revision>,
}

/// A revision that the suite has scenarios for on both sides.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Revision {
    #[value(name = "2025-06-18")]
    V2025_06_18,
    #[value(name = "2025-11-25")]
    V2025_11_25,
    #[value(name = "2026-07-28")]
    V2026_07_28,
}

/// Which of ours is under test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

impl Args {
    /// Installs, builds, runs and prints.
    pub(crate) fn run(self) -> Result<()> {
        let suite = match Suite::install() {
            Ok(suite) => suite,
            Err(missing) if self.require => return Err(format!("--require: {missing}").into()),
            Err(missing) => {
                eprintln!("NOT RUN: {missing}");
                return Ok(());
            }
        };
        let ours = Ours::build()?;
        let mut wrong = 0;
        for revision in Revision::value_variants() {
            if !self.revision.is_empty() && !self.revision.contains(revision) {
                continue;
            }
            for side in [Side::Server, Side::Client] {
                let wanted = match side {
                    Side::Server => self.server || !self.client,
                    Side::Client => self.client || !self.server,
                };
                if wanted {
                    wrong += under_test(side, *revision, &suite, &ours)?;
                }
            }
        }
        match wrong {
            0 => Ok(()),
            count => Err(format!("{count} results are not as expected").into()),
        }
    }
}

/// Runs one side in one revision, prints the results, and counts what is not as expected.
fn under_test(side: Side, revision: Revision, suite: &Suite, ours: &Ours) -> Result<usize> {
    let file = root().join(format!("tests/conformance/{revision}.yml"));
    let expected = Expected::read(&file, side)?;
    let (ended, trouble) = match side {
        Side::Server => {
            let serving = Serving::start(ours, revision)?;
            let ended = suite.server(revision, serving.url(), &file)?;
            (ended, serving.stop()?)
        }
        Side::Client => (suite.client(revision, ours.client(), &file)?, None),
    };
    let results = Results::read(&suite::folder(side, revision), side, suite.scenarios(side, revision)?)?;
    let mut wrong = results.wrong(&expected);
    wrong.extend(trouble);
    // The suite has the last word on its own checks.
    if !ended && wrong.is_empty() {
        wrong.push("the suite reports a failure that is not in its results".to_owned());
    }
    println!("{side} {revision}: {}", results.summary(&suite.required(side, revision)?));
    let failed = results.failed();
    if !failed.is_empty() {
        println!("  failed: {}", failed.join(" "));
    }
    for line in &wrong {
        println!("  WRONG: {line}");
    }
    Ok(wrong.len())
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        })
    }
}

/// What the suite calls it.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}
