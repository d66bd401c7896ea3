//! Takes one sample of another implementation, or serves as its child process, with the harness and
//! the floors of `towpath-benches`.

mod rmcp;
mod rmcp_http;

use std::process::ExitCode;

use towpath_benches::{Entry, floor_entries};

fn main() -> ExitCode {
    let mut entries = floor_entries();
    entries.push(Entry::new::<rmcp::Rmcp>());
    entries.push(Entry::new::<rmcp::RmcpPipes>());
    entries.push(Entry::new::<rmcp_http::RmcpHttp>());
    entries.push(Entry::new::<rmcp_http::RmcpClient>());
    entries.push(Entry::new::<rmcp_http::RmcpPooledClient>());
    towpath_benches::main(&entries)
}
