//! How a call gets into flight, and what it says when it fails.

use std::{fmt::Display, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use towpath_jsonrpc::{Deadlines, ErrorObject, Id, code, encode::TAIL};
use towpath_mcp::{ProgressToken, encode};
use towpath_raw::{MessageTooLarge, Route};

use crate::{
    CallError, LinkEnd, Phase,
    call::Request,
    error::phase_of,
    notes::Notes,
    outbox::Origin,
    state::{CallEntry, Failure, Shared, State},
    verbatim,
};

/// Queues a request and gives the key of its call.
pub(crate) fn begin(shared: &Shared, request: Request) -> Result<usize, CallError> {
    let Request { method, params, options, token, nested } = request;
    let deadlines = match (options.deadlines, options.listen) {
        (Some(own), _) => own,
        // A subscription lives by liveness, not by a deadline.
        (None, true) => Deadlines { idle: None, total: None },
        (None, false) => shared.timeouts.call,
    };
    let progress = options.progress || deadlines.idle.is_some();
    // Before the lock: it takes time in proportion to the params.
    let token = match (token, &params) {
        (Some(token), _) => token,
        (None, Some(params)) if options.verbatim => verbatim::progress_token(params, &shared.limits.envelope)
            .map_err(|reason| unsendable(shared, &method, reason))?,
        _ => None,
    };
    let now = Instant::now().into_std();
    shared.change(|state| {
        let end = state.closing.map(|_| LinkEnd::ClosedHere).or_else(|| state.ended.clone());
        if let Some(end) = end {
            return Err(error(shared, &method, Failure::Closed(end, Phase::NotSent)));
        }
        let key = state.calls.vacant_key();
        let id =
            state.outgoing.insert(now, deadlines, key).map_err(|limit| unsendable(shared, &method, limit))?;
        let (route, within) = state.route_for(id, nested);
        // Mostly the id; another one while a caller uses just that number as a token of his own.
        let own = ProgressToken::from(id);
        let taken = state.tokens.contains_key(own.as_id());
        let own = if taken { ProgressToken::from(Id::from(format!("call {id}"))) } else { own };
        let mut callers_token = None;
        let written = state.outbox.try_push(Origin::Call(id), route, TAIL, |out| {
            let body = if options.verbatim {
                verbatim::write_request(out, id, &method, params.as_ref(), token)
            } else {
                let (body, callers) = state
                    .dress
                    .write_request(
                        out,
                        id,
                        &method,
                        params.as_ref(),
                        progress.then_some(&own),
                        options.log_level,
                    )
                    .map_err(Unwritable::Encode)?;
                if let Some(callers) = &callers {
                    let of_a_call = callers.as_u64().filter(|token| *token != id);
                    let in_use = state.tokens.contains_key(callers.as_id())
                        || of_a_call.is_some_and(|token| state.outgoing.get(token).is_some());
                    if in_use {
                        // Progress would go to the wrong call (2026-07-28, basic/patterns/progress).
                        return Err(None);
                    }
                }
                callers_token = callers.or_else(|| taken.then(|| own.clone()));
                body
            };
            fits(out, &body, shared).map_err(Unwritable::TooLarge)?;
            Ok::<_, Option<Unwritable>>(body)
        });
        if let Err(reason) = written {
            state.outgoing.cancel(id);
            return Err(match reason {
                Some(Unwritable::TooLarge(source)) => error(shared, &method, Failure::TooLarge(source)),
                Some(Unwritable::Encode(reason)) => unsendable(shared, &method, reason),
                None => unsendable(
                    shared,
                    &method,
                    "its progress token belongs to another call that is in flight",
                ),
            });
        }
        let callers_token = callers_token.map(|token| token.as_id().clone());
        if let Some(token) = &callers_token {
            state.tokens.insert(token.clone(), id);
        }
        state.logs.are_taken |= options.takes_logs;
        state.calls.insert(CallEntry {
            id,
            route,
            within,
            waker: None,
            notes: Notes::new(options.keep_notes),
            takes_logs: options.takes_logs,
            outcome: None,
            cancellable: !options.uncancellable,
            listens: options.listen,
            callers_token,
        });
        Ok(key)
    })
}

/// Why a message cannot be written.
pub(crate) enum Unwritable {
    Encode(encode::EncodeError),
    TooLarge(MessageTooLarge),
}

impl From<encode::EncodeError> for Unwritable {
    fn from(error: encode::EncodeError) -> Self {
        Unwritable::Encode(error)
    }
}

/// Whether a message of this head, this body and a tail of one byte is within the limit.
pub(crate) fn fits(head: &BytesMut, body: &Bytes, shared: &Shared) -> Result<(), MessageTooLarge> {
    let (seen, limit) = (head.len() + body.len() + TAIL.len(), shared.limits.envelope.max_message_bytes);
    if seen > limit { Err(MessageTooLarge { limit, seen, exact: true }) } else { Ok(()) }
}

/// Whether a message that is written whole is within the limit.
pub(crate) fn fits_whole(message: &BytesMut, shared: &Shared) -> Result<(), MessageTooLarge> {
    let (seen, limit) = (message.len(), shared.limits.envelope.max_message_bytes);
    if seen > limit { Err(MessageTooLarge { limit, seen, exact: true }) } else { Ok(()) }
}

/// Tells the peer that a request of ours is no longer wanted
/// (2026-07-28, basic/patterns/cancellation; 2025-11-25, basic/utilities/cancellation).
pub(crate) fn push_cancelled(state: &mut State, id: u64, route: Route, reason: Option<&str>) {
    state.outbox.push(Origin::Cancellation(id), route, |out| encode::cancelled(out, &Id::from(id), reason));
}

/// The caller's view of a failure.
pub(crate) fn error(shared: &Shared, method: &str, failure: Failure) -> CallError {
    let (peer, method) = (Arc::clone(&shared.peer), Arc::from(method));
    match failure {
        Failure::Timeout(source, phase) => CallError::Timeout { peer, method, source, phase },
        Failure::Closed(end, phase) => CallError::Closed { peer, method, end, phase },
        Failure::TooLarge(source) => CallError::TooLarge { peer, method, source },
        Failure::EndedByPeer => CallError::EndedByPeer { peer, method },
        Failure::TooManyNotes { limit } => CallError::TooManyNotes { peer, method, limit },
        Failure::TooManyCalls { limit } => CallError::TooManyCalls { peer, method, limit },
        Failure::AnswerTooLarge(source) => CallError::AnswerTooLarge { peer, method, source },
        Failure::Exchange(source) => {
            let phase = phase_of(&source);
            CallError::Exchange { peer, method, source, phase }
        }
        Failure::Malformed(reason) => CallError::Malformed { peer, method, reason },
    }
}

pub(crate) fn unsendable(shared: &Shared, method: &str, reason: impl Display) -> CallError {
    CallError::Unsendable {
        peer: Arc::clone(&shared.peer),
        method: Arc::from(method),
        reason: Arc::from(reason.to_string()),
    }
}

/// An error answer whose error object cannot be read is an error all the same.
pub(crate) fn unreadable_error() -> ErrorObject {
    ErrorObject::new(code::INTERNAL_ERROR, "the peer sent an error object that cannot be read")
}
