//! `cargo xtask soak`: thousands of children, and nothing left of them. The program is `tests/soak`.

use std::process::Command;
use std::time::Duration;

use crate::process::Run;
use crate::workspace::{Result, cargo, metadata, target_directory};

/// Start, use, drop and kill child processes at random, thousands of them, and see that nothing is left
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many minutes to go on
    #[arg(long, value_name = "N", default_value_t = 2)]
    minutes: u64,
    /// How many seconds to go on, instead of minutes
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// What the random choices follow from; if it is not given, a new one is taken and printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// How long a build may take, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long the last round may take, what has to settle after it included.
const GRACE: Duration = Duration::from_secs(3 * 60);

impl Args {
    /// Builds the program with debug assertions, which watch the order of locks, and runs it.
    pub(crate) fn run(self) -> Result<()> {
        let run = Run::new();
        run.show(cargo().args(["build", "--package", "towpath-soak"]), BUILD_LIMIT)?.success()?;
        let seconds = self.seconds.unwrap_or(self.minutes.saturating_mul(60));
        let mut soak = Command::new(target_directory(&metadata()?)?.join("debug/towpath-soak"));
        soak.args(["--seconds", &seconds.to_string()]);
        if let Some(seed) = self.seed {
            soak.args(["--seed", &seed.to_string()]);
        }
        run.show(&mut soak, Duration::from_secs(seconds).saturating_add(GRACE))?.success()?;
        match run.left_after(Duration::from_secs(2)) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("processes of this run still live:\n{}", left.join("\n")).into()),
        }
    }
}
