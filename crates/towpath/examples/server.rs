//! An MCP server with one tool, on its own stdin and stdout, in every revision of the protocol.
//!
//! Try it: `cargo run -- call tools/list -- target/debug/examples/server`

use serde::Deserialize;
use serde_json::json;
use towpath::{Context, ErrorObject, Handler, Implementation, RawJson, Request, Server, serve_stdio};

struct Echo;

#[derive(Deserialize)]
struct Call {
    arguments: Arguments,
}

#[derive(Deserialize)]
struct Arguments {
    text: String,
}

impl Handler for Echo {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "tools/list" => request.reply(&json!({"tools": [{
                "name": "echo",
                "description": "Gives back its text",
                "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
            }]})),
            "tools/call" => {
                let Call { arguments } = request.params_as()?;
                request.reply(&json!({"content": [{"type": "text", "text": arguments.text}]}))
            }
            _ => Err(request.unknown_method()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new(Implementation::new("echo", "1.0.0"), json!({"tools": {}}), Echo);
    serve_stdio(&server, Default::default()).await?;
    Ok(())
}
