//! The example server: an MCP server with three tools, on its own stdin and stdout or over HTTP.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{json, value::RawValue};
use tokio::runtime;
use towpath::{
    Context, ErrorObject, Handler, Implementation, Limits, OwnStdio, RawJson, Request, ServerBuilder,
    http::{HttpServer, ListenLimits, ListenTimeouts},
    jsonrpc::code,
    server::{EndpointLimits, EndpointSettings},
};

use crate::{
    args::DemoServerArgs,
    exit::{Failure, Status},
    stderr,
};

/// Serves until stdin ends; over HTTP, until somebody ends it.
pub(crate) fn serve(args: &DemoServerArgs) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Status::NotConnected, error.to_string());
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let limits = Limits::default().with_max_message_bytes(args.max_message_size);
        let (lane_limits, mut limits) = (limits.lane, limits.link);
        // The demonstration asks for many large answers at once, and does read them.
        limits.max_unread_answer_bytes = 256 << 20;
        let info = Implementation::new("towpath-demo", env!("CARGO_PKG_VERSION"));
        let envelope = limits.envelope;
        let server = ServerBuilder::new(info, json!({"tools": {}})).limits(limits).build(Tools);
        if args.http {
            let listening =
                HttpServer::bind("127.0.0.1:0", ListenLimits::default(), ListenTimeouts::default());
            let listening = listening.await.map_err(|error| failed(&error))?;
            stderr::write(format!("http://{}/mcp\n", listening.local_addr()).into_bytes());
            // Whoever has started it ends it.
            let mut endpoint = EndpointLimits::default();
            // As above: one session asks for all of it at once.
            endpoint.max_session_inbox_bytes = 256 << 20;
            endpoint.envelope = envelope;
            let service = server.http_with(EndpointSettings::new().limits(endpoint));
            listening.serve(service, std::future::pending()).await;
        } else {
            let lane = OwnStdio::lane(lane_limits, Default::default()).map_err(|error| failed(&error))?;
            server.serve(lane).await;
        }
        Ok(())
    })
}

struct Tools;

/// Members as they came: texts go in and out without being read.
type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl Handler for Tools {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "tools/list" => request.reply(&json!({"tools": tools()})),
            "tools/call" => {
                let params = request.params().unwrap_or_else(RawJson::empty_object);
                let params: Members<'_> = params.deserialize().unwrap_or_default();
                let arguments = params.get("arguments").map(|arguments| arguments.get());
                let arguments: Members<'_> =
                    arguments.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
                match request.name().as_deref() {
                    Some("echo") => Ok(echo(&arguments)),
                    Some("count") => Ok(count(&arguments, &context).await),
                    Some("wait") => Ok(wait(&context).await),
                    name => Err(ErrorObject::new(
                        code::INVALID_PARAMS,
                        format!(
                            "unknown tool: {}",
                            name.unwrap_or("(none)").chars().take(64).collect::<String>()
                        ),
                    )),
                }
            }
            _ => Err(request.unknown_method()),
        }
    }
}

fn tools() -> serde_json::Value {
    json!([
        {
            "name": "echo",
            "description": "Gives its text back",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "times": {"type": "integer", "minimum": 1, "maximum": MAX_TIMES},
                },
                "required": ["text"],
            },
        },
        {
            "name": "count",
            "description": "Counts, and reports its progress",
            "inputSchema": {
                "type": "object",
                "properties": {"to": {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}},
            },
        },
        {
            "name": "wait",
            "description": "Reports progress once, then waits until it is cancelled",
            "inputSchema": {"type": "object"},
        },
    ])
}

fn echo(arguments: &Members<'_>) -> RawJson {
    let Some(text) = arguments.get("text").map(|text| text.get()).filter(|text| text.starts_with('"')) else {
        return content(r#""`text` must be a string""#, true);
    };
    match arguments.get("times").map(|times| times.get().parse::<usize>().ok()) {
        None => content(text, false),
        Some(Some(times @ 1..=MAX_TIMES)) => {
            let inner = text.get(1..text.len() - 1).unwrap_or_default();
            content(&format!("\"{}\"", inner.repeat(times)), false)
        }
        Some(_) => content(r#""`times` must be a whole number from 1 to 1000""#, true),
    }
}

async fn count(arguments: &Members<'_>, context: &Context) -> RawJson {
    let to = arguments.get("to").map_or(Some(3), |to| to.get().parse::<u32>().ok());
    let Some(to) = to.filter(|to| (1..=MAX_COUNT).contains(to)) else {
        return content(r#""`to` must be a whole number from 1 to 1000""#, true);
    };
    for step in 1..=to {
        // A client that no longer wants it drops this future.
        let _ = context.progress(f64::from(step), Some(f64::from(to)), Some("counting")).await;
    }
    content(&format!("\"counted to {to}\""), false)
}

async fn wait(context: &Context) -> RawJson {
    let _ = context.progress(0.0, None, Some("waiting")).await;
    std::future::pending().await
}

/// A result with one text, which is JSON already.
fn content(text: &str, is_error: bool) -> RawJson {
    let mut json = Vec::with_capacity(text.len() + 64);
    json.extend_from_slice(br#"{"content":[{"type":"text","text":"#);
    json.extend_from_slice(text.as_bytes());
    json.extend_from_slice(if is_error { br#"}],"isError":true}"# } else { b"}]}" });
    RawJson::from_validated(json.into())
}

const MAX_COUNT: u32 = 1000;
const MAX_TIMES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was_written() {
        let arguments = |text| serde_json::from_str::<Members<'_>>(text).unwrap();
        let echoed = echo(&arguments(r#"{"text":"\u00e9é\/\ud83e"}"#));
        assert_eq!(echoed.as_str(), r#"{"content":[{"type":"text","text":"\u00e9é\/\ud83e"}]}"#);
        let twice = echo(&arguments(r#"{"text":"ab","times":2}"#));
        assert_eq!(twice.as_str(), r#"{"content":[{"type":"text","text":"abab"}]}"#);
        for wrong in ["{}", r#"{"text":7}"#, r#"{"text":"a","times":0}"#, r#"{"text":"a","times":1001}"#] {
            assert!(echo(&arguments(wrong)).as_str().ends_with(r#","isError":true}"#), "{wrong}");
        }
    }
}
