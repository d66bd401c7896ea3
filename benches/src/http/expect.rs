//! The comparison of an answer with what was asked.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Value;

use super::pattern::Pattern;
use crate::Answers;

/// What an answer has to be.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// The request itself, [cut](cut) to the length of what Towpath would answer.
    Cut { like: Pattern },
    /// The result of the call. The first answer is read, and after it whatever differs from it in more than its id and
    /// its text: to read each would cost the load generator more than to send it.
    Result { first: Option<Pattern>, answers: Answers },
}

impl Expected {
    pub(crate) fn cut(answers: Answers) -> Self {
        Self::Cut { like: answers.answer() }
    }

    pub(crate) fn result(answers: Answers) -> Self {
        Self::Result { first: None, answers }
    }

    /// Whether this is the answer to the request with this id and this text.
    pub(crate) fn is(
        &mut self,
        content_type: &[u8],
        answer: &[u8],
        request: &Bytes,
        (id, text): (&[u8], &[u8]),
    ) -> bool {
        match self {
            Self::Cut { like } => cut(request.clone(), like.length(id.len(), text.len())) == answer,
            Self::Result { first: Some(first), .. } if first.is(answer, id, text) => true,
            Self::Result { first, answers } => {
                let right = is_result(*answers, content_type, answer, (id, text));
                if right && first.is_none() {
                    *first = Some(Pattern::learn(answer, id, text));
                }
                right
            }
        }
    }
}

/// The last bytes of a request, or the whole and spaces before it: an answer of this length.
pub(crate) fn cut(request: Bytes, length: usize) -> Bytes {
    match length.checked_sub(request.len()) {
        None | Some(0) => request.slice(request.len() - length..),
        Some(missing) => {
            let mut longer = BytesMut::with_capacity(length);
            longer.resize(missing, b' ');
            longer.extend_from_slice(&request);
            longer.freeze()
        }
    }
}

#[derive(Deserialize)]
struct Said {
    id: Option<Value>,
    method: Option<String>,
    params: Option<Progress>,
    result: Option<ToolResult>,
}

#[derive(Deserialize)]
struct Progress {
    #[serde(rename = "progressToken")]
    token: Value,
}

#[derive(Deserialize)]
struct ToolResult {
    content: [Content; 1],
    #[serde(rename = "isError", default)]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content {
    text: String,
}

/// Reads an answer whole: every message in it, and what it says.
fn is_result(answers: Answers, content_type: &[u8], answer: &[u8], (id, text): (&[u8], &[u8])) -> bool {
    let in_events = content_type.starts_with(b"text/event-stream");
    let in_json = content_type.starts_with(b"application/json");
    let in_right_form = match answers {
        Answers::Json => in_json,
        Answers::Events => in_events,
        Answers::Session => in_json || in_events,
    };
    let messages = if in_events { events(answer) } else { Some(vec![answer.to_vec()]) };
    let said = messages.unwrap_or_default();
    let said: Result<Vec<Said>, _> = said.iter().map(|message| serde_json::from_slice(message)).collect();
    let Ok(said) = said else { return false };
    let Some((result, before)) = said.split_last() else { return false };
    let is_id = |value: &Value| value.to_string().as_bytes() == id;
    let is_progress = |said: &Said| {
        said.method.as_deref() == Some("notifications/progress")
            && said.params.as_ref().is_some_and(|params| is_id(&params.token))
    };
    in_right_form
        && before.len() == usize::from(answers == Answers::Events)
        && before.iter().all(is_progress)
        && result.id.as_ref().is_some_and(is_id)
        && result
            .result
            .as_ref()
            .is_some_and(|result| !result.is_error && result.content[0].text.as_bytes() == text)
}

/// The data of the events that have any; `None` unless the last of them is finished.
fn events(stream: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for line in stream.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        if let Some(value) = line.strip_prefix(b"data:") {
            data.extend_from_slice(value.trim_ascii_start());
        } else if line.is_empty() && !data.is_empty() {
            all.push(std::mem::take(&mut data));
        }
    }
    data.is_empty().then_some(all)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Expected, cut};
    use crate::Answers;

    const JSON: &[u8] = b"application/json";
    const EVENTS: &[u8] = b"text/event-stream";
    const RESULT: &str = r#"{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"hello"}]}}"#;
    const PROGRESS: &str =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":12,"progress":1}}"#;

    fn is(answers: Answers, content_type: &[u8], answer: &str) -> bool {
        let request = Bytes::new();
        Expected::result(answers).is(content_type, answer.as_bytes(), &request, (b"12", b"hello"))
    }

    #[test]
    fn an_answer_is_right_only_with_its_own_id_text_and_form() {
        assert!(is(Answers::Json, JSON, RESULT));
        assert!(is(Answers::Session, JSON, RESULT));
        assert!(!is(Answers::Events, JSON, RESULT));
        assert!(!is(Answers::Json, b"text/plain", RESULT));
        for (old, new) in [("12", "13"), ("hello", "hullo"), ("result", "error"), ("\"id\"", "\"ID\"")] {
            assert!(!is(Answers::Json, JSON, &RESULT.replace(old, new)), "{old} → {new}");
        }
        assert!(!is(Answers::Json, JSON, &RESULT.replace("}]", r#"}],"isError":true"#)));
        assert!(!is(Answers::Json, JSON, ""));
    }

    #[test]
    fn an_event_stream_is_right_with_its_progress_and_its_end() {
        let stream = format!("event: message\ndata: {PROGRESS}\n\nid: 3\r\ndata: {RESULT}\r\n\r\n");
        assert!(is(Answers::Events, EVENTS, &stream));
        assert!(!is(Answers::Json, EVENTS, &stream));
        assert!(!is(Answers::Events, EVENTS, &stream.replace("progressToken\":12", "progressToken\":13")));
        assert!(!is(Answers::Events, EVENTS, &format!("data: {RESULT}\n\n")));
        assert!(!is(Answers::Events, EVENTS, stream.trim_end()));
        assert!(is(Answers::Session, EVENTS, &format!("id: 0\ndata:\n\ndata: {RESULT}\n\n")));
    }

    #[test]
    fn what_comes_after_the_first_answer_is_held_against_it() {
        let mut expected = Expected::result(Answers::Json);
        let mut is = |answer: &str, id: &str, text: &str| {
            expected.is(JSON, answer.as_bytes(), &Bytes::new(), (id.as_bytes(), text.as_bytes()))
        };
        assert!(is(RESULT, "12", "hello"));
        let next = RESULT.replace("12", "13").replace("hello", "world");
        assert!(is(&next, "13", "world"));
        assert!(!is(&next, "12", "world"));
        assert!(!is(&next, "13", "hello"));
        // It may look otherwise, if it says the same.
        assert!(is(&next.replace(':', ": "), "13", "world"));
    }

    #[test]
    fn an_echo_is_right_only_as_long_as_asked_for() {
        let request = Bytes::from([b'x'; 300].to_vec());
        let length = Answers::Json.answer().length(2, 5);
        let is = |length| {
            let answer = cut(request.clone(), length);
            Expected::cut(Answers::Json).is(JSON, &answer, &request, (b"12", b"hello"))
        };
        assert!(is(length));
        assert!(!is(length - 1) && !is(length + 1) && !is(0));
    }

    #[test]
    fn a_request_is_cut_to_any_length() {
        let request = Bytes::from_static(b"hello");
        let shown = [0, 3, 5, 7].map(|length| cut(request.clone(), length));
        assert_eq!(shown, [&b""[..], b"llo", b"hello", b"  hello"]);
    }
}
