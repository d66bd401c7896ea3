//! Lists the tools of an MCP server: of any command, or of the example server beside it.
//!
//! Try it: `cargo run -p towpath --example client -- npx -y @modelcontextprotocol/server-everything`

use std::env;

use towpath::{ChildCommand, Client, Implementation};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut command = env::args_os().skip(1);
    let beside = env::current_exe()?.with_file_name("server");
    let program = command.next().unwrap_or(beside.into());
    let lane = ChildCommand::new(program).args(command).spawn()?;
    let client = Client::connect(lane, Implementation::new("lister", "1.0.0")).await?;
    eprintln!("the server speaks {}", client.server().revision);
    println!("{}", client.call("tools/list", &()).await?);
    client.close().await;
    Ok(())
}
