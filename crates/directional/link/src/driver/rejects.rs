//! What comes in and is not taken: refusals, messages that are none, messages that are too large.

use bytes::Bytes;
use towpath_jsonrpc::{Answer, EnvelopeError, EnvelopeLimits, Id, Kind, Message, code};
use towpath_mcp::Fault;
use towpath_raw::{Lane, MessageTooLarge, Rejected, Route};

use super::{Link, inbound::Way};
use crate::{
    Service,
    outbox::Origin,
    state::{Failure, State, Wake},
};

impl<L: Lane, S: Service> Link<L, S> {
    /// Answers a request that is not taken with a small refusal.
    pub(super) fn refuse(&mut self, state: &mut State, id: &Id, fault: &Fault, way: Way) {
        state.stats.refused += 1;
        let error = self.service.reply_to_fault(fault);
        match (way.batch, error) {
            (Some(batch), error) => self.batches.refuse(state, batch, Some(id), error),
            (None, Some(error)) => state.outbox.push_error(Origin::Refusal, way.route, Some(id), &error),
            (None, None) => state.outbox.end_exchange(way.route),
        }
        self.unread_refusals = state.outbox.unread.refusals;
    }

    /// What is no message gets an error, if this side answers: the peer may be waiting for something. What was meant
    /// as an answer ends the call that it was meant for.
    pub(super) fn malformed(
        &mut self,
        state: &mut State,
        error: &EnvelopeError,
        way: Way,
        wakers: &mut Vec<Wake>,
    ) {
        state.stats.malformed += 1;
        let count = state.stats.malformed;
        if worth_a_line(count) {
            tracing::warn!(peer = %self.shared.peer, %error, count, "received what is no JSON-RPC message");
        }
        if error.is_response() {
            if let Some(id) = error.id()
                && let Answer::Matched(_, key) = state.outgoing.answer(id)
            {
                wakers.extend(state.fail_call(key, Failure::Malformed(error.to_string().into())));
            }
            // In a batch it counts for nothing; alone, nothing else comes on its exchange.
            if !way.batched {
                state.outbox.end_exchange(way.route);
            }
            return;
        }
        let reply =
            self.service.answers().then(|| self.service.reply_to_fault(&Fault::from(error))).flatten();
        match (way.batch, reply) {
            (Some(batch), reply) => self.batches.refuse(state, batch, error.reply_id(), reply),
            (None, Some(reply)) => {
                state.outbox.push_error(Origin::Refusal, way.route, error.reply_id(), &reply);
            }
            (None, None) => state.outbox.end_exchange(way.route),
        }
        self.unread_refusals = state.outbox.unread.refusals;
    }

    /// The beginning of a message before the end of what the peer sends. Who asked gets an error, if this side answers;
    /// what was meant as an answer leaves its call to the end of the link, which explains more.
    pub(super) fn cut_off(&mut self, state: &mut State, bytes: usize) {
        state.stats.malformed += 1;
        tracing::warn!(peer = %self.shared.peer, bytes, "the peer closed in the middle of a message");
        let detail = format!("the input ended in the middle of a message ({bytes} bytes of it came)");
        let fault = Fault::Malformed { code: code::PARSE_ERROR, reason: "not_json", detail };
        if let Some(error) = self.service.answers().then(|| self.service.reply_to_fault(&fault)).flatten() {
            state.outbox.push_error(Origin::Refusal, Route::LANE, None, &error);
            self.unread_refusals = state.outbox.unread.refusals;
        }
    }

    /// A message that was passed over. Its beginning mostly tells what it was: the call that it was to answer ends, or
    /// the request gets its error.
    pub(super) fn rejected(
        &mut self,
        state: &mut State,
        route: Route,
        rejected: &Rejected,
        wakers: &mut Vec<Wake>,
    ) {
        state.stats.oversized += 1;
        let count = state.stats.oversized;
        if worth_a_line(count) {
            tracing::warn!(peer = %self.shared.peer, %rejected, count, "passed over a message");
        }
        let Rejected::TooLarge { size, head, tail } = rejected else { return };
        // The limit is what it is about; its beginning is small.
        let limits = EnvelopeLimits { max_message_bytes: head.len(), ..self.shared.limits.envelope };
        let (is_answer, id) = match Message::parse(head.clone(), &limits) {
            Ok(message) => (matches!(message.kind(), Kind::Result | Kind::Error), message.id().cloned()),
            Err(cut) if cut.is_response() => (true, cut.id().cloned()),
            Err(cut) => (false, cut.reply_id().cloned()),
        };
        if is_answer {
            // Many write the id last; one that stands nowhere can only be that of a lone call.
            let id = id.or_else(|| id_at_the_end(tail)).or_else(|| state.lone_call().map(Id::from));
            if let Some(id) = id
                && let Answer::Matched(_, key) = state.outgoing.answer(&id)
            {
                wakers.extend(state.fail_call(key, Failure::AnswerTooLarge(*size)));
            }
            return state.outbox.end_exchange(route);
        }
        let fault =
            Fault::TooLarge { what: "the message", limit_bytes: size.limit, setting: "max_message_bytes" };
        match self.service.answers().then(|| self.service.reply_to_fault(&fault)).flatten() {
            Some(error) => state.outbox.push_error(Origin::Refusal, route, id.as_ref(), &error),
            None => state.outbox.end_exchange(route),
        }
        self.unread_refusals = state.outbox.unread.refusals;
    }
}

/// What is left of a message that the lane took, and that is too large for the link.
pub(super) fn too_large(frame: &[u8], limit: usize) -> Rejected {
    let head = frame.get(..HEAD_BYTES).unwrap_or(frame);
    let tail = frame.get(frame.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
    Rejected::TooLarge {
        size: MessageTooLarge { limit, seen: frame.len(), exact: true },
        head: Bytes::copy_from_slice(head),
        tail: Bytes::copy_from_slice(tail),
    }
}

/// How much is looked at of the two ends of a message that is too large.
const HEAD_BYTES: usize = 1 << 10;
const TAIL_BYTES: usize = 256;

/// The id of a message that ends with it, or with it and the version.
fn id_at_the_end(tail: &[u8]) -> Option<Id> {
    let tail = tail.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let tail = tail.strip_suffix(br#","jsonrpc":"2.0""#).unwrap_or(tail);
    let key = br#","id":"#;
    let at = tail.windows(key.len()).rposition(|window| window == key)?;
    // What follows the key must be the id and nothing else, or it is another object's member.
    Id::parse_token(tail.get(at + key.len()..)?.trim_ascii()).ok()
}

/// Whether the so-manieth event of its kind is logged: the first few, then ever fewer, so that no peer can fill a disk
/// with our log. All are counted.
pub(super) fn worth_a_line(count: u64) -> bool {
    count <= 8 || count.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_at_the_end_of_a_message_and_only_there() {
        for (tail, id) in [
            (&br#"."}]},"jsonrpc":"2.0","id":5}"#[..], Some(Id::from(5_u64))),
            (br#".},"id":"a","jsonrpc":"2.0"}"#, Some(Id::from("a"))),
            (br#".},"id": 7 } "#, Some(Id::from(7_u64))),
            (br#".,"id":5}}"#, None),
            (br#".,"id":5,"text":"x"}"#, None),
            (br#"."text":"...\",\"id\":5"}"#, None),
            (b"", None),
        ] {
            assert_eq!(id_at_the_end(tail), id, "{}", String::from_utf8_lossy(tail));
        }
    }
}
