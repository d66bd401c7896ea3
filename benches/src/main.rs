//! Takes one sample of one subject, or serves as its child process.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    towpath_benches::main(&towpath_benches::entries())
}
