//! One modern exchange, as its handler sees it.

use std::{sync::Arc, task::Waker, time::Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use towpath_jsonrpc::{Id, Message, RawJson, encode as jsonrpc};
use towpath_link::{CancelReason, NotifyError};
use towpath_mcp::{
    LogLevel, ModernRequest, ProgressToken, TraceContext,
    encode::{self, EncodeError},
    trace_context,
};
use towpath_raw::{Level, MessageTooLarge, Mutex};
use towpath_sse::{EVENT_END, write_event_head};

use super::{Principal, caller::Caller, closing::Closing};
use crate::{Cancellation, cancellation::CancelCell};

/// One modern message over HTTP: what came in, and the way back to whoever sent it.
///
/// What is written here before the answer makes the response an event stream, and goes out in order, with the answer
/// after it. Clones belong to the same exchange, and may be given to tasks.
#[derive(Clone)]
pub struct Exchange {
    inner: Arc<Inner>,
}

struct Inner {
    message: Message,
    request: Option<ModernRequest>,
    caller: Caller,
    deadline: Option<Instant>,
    limits: ExchangeLimits,
    closing: Arc<Closing>,
    events: Mutex<Events>,
    room: Notify,
}

/// What one exchange may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExchangeLimits {
    pub(crate) max_unread_event_bytes: usize,
    pub(crate) max_message_bytes: usize,
}

/// What was written and not taken yet.
#[derive(Default)]
struct Events {
    queue: BytesMut,
    /// Nothing can be said any more.
    over: bool,
    cancelled: Option<CancelReason>,
    /// Made when somebody asks to be told.
    cell: Option<Arc<CancelCell>>,
    /// Whoever sends the events on, while it sleeps.
    reader: Option<Waker>,
}

impl Exchange {
    pub(crate) fn new(
        message: Message,
        request: Option<ModernRequest>,
        caller: Caller,
        deadline: Option<Instant>,
        limits: ExchangeLimits,
        closing: Arc<Closing>,
    ) -> Self {
        let events = Mutex::new(Level::Session, "Exchange::events", Events::default());
        let inner =
            Inner { message, request, caller, deadline, limits, closing, events, room: Notify::new() };
        Self { inner: Arc::new(inner) }
    }

    /// The message that came in.
    pub fn message(&self) -> &Message {
        &self.inner.message
    }

    /// The id of the request; `None` for a notification, which nothing can be said about.
    pub fn id(&self) -> Option<&Id> {
        self.inner.message.id()
    }

    /// The metadata of the request; `None` for a notification.
    pub fn request(&self) -> Option<&ModernRequest> {
        self.inner.request.as_ref()
    }

    /// Who made the request, as [`EndpointSettings::principal`](super::EndpointSettings::principal) tells.
    pub fn principal(&self) -> Option<&Principal> {
        self.inner.caller.principal.as_ref()
    }

    /// The trace that the message belongs to: what its `_meta` says, and what that leaves open from the headers.
    pub fn trace(&self) -> TraceContext {
        let head = || self.inner.caller.trace.as_deref().cloned().unwrap_or_default();
        trace_context(&self.inner.message).or_else(head)
    }

    /// Until when the request must be answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline
    }

    /// The token under which the client wants to hear of progress.
    pub fn progress_token(&self) -> Option<&ProgressToken> {
        self.inner.request.as_ref()?.progress_token.as_ref()
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

    /// Reports progress, if the client wants to hear of it. The value must grow with each report.
    ///
    /// # Errors
    ///
    /// As [`Exchange::notify`]; and [`NotifyError::Unsendable`] for what is no finite number.
    ///
    /// # Cancel safety
    ///
    /// As [`Exchange::notify`].
    pub async fn progress(
        &self,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<(), NotifyError> {
        let Some(token) = self.progress_token() else { return Ok(()) };
        self.write(|out| encode::progress(out, token, progress, total, message)).await
    }

    /// Sends a log message. Whether the client wants it is the caller's to know.
    ///
    /// # Errors
    ///
    /// As [`Exchange::notify`].
    ///
    /// # Cancel safety
    ///
    /// As [`Exchange::notify`].
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

    /// Queues a message that `write` appends whole: a notification about this request.
    ///
    /// # Errors
    ///
    /// As [`Exchange::notify`].
    ///
    /// # Cancel safety
    ///
    /// As [`Exchange::notify`].
    pub async fn write(
        &self,
        write: impl Fn(&mut BytesMut) -> Result<(), EncodeError> + Send + Sync,
    ) -> Result<(), NotifyError> {
        loop {
            // Made before the look, so that room that comes between is not missed.
            let room = self.inner.room.notified();
            match self.try_write(&write) {
                Some(outcome) => return outcome,
                None => room.await,
            }
        }
    }

    /// Tells when the request is no longer wanted, and why.
    pub fn cancellation(&self) -> Cancellation {
        let mut events = self.inner.events.lock();
        let ended = events.over.then_some(CancelReason::RequestEnded);
        let reason = events.cancelled.clone().or(ended);
        let cell = Arc::clone(events.cell.get_or_insert_default());
        drop(events);
        if let Some(reason) = reason {
            cell.set(reason);
        }
        Cancellation::of_exchange(cell)
    }

    /// Why the request is no longer wanted; `None` while it is, and when it was answered.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.inner.events.lock().cancelled.clone()
    }

    /// Waits until the service is about to end: a subscription should then end politely.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn draining(&self) {
        self.inner.closing.draining.cancelled().await;
    }

    /// `None`: there is no room.
    fn try_write(
        &self,
        write: &impl Fn(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Option<Result<(), NotifyError>> {
        let limits = &self.inner.limits;
        let reader = {
            let mut events = self.inner.events.lock();
            if events.over || events.cancelled.is_some() || self.id().is_none() {
                return Some(Err(NotifyError::RequestEnded));
            }
            if events.queue.len() >= limits.max_unread_event_bytes {
                return None;
            }
            let written = append_event(&mut events.queue, limits.max_message_bytes, write);
            if let Err(error) = written {
                return Some(Err(error));
            }
            events.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Some(Ok(()))
    }

    /// Takes what was written; empty when there is nothing. With `waker`, that one is woken when there is more.
    pub(crate) fn take_events(&self, waker: Option<&Waker>) -> Bytes {
        let (taken, was_full) = {
            let mut events = self.inner.events.lock();
            let was_full = events.queue.len() >= self.inner.limits.max_unread_event_bytes;
            let taken = events.queue.split().freeze();
            if let Some(waker) = waker.filter(|_| taken.is_empty())
                && events.reader.as_ref().is_none_or(|reader| !reader.will_wake(waker))
            {
                events.reader = Some(waker.clone());
            }
            (taken, was_full)
        };
        if was_full {
            self.inner.room.notify_waiters();
        }
        taken
    }

    /// The answer is there, or the request no longer wanted: nothing can be said any more. Gives what was said before.
    pub(crate) fn end(&self, reason: Option<CancelReason>) -> Bytes {
        let (said, cell) = {
            let mut events = self.inner.events.lock();
            events.over = true;
            if events.cancelled.is_none() {
                events.cancelled.clone_from(&reason);
            }
            (events.queue.split().freeze(), events.cell.clone())
        };
        if let (Some(cell), Some(reason)) = (cell, reason) {
            cell.set(reason);
        }
        self.inner.room.notify_waiters();
        said
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("method", &self.message().method())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Appends one event, or nothing if that fails.
fn append_event(
    queue: &mut BytesMut,
    max_message_bytes: usize,
    write: &impl Fn(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), NotifyError> {
    let start = queue.len();
    write_event_head(queue, None, None);
    let data = queue.len();
    let written = write(queue).map_err(|error| NotifyError::Unsendable(error.to_string().into()));
    let seen = queue.len().saturating_sub(data);
    let fits = || match seen > max_message_bytes {
        true => Err(NotifyError::TooLarge(MessageTooLarge { limit: max_message_bytes, seen, exact: true })),
        false => Ok(()),
    };
    if let Err(error) = written.and_then(|()| fits()) {
        queue.truncate(start);
        return Err(error);
    }
    if let Some(message) = queue.get_mut(data..) {
        join_lines(message);
    }
    queue.extend_from_slice(EVENT_END);
    Ok(())
}

/// A line break in JSON stands between tokens, where a space says the same; in an event it would end the line.
pub(crate) fn join_lines(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}
