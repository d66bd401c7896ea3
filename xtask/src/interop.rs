//! `cargo xtask interop`: our server with the official SDKs' clients, and our client with their servers, over stdio.
//!
//! The peers are pinned in `tests/interop/` and installed under `target/interop/`; nothing else is written.

mod client;
mod peers;
mod table;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use self::client::Watched;
use self::peers::{Installed, PAIRS, Pair, Side};
use self::table::{Cell, Row};
use crate::workspace::{Result, cargo, root};

/// Run every case of every peer in every era, and print the table.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run each case once instead of twenty times
    #[arg(long)]
    quick: bool,
    /// Fail when a peer cannot be installed, instead of leaving it out
    #[arg(long)]
    require: bool,
    /// Run only the rows whose name contains this, such as "py", "modern" or "ts2 -> towpath"; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// The eras in which a client can be started. `auto` finds out the era of the server.
const ERAS: &[&str] = &["legacy", "modern", "auto"];

/// How often a case is repeated when there is time.
const ROUNDS: u32 = 20;

impl Args {
    /// Installs, builds, runs and prints.
    pub(crate) fn run(self) -> Result<()> {
        let installed = Installed::new();
        for missing in installed.missing() {
            eprintln!("NOT RUN: {missing}");
        }
        let missing = installed.missing().len();
        if self.require && missing > 0 {
            return Err(
                format!("--require: {missing} of the two groups of peers could not be installed").into()
            );
        }
        let ours = Ours::build()?;
        let rounds = if self.quick { 1 } else { ROUNDS };

        let mut rows = Vec::new();
        for pair in PAIRS {
            for era in ERAS {
                let name = format!("{} -> {} {era}", pair.client.name(), pair.server.name());
                if self.only.is_empty() || self.only.iter().any(|wanted| name.contains(wanted)) {
                    println!("{name}");
                    rows.push(row(pair, era, rounds, name, &installed, &ours)?);
                }
            }
        }
        if rows.is_empty() {
            return Err(format!("no row is named like {:?}", self.only).into());
        }
        print!("\n{}", table::shown(&rows));
        match rows.iter().flat_map(Row::failures).count() {
            0 => Ok(()),
            count => Err(format!("{count} cells failed").into()),
        }
    }
}

fn row(pair: &Pair, era: &str, rounds: u32, name: String, installed: &Installed, ours: &Ours) -> Result<Row> {
    if let Some(reason) = pair.not_applicable(era) {
        return Ok(Row::all(name, Cell::NotApplicable(reason.to_owned())));
    }
    let (client, server) = match (installed.command(pair.client, ours), installed.command(pair.server, ours))
    {
        (Ok(client), Ok(server)) => (client, server),
        (Err(missing), _) | (_, Err(missing)) => return Ok(Row::all(name, Cell::NotApplicable(missing))),
    };
    let mut command = Command::new(&client[0]);
    command.args(&client[1..]).args(["--era", era, "--rounds", &rounds.to_string()]);
    if pair.client == Side::OurClient {
        command.args(["--peer", pair.server.name()]);
    }
    command.arg("--").args(server);
    Watched::run(command, name)
}

/// What we built of our own.
struct Ours {
    server: PathBuf,
    client: PathBuf,
}

impl Ours {
    const PACKAGE: &str = "towpath-everything";

    fn build() -> Result<Self> {
        let build = cargo()
            .args(["build", "--release", "--bins", "-p", Self::PACKAGE])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(root())
            .stderr(Stdio::inherit())
            .output()?;
        if !build.status.success() {
            return Err(format!("cargo build: {}", build.status).into());
        }
        let artifacts: Vec<Value> = String::from_utf8_lossy(&build.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let executable = |name: &str| {
            let artifact = artifacts
                .iter()
                .find(|artifact| artifact["target"]["name"] == name && artifact["executable"].is_string());
            artifact
                .and_then(|artifact| artifact["executable"].as_str())
                .map(PathBuf::from)
                .ok_or_else(|| format!("{} has no binary named {name}", Self::PACKAGE))
        };
        Ok(Self { server: executable("everything")?, client: executable("interop-client")? })
    }
}
