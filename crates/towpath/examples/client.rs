//! Lists the tools of any MCP server that is a command: `cargo run -p towpath --example client -- COMMAND ARGS…`

use std::env;

use towpath::{ChildCommand, Client, Implementation};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut command = env::args().skip(1);
    let program = command.next().ok_or("usage: client COMMAND ARGS…")?;
    let lane = ChildCommand::new(program).args(command).spawn()?;
    let client = Client::connect(lane, Implementation::new("lister", "1.0.0")).await?;
    eprintln!("the server speaks {}", client.server().revision);
    println!("{}", client.call("tools/list", &()).await?);
    client.close().await;
    Ok(())
}
