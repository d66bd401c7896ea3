//! The options of `towpath serve`.

use std::{ffi::OsString, time::Duration};

use clap::Args;

use super::{
    ChildArgs, ListenAt,
    values::{count, path},
};
use crate::{
    exit::{Failure, Status},
    units,
};

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Where to listen: `http://HOST:PORT/PATH`, `unix:/path` or `tcp:HOST:PORT`; instead of --host, --port and --path
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["host", "port", "path"])]
    pub(crate) listen: Option<ListenAt>,
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
    /// How many sessions of the older revisions, or connections to a socket, may be open; each has a process
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = count)]
    pub(crate) max_sessions: usize,
    /// How long a session over HTTP may be idle, before it ends with its process: 90s, 30m, 2h
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = units::duration)]
    pub(crate) session_timeout: Duration,
    /// How long the server may take to answer one request; then it is told that nobody waits any more
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = units::duration)]
    pub(crate) request_timeout: Duration,
    /// How long the server may take to start, and to say what it speaks
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    pub(crate) start_timeout: Duration,
    /// The largest message, in either direction, on the whole way: 100k, 64MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = units::size)]
    pub(crate) max_message_size: usize,
    #[command(flatten)]
    pub(crate) child: ChildArgs,
    /// Trace to stderr, the stderr of the server included; -vv for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The server: a program that speaks MCP over stdin and stdout, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND ARGS…")]
    pub(crate) command: Vec<OsString>,
}

impl ServeArgs {
    /// Where to listen.
    pub(crate) fn listen_at(&self) -> Result<ListenAt, Failure> {
        let at = self.listen.clone().unwrap_or_else(|| ListenAt::Http {
            host: self.host.clone(),
            port: self.port,
            path: self.path.clone(),
        });
        if matches!(at, ListenAt::Socket(_)) && (!self.origins.is_empty() || !self.hosts.is_empty()) {
            let cause =
                "--allow-origin and --allow-host are for HTTP: a socket knows neither origins nor names";
            return Err(Failure::new(Status::Usage, cause).with_hint("see `towpath serve --help`"));
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn serve(args: &[&str]) -> Result<ServeArgs, String> {
        let line = [&["serve"], args, &["--", "x"]].concat();
        Only::try_parse_from(line).map(|only| only.serve).map_err(|error| error.to_string())
    }

    #[test]
    fn there_is_one_way_to_say_where_to_listen() {
        let http =
            |host: &str, port, path: &str| ListenAt::Http { host: host.into(), port, path: path.into() };
        let at = |args: &[&str]| serve(args).unwrap().listen_at().unwrap();
        assert_eq!(at(&[]), http("127.0.0.1", 8080, "/mcp"));
        assert_eq!(at(&["--host", "::1", "--port", "0", "--path", "/x"]), http("::1", 0, "/x"));
        assert_eq!(at(&["--listen", "http://[::1]:90/y"]), http("::1", 90, "/y"));
        assert!(matches!(at(&["--listen", "unix:/run/x.sock"]), ListenAt::Socket(_)));
        for other in [["--host", "a"], ["--port", "1"], ["--path", "/x"]] {
            let error = serve(&[&["--listen", "tcp:127.0.0.1:0"], &other[..]].concat()).unwrap_err();
            assert!(error.contains("cannot be used with") && error.contains(other[0]), "{error}");
        }
        for gate in [["--allow-host", "a"], ["--allow-origin", "https://a"]] {
            let args = serve(&[&["--listen", "tcp:127.0.0.1:0"], &gate[..]].concat()).unwrap();
            assert_eq!(args.listen_at().unwrap_err().status(), Status::Usage);
        }
    }

    #[test]
    fn timeouts_have_their_defaults_and_units() {
        let args = serve(&[]).unwrap();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!((args.session_timeout, args.request_timeout), (minutes(30), minutes(10)));
        assert_eq!(serve(&["--request-timeout", "90s"]).unwrap().request_timeout, Duration::from_secs(90));
        assert!(serve(&["--max-sessions", "0"]).is_err_and(|error| error.contains("nobody could use it")));
        assert!(serve(&["--session-timeout", "90"]).is_err_and(|error| error.contains("`90s` are seconds")));
    }
}
