//! What a handler can do beside answering.

use std::{borrow::Cow, sync::Arc, time::Instant};

use towpath_jsonrpc::RawJson;
use towpath_link::{
    Call, CallError, CallOptions, CancelReason, Cancellation, Context as LinkContext, NotifyError,
};
use towpath_mcp::{Era, LogLevel, ModernRequest, Revision, TraceContext, trace_context};

use crate::lane::Conversation;

/// What a handler can do beside answering: report progress, log, ask the client, learn that it is no longer wanted.
///
/// Clones belong to the same request, and may be given to tasks. After the request has ended nothing can be said
/// about it any more.
#[derive(Clone)]
pub struct Context {
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
        Self { link, conversation, modern, cancellation: None }
    }

    /// Of a handler that may outlive its request for a moment.
    pub(crate) fn outliving(self) -> Self {
        let cancellation = Some(self.link.cancellation());
        Self { cancellation, ..self }
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
        self.link.progress(progress, total, message).await
    }

    /// Whether the client wants to hear of progress.
    pub fn wants_progress(&self) -> bool {
        self.link.progress_token().is_some()
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
        self.link.log(level, logger, data).await
    }

    /// Whether the client wants log messages of this level.
    pub fn wants_log(&self, level: LogLevel) -> bool {
        match &self.modern {
            Some(request) => request.allows_log(level),
            None => self.conversation.endpoint().session().allows_log(level),
        }
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
        self.link.notify(method, params).await
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
        if let Some(request) = &self.modern {
            return Err(RequestError::NotInThisEra {
                revision: request.revision,
                method: method.into_owned(),
            });
        }
        if !self.conversation.endpoint().session().may_send_request(&method) {
            return Err(RequestError::NoSession { method: method.into_owned() });
        }
        Ok(self.link.request(method, params, options))
    }

    /// Tells when the request is no longer wanted, and why. The handler itself is dropped then; this is for what
    /// works for it elsewhere.
    pub fn cancellation(&self) -> Cancellation {
        self.link.cancellation()
    }

    /// Why the request is no longer wanted; `None` while it is.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        let told = self.cancellation.as_ref().and_then(|cancellation| cancellation.reason().cloned());
        told.or_else(|| self.link.cancel_reason())
    }

    /// Until when the handler must have answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.link.deadline()
    }

    /// The revision in which the client speaks; `None` before a legacy handshake.
    pub fn revision(&self) -> Option<Revision> {
        match &self.modern {
            Some(request) => Some(request.revision),
            None => self.conversation.endpoint().session().revision(),
        }
    }

    /// The era in which the request was made.
    pub fn era(&self) -> Era {
        if self.modern.is_some() { Era::Modern } else { Era::Legacy }
    }

    /// What the client can do: a JSON object.
    pub fn client_capabilities(&self) -> Option<RawJson> {
        match &self.modern {
            Some(request) => Some(request.client_capabilities.clone()),
            None => self.conversation.endpoint().session().client_capabilities().cloned(),
        }
    }

    /// Who the client says it is: to show and to log, never to decide by.
    pub fn client_info(&self) -> Option<RawJson> {
        match &self.modern {
            Some(request) => request.client_info.clone(),
            None => self.conversation.endpoint().session().client_info().cloned(),
        }
    }

    /// The trace that the request belongs to (basic/index, "OpenTelemetry trace context").
    pub fn trace(&self) -> TraceContext {
        trace_context(self.link.message())
    }

    /// The link underneath.
    pub fn link(&self) -> &LinkContext {
        &self.link
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("link", &self.link).field("era", &self.era()).finish_non_exhaustive()
    }
}
