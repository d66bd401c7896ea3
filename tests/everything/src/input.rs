//! Asking the client, in the way of its era.
//!
//! A legacy client is sent a request, and the handler waits for the answer. A modern one gets a result that says what
//! is missing, and sends the request again with the answers in it (2026-07-28, basic/patterns/mrtr).

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use towpath::{Context, Era, RawJson, Request, mcp::Fault};

use crate::answer::{Answer, failed, fault, invalid, reply};

/// What a request says beside its arguments, when it is made again.
#[derive(Default)]
pub(crate) struct Input {
    responses: Option<BTreeMap<String, Value>>,
    pub(crate) state: Option<String>,
}

/// Something to ask the client for.
pub(crate) struct Ask {
    /// Under which the answer comes back.
    key: &'static str,
    method: &'static str,
    /// What the client must have declared.
    capability: &'static str,
    params: Value,
}

impl Input {
    pub(crate) fn of(request: &Request) -> Result<Self, towpath::ErrorObject> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow, default)]
            input_responses: Option<&'a RawValue>,
            #[serde(borrow, default)]
            request_state: Option<Cow<'a, str>>,
        }
        let params = request.params().unwrap_or_else(RawJson::empty_object);
        let params: Params<'_> =
            params.deserialize().map_err(|error| invalid(format!("invalid params: {error}")))?;
        let responses =
            match params.input_responses {
                None => None,
                Some(responses) => Some(serde_json::from_str(responses.get()).map_err(|error| {
                    invalid(format!("`params.inputResponses` must be an object: {error}"))
                })?),
            };
        Ok(Self { responses, state: params.request_state.map(Cow::into_owned) })
    }

    /// Whether the client has answered anything at all.
    pub(crate) fn is_answered(&self) -> bool {
        self.responses.is_some()
    }

    /// The answer to one ask, unless it is missing or of no use.
    pub(crate) fn response(&self, ask: &Ask) -> Option<&Map<String, Value>> {
        let response = self.responses.as_ref()?.get(ask.key)?.as_object()?;
        let holds = match ask.method {
            ELICIT => "action",
            SAMPLE => "content",
            _ => "roots",
        };
        response.contains_key(holds).then_some(response)
    }

    /// Asks one thing. `Err` is what the request is answered with for now.
    pub(crate) async fn ask(&self, context: &Context, ask: Ask) -> Result<Map<String, Value>, Answer> {
        if !ask.is_possible(context) {
            return Err(match context.era() {
                Era::Modern => Err(ask.impossible(context)),
                Era::Legacy => failed(format!("the client has not declared `{}`", ask.capability)),
            });
        }
        if context.era() == Era::Modern {
            return match self.response(&ask) {
                Some(response) => Ok(response.clone()),
                None => Err(required([&ask], None)),
            };
        }
        let params = reply(&ask.params).map_err(Err)?;
        let answer = context.request(ask.method, Some(params)).await;
        let answer = answer.map_err(|error| failed(format!("the client was asked in vain: {error}")))?;
        answer.deserialize().map_err(|error| failed(format!("the client's answer cannot be read: {error}")))
    }
}

impl Ask {
    pub(crate) fn elicit(key: &'static str, message: &str, properties: Value, required: &[&str]) -> Self {
        let schema = json!({"type": "object", "properties": properties, "required": required});
        let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
        Self { key, method: ELICIT, capability: "elicitation", params }
    }

    pub(crate) fn sample(key: &'static str, prompt: &str) -> Self {
        let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
        let params = json!({"messages": [message], "maxTokens": 100});
        Self { key, method: SAMPLE, capability: "sampling", params }
    }

    pub(crate) fn roots(key: &'static str) -> Self {
        Self { key, method: ROOTS, capability: "roots", params: json!({}) }
    }

    /// Whether the client can be asked for it.
    pub(crate) fn is_possible(&self, context: &Context) -> bool {
        declares(context, self.capability)
    }

    /// The error for a client that cannot.
    pub(crate) fn impossible(&self, context: &Context) -> towpath::ErrorObject {
        missing(context, self.capability)
    }
}

/// Whether the client has declared a capability.
pub(crate) fn declares(context: &Context, capability: &str) -> bool {
    let declared = context.client_capabilities();
    let declared = declared.and_then(|declared| declared.deserialize::<Map<String, Value>>().ok());
    declared.is_some_and(|declared| declared.contains_key(capability))
}

/// The error for a client that has not.
pub(crate) fn missing(context: &Context, capability: &str) -> towpath::ErrorObject {
    match RawJson::serialize(&json!({capability: {}})) {
        Ok(required) => fault(context, &Fault::MissingCapability { required }),
        Err(_) => invalid("a capability is missing"),
    }
}

/// The result that says what is missing.
pub(crate) fn required<'a>(asks: impl IntoIterator<Item = &'a Ask>, state: Option<String>) -> Answer {
    let requests: Map<String, Value> = asks
        .into_iter()
        .map(|ask| (ask.key.to_owned(), json!({"method": ask.method, "params": ask.params})))
        .collect();
    let mut result = json!({"resultType": "input_required", "inputRequests": requests});
    if let (Some(state), Some(members)) = (state, result.as_object_mut()) {
        members.insert("requestState".to_owned(), state.into());
    }
    reply(result)
}

/// A string in what was elicited.
pub(crate) fn elicited<'a>(response: &'a Map<String, Value>, field: &str) -> &'a str {
    response
        .get("content")
        .and_then(|content| content.get(field))
        .and_then(Value::as_str)
        .unwrap_or("nothing")
}

/// The text of what was sampled.
pub(crate) fn sampled(response: &Map<String, Value>) -> &str {
    elicited(response, "text")
}

const ELICIT: &str = "elicitation/create";
const SAMPLE: &str = "sampling/createMessage";
const ROOTS: &str = "roots/list";
