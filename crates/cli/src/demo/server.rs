//! The example server: an MCP server with three tools, on its own stdin and stdout.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{json, value::RawValue};
use tokio::runtime;
use towpath::{
    Context, ErrorObject, Handler, Implementation, OwnStdio, RawJson, Request, ServerBuilder, jsonrpc::code,
    link::LinkLimits,
};

use crate::exit::{Failure, Status};

/// Serves until stdin ends.
pub(crate) fn serve() -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Status::NotConnected, error.to_string());
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let lane = OwnStdio::lane(Default::default(), Default::default()).map_err(|error| failed(&error))?;
        let mut limits = LinkLimits::default();
        // The demonstration asks for many large answers at once, and does read them.
        limits.max_unread_answer_bytes = 256 << 20;
        let info = Implementation::new("towpath-demo", env!("CARGO_PKG_VERSION"));
        let server = ServerBuilder::new(info, json!({"tools": {}})).limits(limits).build(Tools);
        server.serve(lane).await;
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
                "properties": {"text": {"type": "string"}},
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
    match arguments.get("text").map(|text| text.get()).filter(|text| text.starts_with('"')) {
        Some(text) => content(text, false),
        None => content(r#""`text` must be a string""#, true),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was_written() {
        let arguments = |text| serde_json::from_str::<Members<'_>>(text).unwrap();
        let echoed = echo(&arguments(r#"{"text":"\u00e9é\/\ud83e"}"#));
        assert_eq!(echoed.as_str(), r#"{"content":[{"type":"text","text":"\u00e9é\/\ud83e"}]}"#);
        for wrong in ["{}", r#"{"text":7}"#] {
            assert!(echo(&arguments(wrong)).as_str().ends_with(r#","isError":true}"#), "{wrong}");
        }
    }
}
