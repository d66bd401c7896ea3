//! The commands of this workspace: `cargo xtask --help`.
//!
//! One file a command. Each is a `clap::Args` struct with a `run`; a new one is a `mod` line and an entry in `Command`.

#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod controls;
mod fuzz;
mod install;
mod interop;
mod negative;
mod process;
mod soak;
mod source;
mod test_all;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything that is done to this workspace, as commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure Towpath beside its floors and the other implementations
    Bench(bench::Args),
    /// Run every check: format, lints, house rules, tests, docs, examples, controls, features, licences
    TestAll(test_all::Args),
    /// Check the house rules: who may depend on whom, limits, deadlines, unsafe code, wording
    Tidy(tidy::Args),
    /// Break the code on purpose, in a copy, and see that the test for each promise fails
    Negative(negative::Args),
    /// See that code which must be refused is refused: a lock held across an await
    Controls(controls::Args),
    /// Run our server, client and bridge with the official SDKs’ clients and servers, over stdio and HTTP
    Interop(interop::Args),
    /// Run the official conformance suite against our server and our client, over HTTP
    Conformance(conformance::Args),
    /// Start, use, drop and kill child processes at random, thousands of them, and see that nothing is left
    Soak(soak::Args),
    /// Feed the codecs what a fuzzer makes up, where there is one
    Fuzz(fuzz::Args),
}

impl Command {
    fn run(self) -> workspace::Result<()> {
        match self {
            Self::Bench(args) => args.run(),
            Self::TestAll(args) => args.run(),
            Self::Tidy(args) => args.run(),
            Self::Negative(args) => args.run(),
            Self::Controls(args) => args.run(),
            Self::Interop(args) => args.run(),
            Self::Conformance(args) => args.run(),
            Self::Soak(args) => args.run(),
            Self::Fuzz(args) => args.run(),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
