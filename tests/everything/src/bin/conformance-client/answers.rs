//! What a client with nobody in front of it answers when it is asked.

use serde_json::{Map, Value, json};
use towpath::{ClientHandler, ErrorObject, Message, RawJson, jsonrpc::code};

/// Answers a legacy server; a modern one gets the same answers in the next round of a call.
pub(crate) struct Answers;

impl ClientHandler for Answers {
    async fn request(&self, request: Message, _: towpath::link::Context) -> Result<RawJson, ErrorObject> {
        let params = request.params().unwrap_or_else(RawJson::empty_object);
        let invalid = |error| ErrorObject::new(code::INVALID_PARAMS, format!("invalid params: {error}"));
        let answer = answer(request.method(), &params.deserialize().map_err(invalid)?);
        let answer =
            answer.ok_or_else(|| ErrorObject::new(code::METHOD_NOT_FOUND, "this is not answered here"))?;
        RawJson::serialize(&answer).map_err(|_| ErrorObject::new(code::INTERNAL_ERROR, "internal error"))
    }
}

/// The answer to what a server asks, if it may ask that.
pub(crate) fn answer(method: &str, params: &Value) -> Option<Value> {
    match method {
        "elicitation/create" => {
            Some(json!({"action": "accept", "content": filled_in(&params["requestedSchema"])}))
        }
        "sampling/createMessage" => Some(json!({
            "role": "assistant",
            "model": "none",
            "stopReason": "endTurn",
            "content": {"type": "text", "text": "There is no model here."},
        })),
        "roots/list" => Some(json!({"roots": [{"uri": "file:///nowhere", "name": "nowhere"}]})),
        _ => None,
    }
}

/// A form as a user would send it who changes nothing: what has a default has it, and what has none is left out unless
/// it is required.
fn filled_in(schema: &Value) -> Map<String, Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut content = Map::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let value = match field.get("default") {
            Some(default) => default.clone(),
            None if required.contains(&name.as_str()) => sample(field),
            None => continue,
        };
        content.insert(name.clone(), value);
    }
    content
}

/// Some value that a schema of a simple type allows.
pub(crate) fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some("null") => Value::Null,
        _ => json!("anything"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_sent_with_its_defaults_and_what_is_required() {
        let schema = json!({
            "properties": {
                "name": {"type": "string", "default": "John"},
                "verified": {"type": "boolean", "default": false},
                "age": {"type": "integer", "minimum": 18},
                "colour": {"type": "string", "enum": ["red", "blue"]},
                "note": {"type": "string"},
            },
            "required": ["age", "colour"],
        });
        let answer = answer("elicitation/create", &json!({"requestedSchema": schema})).unwrap();
        let content = json!({"name": "John", "verified": false, "age": 18, "colour": "red"});
        assert_eq!(answer, json!({"action": "accept", "content": content}));
    }

    #[test]
    fn what_no_server_may_ask_has_no_answer() {
        assert_eq!(answer("tools/call", &json!({})), None);
        assert!(answer("roots/list", &Value::Null).is_some());
    }
}
