//! POST: one message, or a batch, and what answers it.

use std::{
    error::Error,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Response, StatusCode, header::CONTENT_LENGTH};
use serde::Deserialize;
use tokio::time::Instant;
use towpath_http::{BodyError, read_body};
use towpath_jsonrpc::{EnvelopeError, Id, Kind, Message, Parsed, Scan, parse_any};
use towpath_link::{Admission, Link, Reply};
use towpath_mcp::{
    Fault, HeadInfo, HttpAdmit, ModernRequest, Revision, Rules, SessionId, header, method, wire_reply,
};

use super::{
    Exchange, HttpApp, ResponseBody,
    body::comment_line,
    caller::Caller,
    errand,
    modern::{Run, Step},
    reply::{Answer, bare, json, refusal, stream},
    service::{Shared, refuse},
    session::{Asked, First, Session, SessionLane, SessionSetup, SessionStream, StreamReader},
};

/// How many bytes of a message are validated at a time: a large one must not hold up what shares the thread.
const SCAN_BYTES: usize = 256 << 10;

pub(super) async fn serve<A, B>(
    shared: Arc<Shared<A>>,
    headers: &HeaderMap,
    head: &HeadInfo,
    caller: Caller,
    body: B,
) -> Response<ResponseBody>
where
    A: HttpApp,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let newest = Revision::LATEST.rules();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = match read_body(body, length, &shared.budget, &shared.body_timeouts).await {
        Ok(bytes) => bytes,
        Err(error) => return refusal(None, &unread(&error, &shared), newest),
    };
    let parsed = match parse(&shared, bytes.clone()).await {
        Ok(parsed) => parsed,
        Err(error) => return refusal(error.reply_id(), &Fault::from(&error), newest),
    };
    let message = match parsed {
        Parsed::Single(message) => message,
        Parsed::Batch(messages) => return batch(shared, head, caller, bytes, &messages).await,
    };
    let id = message.id().filter(|_| message.kind() == Kind::Request).cloned();
    match shared.endpoint.admit(head, &message) {
        HttpAdmit::Modern(request) => {
            let params = shared.header_params.as_ref();
            match params.map_or(Ok(()), |params| params.check(headers, &message)) {
                Ok(()) => modern(shared, head, message, request, caller).await,
                Err(fault) => refusal(id.as_ref(), &fault, request.revision.rules()),
            }
        }
        HttpAdmit::Discover(result) if shared.app.answers_discover() => {
            let Some(id) = id else { return bare(StatusCode::ACCEPTED) };
            let limit = shared.limits.envelope.max_message_bytes;
            Answer::new(&id, Reply::plain(result), newest, limit).into_json()
        }
        HttpAdmit::Discover(_) => {
            match ModernRequest::validate(&message, &shared.endpoint.server().supported) {
                Ok(request) => modern(shared, head, message, request, caller).await,
                Err(rejection) => refusal(id.as_ref(), &rejection.fault, rejection.rules),
            }
        }
        HttpAdmit::ModernNotification => errand::notification(&shared, message, caller),
        HttpAdmit::Initialize => initialize(shared, message, caller).await,
        HttpAdmit::InSession { session } => match shared.sessions.find(&session, caller.principal.as_ref()) {
            Ok(session) => in_session(shared, session, message, id, caller).await,
            Err(fault) => refusal(id.as_ref(), &fault, Revision::LATEST_LEGACY.rules()),
        },
        HttpAdmit::Reject(rejection) => refusal(id.as_ref(), &rejection.fault, rejection.rules),
        _ => refusal(id.as_ref(), &Fault::Internal, newest),
    }
}

async fn parse<A: HttpApp>(shared: &Shared<A>, bytes: Bytes) -> Result<Parsed, EnvelopeError> {
    let limits = &shared.limits.envelope;
    if bytes.len() <= SCAN_BYTES || bytes.trim_ascii_start().starts_with(b"[") {
        return parse_any(bytes, limits);
    }
    let mut scan = Scan::new(bytes, limits);
    loop {
        match scan.advance(SCAN_BYTES) {
            Poll::Ready(parsed) => return parsed.map(Parsed::Single),
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
}

/// Why there is no body, as the client is told.
fn unread<A: HttpApp>(error: &BodyError, shared: &Shared<A>) -> Fault {
    let limit = shared.timeouts.body_read.unwrap_or_default();
    match error {
        BodyError::TooLarge(too_large) => {
            let ours = too_large.limit >= shared.limits.envelope.max_message_bytes;
            let setting = if ours { "max_message_bytes" } else { "max_body_bytes" };
            Fault::TooLarge { what: "the body", limit_bytes: too_large.limit, setting }
        }
        BodyError::Timeout(timeout) => {
            Fault::TooSlow { what: "the body", limit: timeout.after, setting: timeout.operation.setting() }
        }
        BodyError::Evicted { .. } => Fault::TooSlow { what: "the body", limit, setting: "budget_bytes" },
        BodyError::Full { .. } => Fault::Overloaded {
            what: "too many bodies are being read",
            setting: "budget_bytes",
            retry_after: Some(shared.timeouts.retry_after),
        },
        _ => Fault::Malformed { code: -32700, reason: "body_broken", detail: error.to_string() },
    }
}

/// A modern request. On the way of an answer that comes at once there is no task, no channel and no timer.
async fn modern<A: HttpApp>(
    shared: Arc<Shared<A>>,
    head: &HeadInfo,
    message: Message,
    request: ModernRequest,
    caller: Caller,
) -> Response<ResponseBody> {
    let rules = request.revision.rules();
    let listens = message.method() == method::SUBSCRIPTIONS_LISTEN;
    let permit = if listens { shared.stream_permit() } else { shared.request_permit() };
    let permit = match permit {
        Ok(permit) => permit,
        Err(fault) => return refusal(message.id(), &fault, rules),
    };
    let begun = Instant::now();
    let limit = shared.timeouts.handler.filter(|_| !listens);
    let limit = limit.and_then(|limit| Some((begun.checked_add(limit)?, limit)));
    let stream_after = shared.timeouts.stream_after.and_then(|after| begun.checked_add(after));
    let comment = shared.timeouts.sse_comment;
    let max_message_bytes = shared.limits.envelope.max_message_bytes;
    let deadline = limit.map(|(at, _)| at.into_std());
    let closing = Arc::clone(&shared.closing);
    let exchange = Exchange::new(
        message,
        Some(request),
        caller,
        deadline,
        shared.exchange_limits(),
        Arc::clone(&closing),
    );
    let app = Arc::clone(&shared.app);
    // What a request does next belongs to the request.
    drop(shared);
    let admitted = catch_unwind(AssertUnwindSafe(|| app.modern(exchange.clone())));
    let handler = match admitted {
        Ok(Ok(Admission::Run(handler))) => handler,
        Ok(Ok(Admission::Now(reply))) => std::future::ready(reply).boxed(),
        Ok(Err(fault)) => {
            exchange.end(None);
            return refusal(exchange.id(), &fault, rules);
        }
        Err(_) => {
            exchange.end(None);
            return refusal(exchange.id(), &Fault::Internal, rules);
        }
    };
    let mut run = Run::new(handler, exchange, rules, max_message_bytes, limit, closing, permit);
    let (run, first) = match poll_fn(|cx| run.poll_step(cx, stream_after)).await {
        Step::Answer { said, answer } if said.is_empty() && head.accepts_json => return answer.into_json(),
        Step::Answer { said, answer } => (None, std::iter::once(said).chain(answer.into_event()).collect()),
        Step::Events(events) => (Some(run), vec![events]),
        Step::Tick => (Some(run), Vec::new()),
    };
    stream(ResponseBody::modern(run, first, comment))
}

/// `initialize`: the session is there once it has answered with a result.
async fn initialize<A: HttpApp>(
    shared: Arc<Shared<A>>,
    message: Message,
    caller: Caller,
) -> Response<ResponseBody> {
    let rules = Revision::LATEST_LEGACY.rules();
    let id = message.id().cloned();
    let closing = Arc::clone(&shared.closing);
    let opened = tokio::select! {
        biased;
        () = closing.cut.cancelled() => {
            closing.note_cut();
            Err(Fault::ShuttingDown)
        }
        opened = open(&shared, message, caller) => opened,
    };
    match opened {
        Ok(response) => response,
        Err(fault) => refusal(id.as_ref(), &fault, rules),
    }
}

async fn open<A: HttpApp>(
    shared: &Shared<A>,
    message: Message,
    Caller { principal, trace }: Caller,
) -> Result<Response<ResponseBody>, Fault> {
    let request = shared.request_permit()?;
    let room = shared.sessions.room(principal.as_ref(), shared.timeouts.retry_after)?;
    let (mut entropy, mut tag) = ([0; 32], [0; 4]);
    if let Err(error) = getrandom::fill(&mut entropy).and_then(|()| getrandom::fill(&mut tag)) {
        tracing::error!(%error, "no randomness for the id of a session");
        return Err(Fault::Internal);
    }
    let (bytes, asked) = (message.bytes().clone(), Asked::one(message.id().cloned(), trace));
    let opened = Arc::clone(&shared.app).open(message).await?;
    let id = SessionId::from_entropy(entropy);
    let session = Session::new(SessionSetup {
        store: shared.replay.store(&id),
        id,
        principal,
        bounds: shared.session_bounds(),
        tag: u32::from_be_bytes(tag),
        closing: Arc::clone(&shared.closing),
    });
    let seat = shared.sessions.seat(Arc::clone(&session), room);
    let mut limits = opened.limits;
    limits.max_requests_from_peer = limits.max_requests_from_peer.min(shared.limits.max_requests_per_session);
    let lane = SessionLane::new(Arc::clone(&session), shared.limits.envelope.max_message_bytes);
    let (link, peer) = Link::with_pool(lane, opened.service, limits, opened.timeouts, shared.buffers.clone());
    session.join(peer.clone());
    (opened.streams)(session.streams());
    let guard = (opened.joined)(peer);
    shared.tasks.spawn(async move {
        // The link goes first, then what belongs to the session, then its place.
        let _seat = seat;
        let _guard = guard;
        link.await;
    });
    // Until it is registered, it ends with whoever opens it.
    let opening = Opening { session: Some(session) };
    let Some(session) = &opening.session else { return Err(Fault::Internal) };
    let reader = session.post(bytes, asked, request)?;
    let Some(answer) = reader.answer().await else { return Err(Fault::Unanswered) };
    let answer = answer.into_bytes();
    let answered = Message::parse(answer.clone(), &shared.limits.envelope).map_err(|_| Fault::Internal)?;
    let mut response = json(ResponseBody::whole([answer, Bytes::new(), Bytes::new()]));
    if let Some(error) = answered.error() {
        let reply = wire_reply(&Fault::Handler(error), session.rules());
        *response.status_mut() = StatusCode::from_u16(reply.http_status).unwrap_or(StatusCode::OK);
        return Ok(response);
    }
    if let Some(revision) = agreed(&answered) {
        session.agree(revision);
    }
    response.headers_mut().insert(header::SESSION_ID, session.id().to_header());
    if let Some(session) = opening.done() {
        shared.sessions.register(Arc::clone(&session));
        shared.expire_sessions();
        // A drain that began before it was registered has not seen it.
        if shared.closing.is_draining() {
            session.end(Fault::ShuttingDown);
            return Err(Fault::ShuttingDown);
        }
    }
    Ok(response)
}

/// A session that nobody knows yet. Dropped, it ends.
struct Opening {
    session: Option<Arc<Session>>,
}

impl Opening {
    fn done(mut self) -> Option<Arc<Session>> {
        self.session.take()
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.end(Fault::SessionClosed);
        }
    }
}

/// The revision that the answer to `initialize` names.
fn agreed(answer: &Message) -> Option<Revision> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Result {
        protocol_version: String,
    }
    let result: Result = answer.result()?.deserialize().ok()?;
    Revision::parse(&result.protocol_version)
}

/// A message of a session.
async fn in_session<A: HttpApp>(
    shared: Arc<Shared<A>>,
    session: Arc<Session>,
    message: Message,
    id: Option<Id>,
    caller: Caller,
) -> Response<ResponseBody> {
    let rules = session.rules();
    if message.kind() != Kind::Request {
        return told(session.tell(message.bytes().clone()), rules);
    }
    let bytes = message.bytes().clone();
    let asked = Asked::one(id.clone(), caller.trace);
    let posted = shared.request_permit().and_then(|permit| session.post(bytes, asked, permit));
    match posted {
        Ok(reader) => answered(shared, reader, id, rules).await,
        Err(fault) => refusal(id.as_ref(), &fault, rules),
    }
}

/// A batch, which only a session can take.
async fn batch<A: HttpApp>(
    shared: Arc<Shared<A>>,
    head: &HeadInfo,
    caller: Caller,
    bytes: Bytes,
    messages: &[Result<Message, EnvelopeError>],
) -> Response<ResponseBody> {
    let session = match shared.endpoint.admit_batch(head) {
        Ok(id) => shared.sessions.find(&id, caller.principal.as_ref()),
        Err(rejection) => return refuse(&rejection),
    };
    let session = match session {
        Ok(session) if session.rules().batching => session,
        Ok(session) => return refusal(None, &Fault::BatchNotAllowed, session.rules()),
        Err(fault) => return refusal(None, &fault, Revision::LATEST_LEGACY.rules()),
    };
    let rules = session.rules();
    let owed = |message: &&Result<Message, EnvelopeError>| match message {
        Ok(message) => message.kind() == Kind::Request,
        Err(error) => !error.is_response(),
    };
    let requests = messages.iter().filter(owed).count();
    if requests == 0 {
        return told(session.tell(bytes), rules);
    }
    let ids = messages.iter().flatten().filter(|message| message.kind() == Kind::Request);
    let asked =
        Asked::batch(requests, ids.filter_map(|message| message.id().cloned()).collect(), caller.trace);
    let posted = shared.request_permits(requests).and_then(|permit| session.post(bytes, asked, permit));
    match posted {
        Ok(reader) => answered(shared, reader, None, rules).await,
        Err(fault) => refusal(None, &fault, rules),
    }
}

fn told(told: Result<(), Fault>, rules: &Rules) -> Response<ResponseBody> {
    match told {
        Ok(()) => bare(StatusCode::ACCEPTED),
        Err(fault) => refusal(None, &fault, rules),
    }
}

/// Waits for what a session has to say to a POST.
async fn answered<A: HttpApp>(
    shared: Arc<Shared<A>>,
    mut reader: StreamReader,
    id: Option<Id>,
    rules: &'static Rules,
) -> Response<ResponseBody> {
    let (stream_after, comment) = (shared.timeouts.stream_after, shared.timeouts.sse_comment);
    // What waits here must not keep the service.
    drop(shared);
    match reader.first(stream_after).await {
        First::Answer(frame) => json(ResponseBody::whole(frame.into_segments())),
        First::Stream(frame) => {
            let body = SessionStream::of_post(reader, frame, comment, id.map(|id| (id, rules)));
            stream(ResponseBody::session(body))
        }
        First::Closed(retry) => stream(ResponseBody::session(SessionStream::closed(reader, retry))),
        // A request that its client has cancelled is not answered, not even with an error (2025-11-25,
        // basic/utilities/cancellation).
        First::Nothing => stream(ResponseBody::whole([comment_line(), Bytes::new(), Bytes::new()])),
        First::Ended(fault) => refusal(id.as_ref(), &fault, rules),
    }
}
