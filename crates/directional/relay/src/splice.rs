//! The only bytes that a relay changes: ids and tokens, each replaced in its place.

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{Member, Message, RawJson};
use towpath_mcp::method;

/// What the asker calls its own request: to be put back wherever the upstream names it.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    id: Bytes,
    token: Option<Bytes>,
    /// Whether the request opens a subscription, which is named by its id.
    listens: bool,
}

impl Names {
    /// Copies: the names outlive the request's bytes.
    pub(crate) fn of(request: &Message) -> Self {
        let copy = |member| request.raw(member).map(Bytes::copy_from_slice);
        Self {
            id: copy(Member::Id).unwrap_or_default(),
            token: copy(Member::MetaProgressToken),
            listens: request.method() == method::SUBSCRIPTIONS_LISTEN,
        }
    }

    /// The params of a notification about the request, as the asker is to see them. `None`: it names the request in a
    /// way that the asker knows nothing of, and must not be passed on.
    pub(crate) fn note(&self, note: &Message) -> Option<Option<RawJson>> {
        let (member, name) = match note.method() {
            method::PROGRESS => (Member::ProgressToken, self.token.as_ref()?),
            method::CANCELLED => (Member::RequestId, &self.id),
            _ => (Member::MetaSubscriptionId, &self.id),
        };
        Some(replaced(note, Member::Params, member, name))
    }

    /// The result of the request, as the asker is to see it.
    pub(crate) fn result(&self, answer: &Message) -> RawJson {
        let result = if self.listens {
            replaced(answer, Member::Result, Member::ResultMetaSubscriptionId, &self.id)
        } else {
            answer.result()
        };
        result.unwrap_or_else(RawJson::null)
    }
}

/// The member `of` with the value of `member`, which is a part of it, replaced. What lacks it stays as it is.
fn replaced(message: &Message, of: Member, member: Member, by: &[u8]) -> Option<RawJson> {
    let whole = message.span(of)?;
    let Some(part) = message.span(member).filter(|part| part.start >= whole.start && part.end <= whole.end)
    else {
        return message.value(of);
    };
    let bytes = message.bytes();
    let slice = |range| bytes.get(range).unwrap_or_default();
    let mut out = BytesMut::with_capacity(whole.len() + by.len());
    out.extend_from_slice(slice(whole.start..part.start));
    out.extend_from_slice(by);
    out.extend_from_slice(slice(part.end..whole.end));
    Some(RawJson::from_validated(out.freeze()))
}

#[cfg(test)]
mod tests {
    use towpath_jsonrpc::EnvelopeLimits;

    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned().into(), &EnvelopeLimits::default()).expect("a message")
    }

    fn names(id: &str, method: &str, token: &str) -> Names {
        Names::of(&message(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"_meta":{{"progressToken":{token}}}}}}}"#
        )))
    }

    fn noted(names: &Names, method: &str, params: &str) -> Option<String> {
        let note = message(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#));
        names.note(&note).map(|params| params.expect("it has params").as_str().to_owned())
    }

    #[test]
    fn a_name_is_replaced_and_every_other_byte_stays() {
        let names = names(r#""\u0031""#, "subscriptions/listen", "9223372036854775808");
        let progress = r#"{ "x":-0 ,"progress\u0054oken" : 7, "progress":1e400,"progress":1}"#;
        assert_eq!(
            noted(&names, "notifications/progress", progress).as_deref(),
            Some(r#"{ "x":-0 ,"progress\u0054oken" : 9223372036854775808, "progress":1e400,"progress":1}"#)
        );
        assert_eq!(
            noted(&names, "notifications/cancelled", r#"{"requestId":7,"reason":"7"}"#).as_deref(),
            Some(r#"{"requestId":"\u0031","reason":"7"}"#)
        );
        let updated = r#"{"uri":"7","_meta":{"a":1, "io.modelcontextprotocol/subscriptionId" :7}}"#;
        assert_eq!(
            noted(&names, "notifications/resources/updated", updated).as_deref(),
            Some(r#"{"uri":"7","_meta":{"a":1, "io.modelcontextprotocol/subscriptionId" :"\u0031"}}"#)
        );
    }

    #[test]
    fn progress_that_nobody_asked_for_is_not_passed_on() {
        let request = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#);
        assert_eq!(noted(&Names::of(&request), "notifications/progress", r#"{"progressToken":7}"#), None);
    }

    #[test]
    fn only_the_result_of_a_subscription_names_it() {
        let answer = r#"{"jsonrpc":"2.0","id":7,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"n":7}}"#;
        let answer = message(answer);
        let listen = names("1", "subscriptions/listen", "2");
        assert_eq!(
            listen.result(&answer).as_str(),
            r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"n":7}"#
        );
        let other = names("1", "tools/call", "2");
        assert_eq!(
            other.result(&answer).as_str(),
            r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"n":7}"#
        );
    }
}
