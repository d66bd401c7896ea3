//! The handle to the peer at the other end of a link.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use towpath_jsonrpc::{Message, RawJson, encode};

use towpath_raw::Route;

use crate::{
    Call, CallDress, CallOptions, LinkEnd, LinkStats, NotifyError, begin,
    call::Request,
    outbox::Origin,
    state::{Closing, Shared},
};

/// A handle to the peer at the other end of a link. Clones are handles to the same; none of them keeps the link
/// alive.
#[derive(Clone)]
pub struct Peer {
    pub(crate) shared: Arc<Shared>,
}

impl Peer {
    /// A request to the peer; see [`Call`].
    pub fn call(
        &self,
        method: impl Into<Cow<'static, str>>,
        params: Option<RawJson>,
        options: CallOptions,
    ) -> Call {
        Call::new(Arc::clone(&self.shared), Request::new(method.into(), params, options, None))
    }

    /// A request that came from elsewhere, passed on as [`CallOptions::verbatim`] says. It is not looked through again,
    /// as it would be if its method and params were given to [`Peer::call`].
    pub fn forward(&self, message: &Message, options: CallOptions) -> Call {
        Call::new(Arc::clone(&self.shared), Request::forwarded(message, options, None))
    }

    /// A call that fails as [`CallError::Unsendable`](crate::CallError) for this reason: for params that cannot be
    /// made.
    pub fn unsendable_call(&self, method: impl Into<Cow<'static, str>>, reason: &str) -> Call {
        Call::failed(Arc::clone(&self.shared), method.into(), reason)
    }

    /// Waits until the link has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> LinkEnd {
        self.shared.over.cancelled().await;
        self.ended().unwrap_or(LinkEnd::ClosedHere)
    }

    /// Sends a notification that is about no request.
    ///
    /// # Errors
    ///
    /// [`NotifyError::Closed`] when the link has ended, [`NotifyError::Unsendable`] when the params are no JSON
    /// object.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits for room, nothing was sent.
    pub async fn notify(&self, method: &str, params: Option<RawJson>) -> Result<(), NotifyError> {
        if params.as_ref().is_some_and(|params| !params.as_bytes().starts_with(b"{")) {
            return Err(NotifyError::Unsendable("the params of a notification must be a JSON object".into()));
        }
        self.shared
            .when_room(false, |state| {
                state.outbox.try_push(Origin::Notification, Route::LANE, b"", |out| {
                    encode::notification(out, method, params.as_ref().map(RawJson::as_bytes));
                    begin::fits_whole(out, &self.shared).map_err(NotifyError::TooLarge)?;
                    Ok(Bytes::new())
                })
            })
            .await
    }

    /// What is added to every request from now on.
    pub fn set_dress(&self, dress: CallDress) {
        self.shared.state.lock().dress = dress;
    }

    /// Asks the link to end: new calls and new requests are refused, what is in flight may go on for `grace`, then
    /// everything is written and the lane closed. It does not wait; the driver's end tells when it is done. Asked
    /// again, the shortest grace counts.
    pub fn close(&self, grace: Duration) {
        self.shared.change(|state| {
            let closing = state.closing.get_or_insert(Closing { grace });
            closing.grace = closing.grace.min(grace);
        });
    }

    /// How the link ended; `None` while it lives.
    pub fn ended(&self) -> Option<LinkEnd> {
        self.shared.state.lock().ended.clone()
    }

    /// Who is at the other end.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.peer
    }

    /// What the link has seen so far.
    pub fn stats(&self) -> LinkStats {
        let state = self.shared.state.lock();
        let answers = state.outgoing.stats();
        let mut stats = state.stats;
        stats.late_answers = answers.late;
        stats.stray_answers += answers.duplicate + answers.unknown;
        stats
    }

    /// How many calls of ours wait for an answer.
    pub fn calls_in_flight(&self) -> usize {
        self.shared.state.lock().outgoing.len()
    }

    /// How many requests of the peer are in flight.
    pub fn requests_in_flight(&self) -> usize {
        self.shared.state.lock().incoming.len()
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("name", &self.shared.peer).finish_non_exhaustive()
    }
}

impl Shared {
    /// Waits until notifications have room, then lets `push` queue one.
    pub(crate) async fn when_room(
        &self,
        of_request: bool,
        mut push: impl FnMut(&mut crate::state::State) -> Result<(), NotifyError>,
    ) -> Result<(), NotifyError> {
        loop {
            // Made before the look, so that room that comes between is not missed.
            let room = self.room.notified();
            let pushed = self.change(|state| {
                // A peer that has closed its own direction still listens for what it has asked for.
                if let Some(end) = state.ended.as_ref().filter(|_| state.over || !of_request) {
                    return Some(Err(NotifyError::Closed(end.clone())));
                }
                if state.outbox.unread.notification_bytes >= self.limits.notification_queue_bytes {
                    return None;
                }
                Some(push(state))
            });
            match pushed {
                Some(outcome) => return outcome,
                None => room.await,
            }
        }
    }
}
