//! A server that listens on a Unix socket, and a client of it; here in one process, and as well in two.
//!
//! Try it: `cargo run -p towpath --example socket`

use std::{env, error::Error, fs, process, time::Duration};

use serde_json::json;
use towpath::{
    Client, Context, ErrorObject, Handler, Implementation, RawJson, Request, Server, SocketAddress,
    SocketLane, SocketListener, SocketOptions,
};

struct Echo;

impl Handler for Echo {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "tools/call" => request.reply(&json!({"content": [{"type": "text", "text": "hello"}]})),
            _ => Err(request.unknown_method()),
        }
    }
}

async fn call(address: &SocketAddress) -> Result<(), Box<dyn Error>> {
    let lane = SocketLane::connect(address, SocketOptions::default()).await?;
    let client = Client::connect(lane, Implementation::new("caller", "1.0.0")).await?;
    println!("{}", client.call("tools/call", &json!({"name": "greet"})).await?);
    client.close().await;
    Ok(())
}

async fn run(address: &SocketAddress) -> Result<(), Box<dyn Error>> {
    let server = Server::new(Implementation::new("greeter", "1.0.0"), json!({"tools": {}}), Echo);
    // Only this user may connect. The file goes with the listener.
    let listener = SocketListener::bind(address, SocketOptions::default()).await?;
    println!("listening on {}", listener.address());
    let calls = async {
        let called = call(address).await;
        // Ends the listener, and its lanes.
        server.drain(Duration::from_secs(5)).await?;
        called
    };
    let (served, called) = tokio::join!(server.serve_listener(listener), calls);
    served?;
    called
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::temp_dir().join(format!("towpath-example-{}", process::id()));
    fs::create_dir(&directory)?;
    let outcome = run(&SocketAddress::Unix(directory.join("mcp.sock"))).await;
    // Empty again, so that it can be removed.
    fs::remove_dir(&directory)?;
    outcome
}
