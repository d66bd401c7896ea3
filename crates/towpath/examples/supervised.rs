//! A server that dies and is started again, and a client that notices and goes on.
//!
//! Try it: `cargo run -p towpath --example supervised`. It starts itself as the server, and has that one killed once.

use std::{env, process};

use serde_json::json;
use towpath::{
    ChildCommand, ChildUpstream, Client, Context, ErrorObject, Filter, Handler, Implementation, RawJson,
    Request, RestartPolicy, Server, SupervisedEvent, serve_stdio,
};

/// Says which process it is, or ends it.
struct Mortal;

impl Handler for Mortal {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "who" => request.reply(&json!({"process": process::id()})),
            "die" => process::exit(3),
            _ => Err(request.unknown_method()),
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let capabilities = json!({"tools": {"listChanged": true}});
    let server = Server::new(Implementation::new("mortal", "1.0.0"), capabilities, Mortal);
    serve_stdio(&server, Default::default()).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if env::args().nth(1).as_deref() == Some("serve") {
        return serve().await;
    }
    let program = ChildUpstream::new("mortal", ChildCommand::new(env::current_exe()?).arg("serve"));
    let builder = Client::builder(&Implementation::new("watcher", "1.0.0"));
    let server = builder.supervise(program, RestartPolicy::default());

    let tools = Filter { tools: true, ..Filter::default() };
    let mut changes = server.listen(&tools).await?;
    println!("the server is there: {}", server.call("who", &()).await?);

    // What was sent is not repeated: the caller decides.
    match server.call("die", &()).await {
        Ok(answer) => println!("it lives: {answer}"),
        Err(error) => println!("{:?}: {error}", error.phase()),
    }

    // The subscription comes back with the server, and says that something may have been missed.
    if let Some(SupervisedEvent::Reopened) = changes.next().await? {
        println!("another server is there: {}", server.call("who", &()).await?);
    }
    if let Some(reason) = server.last_death() {
        println!("why: {reason}");
    }
    server.close().await;
    Ok(())
}
