//! An MCP endpoint in an axum router: for clients of both eras, for pages in browsers, and with probes beside it.
//!
//! Try it: `cargo run -p towpath --example axum -- 127.0.0.1:8080`. Without an address it serves itself, and ends.

use std::{borrow::Cow, env, error::Error, future::pending, sync::Arc};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::Request as HttpRequest;
use serde_json::json;
use towpath::{
    Client, Context, ErrorObject, Handler, Implementation, RawJson, Request, Server,
    http::{ConnectLimits, ConnectTimeouts, HttpConnect, HttpServer, ListenLimits, ListenTimeouts},
    raw::Connect,
};

struct Greeter;

impl Handler for Greeter {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "tools/list" => {
                request.reply(&json!({"tools": [{"name": "greet", "inputSchema": {"type": "object"}}]}))
            }
            "tools/call" => request.reply(&json!({"content": [{"type": "text", "text": "hello"}]})),
            _ => Err(request.unknown_method()),
        }
    }
}

/// What the tools need and may be missing: a database, another server.
fn depends() -> Result<(), Cow<'static, str>> {
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1);
    let server = Server::new(Implementation::new("greeter", "1.0.0"), json!({"tools": {}}), Greeter);
    // Its gate lets in clients of this machine only, and pages that came from it.
    let endpoint = server.http();
    let app = Router::new()
        .route("/", get(|| async { "an MCP server: its endpoint is /mcp\n" }))
        .route_service("/mcp", endpoint.clone())
        .layer(endpoint.cors())
        .layer(endpoint.health().ready(depends));
    // `axum::serve` would serve it, too, but without limits of heads, of connections, and of the time that they take.
    let place = address.as_deref().unwrap_or("127.0.0.1:0");
    let listener = HttpServer::bind(place, ListenLimits::default(), ListenTimeouts::default()).await?;
    let base = format!("http://{}", listener.local_addr());
    eprintln!("serving {base}/mcp");
    let serving = listener.serve(app, pending());
    if address.is_some() {
        serving.await;
        return Ok(());
    }
    tokio::select! {
        _ = serving => Err("the server ended".into()),
        called = call(&base) => called,
    }
}

/// Does what a probe does, and then what a client does.
async fn call(base: &str) -> Result<(), Box<dyn Error>> {
    let connect = Arc::new(HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default())?);
    let (probe, ()) = HttpRequest::get(format!("{base}/readyz")).body(())?.into_parts();
    let (head, _) = connect.exchange(probe, Bytes::new()).await?;
    println!("/readyz says {}", head.status);
    let info = Implementation::new("caller", "1.0.0");
    let client = Client::connect_http(connect, format!("{base}/mcp").parse()?, info).await?;
    println!("{}", client.call("tools/call", &json!({"name": "greet"})).await?);
    client.close().await;
    Ok(())
}
