//! What `tools/list` says. The order never changes, and the first tool can be called without arguments.

use serde_json::{Value, json};
use towpath::Context;

use crate::answer::{Answer, cacheable};

pub(super) fn list(context: &Context) -> Answer {
    let tools: Vec<Value> = all().collect();
    cacheable(context, json!({"tools": tools}))
}

/// Every tool, in the order of the list.
pub(super) fn all() -> impl Iterator<Item = Value> {
    let plain = PLAIN.iter().map(|(name, description)| tool(name, description, json!({}), &[]));
    plain.chain(with_arguments())
}

fn tool(name: &str, description: &str, properties: Value, required: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"name": name, "description": description, "inputSchema": schema})
}

/// Those without arguments.
const PLAIN: &[(&str, &str)] = &[
    ("test_simple_text", "Answers a text"),
    ("test_image_content", "Answers an image"),
    ("test_audio_content", "Answers a sound"),
    ("test_embedded_resource", "Answers a resource"),
    ("test_multiple_content_types", "Answers a text, an image and a resource"),
    ("test_tool_with_logging", "Logs three messages, then answers"),
    ("test_logging_tool", "Logs one message, then answers"),
    ("test_error_handling", "Fails"),
    ("test_tool_with_progress", "Reports progress three times, then answers"),
    ("test_reconnection", "Sends a client that polls away, and has its answer when it comes back"),
    ("test_elicitation_sep1034_defaults", "Asks the user for values that all have defaults"),
    ("test_elicitation_sep1330_enums", "Asks the user to choose, in five ways"),
    ("test_missing_capability", "Needs a client that declares `sampling`"),
    ("test_streaming_elicitation", "Asks the user for a value"),
    ("test_trigger_tool_change", "Tells that the list of tools has changed"),
    ("test_trigger_prompt_change", "Tells that the list of prompts has changed"),
    ("test_input_required_result_elicitation", "Asks the user for a name"),
    ("test_input_required_result_sampling", "Asks the model a question"),
    ("test_input_required_result_list_roots", "Asks for the roots"),
    ("test_input_required_result_request_state", "Asks for a confirmation, with a sealed state"),
    ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
    ("test_input_required_result_multi_round", "Asks twice, one after the other"),
    ("test_input_required_result_tampered_state", "Refuses a state that was changed"),
    ("test_input_required_result_capabilities", "Asks only for what the client can give"),
];

fn with_arguments() -> [Value; 8] {
    let string = |description: &str| json!({"type": "string", "description": description});
    let count = |description: &str| json!({"type": "integer", "minimum": 0, "description": description});
    [
        tool("test_sampling", "Asks the model", json!({"prompt": string("What to ask")}), &["prompt"]),
        tool("test_elicitation", "Asks the user", json!({"message": string("What to ask")}), &["message"]),
        tool(
            "test_trigger_resource_update",
            "Changes the watched resource, and tells of it",
            json!({"uri": string("Another resource to tell of")}),
            &[],
        ),
        tool(
            "test_custom_header",
            "Answers the region, which HTTP clients also send as a header",
            json!({"region": {"type": "string", "description": "Any", "x-mcp-header": "Region"}}),
            &[],
        ),
        json_schema(),
        tool("echo", "Answers its text", json!({"text": string("What to answer")}), &["text"]),
        tool(
            "progress",
            "Reports progress, then answers",
            json!({"steps": count("How often"), "delay_ms": count("How long to wait after each")}),
            &["steps", "delay_ms"],
        ),
        tool("slow", "Answers after a while", json!({"ms": count("After how long")}), &["ms"]),
    ]
}

/// Every keyword of JSON Schema 2020-12 that something on the way could drop.
fn json_schema() -> Value {
    json!({
        "name": "json_schema_2020_12_tool",
        "description": "Has an input schema with the keywords of JSON Schema 2020-12",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                },
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}, {"required": ["name"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": []},
            "additionalProperties": false,
        },
    })
}
