//! Tools that only answer.

use serde::Deserialize;
use serde_json::json;

use super::Call;
use crate::answer::{Answer, WAV, image_block, reply, resource_block, text, text_block};

pub(super) fn simple_text() -> Answer {
    text("This is a simple text response for testing.")
}

pub(super) fn image() -> Answer {
    reply(json!({"content": [image_block()]}))
}

pub(super) fn audio() -> Answer {
    reply(json!({"content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]}))
}

pub(super) fn embedded_resource() -> Answer {
    let resource = resource_block("test://embedded-resource", "text/plain", "The content of the resource.");
    reply(json!({"content": [resource]}))
}

pub(super) fn mixed() -> Answer {
    let resource = resource_block("test://mixed-content-resource", "application/json", r#"{"test":"data"}"#);
    reply(json!({"content": [text_block("Several content types:"), image_block(), resource]}))
}

pub(super) fn greeting(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        name: Option<String>,
    }
    let Arguments { name } = call.arguments()?;
    text(format!("Hello, {}!", name.as_deref().unwrap_or("world")))
}

pub(super) fn region(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        region: Option<String>,
    }
    let Arguments { region } = call.arguments()?;
    text(format!("The region is {}.", region.as_deref().unwrap_or("not given")))
}
