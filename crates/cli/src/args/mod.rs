//! The command line.

mod address;
mod child;
mod help;
mod serve;
mod values;

use std::{error::Error, ffi::OsString, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};
use http::{HeaderName, HeaderValue};
use towpath::Preference;

pub(crate) use self::{
    address::{ListenAt, Target},
    child::ChildArgs,
    serve::ServeArgs,
};
use self::{
    help::{CALL_EXAMPLES, CONNECT_HELP, DEMO_HELP, SERVE_HELP},
    values::header,
};
use crate::{
    exit::{self, Failure, Status},
    units,
};

/// What a call looks like.
pub(crate) const FORM: &str = "towpath call [OPTIONS] [METHOD [PARAMS_JSON]] (--url URL | -- COMMAND ARGS…)";

/// Calls MCP servers, in every revision of the protocol, and shows what the library promises.
#[derive(Debug, Parser)]
#[command(name = "towpath", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask an MCP server one thing, and print the result as JSON
    #[command(
        override_usage = FORM,
        after_help = format!("{CALL_EXAMPLES}\n{}", exit::help()),
    )]
    Call(CallArgs),
    /// Put an MCP server that speaks over stdin and stdout on Streamable HTTP, or on a socket
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Be the stdin and stdout of an MCP server that is reached over HTTP, or on a socket
    #[command(after_help = CONNECT_HELP)]
    Connect(ConnectArgs),
    /// Call an example server over every path, in both eras, and check every byte
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArgs),
    /// The example server of the demonstration, on its own stdin and stdout
    #[command(hide = true)]
    DemoServer(DemoServerArgs),
    /// Ends groups of processes when stdin ends
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
    /// The server, where it runs already: an http or https URL, `unix:/path` or `tcp:HOST:PORT`
    #[arg(long, value_name = "URL", conflicts_with_all = ["command", "env", "inherit_env", "cwd"])]
    pub(crate) url: Option<Target>,
    /// A header for every request to an http or https URL, such as `Authorization: Bearer …`; can be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header, requires = "url")]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Which era of the protocol to speak: modern is stateless (from 2026-07-28 on), legacy begins with `initialize`
    #[arg(long, value_enum, default_value_t = EraChoice::Auto)]
    pub(crate) era: EraChoice,
    /// How long all of it may take, from the start of the server to the last byte of the result: 500ms, 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::duration)]
    pub(crate) timeout: Duration,
    /// The largest message, in either direction: 100k, 64MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = units::size)]
    pub(crate) max_message_size: usize,
    #[command(flatten)]
    pub(crate) child: ChildArgs,
    /// Trace to stderr, the stderr of the server included; -vv for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print no notifications
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// The server: an http or https URL, `unix:/path` or `tcp:HOST:PORT`
    #[arg(value_name = "URL")]
    pub(crate) url: Target,
    /// A header for every request to an http or https URL, such as `Authorization: Bearer …`; can be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The largest message, in either direction, on the whole way: 100k, 64MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = units::size)]
    pub(crate) max_message_size: usize,
    /// Trace to stderr; -vv for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// A short look, with fewer calls
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoServerArgs {
    /// The largest message, in either direction
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = units::size)]
    pub(crate) max_message_size: usize,
    /// Listen on a free port, and say on stderr where
    #[arg(long)]
    pub(crate) http: bool,
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
    let name = std::env::args_os().nth(1).unwrap_or_default();
    let hint = match name.to_str() {
        Some("call") => call_hint(),
        Some(name @ ("serve" | "connect" | "demo")) => format!("see `towpath {name} --help`"),
        _ => "see `towpath --help`".to_owned(),
    };
    Err(Failure::new(Status::Usage, cause(&error)).with_hint(hint))
}

/// What is wrong. The values of options that may hold a secret are not shown: stderr is often kept.
fn cause(error: &clap::Error) -> String {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.as_str(),
        _ => "",
    };
    let is_secret =
        ["--header", "--env", "--url", "--listen", "<URL>"].iter().any(|name| option.starts_with(name));
    if is_secret && let (ErrorKind::ValueValidation, Some(why)) = (error.kind(), error.source()) {
        return format!("invalid value for '{option}': {why}");
    }
    let text = error.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// What a call looks like, for whoever got it wrong.
pub(crate) fn call_hint() -> String {
    format!("the form is `{FORM}`; see `towpath call --help`")
}

#[cfg(test)]
pub(crate) fn serve_args(options: &[&str]) -> ServeArgs {
    let line = [&["towpath", "serve"], options, &["--", "x"]].concat();
    match Cli::try_parse_from(line).map(|cli| cli.command) {
        Ok(Command::Serve(args)) => args,
        other => panic!("no command line: {other:?}"),
    }
}

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
    fn a_value_that_may_be_a_secret_is_not_shown() {
        let lines: [(&[&str], &str); 6] = [
            (&["call", "--url", "http://a", "--header", "Authorization Bearer hush"], "the form NAME: VALUE"),
            (&["call", "--env", "=hush", "--", "x"], "the form NAME=VALUE"),
            (&["call", "--url", "http://us:hush@a/"], "credentials do not belong"),
            (&["call", "--url", "ftp://a/?key=hush"], "must begin with http"),
            (&["connect", "http://us:hush@a/"], "credentials do not belong"),
            (&["serve", "--listen", "http://us:hush@a:1/", "--", "x"], "credentials do not belong"),
        ];
        for (line, why) in lines {
            let error = Cli::try_parse_from([&["towpath"], line].concat()).unwrap_err();
            let cause = cause(&error);
            assert!(cause.contains(why) && !cause.contains("hush"), "{cause}");
        }
        let error = Cli::try_parse_from(["towpath", "call", "--timeout", "90", "--", "x"]).unwrap_err();
        assert!(cause(&error).contains("'90'"), "{error}");
    }

    #[test]
    fn the_help_names_what_a_server_inherits() {
        let mut command = Cli::command();
        for name in ["call", "serve"] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            for variable in towpath::stdio::INHERITED_VARIABLES {
                let named = if variable.starts_with("LC_") { "LC_*" } else { variable };
                assert!(help.contains(named), "{variable} in the help of {name}: {help}");
            }
        }
    }
}
