//! What goes over the wire: answers as JSON or as events, and faults.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER},
};
use towpath_jsonrpc::{ErrorObject, Id, encode};
use towpath_link::{Reply, ResultDress};
use towpath_mcp::{
    Fault, ResultAdditions, Rules, WireReply,
    encode::{EncodeError, write_modern_result_head},
    wire_reply,
};
use towpath_sse::{EVENT_END, write_event_head};

use super::{ResponseBody, exchange::join_lines};

/// Bodies up to this size are copied, so that an answer is one piece of memory; a larger one is not.
const COPY_BYTES: usize = 16 << 10;

/// An answer, ready to be sent in either form.
pub(super) struct Answer {
    head: BytesMut,
    body: Bytes,
    tail: &'static [u8],
    reply: Option<Box<ErrorHead>>,
}

/// What an error says in the head of a response that has not begun.
struct ErrorHead {
    status: StatusCode,
    retry_after: Option<HeaderValue>,
    allow: Option<&'static str>,
    close: bool,
}

impl Answer {
    /// The answer to the request with this id. What cannot be sent becomes an error.
    pub(super) fn new(id: &Id, reply: Reply, rules: &Rules, max_message_bytes: usize) -> Self {
        let fault = match reply {
            Reply::Error(error) => Fault::Handler(error),
            Reply::Result(result, dress) => {
                let mut head = BytesMut::with_capacity(HEAD_BYTES + result.len().min(COPY_BYTES));
                match write_result(&mut head, id, result, &dress) {
                    Ok(body) if head.len() + body.len() + encode::TAIL.len() <= max_message_bytes => {
                        return Self { head, body, tail: encode::TAIL, reply: None };
                    }
                    Ok(_) => {
                        tracing::warn!(%id, limit = max_message_bytes, "an answer is too large to be sent");
                        Fault::TooLarge {
                            what: "the answer",
                            limit_bytes: max_message_bytes,
                            setting: "max_message_bytes",
                        }
                    }
                    Err(error) => {
                        tracing::error!(%id, %error, "a handler's result cannot be sent");
                        Fault::Internal
                    }
                }
            }
        };
        // That a request was fine and its answer is not, is no fault of the request's size.
        let answer = Self::fault(Some(id), &fault, rules);
        if matches!(fault, Fault::TooLarge { .. }) { answer.with_status(StatusCode::OK) } else { answer }
    }

    pub(super) fn fault(id: Option<&Id>, fault: &Fault, rules: &Rules) -> Self {
        let reply = wire_reply(fault, rules);
        let head = ErrorHead {
            status: StatusCode::from_u16(reply.http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            retry_after: retry_after(&reply),
            allow: reply.allow,
            close: reply.close,
        };
        Self::error(id, &reply.into_error(), head)
    }

    fn error(id: Option<&Id>, error: &ErrorObject, reply: ErrorHead) -> Self {
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        encode::error(&mut head, id, error);
        Self { head, body: Bytes::new(), tail: b"", reply: Some(Box::new(reply)) }
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        if let Some(reply) = &mut self.reply {
            reply.status = status;
        }
        self
    }

    /// A response that is this answer.
    pub(super) fn into_json(mut self) -> Response<ResponseBody> {
        let body = if self.body.len() <= COPY_BYTES {
            self.head.extend_from_slice(&self.body);
            self.head.extend_from_slice(self.tail);
            ResponseBody::whole([self.head.freeze(), Bytes::new(), Bytes::new()])
        } else {
            ResponseBody::whole([self.head.freeze(), self.body, Bytes::from_static(self.tail)])
        };
        let mut response = json(body);
        if let Some(reply) = self.reply {
            *response.status_mut() = reply.status;
            if let Some(after) = reply.retry_after {
                response.headers_mut().insert(RETRY_AFTER, after);
            }
            if let Some(allow) = reply.allow {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            }
            if reply.close {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        response
    }

    /// The answer as a message, in one piece: for those that are small.
    pub(super) fn into_message(mut self) -> Bytes {
        self.head.extend_from_slice(&self.body);
        self.head.extend_from_slice(self.tail);
        self.head.freeze()
    }

    /// The answer as an event, in pieces.
    pub(super) fn into_event(self) -> [Bytes; 3] {
        event(None, [self.head.freeze(), self.body, Bytes::from_static(self.tail)])
    }
}

/// A message as an event, in pieces: what is small or has line breaks is copied.
pub(super) fn event(id: Option<&str>, [head, body, tail]: [Bytes; 3]) -> [Bytes; 3] {
    let mut start = BytesMut::with_capacity(HEAD_BYTES + head.len() + body.len().min(COPY_BYTES));
    write_event_head(&mut start, id, None);
    let data = start.len();
    start.extend_from_slice(&head);
    let whole = body.len() <= COPY_BYTES || body.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    if whole {
        start.extend_from_slice(&body);
        start.extend_from_slice(&tail);
    }
    if let Some(message) = start.get_mut(data..) {
        join_lines(message);
    }
    if whole {
        start.extend_from_slice(EVENT_END);
        return [start.freeze(), Bytes::new(), Bytes::new()];
    }
    let mut end = BytesMut::with_capacity(tail.len() + EVENT_END.len());
    end.extend_from_slice(&tail);
    join_lines(&mut end);
    end.extend_from_slice(EVENT_END);
    [start.freeze(), body, end.freeze()]
}

fn write_result(
    out: &mut BytesMut,
    id: &Id,
    result: towpath_jsonrpc::RawJson,
    dress: &ResultDress,
) -> Result<Bytes, EncodeError> {
    encode::result_head(out, id);
    let Some(modern) = &dress.modern else { return Ok(result.into_bytes()) };
    let additions = ResultAdditions {
        server_info: modern.server_info.as_ref(),
        subscription_id: modern.subscription.as_ref(),
        cache: modern.cache,
    };
    write_modern_result_head(out, &result, &additions)
}

/// 200, JSON.
pub(super) fn json(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200, an event stream.
pub(super) fn stream(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A status, and nothing else.
pub(super) fn bare(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

/// The response to what is refused.
pub(super) fn refusal(id: Option<&Id>, fault: &Fault, rules: &Rules) -> Response<ResponseBody> {
    Answer::fault(id, fault, rules).into_json()
}

fn retry_after(reply: &WireReply) -> Option<HeaderValue> {
    let after = reply.retry_after?;
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    Some(HeaderValue::from(seconds))
}

/// Room for the envelope and what a modern result gets added.
const HEAD_BYTES: usize = 320;
