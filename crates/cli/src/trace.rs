//! What `-v` shows.

use tracing_subscriber::EnvFilter;

use crate::stderr;

/// Traces to stderr from here on, if anything was asked for. The stderr of a server is traced as
/// `towpath::child`, so it is part of even the shortest trace.
pub(crate) fn start(verbosity: u8) {
    let filter = match verbosity {
        0 => return,
        1 => "info,towpath::child=debug",
        2 => "debug",
        _ => "trace",
    };
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(|| stderr::Trace).init();
}
