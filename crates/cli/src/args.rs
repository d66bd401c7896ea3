//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use http::{HeaderName, HeaderValue, Uri};
use towpath::Preference;

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
    /// Put an MCP server that speaks over stdin and stdout on Streamable HTTP
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Be the stdin and stdout of an MCP server that is reached over HTTP
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
    /// The server, where it is reached over HTTP
    #[arg(long, value_name = "URL", value_parser = url, conflicts_with_all = ["command", "env", "cwd"])]
    pub(crate) url: Option<Uri>,
    /// A header for every request to the URL, such as `Authorization: Bearer …`; can be repeated
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
pub(crate) struct ServeArgs {
    /// The address to listen on; other machines reach it only if it is not a loopback address, and then all of them may
    /// use it: there is no authentication
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The path of the endpoint
    #[arg(long, default_value = "/mcp", value_parser = path)]
    pub(crate) path: String,
    /// A web origin that may use it, such as `https://app.example`; can be repeated. Loopback ones always may
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<String>,
    /// A name that it may be reached by, such as `mcp.example`; can be repeated. Loopback ones always are; where it
    /// does not listen on a loopback address, every name is, unless one is given
    #[arg(long = "allow-host", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// How many sessions of the older revisions may be open; each has a process. One that is idle ends after 30 minutes
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub(crate) max_sessions: usize,
    /// The largest message, in either direction, on the whole way: 100k, 64MiB
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
    /// The server: a program that speaks MCP over stdin and stdout, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND ARGS…")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// The server
    #[arg(value_name = "URL", value_parser = url)]
    pub(crate) url: Uri,
    /// A header for every request, such as `Authorization: Bearer …`; can be repeated
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

/// An absolute URL, without what never goes over the wire.
fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("credentials do not belong into a URL: use --header 'Authorization: …'".into())
        }
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err("it must begin with http:// or https://".into()),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("it must have the form NAME: VALUE".into());
    };
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    // It may be a secret: it is not to be shown.
    value.set_sensitive(true);
    Ok((name, value))
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', '#', ' ']) {
        Ok(text.to_owned())
    } else {
        Err("it must begin with `/`, and have no query".into())
    }
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
  towpath call --url http://127.0.0.1:8080/mcp

Notifications that come before the result are printed to stderr, one line each.
";

const SERVE_HELP: &str = "\
Requests of the stateless revisions (from 2026-07-28 on) share one process of the server; each session of the older ones
has a process of its own, which ends with it. What the server does not speak is refused, and the revisions are named.

Examples:
  towpath serve -- npx -y @modelcontextprotocol/server-everything
  towpath serve --port 9000 --path /tools --max-message-size 64MiB -- ./server --stdio

Exit status:
    0  ended by SIGINT, SIGTERM or SIGHUP; nothing is left running
    2  the command line is wrong
    3  the server could not be started or connected, or the address is taken
";

const CONNECT_HELP: &str = "\
Only the protocol is on stdout. Whatever the other side writes to stdin goes to the URL, and the answers come back.

Examples:
  towpath connect https://example.org/mcp --header 'Authorization: Bearer …'
  towpath call -- towpath connect http://127.0.0.1:8080/mcp

Each request that cannot be passed on is answered with an error that says why. When stdin ends, what was asked has 30
seconds more to be answered.

Exit status:
    0  stdin has ended, and every request was answered
    2  the command line is wrong
    3  HTTP could not be set up
    4  the connection was lost, or stdin has ended and a request had no answer in time
    6  stdin could not be read, or stdout could not be written
  130  interrupted, by SIGINT, SIGTERM or SIGHUP
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
    fn urls_and_headers_are_read_whole() {
        assert!(url("http://127.0.0.1:8080/mcp").is_ok() && url("https://example.org").is_ok());
        for wrong in ["127.0.0.1:8080", "ftp://a/b", "/mcp", "http://user:word@a/mcp", ""] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        let (name, value) = header("X-Key:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap(), value.is_sensitive()), ("x-key", "a: b", true));
        assert!(header("nothing").is_err() && header("a b: c").is_err() && header("a: b\nc").is_err());
        assert!(path("/mcp").is_ok() && path("mcp").is_err() && path("/a?b").is_err());
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
