//! What `-v` shows.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::stderr;

/// Traces to stderr from here on, if anything was asked for. The stderr of a server is traced as
/// `towpath::child`, so it is part of even the shortest trace.
pub(crate) fn start(verbosity: u8) {
    start_with(verbosity, None);
}

/// The same, with what is traced even if nothing was asked for.
pub(crate) fn start_with(verbosity: u8, always: Option<&str>) {
    let filter = match verbosity {
        0 => match always {
            Some(always) => always,
            None => return,
        },
        1 => "info,towpath::child=debug",
        2 => "debug",
        _ => "trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        // A file is no terminal, and wants no colours.
        .with_ansi(io::stderr().is_terminal())
        .with_writer(|| stderr::Trace)
        .init();
}
