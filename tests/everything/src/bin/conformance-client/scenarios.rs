//! What each scenario asks its client to do.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use towpath::{Client, RawJson};

use crate::{
    Outcome,
    answers::{Answers, sample},
};

/// A scenario that this client can take part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// To connect is all of it.
    Connect,
    /// To look at the tools is all of it.
    ListTools,
    AddNumbers,
    ElicitationDefaults,
    Reconnection,
    SchemaEcho,
    EveryRequest,
    EveryTool,
    CallsOfContext,
    RequestState,
}

impl Scenario {
    /// The scenario that the suite calls so.
    pub(crate) fn named(name: &str) -> Outcome<Self> {
        Ok(match name {
            "initialize" => Self::Connect,
            "request-metadata" | "json-schema-ref-no-deref" => Self::ListTools,
            "tools_call" => Self::AddNumbers,
            "elicitation-sep1034-client-defaults" => Self::ElicitationDefaults,
            "sse-retry" => Self::Reconnection,
            "json-schema-2020-12-preservation" => Self::SchemaEcho,
            "http-standard-headers" => Self::EveryRequest,
            "http-invalid-tool-headers" => Self::EveryTool,
            "http-custom-headers" => Self::CallsOfContext,
            "sep-2322-client-request-state" => Self::RequestState,
            other => return Err(format!("{other} is no scenario for this client").into()),
        })
    }

    /// Does what it asks for.
    pub(crate) async fn run(self, client: &Client, answers: &Answers) -> Outcome<()> {
        match self {
            Self::Connect => {}
            Self::ListTools => drop(tools(client).await?),
            Self::AddNumbers => {
                tools(client).await?;
                call(client, "add_numbers", json!({"a": 5, "b": 3})).await?;
            }
            Self::ElicitationDefaults => {
                tools(client).await?;
                call(client, "test_client_elicitation_defaults", json!({})).await?;
            }
            Self::Reconnection => {
                tools(client).await?;
                call(client, "test_reconnection", json!({})).await?;
            }
            Self::SchemaEcho => echo_schema(client).await?,
            Self::EveryRequest => every_request(client).await?,
            Self::EveryTool => every_tool(client).await?,
            Self::CallsOfContext => calls_of_context(client).await?,
            Self::RequestState => request_state(client, answers).await?,
        }
        Ok(())
    }
}

/// A tool, with its schema as the bytes that came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool {
    name: String,
    input_schema: Box<RawValue>,
}

async fn tools(client: &Client) -> Outcome<Vec<Tool>> {
    #[derive(Deserialize)]
    struct Tools {
        tools: Vec<Tool>,
    }
    let Tools { tools } = client.call("tools/list", &()).await?.deserialize()?;
    Ok(tools)
}

/// Calls a tool. What a modern server asks for, the client gets from its handler.
async fn call(client: &Client, name: &str, arguments: Value) -> Outcome<RawJson> {
    Ok(client.call("tools/call", &json!({"name": name, "arguments": arguments})).await?)
}

/// Sends a schema back as it came.
async fn echo_schema(client: &Client) -> Outcome<()> {
    let tools = tools(client).await?;
    let focal = tools.iter().find(|tool| tool.name == "json_schema_2020_12_tool");
    let schema = &focal.ok_or("json_schema_2020_12_tool is not in the list")?.input_schema;
    let params = format!(r#"{{"name":"json_schema_echo","arguments":{{"schema":{}}}}}"#, schema.get());
    client.call_with("tools/call", Some(RawJson::parse(params)?), Default::default()).await?;
    Ok(())
}

/// Lists everything, and uses everything that is listed.
async fn every_request(client: &Client) -> Outcome<()> {
    every_tool(client).await?;
    let resources: Value = client.call("resources/list", &()).await?.deserialize()?;
    for resource in resources["resources"].as_array().into_iter().flatten() {
        client.call("resources/read", &json!({"uri": resource["uri"]})).await?;
    }
    let prompts: Value = client.call("prompts/list", &()).await?.deserialize()?;
    for prompt in prompts["prompts"].as_array().into_iter().flatten() {
        let mut params = Map::from_iter([("name".to_owned(), prompt["name"].clone())]);
        let arguments: Map<String, Value> = prompt["arguments"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|argument| argument["required"] == true)
            .filter_map(|argument| Some((argument["name"].as_str()?.to_owned(), json!("anything"))))
            .collect();
        if !arguments.is_empty() {
            params.insert("arguments".to_owned(), arguments.into());
        }
        client.call("prompts/get", &params).await?;
    }
    Ok(())
}

/// Calls every tool that is listed, with the arguments that it requires.
async fn every_tool(client: &Client) -> Outcome<()> {
    for tool in tools(client).await? {
        let schema: Value = serde_json::from_str(tool.input_schema.get())?;
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let arguments: Map<String, Value> =
            required.map(|name| (name.to_owned(), sample(&schema["properties"][name]))).collect();
        call(client, &tool.name, arguments.into()).await?;
    }
    Ok(())
}

/// Makes the calls that the suite has written down.
async fn calls_of_context(client: &Client) -> Outcome<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Given {
        tool_calls: Vec<GivenCall>,
    }
    #[derive(Deserialize)]
    struct GivenCall {
        name: String,
        arguments: Value,
    }
    tools(client).await?;
    let Given { tool_calls } = serde_json::from_str(&std::env::var("MCP_CONFORMANCE_CONTEXT")?)?;
    for given in tool_calls {
        call(client, &given.name, given.arguments).await?;
    }
    Ok(())
}

/// Makes calls in rounds, and one that has nothing to do with them between two of those.
async fn request_state(client: &Client, answers: &Answers) -> Outcome<()> {
    tools(client).await?;
    let in_rounds = call(client, "test_mrtr_echo_state", json!({}));
    answers.between(in_rounds, call(client, "test_mrtr_unrelated", json!({}))).await?;
    call(client, "test_mrtr_no_state", json!({})).await?;
    call(client, "test_mrtr_no_result_type", json!({})).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_client_can_do_has_a_name() {
        assert_eq!(Scenario::named("tools_call").unwrap(), Scenario::AddNumbers);
        assert!(Scenario::named("auth/metadata-default").is_err());
    }
}
