//! The servers, which are this program again.

use std::{error::Error, future::pending, io::Write, process::exit, time::Duration};

use serde_json::{Value, json};
use towpath::{Context, ErrorObject, Handler, Implementation, OwnStdio, RawJson, Request, Server};

/// What a server is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// It answers.
    Answering,
    /// It answers, and writes far more to stderr than a pipe holds.
    Flooding,
    /// It never says a word.
    Mute,
}

/// The exit code of a server that dies by itself.
pub(crate) const DEATH: i32 = 3;

pub(crate) fn serve(kind: Kind, stay: bool) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if kind == Kind::Mute {
            // It does not even read: only a signal ends it.
            pending::<()>().await;
        }
        let floods = kind == Kind::Flooding;
        if floods {
            flood();
        }
        let server =
            Server::new(Implementation::new("soak", "1.0.0"), json!({"tools": {}}), Tools { floods });
        server.serve(OwnStdio::lane(Default::default(), Default::default())?).await;
        if stay {
            pending::<()>().await;
        }
        Ok(())
    })
}

/// So much that it would block if nobody read it.
fn flood() {
    let line = [b"all work and no play makes a dull log ".repeat(27), b"\n".to_vec()].concat();
    for _ in 0..300 {
        // Nobody may be left to read it.
        let _ = std::io::stderr().write_all(&line);
    }
}

struct Tools {
    floods: bool,
}

impl Handler for Tools {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        if request.method() != "tools/call" {
            return Err(request.unknown_method());
        }
        let params: Value = request.params_as()?;
        let arguments = &params["arguments"];
        match params["name"].as_str() {
            Some("echo") => request.reply(&json!({"content": [{"type": "text", "text": arguments["text"]}]})),
            Some("slow") => {
                if self.floods {
                    flood();
                }
                // allowed: to take long is what this tool is for.
                tokio::time::sleep(Duration::from_secs(600)).await;
                request.reply(&json!({"content": []}))
            }
            Some("die") => exit(DEATH),
            _ => Err(request.unknown_method()),
        }
    }
}
