//! Takes one sample of another implementation, or serves as its child process, with the harness and
//! the floor of `towpath-benches`.

mod rmcp;

use std::process::ExitCode;

use towpath_benches::{Entry, floor_entry};

fn main() -> ExitCode {
    towpath_benches::main(&[floor_entry(), Entry::new::<rmcp::Rmcp>(), Entry::new::<rmcp::RmcpPipes>()])
}
