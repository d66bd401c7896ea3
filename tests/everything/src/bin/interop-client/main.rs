//! Our client against a server of others. Each case prints one line; the exit status is 1 when one failed.
#![forbid(unsafe_code)]

mod cases;
mod peer;
mod started;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, ValueEnum};
use http::Uri;
use towpath::{Era, Preference};

use self::peer::Peer;

/// Runs the interoperability cases against a server.
#[derive(Parser)]
pub(crate) struct Args {
    /// What to speak
    #[arg(long)]
    era: Wanted,
    /// How often to repeat each case
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Which server it is
    #[arg(long)]
    peer: Peer,
    /// Where the server is, over HTTP
    #[arg(long)]
    url: Option<Uri>,
    /// How to start the server
    #[arg(last = true, required_unless_present = "url")]
    command: Vec<OsString>,
}

impl Args {
    /// Whether the server is reached over HTTP, by this client or by a bridge that it starts.
    fn over_http(&self) -> bool {
        self.url.is_some() || self.command.iter().any(|word| word == "connect")
    }
}

/// What to speak with the server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    Legacy,
    Modern,
    /// What the server can.
    Auto,
}

impl Wanted {
    fn preference(self) -> Preference {
        match self {
            Wanted::Legacy => Preference::LegacyOnly,
            Wanted::Modern => Preference::ModernOnly,
            Wanted::Auto => Preference::Auto,
        }
    }

    /// The era that must come of it.
    fn era(self, peer: Peer) -> Era {
        match self {
            Wanted::Legacy => Era::Legacy,
            Wanted::Modern => Era::Modern,
            Wanted::Auto => peer.latest_era(),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match cases::run(Args::parse()).await {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
