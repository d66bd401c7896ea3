//! What a modern server wants to know before it answers (2026-07-28, basic/patterns/mrtr).

use std::{borrow::Cow, collections::HashMap, pin::pin, sync::Arc};

use bytes::BytesMut;
use serde::{Deserialize, de::IgnoredAny};
use tokio::sync::Notify;
use towpath_jsonrpc::{Id, Member, Message, RawJson, encode};
use towpath_mcp::method;
use towpath_raw::{Level, Mutex};

use super::state::own_limits;

/// The questions of a lane that are with the client's handler.
pub(super) struct Inputs {
    state: Mutex<State>,
    came: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By the id under which the handler is asked.
    asked: HashMap<String, Option<Message>>,
}

/// What one answer of the server asks for, in its order. Dropped, what the handler answers is for nobody.
pub(super) struct Wanted {
    inputs: Arc<Inputs>,
    /// The keys that the server has given them, as they came, and the ids under which the handler is asked.
    keys: Vec<(String, String)>,
    /// Requests that the handler has not been given yet, the first one last.
    questions: Vec<Message>,
    request_state: Option<RawJson>,
}

/// `InputRequiredResult`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Required<'a> {
    #[serde(borrow)]
    result_type: Cow<'a, str>,
    #[serde(default, borrow)]
    input_requests: Option<std::collections::BTreeMap<Cow<'a, str>, Question<'a>>>,
    request_state: Option<RawJson>,
}

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    params: Option<RawJson>,
}

impl Inputs {
    pub(super) fn new() -> Arc<Self> {
        let state = Mutex::new(Level::Handler, "Inputs::state", State::default());
        Arc::new(Self { state, came: Notify::new() })
    }

    /// What an answer asks for, if it asks for anything that a handler can give.
    pub(super) fn wanted(self: &Arc<Self>, request: &Message, answer: &Message) -> Option<Wanted> {
        let supported = [method::TOOLS_CALL, method::PROMPTS_GET, method::RESOURCES_READ];
        if !supported.contains(&request.method()) || has_own(request) {
            return None;
        }
        let result = answer.result()?;
        let required = result.deserialize::<Required<'_>>().ok()?;
        if required.result_type != "input_required" {
            return None;
        }
        let questions = required.input_requests.unwrap_or_default();
        if questions.len() > MOST_QUESTIONS || questions.is_empty() && required.request_state.is_none() {
            return None;
        }
        let mut wanted = Wanted {
            inputs: Arc::clone(self),
            keys: Vec::new(),
            questions: Vec::new(),
            request_state: required.request_state,
        };
        for (key, question) in questions {
            let known = [method::SAMPLING_CREATE_MESSAGE, method::ELICITATION_CREATE, method::ROOTS_LIST];
            if !known.contains(&&*question.method) {
                return None;
            }
            let id = self.register();
            wanted.keys.push((key.into_owned(), id.clone()));
            let mut text = BytesMut::new();
            let params = question.params.as_ref().map(RawJson::as_bytes);
            encode::request(&mut text, &Id::from(id), &question.method, params);
            wanted.questions.push(Message::parse(text.freeze(), &own_limits()).ok()?);
        }
        wanted.questions.reverse();
        Some(wanted)
    }

    fn register(&self) -> String {
        let mut state = self.state.lock();
        state.next += 1;
        let id = format!("{ID_PREFIX}{}", state.next);
        state.asked.insert(id.clone(), None);
        id
    }

    /// Takes what the handler answers; false for an answer to anybody else.
    pub(super) fn take(&self, answer: &Message) -> bool {
        let Some(id) = answer.string(Member::Id).filter(|id| id.starts_with(ID_PREFIX)) else { return false };
        if let Some(asked) = self.state.lock().asked.get_mut(&*id) {
            *asked = Some(answer.clone());
        }
        self.came.notify_waiters();
        true
    }
}

impl Wanted {
    /// The next request for the handler.
    pub(super) fn question(&mut self) -> Option<Message> {
        self.questions.pop()
    }

    /// Waits for the handler, and gives the request that goes to the server with what it has answered; `None` where it
    /// has none.
    pub(super) async fn answered(self, original: &Message, round: usize) -> Option<Message> {
        let answers = self.gathered().await;
        let mut added = BytesMut::new();
        if !self.keys.is_empty() {
            added.extend_from_slice(b"\"inputResponses\":{");
            for (n, ((key, _), answer)) in self.keys.iter().zip(&answers).enumerate() {
                if n > 0 {
                    added.extend_from_slice(b",");
                }
                encode::write_string(&mut added, key);
                added.extend_from_slice(b":");
                added.extend_from_slice(answer.result()?.as_bytes());
            }
            added.extend_from_slice(b"}");
        }
        if let Some(state) = &self.request_state {
            if !added.is_empty() {
                added.extend_from_slice(b",");
            }
            added.extend_from_slice(b"\"requestState\":");
            added.extend_from_slice(state.as_bytes());
        }
        let params = original.params()?;
        let open = params.as_bytes().trim_ascii_end().strip_suffix(b"}")?;
        let mut with = BytesMut::with_capacity(open.len() + added.len() + 2);
        with.extend_from_slice(open);
        if open.trim_ascii() != b"{" {
            with.extend_from_slice(b",");
        }
        with.extend_from_slice(&added);
        with.extend_from_slice(b"}");
        let id = Id::from(format!("towpath-{}-{round}", original.id()?));
        let mut text = BytesMut::new();
        encode::request(&mut text, &id, original.method(), Some(&with));
        Message::parse(text.freeze(), &own_limits()).ok()
    }

    async fn gathered(&self) -> Vec<Message> {
        loop {
            let mut came = pin!(self.inputs.came.notified());
            came.as_mut().enable();
            {
                let state = self.inputs.state.lock();
                let answers = self.keys.iter().map(|(_, id)| state.asked.get(id).cloned().flatten());
                if let Some(all) = answers.collect() {
                    return all;
                }
            }
            came.await;
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut state = self.inputs.state.lock();
        for (_, id) in &self.keys {
            state.asked.remove(id);
        }
    }
}

/// A caller that answers the server by itself goes on doing so.
fn has_own(request: &Message) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        input_responses: Option<IgnoredAny>,
        request_state: Option<IgnoredAny>,
    }
    let own = request.params().and_then(|params| params.deserialize::<Own>().ok());
    own.is_none_or(|own| own.input_responses.is_some() || own.request_state.is_some())
}

const ID_PREFIX: &str = "towpath-input-";

/// A server that asks for more at once is not answered.
const MOST_QUESTIONS: usize = 64;
