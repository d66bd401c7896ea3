//! The prompts.

use serde::Deserialize;
use serde_json::{Value, json};
use towpath::{Context, Request};

use crate::{
    answer::{Answer, cacheable, image_block, invalid, reply, resource_block, text_block, unknown},
    input::{Ask, Input, elicited},
    resources::only_page,
};

/// All of them, in the order of the list.
pub(crate) const NAMES: [&str; 5] = [
    "test_simple_prompt",
    "test_prompt_with_arguments",
    "test_prompt_with_embedded_resource",
    "test_prompt_with_image",
    "test_input_required_result_prompt",
];

pub(crate) fn list(request: &Request, context: &Context) -> Answer {
    only_page(request)?;
    let [simple, arguments, resource, image, input] = NAMES;
    let argument =
        |name, description, required| json!({"name": name, "description": description, "required": required});
    let prompts = json!([
        {"name": simple, "description": "One message"},
        {"name": arguments, "description": "A message with both arguments in it", "arguments": [
            argument("arg1", "The first", true), argument("arg2", "The second", true),
        ]},
        {"name": resource, "description": "A message with a resource in it", "arguments": [
            argument("resourceUri", "The URI that the resource has", true),
        ]},
        {"name": image, "description": "A message that is an image"},
        {"name": input, "description": "A message with something that the user is asked for"},
    ]);
    cacheable(context, json!({"prompts": prompts}))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Arguments {
    arg1: Option<String>,
    arg2: Option<String>,
    resource_uri: Option<String>,
}

pub(crate) async fn get(request: &Request, context: &Context) -> Answer {
    #[derive(Deserialize)]
    struct Params {
        #[serde(default)]
        arguments: Arguments,
    }
    let name = request.name().ok_or_else(|| invalid("`params.name` must be a string"))?;
    let Params { arguments } = request.params_as()?;
    let needed =
        |argument: Option<String>, name| argument.ok_or_else(|| invalid(format!("`{name}` is missing")));
    match &*name {
        "test_simple_prompt" => messages("One message", [text_block("This is a simple prompt.")]),
        "test_prompt_with_arguments" => {
            let (one, two) = (needed(arguments.arg1, "arg1")?, needed(arguments.arg2, "arg2")?);
            let text = format!("Prompt with arguments: arg1='{one}', arg2='{two}'");
            messages("Both arguments", [text_block(text)])
        }
        "test_prompt_with_embedded_resource" => {
            let uri = needed(arguments.resource_uri, "resourceUri")?;
            let resource = resource_block(&uri, "text/plain", "The content of the resource.");
            messages("A resource", [resource, text_block("Please read the resource above.")])
        }
        "test_prompt_with_image" => {
            messages("An image", [image_block(), text_block("Please look at the image above.")])
        }
        "test_input_required_result_prompt" => {
            let ask = Ask::elicit(
                "user_context",
                "What is the context?",
                json!({"context": {"type": "string"}}),
                &["context"],
            );
            match Input::of(request)?.ask(context, ask).await {
                Ok(response) => {
                    let text = format!("The context is: {}", elicited(&response, "context"));
                    messages("What the user was asked for", [text_block(text)])
                }
                Err(answer) => answer,
            }
        }
        unknown_name => Err(unknown("prompt", unknown_name)),
    }
}

fn messages<const N: usize>(description: &str, contents: [Value; N]) -> Answer {
    let messages = contents.map(|content| json!({"role": "user", "content": content}));
    reply(json!({"description": description, "messages": messages.as_slice()}))
}
