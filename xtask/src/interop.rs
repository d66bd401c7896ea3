//! `cargo xtask interop`: our server and our bridge with the official SDKs' clients, and our client with their servers,
//! over stdio and over HTTP.
//!
//! The peers are pinned in `tests/interop/` and installed under `target/interop/`; nothing else is written.

mod client;
mod listening;
mod pairs;
mod peers;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use self::client::Watched;
use self::listening::free_port;
use self::pairs::{PAIRS, Pair, Way};
use self::peers::{Installed, Side};
use self::table::{Cell, Row};
use crate::install;
use crate::workspace::Result;

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
                let name = pair.name(era);
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
    let commands = installed.command(pair.client, ours).and_then(|client| {
        let server = installed.command(pair.server, ours)?;
        Ok((client, server))
    });
    let (client, server) = match commands {
        Ok(commands) => commands,
        Err(missing) => return Ok(Row::all(name, Cell::NotApplicable(missing))),
    };
    let mut command = Command::new(&client[0]);
    command.args(&client[1..]).args(["--era", era, "--rounds", &rounds.to_string()]);
    if pair.client == Side::OurClient {
        command.args(["--peer", pair.server.name()]);
    } else if pair.server == Side::Everything {
        command.args(["--tools", "everything"]);
    }
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}/mcp");
    let listening = match pair.way {
        Way::Stdio => None,
        Way::Http | Way::Connect => Some(installed.listening(pair.server, ours, port)?),
        Way::Serve => {
            let mut serve = Command::new(&ours.towpath);
            serve.args(["serve", "-v", "--port", &port.to_string(), "--"]).args(&server);
            Some(serve)
        }
    };
    let polite = pair.way == Way::Serve || pair.server == Side::OurServer;
    match pair.way {
        Way::Stdio => command.arg("--").args(server),
        Way::Http | Way::Serve => command.args(["--url", &url]),
        Way::Connect => {
            let connect: [OsString; 4] =
                ["--".into(), ours.towpath.clone().into(), "connect".into(), url.into()];
            command.args(connect)
        }
    };
    Watched::run(command, name, listening.map(|server| (server, port, polite)))
}

/// What we built of our own.
struct Ours {
    server: PathBuf,
    client: PathBuf,
    towpath: PathBuf,
}

impl Ours {
    fn build() -> Result<Self> {
        let arguments = ["--release", "--bins", "-p", "towpath-everything", "-p", "towpath-cli"];
        let [server, client, towpath] =
            install::build(&arguments, ["everything", "interop-client", "towpath"])?;
        Ok(Self { server, client, towpath })
    }
}
