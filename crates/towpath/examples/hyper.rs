//! An MCP endpoint on hyper alone: its layers put around it by hand, and connections that are the program's own.
//!
//! Try it: `cargo run -p towpath --example hyper -- 127.0.0.1:8080`. Without an address it serves itself, and ends.
//! `towpath::http::HttpServer` does the same within limits.

use std::{env, error::Error, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tower_layer::Layer;
use towpath::{
    Client, Context, ErrorObject, Handler, Implementation, RawJson, Request, Server,
    http::{ConnectLimits, ConnectTimeouts, HttpConnect},
    server::EndpointSettings,
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1);
    let server = Server::new(Implementation::new("greeter", "1.0.0"), json!({"tools": {}}), Greeter);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    eprintln!("serving {url}");
    if address.is_some() {
        return serve(listener, &server).await;
    }
    let outcome = tokio::select! {
        served = serve(listener, &server) => served,
        called = call(&url) => called,
    };
    outcome?;
    // Whatever is still at work may end.
    server.drain(Duration::from_secs(10)).await?;
    Ok(())
}

/// Serves until accepting fails, or until it is dropped, with every connection.
async fn serve(listener: TcpListener, server: &Server<Greeter>) -> Result<(), Box<dyn Error>> {
    let endpoint = server.http_with(EndpointSettings::new().path("/mcp"));
    let service = endpoint.health().layer(endpoint.cors().layer(endpoint.clone()));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            Some(_) = connections.join_next() => continue,
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
        connections
            .spawn(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone())));
    }
}

async fn call(url: &str) -> Result<(), Box<dyn Error>> {
    let connect = Arc::new(HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default())?);
    let client = Client::connect_http(connect, url.parse()?, Implementation::new("caller", "1.0.0")).await?;
    println!("{}", client.call("tools/call", &json!({"name": "greet"})).await?);
    client.close().await;
    Ok(())
}
