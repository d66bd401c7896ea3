//! What a client with nobody in front of it answers when it is asked.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore};
use towpath::{ClientHandler, ErrorObject, Message, RawJson, jsonrpc::code};

use crate::Outcome;

/// Answers a server of either era: a legacy one asks by a request, a modern one by its answer to a call, which is made
/// again then.
#[derive(Clone)]
pub(crate) struct Answers {
    asked: Arc<Notify>,
    /// Held by whoever wants nothing to be answered for now.
    turn: Arc<Semaphore>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { asked: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Does one thing, in which the server has to ask, and another one before it is answered.
    pub(crate) async fn between(
        &self,
        asking: impl Future<Output = Outcome<RawJson>>,
        meanwhile: impl Future<Output = Outcome<RawJson>>,
    ) -> Outcome<()> {
        let turn = self.turn.acquire().await?;
        let meanwhile = async {
            self.asked.notified().await;
            let done = meanwhile.await;
            drop(turn);
            done
        };
        tokio::try_join!(asking, meanwhile)?;
        Ok(())
    }

    async fn wait_for_turn(&self) {
        self.asked.notify_one();
        // Nobody closes it.
        drop(self.turn.acquire().await);
    }
}

impl ClientHandler for Answers {
    async fn request(&self, request: Message, _: towpath::link::Context) -> Result<RawJson, ErrorObject> {
        self.wait_for_turn().await;
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
    use std::cell::RefCell;

    use towpath_testkit::within;

    use super::*;

    #[tokio::test]
    async fn nothing_is_answered_before_what_comes_between_is_done() {
        within(async {
            let (answers, seen) = (Answers::new(), RefCell::new(Vec::new()));
            let asking = async {
                answers.wait_for_turn().await;
                seen.borrow_mut().push("answered");
                Ok(RawJson::empty_object())
            };
            let meanwhile = async {
                tokio::task::yield_now().await;
                seen.borrow_mut().push("between");
                Ok(RawJson::empty_object())
            };
            answers.between(asking, meanwhile).await.unwrap();
            assert_eq!(*seen.borrow(), ["between", "answered"]);
            // Whoever is asked later has nobody to wait for.
            answers.wait_for_turn().await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_call_that_fails_ends_the_wait_for_its_question() {
        within(async {
            let answers = Answers::new();
            let refused = async { Err("refused".into()) };
            let failed = answers.between(refused, async { panic!("nothing was asked") });
            assert_eq!(failed.await.unwrap_err().to_string(), "refused");
        })
        .await;
    }

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
