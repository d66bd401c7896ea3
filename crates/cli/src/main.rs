//! The towpath command: calls MCP servers, and shows what the library promises.
#![forbid(unsafe_code)]

mod args;
mod call;
mod demo;
mod exit;
mod signals;
mod text;
mod trace;
mod units;

use std::process::ExitCode;

use args::{Command, parse};

fn main() -> ExitCode {
    let outcome = parse().and_then(|command| match command {
        Command::Call(args) => call::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoServer => demo::serve(),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
