//! Completion of the arguments of prompts and resource templates.

use serde::Deserialize;
use serde_json::json;
use towpath::{Context, Request, mcp::Fault};

use crate::{
    answer::{Answer, fault, reply, unknown},
    prompts, resources,
};

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "ref")]
    of: Reference,
    argument: Argument,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

pub(crate) fn complete(request: &Request, context: &Context) -> Answer {
    let Params { of, argument } = request.params_as()?;
    let candidates: &[&str] = match &of {
        Reference::Prompt { name } if !prompts::NAMES.contains(&name.as_str()) => {
            return Err(unknown("prompt", name));
        }
        Reference::Prompt { .. } => match argument.name.as_str() {
            "arg1" => &["paris", "park", "party"],
            "arg2" => &["second", "seventh"],
            _ => &[],
        },
        Reference::Resource { uri } if uri != resources::TEMPLATE => {
            return Err(fault(context, &Fault::resource_not_found(uri)));
        }
        Reference::Resource { .. } => match argument.name.as_str() {
            "id" => &["1", "2", "3"],
            _ => &[],
        },
    };
    let values: Vec<&str> =
        candidates.iter().copied().filter(|candidate| candidate.starts_with(&argument.value)).collect();
    reply(json!({"completion": {"total": values.len(), "hasMore": false, "values": values}}))
}
