//! The service itself: who may ask, what is asked of it, and how it ends.

use std::{
    convert::Infallible,
    error::Error,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
    request::Parts,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower_service::Service;
use towpath_buffer::{BufferPool, PoolLimits};
use towpath_http::{BodyBudget, BodyTimeouts};
use towpath_mcp::{Era, Fault, HeadInfo, HttpEndpoint, OriginPolicy, Rejection, Revision, SessionId, Verb};
use towpath_raw::{Level, Mutex, Operation, TaskScope, Timeout};

use super::{
    EndpointLimits, EndpointSettings, EndpointTimeouts, HttpApp, ResponseBody,
    caller::Caller,
    closing::Closing,
    cors::CorsLayer,
    exchange::ExchangeLimits,
    health::HealthLayer,
    mirrored::HeaderParamsHook,
    post,
    principal::{Principal, PrincipalHook},
    replay::Replay,
    reply::{bare, refusal, stream},
    session::{EventId, Registry, SessionBounds, SessionStream, unknown_event},
};

/// An MCP endpoint over HTTP, for both eras: a `tower` service, to be mounted in a router or given to an HTTP server.
///
/// Clones are the same endpoint. Everything that it serves belongs to it: when the last clone is dropped, every legacy
/// session has ended, and so has every task. A modern exchange lives in its own response. A request whose body is still
/// being read, and one that opens a session, count as clones.
pub struct HttpService<A: HttpApp> {
    pub(super) shared: Arc<Shared<A>>,
}

/// What all requests share.
pub(super) struct Shared<A: HttpApp> {
    pub(super) app: Arc<A>,
    pub(super) endpoint: HttpEndpoint,
    pub(super) limits: EndpointLimits,
    pub(super) timeouts: EndpointTimeouts,
    pub(super) budget: BodyBudget,
    pub(super) body_timeouts: BodyTimeouts,
    pub(super) replay: Replay,
    principal: Option<PrincipalHook>,
    pub(super) header_params: Option<HeaderParamsHook>,
    origins: OriginPolicy,
    gzip: bool,
    path: Option<String>,
    pub(super) closing: Arc<Closing>,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    pub(super) sessions: Arc<Registry>,
    /// The tasks of sessions, of notifications and of expiry.
    pub(super) tasks: TaskScope,
    expires: Mutex<bool>,
    /// Write buffers, for the sessions that have something to write.
    pub(super) buffers: BufferPool,
}

/// What a server that drains asks of the services that it has made.
pub(crate) trait Drains: Send + Sync {
    /// No new work is taken from here on.
    fn begin(&self, grace: Duration);
    /// Waits for the end of what runs; at the deadline it is cut. Whether all of it has ended by itself.
    fn ended(self: Arc<Self>, deadline: Duration) -> BoxFuture<'static, bool>;
}

impl<A: HttpApp> Clone for HttpService<A> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<A: HttpApp> HttpService<A> {
    /// An endpoint in front of an app. Nothing is started until the first request comes.
    pub fn new(app: Arc<A>, settings: EndpointSettings) -> Self {
        let endpoint = HttpEndpoint::new(Arc::clone(app.identity()))
            .with_gate(settings.gate.clone())
            .with_strict_media_types(settings.strict_media_types);
        let (budget, body_timeouts) = (settings.budget(), settings.body_timeouts());
        let EndpointSettings { limits, timeouts, gate, path, replay, principal, header_params, gzip, .. } =
            settings;
        let permits = |count: usize| Arc::new(Semaphore::new(permits(count)));
        let shared = Shared {
            app,
            endpoint,
            budget,
            body_timeouts,
            replay,
            principal,
            header_params,
            origins: gate.origins,
            gzip,
            path,
            closing: Arc::default(),
            requests: permits(limits.max_requests),
            streams: permits(limits.max_streams),
            sessions: Registry::new(limits.max_sessions, limits.max_sessions_per_principal),
            tasks: TaskScope::new(),
            expires: Mutex::new(Level::SessionRegistry, "HttpService::expires", false),
            buffers: BufferPool::new(PoolLimits::http()),
            limits,
            timeouts,
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn drains(&self) -> Arc<dyn Drains> {
        Arc::clone(&self.shared) as Arc<dyn Drains>
    }

    /// A layer that lets the pages use this endpoint whose origins its gate admits, in the eras that it speaks.
    pub fn cors(&self) -> CorsLayer {
        let legacy = self.shared.app.identity().speaks(Era::Legacy);
        CorsLayer::new(self.shared.origins.clone()).speaks_legacy(legacy)
    }

    /// A layer that tells whether the process lives, and that this endpoint is ready until it drains. It does not keep the
    /// endpoint.
    pub fn health(&self) -> HealthLayer {
        HealthLayer::of(Arc::clone(&self.shared.closing))
    }

    /// How many legacy sessions are open.
    pub fn sessions(&self) -> usize {
        self.shared.sessions.len()
    }

    /// How many messages of sessions found nobody to read them: the client had gone, took nothing, or opened no stream.
    pub fn dropped_messages(&self) -> u64 {
        self.shared.closing.dropped()
    }

    /// Ends politely: new requests get 503, subscriptions and streams are ended, what runs may go on until the
    /// deadline; then it is cut.
    ///
    /// # Errors
    ///
    /// [`Timeout`] when something had to be cut.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the sessions go on to end by themselves, and modern exchanges run on.
    pub async fn drain(&self, deadline: Duration) -> Result<(), Timeout> {
        self.shared.begin(deadline);
        let ended = Arc::clone(&self.shared).ended(deadline).await;
        if ended { Ok(()) } else { Err(Timeout { operation: Operation::Drain, after: deadline }) }
    }
}

impl<A: HttpApp> Drains for Shared<A> {
    fn begin(&self, grace: Duration) {
        self.closing.draining.cancel();
        self.sessions.all().iter().for_each(|session| session.drain(grace));
    }

    fn ended(self: Arc<Self>, deadline: Duration) -> BoxFuture<'static, bool> {
        async move {
            let sessions = self.sessions.all();
            let all = async {
                let (requests, streams) = (&self.requests, &self.streams);
                let all = |count: usize| u32::try_from(permits(count)).unwrap_or(u32::MAX);
                drop(requests.acquire_many(all(self.limits.max_requests)).await);
                drop(streams.acquire_many(all(self.limits.max_streams)).await);
                self.sessions.all_gone().await;
            };
            let mut ended = timeout(deadline, all).await.is_ok();
            self.closing.cut.cancel();
            // The sessions have cut themselves at the deadline; whoever is left is taken down.
            sessions.iter().for_each(|session| session.end(Fault::ShuttingDown));
            ended &= sessions.iter().all(|session| session.cuts() == 0) && self.closing.cuts() == 0;
            ended
        }
        .boxed()
    }
}

impl<A: HttpApp> Shared<A> {
    /// Room for one request more, if there is any.
    pub(super) fn request_permit(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.request_permits(1)
    }

    /// Room for so many requests more, if there is any.
    pub(super) fn request_permits(&self, count: usize) -> Result<OwnedSemaphorePermit, Fault> {
        self.permit(&self.requests, count, "too many requests are in flight", "max_requests")
    }

    /// Room for one stream more that waits for changes, if there is any.
    pub(super) fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.permit(&self.streams, 1, "too many streams are open", "max_streams")
    }

    fn permit(
        &self,
        permits: &Arc<Semaphore>,
        count: usize,
        what: &'static str,
        setting: &'static str,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let permit = Arc::clone(permits).try_acquire_many_owned(count);
        // After the permit: a drain that begins from here on waits for it.
        if self.closing.is_draining() {
            return Err(Fault::ShuttingDown);
        }
        let retry_after = Some(self.timeouts.retry_after);
        permit.map_err(|_| Fault::Overloaded { what, setting, retry_after })
    }

    /// With room for none, one notification still goes at a time.
    fn max_unread_event_bytes(&self) -> usize {
        self.limits.max_unread_event_bytes.max(1)
    }

    pub(super) fn exchange_limits(&self) -> ExchangeLimits {
        ExchangeLimits {
            max_unread_event_bytes: self.max_unread_event_bytes(),
            max_message_bytes: self.limits.envelope.max_message_bytes,
        }
    }

    pub(super) fn session_bounds(&self) -> SessionBounds {
        SessionBounds {
            max_requests: self.limits.max_requests_per_session,
            max_inbox_bytes: self.limits.max_session_inbox_bytes,
            max_unread_event_bytes: self.max_unread_event_bytes(),
            max_queue_bytes: self.limits.max_session_queue_bytes,
            // A time that no clock reaches is far away.
            reader_stall: self.timeouts.reader_stall.min(FAR),
            retry_after: self.timeouts.retry_after,
            stream_retry: self.timeouts.stream_retry,
            cancel_after_disconnect: self.timeouts.cancel_after_disconnect,
        }
    }

    /// Sees to it that idle sessions expire.
    pub(super) fn expire_sessions(&self) {
        let Some(idle) = self.timeouts.session_idle else { return };
        let started = std::mem::replace(&mut *self.expires.lock(), true);
        if !started {
            self.tasks.spawn(Registry::expire(Arc::downgrade(&self.sessions), idle));
        }
    }

    fn check(&self, parts: &Parts) -> Result<HeadInfo, Rejection> {
        self.endpoint.check_head(&parts.method, &parts.uri, &parts.headers)
    }

    /// A stream of a session: a new one, or one that goes on.
    fn get(
        &self,
        head: &HeadInfo,
        headers: &HeaderMap,
        principal: Option<&Principal>,
    ) -> Response<ResponseBody> {
        let id = match self.endpoint.admit_get(head) {
            Ok(id) => id,
            Err(rejection) => return refuse(&rejection),
        };
        let comment = self.timeouts.sse_comment;
        let opened = || {
            let session = self.sessions.find(&id, principal)?;
            let permit = self.stream_permit()?;
            let mut last = headers.get_all(LAST_EVENT_ID).iter().filter(|id| !id.is_empty());
            let Some(id) = last.next() else {
                let (reader, opening) = session.get(permit)?;
                return Ok(SessionStream::of_get(reader, &opening, comment));
            };
            let id = EventId::parse(id).filter(|_| last.next().is_none()).ok_or_else(unknown_event)?;
            let (reader, request) = session.resume(&id, permit)?;
            Ok(SessionStream::resumed(reader, comment, request.map(|id| (id, session.rules()))))
        };
        match opened() {
            Ok(body) => stream(ResponseBody::session(body)),
            Err(fault) => refusal(None, &fault, Revision::LATEST_LEGACY.rules()),
        }
    }

    /// The end of a session.
    fn delete(&self, head: &HeadInfo, principal: Option<&Principal>) -> Response<ResponseBody> {
        match self.endpoint.admit_delete(head) {
            Ok(id) => self.end_session(&id, principal),
            Err(rejection) => refuse(&rejection),
        }
    }

    fn end_session(&self, id: &SessionId, principal: Option<&Principal>) -> Response<ResponseBody> {
        let session = self.sessions.find(id, principal);
        match session.and_then(|_| self.sessions.remove(id).ok_or(Fault::SessionUnknown)) {
            Ok(session) => {
                session.end(Fault::SessionClosed);
                bare(StatusCode::NO_CONTENT)
            }
            Err(fault) => refusal(None, &fault, Revision::LATEST_LEGACY.rules()),
        }
    }
}

/// The response to a body that comes in a form that is not known here, with those that are.
pub(super) fn unreadable(accepted: &'static str) -> Response<ResponseBody> {
    let expected = "the Content-Encoding of the body is none that this endpoint takes";
    let fault = Fault::HttpShape { status: 415, expected };
    let mut refused = refusal(None, &fault, Revision::LATEST.rules());
    refused.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
    refused
}

/// Whether a body has to be unpacked before it can be read.
fn is_compressed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Where a client that lost a stream wants to go on.
const LAST_EVENT_ID: &str = "last-event-id";

/// About 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A number of permits that can also be taken all at once.
fn permits(count: usize) -> usize {
    count.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize)
}

pub(super) fn refuse(rejection: &Rejection) -> Response<ResponseBody> {
    refusal(None, &rejection.fault, rejection.rules)
}

/// Serves one request, to where its response begins.
async fn serve<A, B>(shared: Arc<Shared<A>>, request: Request<B>) -> Response<ResponseBody>
where
    A: HttpApp,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    if shared.path.as_ref().is_some_and(|path| path != parts.uri.path()) {
        return bare(StatusCode::NOT_FOUND);
    }
    let head = match shared.check(&parts) {
        Ok(head) => head,
        Err(rejection) => return refuse(&rejection),
    };
    if head.verb == Verb::Post && !shared.gzip && is_compressed(&parts.headers) {
        return unreadable("identity");
    }
    let principal = shared.principal.as_ref().and_then(|principal| (principal.0)(&parts));
    match head.verb {
        Verb::Post => {
            let caller = Caller::read(&parts.headers, principal);
            #[cfg(feature = "gzip")]
            if shared.gzip {
                return super::gzip::serve(shared, parts, &head, caller, body).await;
            }
            post::serve(shared, &parts.headers, &head, caller, body).await
        }
        Verb::Get => shared.get(&head, &parts.headers, principal.as_ref()),
        Verb::Delete => shared.delete(&head, principal.as_ref()),
    }
}

impl<A, B> Service<Request<B>> for HttpService<A>
where
    A: HttpApp,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let served = serve(Arc::clone(&self.shared), request);
        Box::pin(async move { Ok(served.await) })
    }
}

impl<A: HttpApp> std::fmt::Debug for HttpService<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpService").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}
