//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use towpath::Preference;

use crate::{
    exit::{self, Failure, Status},
    units,
};

/// What a call looks like.
pub(crate) const FORM: &str = "towpath call [OPTIONS] [METHOD [PARAMS_JSON]] -- COMMAND ARGS…";

/// Calls MCP servers, in every revision of the protocol, and shows what the library promises.
#[derive(Debug, Parser)]
#[command(name = "towpath", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start an MCP server, ask it one thing, print the result as JSON
    #[command(
        override_usage = FORM,
        after_help = format!("{CALL_EXAMPLES}\n{}", exit::help()),
    )]
    Call(CallArgs),
    /// Call an example server over every path, in both eras, and check every byte
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArgs),
    /// The example server of the demonstration, on its own stdin and stdout
    #[command(hide = true)]
    DemoServer,
    /// Ends a group of processes when stdin ends
    #[command(hide = true)]
    Guard,
}

#[derive(Args, Debug)]
pub(crate) struct CallArgs {
    /// The method
    #[arg(default_value = "tools/list")]
    pub(crate) method: String,
    /// Its params: one JSON object
    #[arg(value_name = "PARAMS_JSON")]
    pub(crate) params: Option<String>,
    /// The server: a program that speaks MCP over stdin and stdout, and its arguments
    #[arg(last = true, value_name = "COMMAND ARGS…")]
    pub(crate) command: Vec<OsString>,
    /// Which era of the protocol to speak: modern is stateless (from 2026-07-28 on), legacy begins with `initialize`
    #[arg(long, value_enum, default_value_t = EraChoice::Auto)]
    pub(crate) era: EraChoice,
    /// How long all of it may take, from the start of the server to the last byte of the result: 500ms, 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::duration)]
    pub(crate) timeout: Duration,
    /// The largest message, in either direction: 100k, 64MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = units::size)]
    pub(crate) max_message_size: usize,
    /// Set a variable in the environment of the server, which is this one otherwise; can be repeated
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// Where the server runs
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// Trace to stderr, the stderr of the server included; -vv for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print no notifications
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// A short look, with fewer calls
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EraChoice {
    /// Modern where the server can, else legacy
    Auto,
    /// Modern, or an error
    Modern,
    /// Legacy, without asking first
    Legacy,
}

impl From<EraChoice> for Preference {
    fn from(choice: EraChoice) -> Self {
        match choice {
            EraChoice::Auto => Preference::Auto,
            EraChoice::Modern => Preference::ModernOnly,
            EraChoice::Legacy => Preference::LegacyOnly,
        }
    }
}

/// Reads the command line. Help and version are printed here, and end the process.
pub(crate) fn parse() -> Result<Command, Failure> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli.command),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {}
    }
    let text = error.render().to_string();
    let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let is_call = std::env::args_os().nth(1).is_some_and(|name| name == "call");
    let hint = if is_call { call_hint() } else { "see `towpath --help`".to_owned() };
    Err(Failure::new(Status::Usage, cause).with_hint(hint))
}

/// What a call looks like, for whoever got it wrong.
pub(crate) fn call_hint() -> String {
    format!("the form is `{FORM}`; see `towpath call --help`")
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) | None => Err("it must have the form NAME=VALUE".into()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    }
}

const CALL_EXAMPLES: &str = "\
Examples:
  towpath call -- npx -y @modelcontextprotocol/server-everything
  towpath call tools/call '{\"name\": \"echo\", \"arguments\": {\"message\": \"hi\"}}' -- ./server
  towpath call --era legacy --timeout 5m resources/list -- uvx my-server
  towpath call --env TOKEN=secret --cwd /srv prompts/list -- ./server --stdio

Notifications that come before the result are printed to stderr, one line each.
";

const DEMO_HELP: &str = "\
Each payload carries a number of its own and is compared byte for byte when it comes back.

Exit status:
    0  nothing was lost, changed or left over
    1  something was: a call without an answer, a different byte, a process or a descriptor
    3  the example server could not be started or connected
  130  interrupted, by SIGINT, SIGTERM or SIGHUP
";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_call_takes_method_params_and_command_apart() {
        let line = ["towpath", "call", "ping", "{}", "--era", "legacy", "--", "sh", "-c", "exit"];
        let Ok(Cli { command: Command::Call(call) }) = Cli::try_parse_from(line) else { panic!("no call") };
        assert_eq!((call.method.as_str(), call.params.as_deref()), ("ping", Some("{}")));
        assert_eq!(call.command, ["sh", "-c", "exit"]);
        assert_eq!(call.era, EraChoice::Legacy);
        let Ok(Cli { command: Command::Call(call) }) = Cli::try_parse_from(["towpath", "call", "--", "x"])
        else {
            panic!("no call")
        };
        assert_eq!((call.method.as_str(), call.params), ("tools/list", None));
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
