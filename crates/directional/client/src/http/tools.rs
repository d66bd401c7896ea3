//! Which arguments of which tools are mirrored into headers (2026-07-28, server/tools, `x-mcp-header`).

use std::{collections::HashMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use towpath_jsonrpc::{ErrorObject, Member, Message, encode};
use towpath_mcp::{HeaderParams, Recovery, is_modern, method, tool_arguments, without_bad_tools};
use towpath_raw::{Level, Mutex};

use super::options::OnBadTool;

/// What the answers to `tools/list` have said.
pub(super) struct Tools {
    /// How many are remembered; `None` when nothing is mirrored.
    most: Option<usize>,
    known: Mutex<HashMap<String, Arc<HeaderParams>>>,
}

impl Tools {
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, known: Mutex::new(Level::Handler, "Tools::known", HashMap::new()) }
    }

    /// Whether what a request answers is to be learnt from.
    pub(super) fn learns_from(&self, request: &Message) -> bool {
        self.most.is_some() && request.method() == method::TOOLS_LIST && is_modern(request)
    }

    /// Takes the answer to a `tools/list`, and gives it without the tools that a client must not show.
    pub(super) fn learn(
        &self,
        request: &Message,
        answer: &Message,
        on_bad_tool: Option<&Arc<OnBadTool>>,
    ) -> Bytes {
        let (Some(most), Some(result), Some(id)) = (self.most, answer.result(), answer.id()) else {
            return answer.bytes().clone();
        };
        let (cleaned, bad, good) = without_bad_tools(&result);
        for (name, why) in &bad {
            tracing::warn!(tool = %name, %why, "a tool is left out of the list");
            if let Some(told) = on_bad_tool {
                told(name, why);
            }
        }
        self.remember(is_first_page(request), most, good);
        if bad.is_empty() {
            return answer.bytes().clone();
        }
        let mut out = BytesMut::with_capacity(cleaned.len() + 64);
        encode::result(&mut out, id, cleaned.as_bytes());
        out.freeze()
    }

    fn remember(&self, anew: bool, most: usize, good: Vec<(String, HeaderParams)>) {
        let mut forgotten = 0;
        {
            let mut known = self.known.lock();
            if anew {
                known.clear();
            }
            for (name, params) in good {
                if known.len() < most || known.contains_key(&name) {
                    known.insert(name, Arc::new(params));
                } else {
                    forgotten += 1;
                }
            }
        }
        if forgotten > 0 {
            tracing::warn!(
                forgotten,
                most,
                "more tools with mirrored arguments than are remembered (setting: max_tool_headers)"
            );
        }
    }

    pub(super) fn of(&self, tool: &str) -> Option<Arc<HeaderParams>> {
        self.known.lock().get(tool).cloned()
    }

    pub(super) fn forget(&self, tool: &str) -> Option<Arc<HeaderParams>> {
        self.known.lock().remove(tool)
    }

    /// Whether the headers of a call may be out of date, when the server says that some are wrong.
    pub(super) fn may_be_out_of_date(&self, call: &Message, error: &ErrorObject) -> bool {
        let refetch = || matches!(Recovery::of(error), Some(Recovery::RefetchTools { .. }));
        self.most.is_some() && call.method() == method::TOOLS_CALL && is_modern(call) && refetch()
    }

    /// The headers that a call of a tool has beside those of every request.
    pub(super) fn write(&self, message: &Message, headers: &mut HeaderMap) {
        if self.most.is_none() || message.method() != method::TOOLS_CALL || !is_modern(message) {
            return;
        }
        let Some(name) = message.string(Member::Name) else { return };
        let Some(params) = self.known.lock().get(&*name).cloned() else { return };
        // Arguments that occur twice are the server's to refuse.
        if let Ok(arguments) = tool_arguments(message) {
            params.write(arguments.as_ref(), headers);
        }
    }
}

/// A list that is read from its beginning takes the place of what was known.
fn is_first_page(request: &Message) -> bool {
    #[derive(serde::Deserialize)]
    struct Params {
        cursor: Option<serde::de::IgnoredAny>,
    }
    let params = request.params().and_then(|params| params.deserialize::<Params>().ok());
    params.is_none_or(|params| params.cursor.is_none())
}
