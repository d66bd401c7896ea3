//! Starts, uses, drops and kills child processes at random, thousands of them, and looks at what is left.
//!
//! Clients of both eras talk to real servers, which are this program again, some behind a shell. After each round nothing
//! may be left: no process, descriptor, task or thread, and memory may not grow with the number of children. Every call has
//! to end once, in the right way. What happened is printed at the end; each kind of it must have happened.
//!
//! `cargo xtask soak` runs it. The same seed gives the same lives in the same order; how they interleave is up to the
//! machine.
#![forbid(unsafe_code)]

mod client;
mod count;
mod left;
mod life;
mod round;
mod server;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use towpath_testkit::leak::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Start, use, drop and kill child processes at random, and see that nothing is left.
#[derive(Parser)]
struct Args {
    /// How long to go on. A round that has begun is finished
    #[arg(long, value_name = "N", default_value_t = 120)]
    seconds: u64,
    /// What the random choices follow from; printed if it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Be one of the servers, of this kind
    #[arg(long, value_enum, hide = true)]
    serve: Option<server::Kind>,
    /// As a server: stay when the input ends
    #[arg(long, hide = true)]
    stay: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.serve {
        Some(kind) => server::serve(kind, args.stay),
        None => {
            let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
            round::run(seed, Duration::from_secs(args.seconds))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
