//! A call in several rounds (2026-07-28, basic/patterns/mrtr): what the server asks for is gathered, and the request is
//! made again with it. What belongs to a call stays in it, so that no other request can get it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use towpath::{Client, RawJson};

use crate::{Outcome, answers::answer};

/// More rounds than any server needs: one that never has enough is not followed for ever.
const MAX_ROUNDS: usize = 8;

/// A request that may have to be made again.
pub(crate) struct Rounds {
    method: &'static str,
    params: Map<String, Value>,
}

/// What one round comes to.
pub(crate) enum Round {
    /// The result.
    Complete(RawJson),
    /// The request, to be made again.
    Asked(Rounds),
}

/// The part of a result that says what is missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    result_type: Option<String>,
    #[serde(default)]
    input_requests: Option<BTreeMap<String, Asking>>,
    /// Sent back as the bytes that came.
    #[serde(default)]
    request_state: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Asking {
    method: String,
    #[serde(default)]
    params: Value,
}

impl Rounds {
    /// A call of a tool.
    pub(crate) fn tool(name: &str, arguments: Value) -> Self {
        let params = [("name".to_owned(), name.into()), ("arguments".to_owned(), arguments)];
        Self::new("tools/call", Map::from_iter(params))
    }

    /// Any request.
    pub(crate) fn new(method: &'static str, params: Map<String, Value>) -> Self {
        Self { method, params }
    }

    /// Makes the request as often as it takes.
    pub(crate) async fn run(mut self, client: &Client) -> Outcome<RawJson> {
        for _ in 0..MAX_ROUNDS {
            match self.round(client).await? {
                Round::Complete(result) => return Ok(result),
                Round::Asked(again) => self = again,
            }
        }
        Err(format!("the server asked for more {MAX_ROUNDS} times").into())
    }

    /// Makes the request once.
    pub(crate) async fn round(self, client: &Client) -> Outcome<Round> {
        let result = client.call(self.method, &self.params).await?;
        let asked: Asked = result.deserialize()?;
        // Without a `resultType` a result is complete.
        if asked.result_type.as_deref() != Some("input_required") {
            return Ok(Round::Complete(result));
        }
        Ok(Round::Asked(self.again(asked)?))
    }

    fn again(mut self, asked: Asked) -> Outcome<Self> {
        let mut responses = Map::new();
        for (key, asking) in asked.input_requests.unwrap_or_default() {
            let answer = answer(&asking.method, &asking.params);
            let answer = answer.ok_or_else(|| format!("the server asks for `{}`", asking.method))?;
            responses.insert(key, answer);
        }
        self.params.insert("inputResponses".to_owned(), responses.into());
        match asked.request_state {
            Some(state) => self.params.insert("requestState".to_owned(), serde_json::from_str(state.get())?),
            None => self.params.remove("requestState"),
        };
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn again(rounds: Rounds, asked: Value) -> Outcome<Map<String, Value>> {
        Ok(rounds.again(serde_json::from_value(asked)?)?.params)
    }

    #[test]
    fn the_next_round_has_the_answers_and_the_state_of_this_one_only() {
        let ask = json!({"confirm": {"method": "roots/list"}});
        let asked =
            json!({"resultType": "input_required", "inputRequests": ask, "requestState": "x\u{e9}\"y"});
        let first = again(Rounds::tool("t", json!({"a": 1})), asked).unwrap();
        assert_eq!((&first["name"], &first["arguments"]), (&json!("t"), &json!({"a": 1})));
        assert_eq!(first["requestState"], "x\u{e9}\"y");
        assert!(first["inputResponses"]["confirm"]["roots"].is_array());
        let second =
            again(Rounds::new("tools/call", first), json!({"resultType": "input_required"})).unwrap();
        assert_eq!(second.get("requestState"), None);
        assert_eq!(second["inputResponses"], json!({}));
    }

    #[test]
    fn what_is_not_answered_here_ends_the_call() {
        let asked = json!({"inputRequests": {"x": {"method": "tools/call"}}});
        assert!(again(Rounds::tool("t", json!({})), asked).is_err());
    }
}
