//! Batches: several messages in one array, answered in one array (2025-03-26, basic, "Batching").

use bytes::BytesMut;
use slab::Slab;
use towpath_jsonrpc::{ErrorObject, Id, encode};
use towpath_raw::Route;

use crate::{Reply, outbox::Origin, state::State};

/// The batches of which some answers are missing. Each holds at least one request in flight, so there are no more
/// of them than requests.
pub(super) struct Batches {
    open: Slab<Batch>,
    max_message_bytes: usize,
}

struct Batch {
    /// The exchange that it came on.
    route: Route,
    missing: usize,
    /// How many of the answers are refusals: a peer that leaves them unread is not read any more.
    refusals: usize,
    answers: BytesMut,
}

impl Batches {
    pub(super) fn new(max_message_bytes: usize) -> Self {
        Self { open: Slab::new(), max_message_bytes }
    }

    /// A batch that so many answers are owed to.
    pub(super) fn open(&mut self, missing: usize, route: Route) -> usize {
        self.open.insert(Batch { route, missing, refusals: 0, answers: BytesMut::new() })
    }

    /// One answer more; or none, for a request that was cancelled. The last one sends the batch. What does not fit
    /// into one message with the others is answered with `too_large` instead.
    pub(super) fn answer(
        &mut self,
        state: &mut State,
        batch: usize,
        id: &Id,
        reply: Option<Reply>,
        too_large: impl FnOnce() -> Option<ErrorObject>,
    ) {
        let taken = self.open.get(batch).map_or(0, |batch| batch.answers.len());
        // The brackets, a comma, and the envelope of one result.
        let room = self.max_message_bytes.saturating_sub(taken + id.to_string().len() + 64);
        let reply = match reply {
            Some(Reply::Result(result, _)) if result.len() > room => too_large().map(Reply::Error),
            reply => reply,
        };
        self.add(state, batch, |out| match &reply {
            Some(Reply::Result(result, _)) => encode::result(out, id, result.as_bytes()),
            Some(Reply::Error(error)) => encode::error(out, Some(id), error),
            None => {}
        });
    }

    /// An element that was no message, or a request that was not taken.
    pub(super) fn refuse(
        &mut self,
        state: &mut State,
        batch: usize,
        id: Option<&Id>,
        error: Option<ErrorObject>,
    ) {
        if let Some(batch) = self.open.get_mut(batch) {
            batch.refusals += usize::from(error.is_some());
        }
        self.add(state, batch, |out| {
            if let Some(error) = &error {
                encode::error(out, id, error);
            }
        });
    }

    fn add(&mut self, state: &mut State, key: usize, write: impl FnOnce(&mut BytesMut)) {
        let Some(batch) = self.open.get_mut(key) else { return };
        let length = batch.answers.len();
        batch.answers.extend_from_slice(if length == 0 { b"[" } else { b"," });
        write(&mut batch.answers);
        if batch.answers.len() == length + 1 {
            batch.answers.truncate(length);
        }
        // What waits for its siblings is unread as well.
        state.outbox.unread.answer_bytes += batch.answers.len() - length;
        batch.missing -= 1;
        if batch.missing > 0 {
            return;
        }
        let batch = self.open.remove(key);
        state.outbox.unread.answer_bytes -= batch.answers.len();
        if batch.answers.is_empty() {
            state.outbox.end_exchange(batch.route);
            return;
        }
        state.outbox.push(Origin::Batch { refusals: batch.refusals }, batch.route, |out| {
            out.extend_from_slice(&batch.answers);
            out.extend_from_slice(b"]");
        });
    }
}
