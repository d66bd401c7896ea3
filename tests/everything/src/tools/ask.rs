//! Tools that ask the client, in the way of its era.

use serde::Deserialize;
use serde_json::{Value, json};
use towpath::Era;

use super::Call;
use crate::{
    answer::{Answer, failed, text},
    input::{Ask, declares, elicited, missing, sampled},
};

pub(super) async fn sampling(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        prompt: String,
    }
    let Arguments { prompt } = call.arguments()?;
    match call.input()?.ask(call.context, Ask::sample("completion", &prompt)).await {
        Ok(response) => text(format!("LLM response: {}", sampled(&response))),
        Err(answer) => answer,
    }
}

pub(super) async fn elicitation(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        message: String,
    }
    let Arguments { message } = call.arguments()?;
    let properties = json!({
        "username": {"type": "string", "description": "Any name"},
        "email": {"type": "string", "format": "email", "description": "Any address"},
    });
    elicit(call, Ask::elicit("user", &message, properties, &["username", "email"])).await
}

pub(super) async fn defaults(call: &Call<'_>) -> Answer {
    let properties = json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    });
    elicit(call, Ask::elicit("defaults", "Please check the defaults", properties, &[])).await
}

pub(super) async fn enums(call: &Call<'_>) -> Answer {
    let titled = json!([
        {"const": "value1", "title": "First Option"},
        {"const": "value2", "title": "Second Option"},
        {"const": "value3", "title": "Third Option"},
    ]);
    let options = json!(["option1", "option2", "option3"]);
    let properties = json!({
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    });
    elicit(call, Ask::elicit("choices", "Please choose", properties, &[])).await
}

async fn elicit(call: &Call<'_>, ask: Ask) -> Answer {
    match call.input()?.ask(call.context, ask).await {
        Ok(response) => {
            let action = response.get("action").and_then(Value::as_str).unwrap_or("unknown");
            let content = response.get("content").unwrap_or(&Value::Null);
            text(format!("Elicitation completed: action={action}, content={content}"))
        }
        Err(answer) => answer,
    }
}

pub(super) async fn streaming(call: &Call<'_>) -> Answer {
    let ask = Ask::elicit("value", "Which value?", json!({"value": {"type": "string"}}), &["value"]);
    match call.input()?.ask(call.context, ask).await {
        Ok(response) => text(format!("The value is {}.", elicited(&response, "value"))),
        Err(answer) => answer,
    }
}

pub(super) fn needs_sampling(call: &Call<'_>) -> Answer {
    match (declares(call.context, "sampling"), call.context.era()) {
        (true, _) => text("The client declares sampling."),
        (false, Era::Modern) => Err(missing(call.context, "sampling")),
        (false, Era::Legacy) => failed("This tool needs a client that declares sampling."),
    }
}
