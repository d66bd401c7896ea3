//! The server's side of `subscriptions/listen`.

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::encode::{TAIL, result_head};
use towpath_jsonrpc::{Id, RawJson};

use crate::encode::{self, EncodeError, ResultAdditions};
use crate::filter::Filter;
use crate::method;

/// One subscription, as the server keeps it.
///
/// ```text
/// Acknowledge ──▶ Open ──▶ Cancel ──▶ Answer ──▶ Done
///      └──────── end() ──────▲
/// ```
///
/// There is no queue: a flag for each kind and each subscribed URI says that something changed since the last
/// notification, so a reader that is slow costs nothing and misses nothing that it could still act on. The
/// acknowledgement always comes first. What is pending when the server ends the subscription is dropped: a client
/// that subscribes again has to look at everything anyway.
#[derive(Debug)]
pub struct Subscription {
    id: Id,
    honoured: Filter,
    state: State,
    kinds: [bool; 3],
    /// Sorted by URI, as the filter's set is.
    uris: Box<[(Box<str>, bool)]>,
    dirty_uris: usize,
    /// Where the search for a dirty URI goes on, so that a busy one does not starve the others.
    cursor: usize,
    server_info: Option<RawJson>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Acknowledge { then_end: Option<Option<Box<str>>> },
    Open,
    Cancel { reason: Option<Box<str>> },
    Answer,
    Done,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The resource of this URI, compared as it is written.
    Resource(&'a str),
}

impl Subscription {
    /// Begins the subscription of the `subscriptions/listen` request with this id. `honoured` is what is both
    /// asked for and offered, see [`Filter::intersect`]; `server_info` goes into the result at the end.
    #[must_use]
    pub fn new(id: Id, honoured: Filter, server_info: Option<RawJson>) -> Subscription {
        let uris = honoured.uris.iter().map(|uri| (uri.clone(), false)).collect();
        Subscription {
            id,
            honoured,
            state: State::Acknowledge { then_end: None },
            kinds: [false; 3],
            uris,
            dirty_uris: 0,
            cursor: 0,
            server_info,
        }
    }

    /// Notes a change. Returns whether there is now something to send that was not there before.
    pub fn mark(&mut self, change: Change<'_>) -> bool {
        if !matches!(self.state, State::Acknowledge { then_end: None } | State::Open) {
            return false;
        }
        let (kind, wanted) = match change {
            Change::Tools => (0, self.honoured.tools),
            Change::Prompts => (1, self.honoured.prompts),
            Change::Resources => (2, self.honoured.resources),
            Change::Resource(uri) => return self.mark_uri(uri),
        };
        match self.kinds.get_mut(kind) {
            Some(dirty) if wanted => !std::mem::replace(dirty, true),
            _ => false,
        }
    }

    /// Ends the subscription from the server's side: a cancellation, then the result, then nothing more. An
    /// acknowledgement that is still to be sent goes before them. Ending twice changes nothing.
    pub fn end(&mut self, reason: Option<&str>) {
        let reason = reason.map(Box::from);
        match &mut self.state {
            State::Acknowledge { then_end } => {
                then_end.get_or_insert(reason);
            }
            State::Open => self.state = State::Cancel { reason },
            State::Cancel { .. } | State::Answer | State::Done => {}
        }
    }

    /// Ends it because the client cancelled: nothing more is sent.
    pub fn cancelled_by_client(&mut self) {
        self.state = State::Done;
    }

    /// The next message to send, whole. The last one is the result of the request.
    pub fn poll_notification(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        match &mut self.state {
            State::Acknowledge { then_end } => {
                let next = match then_end.take() {
                    None => State::Open,
                    Some(reason) => State::Cancel { reason },
                };
                encode::acknowledged(&mut out, &self.id, &self.honoured);
                self.state = next;
            }
            State::Open => self.write_change(&mut out)?,
            State::Cancel { reason } => {
                encode::cancelled(&mut out, &self.id, reason.as_deref());
                self.state = State::Answer;
            }
            State::Answer => {
                self.state = State::Done;
                self.write_result(&mut out).ok()?;
            }
            State::Done => return None,
        }
        Some(out.freeze())
    }

    /// The request that opened it.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What the server promised to send.
    #[must_use]
    pub fn honoured(&self) -> &Filter {
        &self.honoured
    }

    /// Whether nothing will ever be sent again.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn mark_uri(&mut self, uri: &str) -> bool {
        let Ok(at) = self.uris.binary_search_by(|(subscribed, _)| subscribed.as_ref().cmp(uri)) else {
            return false;
        };
        let Some((_, dirty)) = self.uris.get_mut(at) else { return false };
        let newly = !std::mem::replace(dirty, true);
        self.dirty_uris += usize::from(newly);
        newly
    }

    fn write_change(&mut self, out: &mut BytesMut) -> Option<()> {
        const METHODS: [&str; 3] =
            [method::TOOLS_LIST_CHANGED, method::PROMPTS_LIST_CHANGED, method::RESOURCES_LIST_CHANGED];
        for (dirty, method) in self.kinds.iter_mut().zip(METHODS) {
            if std::mem::take(dirty) {
                encode::list_changed(out, method, Some(&self.id));
                return Some(());
            }
        }
        if self.dirty_uris == 0 {
            return None;
        }
        let (before, after) = self.uris.split_at(self.cursor.min(self.uris.len()));
        let at = match after.iter().position(|(_, dirty)| *dirty) {
            Some(at) => before.len() + at,
            None => before.iter().position(|(_, dirty)| *dirty)?,
        };
        let (uri, dirty) = self.uris.get_mut(at)?;
        *dirty = false;
        self.dirty_uris -= 1;
        self.cursor = at + 1;
        encode::resource_updated(out, uri, Some(&self.id));
        Some(())
    }

    fn write_result(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        result_head(out, &self.id);
        let additions = ResultAdditions {
            server_info: self.server_info.as_ref(),
            subscription_id: Some(&self.id),
            cache: None,
        };
        encode::write_modern_result(out, &RawJson::empty_object(), &additions)?;
        out.extend_from_slice(TAIL);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use towpath_jsonrpc::{Kind, Member};

    use super::*;
    use crate::testing::message;

    fn subscription(uris: &[&str]) -> Subscription {
        let uris = uris.iter().map(|uri| Box::from(*uri)).collect();
        let honoured = Filter { tools: true, prompts: true, resources: false, uris };
        Subscription::new(Id::from("s"), honoured, Some(crate::testing::raw(r#"{"name":"x"}"#)))
    }

    /// Everything that is to be sent, as short words; each message is checked to carry the subscription's id.
    fn drain(subscription: &mut Subscription) -> Vec<String> {
        std::iter::from_fn(|| subscription.poll_notification())
            .map(|bytes| {
                let sent = message(std::str::from_utf8(&bytes).unwrap());
                let id = match sent.kind() {
                    Kind::Result => sent.raw(Member::ResultMetaSubscriptionId),
                    _ if sent.method() == method::CANCELLED => sent.raw(Member::RequestId),
                    _ => sent.raw(Member::MetaSubscriptionId),
                };
                assert_eq!(id, Some(&b"\"s\""[..]), "{sent:?}");
                match (sent.kind(), sent.string(Member::Uri)) {
                    (Kind::Result, _) => "result".to_owned(),
                    (_, Some(uri)) => format!("updated {uri}"),
                    _ => sent.method().trim_start_matches("notifications/").to_owned(),
                }
            })
            .collect()
    }

    const ACK: &str = "subscriptions/acknowledged";

    #[test]
    fn the_acknowledgement_comes_before_anything_else() {
        let mut subscription = subscription(&["a"]);
        assert!(subscription.mark(Change::Tools));
        assert!(subscription.mark(Change::Resource("a")));
        assert_eq!(drain(&mut subscription), [ACK, "tools/list_changed", "updated a"]);
        assert_eq!(subscription.poll_notification(), None);
        assert!(!subscription.is_done());
    }

    #[test]
    fn a_slow_reader_costs_a_flag_and_gets_one_notification() {
        let mut subscription = subscription(&["a"]);
        drain(&mut subscription);
        for round in 0..1000 {
            assert_eq!(subscription.mark(Change::Prompts), round == 0);
            assert_eq!(subscription.mark(Change::Resource("a")), round == 0);
        }
        assert_eq!(drain(&mut subscription), ["prompts/list_changed", "updated a"]);
        assert!(subscription.mark(Change::Prompts), "a change after the notification is news again");
    }

    #[test]
    fn what_was_not_promised_is_not_sent() {
        let mut subscription = subscription(&["a"]);
        drain(&mut subscription);
        assert!(!subscription.mark(Change::Resources));
        assert!(!subscription.mark(Change::Resource("b")));
        assert_eq!(drain(&mut subscription), [""; 0]);
    }

    #[test]
    fn a_busy_resource_does_not_starve_the_others() {
        let mut subscription = subscription(&["a", "b", "c"]);
        drain(&mut subscription);
        for uri in ["a", "b", "c"] {
            subscription.mark(Change::Resource(uri));
        }
        let mut sent = Vec::new();
        for _ in 0..4 {
            let bytes = subscription.poll_notification().unwrap();
            sent.push(
                message(std::str::from_utf8(&bytes).unwrap()).string(Member::Uri).unwrap().into_owned(),
            );
            subscription.mark(Change::Resource("a"));
        }
        assert_eq!(sent, ["a", "b", "c", "a"]);
    }

    #[test]
    fn the_end_is_a_cancellation_then_the_result_then_nothing() {
        // Acknowledged before the end or not; the end comes once, whatever is called afterwards.
        for (acknowledged, expected) in
            [(false, vec![ACK, "cancelled", "result"]), (true, vec!["cancelled", "result"])]
        {
            let mut subscription = subscription(&["a"]);
            if acknowledged {
                drain(&mut subscription);
            }
            subscription.mark(Change::Tools);
            subscription.end(Some("shutdown"));
            subscription.end(None);
            assert!(!subscription.mark(Change::Prompts));
            assert_eq!(drain(&mut subscription), expected);
            assert!(subscription.is_done());
            subscription.end(None);
            assert_eq!(subscription.poll_notification(), None);
        }
    }

    #[test]
    fn the_last_messages_are_whole() {
        let mut subscription = subscription(&[]);
        subscription.end(Some("shutdown"));
        let sent: Vec<Bytes> = std::iter::from_fn(|| subscription.poll_notification()).collect();
        let expected = [
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"s","reason":"shutdown"}}"#,
            r#"{"jsonrpc":"2.0","id":"s","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"},"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
        ];
        assert_eq!(sent[1..], expected.map(str::as_bytes));
    }

    #[test]
    fn nothing_is_sent_after_the_client_cancelled() {
        let mut subscription = subscription(&[]);
        drain(&mut subscription);
        subscription.mark(Change::Tools);
        subscription.cancelled_by_client();
        assert_eq!(subscription.poll_notification(), None);
        assert!(subscription.is_done());
    }
}
