//! What the handlers answer with.

use serde::Serialize;
use serde_json::{Value, json};
use towpath::{
    Context, Era, ErrorObject, RawJson, Revision,
    jsonrpc::code,
    mcp::{Fault, wire_reply},
};

/// A result, or the error of the request.
pub(crate) type Answer = Result<RawJson, ErrorObject>;

/// Any value as a result.
pub(crate) fn reply<T: Serialize>(value: T) -> Answer {
    RawJson::serialize(&value).map_err(|_| ErrorObject::new(code::INTERNAL_ERROR, "internal error"))
}

/// The result of a tool that has one text to say.
pub(crate) fn text(text: impl Into<String>) -> Answer {
    reply(json!({"content": [text_block(text)]}))
}

/// The result of a tool that did not succeed, for the model to see.
pub(crate) fn failed(why: impl Into<String>) -> Answer {
    reply(json!({"content": [text_block(why)], "isError": true}))
}

/// A piece of content that is text.
pub(crate) fn text_block(text: impl Into<String>) -> Value {
    json!({"type": "text", "text": text.into()})
}

/// A piece of content that is a resource with text.
pub(crate) fn resource_block(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}})
}

/// A piece of content that is an image.
pub(crate) fn image_block() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

/// A result that modern clients may keep for a while (server/utilities/caching); it is the same for everybody.
pub(crate) fn cacheable(context: &Context, mut result: Value) -> Answer {
    if let (Era::Modern, Some(members)) = (context.era(), result.as_object_mut()) {
        members.insert("ttlMs".to_owned(), TTL_MS.into());
        members.insert("cacheScope".to_owned(), "public".into());
    }
    reply(result)
}

/// −32602.
pub(crate) fn invalid(why: impl Into<String>) -> ErrorObject {
    ErrorObject::new(code::INVALID_PARAMS, why.into())
}

/// −32602 for a name that nothing has. The name is the client's, and may be long.
pub(crate) fn unknown(what: &str, name: &str) -> ErrorObject {
    invalid(format!("unknown {what}: {}", name.chars().take(64).collect::<String>()))
}

/// The error of this revision for a fault.
pub(crate) fn fault(context: &Context, fault: &Fault) -> ErrorObject {
    let revision = context.revision().unwrap_or(Revision::LATEST_LEGACY);
    wire_reply(fault, revision.rules()).into_error()
}

/// One transparent pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// The head of a sound without a sample.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// How long the lists may be kept. A client that keeps them longer should listen for changes.
const TTL_MS: u64 = 60_000;
