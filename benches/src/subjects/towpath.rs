//! Towpath itself: its client against its server, with an `echo` tool.
//!
//! Everything has its defaults but the size of the pipes, which the case prescribes. In memory both sides
//! run over the same duplex stream as the others.

mod bridge;
mod http;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use towpath::jsonrpc::encode::write_string;
use towpath::link::CallOptions;
use towpath::{
    ChildCommand, Client, Context, ErrorObject, Handler, Implementation, IoLane, OwnStdio, RawJson, Request,
    Server,
};

use crate::subject::Answer;
use crate::{Caller, Connection, Entry, Failure, MEMORY_BYTES, Medium, PipeSize, Subject};

/// Towpath, in the forms that are measured.
pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::new::<Towpath>(),
        Entry::new::<http::HttpTowpath>(),
        Entry::new::<http::HttpClientTowpath>(),
        Entry::new::<bridge::Direct>(),
        Entry::new::<bridge::Bridge>(),
    ]
}

struct Towpath;

/// One of the callers that share a client.
pub(crate) struct ClientCaller(Client);

struct Echo;

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
}

#[derive(Deserialize)]
struct ToolResult<'a> {
    #[serde(borrow)]
    content: [Content<'a>; 1],
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
}

/// The values stay the JSON text that they are, as Towpath hands them out: nothing is unescaped to be escaped again.
impl Handler for Echo {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        if request.method() != "tools/call" {
            return Err(request.unknown_method());
        }
        let params = request.params().unwrap_or_else(RawJson::empty_object);
        let call: ToolCall<'_> =
            params.deserialize().map_err(|error| ErrorObject::new(INVALID_PARAMS, error.to_string()))?;
        if context.wants_progress() {
            let reported = context.progress(1.0, None, None).await;
            reported.map_err(|error| ErrorObject::new(INTERNAL_ERROR, error.to_string()))?;
        }
        let text = call.arguments.text.get().as_bytes();
        Ok(around(br#"{"content":[{"type":"text","text":"#, br#"}]}"#, text.len(), |out| {
            out.extend_from_slice(text);
        }))
    }
}

/// JSON text between two others.
fn around(head: &[u8], tail: &[u8], length: usize, write: impl FnOnce(&mut BytesMut)) -> RawJson {
    let mut out = BytesMut::with_capacity(head.len() + length + tail.len());
    out.extend_from_slice(head);
    write(&mut out);
    out.extend_from_slice(tail);
    RawJson::from_validated(out.freeze())
}

const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

impl Subject for Towpath {
    const NAME: &'static str = "towpath";
    type Caller = ClientCaller;

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<ClientCaller>, Failure> {
        let mut owned = JoinSet::new();
        let client = match medium {
            Medium::Memory => {
                let (near, far) = tokio::io::duplex(MEMORY_BYTES);
                owned.spawn(async move { server().serve(lane(far)).await });
                Client::connect(lane(near), implementation()).await?
            }
            Medium::Http(_) | Medium::HttpClient | Medium::HttpClientAlone | Medium::Bridge => {
                return Err("this subject is for memory and pipes".into());
            }
            Medium::Pipes(size) => {
                let child = ChildCommand::new(std::env::current_exe()?)
                    .args(["serve", Self::NAME])
                    .pipe_bytes((size == PipeSize::Wide).then_some(1 << 20))
                    .spawn()?;
                Client::connect(child, implementation()).await?
            }
        };
        Ok(Connection { callers: share(&client, callers), owner: Box::new((client, owned)) })
    }

    async fn serve() -> Result<(), Failure> {
        server().serve(OwnStdio::lane(Default::default(), Default::default())?).await;
        Ok(())
    }
}

impl Caller for ClientCaller {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        let params = around(br#"{"name":"echo","arguments":{"text":"#, b"}}", text.len() + 2, |out| {
            write_string(out, text)
        });
        let answer = self.0.call_with("tools/call", Some(params), CallOptions::default()).await?;
        let Ok(result) = answer.deserialize::<ToolResult<'_>>() else { return Ok(Answer::wrong()) };
        let quoted = result.content[0].text.get();
        Ok(Answer::check(quoted.trim_matches('"').as_bytes(), text))
    }
}

/// Callers that share a client.
fn share(client: &Client, callers: usize) -> Vec<ClientCaller> {
    std::iter::repeat_with(|| ClientCaller(client.clone())).take(callers).collect()
}

fn implementation() -> Implementation {
    Implementation::new("towpath-bench", "0.1.0")
}

fn server() -> Server<Echo> {
    Server::new(implementation(), json!({"tools": {}}), Echo)
}

fn lane(
    stream: DuplexStream,
) -> IoLane<tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>> {
    let (reader, writer) = tokio::io::split(stream);
    IoLane::new(reader, writer, "the other side", Default::default(), Default::default())
}
