//! What a handler can do beside answering.

use std::{borrow::Cow, sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{Id, Key, Member, Message, RawJson, encode as jsonrpc};
use towpath_mcp::{
    LogLevel, ProgressToken,
    encode::{self, EncodeError},
};

use towpath_raw::Route;

use crate::{
    Call, CallOptions, CancelReason, Cancellation, NotifyError, Peer,
    begin::{self, Unwritable},
    call::{Nested, Request},
    cancel::CancelCell,
    outbox::Origin,
    state::{Shared, State},
};

/// What a handler can do beside answering: notify, ask the peer, learn that it is no longer wanted.
///
/// Clones belong to the same request, and may be given to tasks. After the request has ended nothing can be
/// said about it any more.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    /// The request; `None` for a notification, which nothing can be said about.
    key: Option<Key>,
    route: Route,
    message: Message,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, key: Option<Key>, route: Route, message: Message) -> Self {
        Self { shared, key, route, message }
    }

    /// The message that is handled.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The id of the request; `None` for a notification.
    pub fn id(&self) -> Option<&Id> {
        self.message.id()
    }

    /// The exchange that brought the request, on a lane that is made of them: what is said about the request goes the
    /// same way. [`Route::LANE`] for a notification, which nothing is said about.
    pub fn route(&self) -> Route {
        self.route
    }

    /// The peer that asks.
    pub fn peer(&self) -> Peer {
        Peer { shared: Arc::clone(&self.shared) }
    }

    /// The token under which the peer wants to hear of progress.
    pub fn progress_token(&self) -> Option<ProgressToken> {
        ProgressToken::parse(self.message.raw(Member::MetaProgressToken)?).ok()
    }

    /// Until when the handler must have answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.state.lock().incoming.get(self.key?)?.deadline
    }

    /// Sends a notification about this request.
    ///
    /// # Errors
    ///
    /// [`NotifyError::RequestEnded`] once the request is answered or no longer wanted.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits for room, nothing was sent.
    pub async fn notify(&self, method: &str, params: Option<RawJson>) -> Result<(), NotifyError> {
        if params.as_ref().is_some_and(|params| !params.as_bytes().starts_with(b"{")) {
            return Err(NotifyError::Unsendable("the params of a notification must be a JSON object".into()));
        }
        self.write(|out| {
            jsonrpc::notification(out, method, params.as_ref().map(RawJson::as_bytes));
            Ok(())
        })
        .await
    }

    /// Reports progress, if the peer wants to hear of it (basic/patterns/progress). The value must grow with
    /// each report.
    ///
    /// # Errors
    ///
    /// As [`Context::notify`]; and [`NotifyError::Unsendable`] for what is no finite number.
    ///
    /// # Cancel safety
    ///
    /// As [`Context::notify`].
    pub async fn progress(
        &self,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<(), NotifyError> {
        let Some(token) = self.progress_token() else { return Ok(()) };
        self.write(|out| encode::progress(out, &token, progress, total, message)).await
    }

    /// Sends a log message (server/utilities/logging). Whether the peer wants it is the caller's to know.
    ///
    /// # Errors
    ///
    /// As [`Context::notify`].
    ///
    /// # Cancel safety
    ///
    /// As [`Context::notify`].
    pub async fn log(
        &self,
        level: LogLevel,
        logger: Option<&str>,
        data: &RawJson,
    ) -> Result<(), NotifyError> {
        self.write(|out| {
            encode::message(out, level, logger, data);
            Ok(())
        })
        .await
    }

    /// Queues a notification that `write` appends whole.
    ///
    /// # Errors
    ///
    /// As [`Context::notify`].
    ///
    /// # Cancel safety
    ///
    /// As [`Context::notify`].
    pub async fn write(
        &self,
        write: impl Fn(&mut BytesMut) -> Result<(), EncodeError> + Send + Sync,
    ) -> Result<(), NotifyError> {
        self.shared
            .when_room(self.key.is_some(), |state| {
                if self.key.is_some_and(|key| ended(state, key)) {
                    return Err(NotifyError::RequestEnded);
                }
                state
                    .outbox
                    .try_push(Origin::Notification, self.route, b"", |out| {
                        write(out)?;
                        begin::fits_whole(out, &self.shared).map_err(Unwritable::TooLarge)?;
                        Ok(Bytes::new())
                    })
                    .map_err(|unwritable| match unwritable {
                        Unwritable::TooLarge(too_large) => NotifyError::TooLarge(too_large),
                        Unwritable::Encode(error) => NotifyError::Unsendable(error.to_string().into()),
                    })
            })
            .await
    }

    /// Asks the peer something while the request is handled (legacy peers). The answer reaches the handler
    /// whatever else the link does; nobody waits for it but the handler.
    ///
    /// Such calls have permits of their own, as many as other calls, so that handlers never wait for each other:
    /// with none left the call fails at once, as [`CallError::TooManyCalls`](crate::CallError).
    ///
    /// The call goes out on the exchange of the request, if that came on one.
    pub fn request(
        &self,
        method: impl Into<Cow<'static, str>>,
        params: Option<RawJson>,
        options: CallOptions,
    ) -> Call {
        let nested = Nested { request: self.key, route: self.route };
        let request = Request::new(method.into(), params, options, Some(nested));
        Call::new(Arc::clone(&self.shared), request)
    }

    /// As [`Context::request`], for a request that came from elsewhere, and is passed on as [`CallOptions::verbatim`] says.
    pub fn forward(&self, message: &Message, options: CallOptions) -> Call {
        let nested = Nested { request: self.key, route: self.route };
        Call::new(Arc::clone(&self.shared), Request::forwarded(message, options, Some(nested)))
    }

    /// Tells when the request is no longer wanted, and why. The handler itself is dropped then; this is for what
    /// works for it elsewhere.
    pub fn cancellation(&self) -> Cancellation {
        let mut state = self.shared.state.lock();
        let Some(request) = self.key.and_then(|key| state.incoming.get_mut(key)) else {
            let over = CancelCell::default();
            over.set(state.after_the_end().unwrap_or(CancelReason::RequestEnded));
            return Cancellation::new(Arc::new(over));
        };
        let cell = request.cell.get_or_insert_default();
        if let Some(reason) = &request.cancelled {
            cell.set(reason.clone());
        }
        Cancellation::new(Arc::clone(cell))
    }

    /// Why the request is no longer wanted; `None` while it is. A handler that is dropped can ask this in its own
    /// `Drop`.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        let state = self.shared.state.lock();
        match state.incoming.get(self.key?) {
            Some(request) => request.cancelled.clone(),
            None => state.after_the_end(),
        }
    }
}

fn ended(state: &State, key: Key) -> bool {
    state.incoming.get(key).is_none_or(|request| request.cancelled.is_some())
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("peer", &self.shared.peer)
            .field("method", &self.message.method())
            .field("id", &self.message.id())
            .finish_non_exhaustive()
    }
}
