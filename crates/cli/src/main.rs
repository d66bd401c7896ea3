//! The towpath command: calls MCP servers, bridges them to clients, and shows what the library promises.
#![forbid(unsafe_code)]

mod args;
mod call;
mod child;
mod connect;
mod demo;
mod exit;
mod explain;
mod guard;
mod serve;
mod signals;
mod stderr;
mod text;
mod trace;
mod units;
mod watch;

use std::process::ExitCode;

use args::{Command, parse};

fn main() -> ExitCode {
    let outcome = parse().and_then(|command| match command {
        Command::Call(args) => call::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Connect(args) => connect::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoServer(args) => demo::serve(&args),
        Command::Guard => {
            guard::run();
            Ok(())
        }
    });
    let status = outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS);
    stderr::finish();
    status
}
