//! The example server on its own stdin and stdout. It takes no arguments, and ends with its input.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use towpath::{LinkEnd, OwnStdio};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(LinkEnd::PeerClosed(_) | LinkEnd::ClosedHere) => ExitCode::SUCCESS,
        Ok(end) => {
            eprintln!("everything: {end}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("everything: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<LinkEnd, Box<dyn std::error::Error>> {
    let lane = OwnStdio::lane(Default::default(), Default::default())?;
    Ok(towpath_everything::server()?.serve(lane).await)
}
