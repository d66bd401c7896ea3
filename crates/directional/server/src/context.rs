//! What a handler can do beside answering.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use towpath_jsonrpc::{Id, Message, RawJson};
use towpath_link::{Call, CallError, CallOptions, CancelReason, Context as LinkContext, NotifyError};
use towpath_mcp::{Era, LogLevel, ModernRequest, Revision, TraceContext, trace_context};

use crate::{Cancellation, lane::Conversation};
#[cfg(feature = "http")]
use crate::{Exchange, Principal};

/// What a handler can do beside answering: report progress, log, ask the client, learn that it is no longer wanted.
///
/// Clones belong to the same request, and may be given to tasks. After the request has ended nothing can be said
/// about it any more.
#[derive(Clone)]
pub struct Context {
    backend: Backend,
}

/// What the request came on.
#[derive(Clone)]
#[cfg_attr(
    feature = "http",
    allow(clippy::large_enum_variant, reason = "a box would cost an allocation for each request on a lane")
)]
enum Backend {
    Link(OnLink),
    /// A modern request over HTTP: nothing is shared with any other.
    #[cfg(feature = "http")]
    Exchange(Exchange),
}

#[derive(Clone)]
struct OnLink {
    link: LinkContext,
    conversation: Arc<Conversation>,
    /// Set for a modern request, which brings everything with it.
    modern: Option<Arc<ModernRequest>>,
    /// Set for a handler in a task of its own, which may be dropped after its request is forgotten.
    cancellation: Option<Cancellation>,
}

/// Why the client was not asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A modern client takes no requests: answer with `resultType: "input_required"` instead
    /// (2026-07-28, basic/patterns/mrtr).
    #[error(
        "a {revision} client takes no requests: answer with an `input_required` result instead of sending `{method}`"
    )]
    NotInThisEra {
        /// The revision of the request.
        revision: Revision,
        /// What was to be asked.
        method: String,
    },
    /// The session is not there yet, or not any more.
    #[error("the session is not open: `{method}` was not sent")]
    NoSession {
        /// What was to be asked.
        method: String,
    },
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Context {
    pub(crate) fn new(
        link: LinkContext,
        conversation: Arc<Conversation>,
        modern: Option<Arc<ModernRequest>>,
    ) -> Self {
        Self { backend: Backend::Link(OnLink { link, conversation, modern, cancellation: None }) }
    }

    #[cfg(feature = "http")]
    pub(crate) fn of_exchange(exchange: Exchange) -> Self {
        Self { backend: Backend::Exchange(exchange) }
    }

    /// Of a handler that may outlive its request for a moment.
    pub(crate) fn outliving(mut self) -> Self {
        match &mut self.backend {
            Backend::Link(on) => on.cancellation = Some(Cancellation::of_link(on.link.cancellation())),
            // An exchange lives as long as any of its contexts.
            #[cfg(feature = "http")]
            Backend::Exchange(_) => {}
        }
        self
    }

    /// The message that is handled.
    pub fn message(&self) -> &Message {
        match &self.backend {
            Backend::Link(on) => on.link.message(),
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.message(),
        }
    }

    /// The client's id of the request; `None` for a notification, which nothing can be said about.
    pub fn id(&self) -> Option<&Id> {
        self.message().id()
    }

    /// Reports progress, if the client wants to hear of it. The value must grow with each report
    /// (basic/patterns/progress).
    ///
    /// # Errors
    ///
    /// [`NotifyError::RequestEnded`] once the request is answered or no longer wanted.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits for room, nothing was sent.
    pub async fn progress(
        &self,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<(), NotifyError> {
        match &self.backend {
            Backend::Link(on) => on.link.progress(progress, total, message).await,
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.progress(progress, total, message).await,
        }
    }

    /// Whether the client wants to hear of progress.
    pub fn wants_progress(&self) -> bool {
        match &self.backend {
            Backend::Link(on) => on.link.progress_token().is_some(),
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.progress_token().is_some(),
        }
    }

    /// Logs to the client, if it wants messages of this level: a modern client says so with each request, a legacy
    /// one by `logging/setLevel` (server/utilities/logging).
    ///
    /// # Errors
    ///
    /// As [`Context::progress`].
    ///
    /// # Cancel safety
    ///
    /// As [`Context::progress`].
    pub async fn log(
        &self,
        level: LogLevel,
        logger: Option<&str>,
        data: &RawJson,
    ) -> Result<(), NotifyError> {
        if !self.wants_log(level) {
            return Ok(());
        }
        match &self.backend {
            Backend::Link(on) => on.link.log(level, logger, data).await,
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.log(level, logger, data).await,
        }
    }

    /// Whether the client wants log messages of this level.
    pub fn wants_log(&self, level: LogLevel) -> bool {
        self.of_request(
            |request| request.allows_log(level),
            |conversation| conversation.endpoint().session().allows_log(level),
        )
        .unwrap_or(false)
    }

    /// Sends another notification about this request.
    ///
    /// # Errors
    ///
    /// As [`Context::progress`]; [`NotifyError::Unsendable`] when the params are no JSON object.
    ///
    /// # Cancel safety
    ///
    /// As [`Context::progress`].
    pub async fn notify(&self, method: &str, params: Option<RawJson>) -> Result<(), NotifyError> {
        match &self.backend {
            Backend::Link(on) => on.link.notify(method, params).await,
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.notify(method, params).await,
        }
    }

    /// Asks the client something while the request is handled: sampling, elicitation, roots. Only legacy clients
    /// take requests.
    ///
    /// # Errors
    ///
    /// [`RequestError::NotInThisEra`] for a modern request, else how the call failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the client is told that the request is cancelled.
    pub async fn request(
        &self,
        method: impl Into<Cow<'static, str>>,
        params: Option<RawJson>,
    ) -> Result<RawJson, RequestError> {
        Ok(self.call(method.into(), params, CallOptions::default())?.await?)
    }

    /// As [`Context::request`], as a call of which the notifications can be had, too.
    ///
    /// # Errors
    ///
    /// [`RequestError::NotInThisEra`] and [`RequestError::NoSession`].
    pub fn call(
        &self,
        method: impl Into<Cow<'static, str>>,
        params: Option<RawJson>,
        options: CallOptions,
    ) -> Result<Call, RequestError> {
        let method = method.into();
        let not_in = |revision, method: Cow<'static, str>| {
            Err(RequestError::NotInThisEra { revision, method: method.into_owned() })
        };
        let Some(on) = self.on_link() else {
            return not_in(self.revision().unwrap_or(Revision::LATEST), method);
        };
        if let Some(request) = &on.modern {
            return not_in(request.revision, method);
        }
        if !on.conversation.endpoint().session().may_send_request(&method) {
            return Err(RequestError::NoSession { method: method.into_owned() });
        }
        Ok(on.link.request(method, params, options))
    }

    /// Closes the event stream of this request before its answer: the client comes back for the rest after `retry`, or
    /// after the time that the server tells by default, and no connection is held meanwhile (2025-11-25,
    /// basic/transports). The handler goes on as before.
    ///
    /// Whether it was closed. Only the stream of a legacy request over HTTP is, whose client comes back (revision
    /// 2025-11-25), which reads it still, and whose session keeps events.
    pub fn close_stream(&self, retry: Option<Duration>) -> bool {
        match &self.backend {
            #[cfg(feature = "http")]
            Backend::Link(on) => {
                let route = on.link.route();
                on.conversation.streams().is_some_and(|streams| streams.close(route, retry))
            }
            #[cfg(feature = "http")]
            Backend::Exchange(_) => false,
            #[cfg(not(feature = "http"))]
            Backend::Link(_) => {
                let _ = retry;
                false
            }
        }
    }

    /// Tells when the request is no longer wanted, and why. The handler itself is dropped then; this is for what
    /// works for it elsewhere.
    pub fn cancellation(&self) -> Cancellation {
        match &self.backend {
            Backend::Link(on) => Cancellation::of_link(on.link.cancellation()),
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.cancellation(),
        }
    }

    /// Why the request is no longer wanted; `None` while it is.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        match &self.backend {
            Backend::Link(on) => {
                let told = on.cancellation.as_ref().and_then(|cancellation| cancellation.reason().cloned());
                told.or_else(|| on.link.cancel_reason())
            }
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.cancel_reason(),
        }
    }

    /// Until when the handler must have answered.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.backend {
            Backend::Link(on) => on.link.deadline(),
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.deadline(),
        }
    }

    /// The revision in which the client speaks; `None` before a legacy handshake, and for a modern notification that
    /// names none.
    pub fn revision(&self) -> Option<Revision> {
        self.of_request(
            |request| Some(request.revision),
            |conversation| conversation.endpoint().session().revision(),
        )
        .flatten()
    }

    /// The era in which the request was made.
    pub fn era(&self) -> Era {
        match &self.backend {
            Backend::Link(on) if on.modern.is_none() => Era::Legacy,
            _ => Era::Modern,
        }
    }

    /// What the client can do: a JSON object.
    pub fn client_capabilities(&self) -> Option<RawJson> {
        self.of_request(
            |request| Some(request.client_capabilities.clone()),
            |conversation| conversation.endpoint().session().client_capabilities().cloned(),
        )
        .flatten()
    }

    /// Who the client says it is: to show and to log, never to decide by.
    pub fn client_info(&self) -> Option<RawJson> {
        self.of_request(
            |request| request.client_info.clone(),
            |conversation| conversation.endpoint().session().client_info().cloned(),
        )
        .flatten()
    }

    /// The trace that the request belongs to (basic/index, "OpenTelemetry trace context"): what its `_meta` says; over
    /// HTTP, what that leaves open comes from the headers `traceparent`, `tracestate` and `baggage` of the request. A
    /// notification in a session has only its `_meta`.
    pub fn trace(&self) -> TraceContext {
        match &self.backend {
            #[cfg(feature = "http")]
            Backend::Link(on) => {
                let head = || on.conversation.streams()?.trace(on.link.route());
                trace_context(self.message()).or_else(|| head().unwrap_or_default())
            }
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.trace(),
            #[cfg(not(feature = "http"))]
            Backend::Link(_) => trace_context(self.message()),
        }
    }

    /// Who makes the request, as [`EndpointSettings::principal`](crate::EndpointSettings::principal) tells; nobody in
    /// particular on other transports than HTTP. This is what to decide by.
    #[cfg(feature = "http")]
    pub fn principal(&self) -> Option<&Principal> {
        match &self.backend {
            Backend::Link(on) => on.conversation.streams()?.principal(),
            Backend::Exchange(exchange) => exchange.principal(),
        }
    }

    fn on_link(&self) -> Option<&OnLink> {
        match &self.backend {
            Backend::Link(on) => Some(on),
            #[cfg(feature = "http")]
            Backend::Exchange(_) => None,
        }
    }

    /// What a modern request says itself, and what the session knows of a legacy one.
    fn of_request<R>(
        &self,
        modern: impl FnOnce(&ModernRequest) -> R,
        legacy: impl FnOnce(&Conversation) -> R,
    ) -> Option<R> {
        match &self.backend {
            Backend::Link(on) => Some(match &on.modern {
                Some(request) => modern(request),
                None => legacy(&on.conversation),
            }),
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => exchange.request().map(modern),
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Context");
        match &self.backend {
            Backend::Link(on) => debug.field("link", &on.link),
            #[cfg(feature = "http")]
            Backend::Exchange(exchange) => debug.field("exchange", exchange),
        };
        debug.field("era", &self.era()).finish()
    }
}
