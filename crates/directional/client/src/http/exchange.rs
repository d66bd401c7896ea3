//! One request: its POST, and what the server answers.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{HeaderValue, StatusCode, response};
use serde::Deserialize;
use tokio::time::Instant;
use towpath_jsonrpc::{EnvelopeError, EnvelopeLimits, Kind, Message, Parsed, parse_any};
use towpath_mcp::{BodyKind, HttpAnswer, Revision, SessionId, header, is_modern, method};
use towpath_raw::{Connect, ExchangeError, Inbound, Rejected, Route};
use towpath_sse::{EventStream, EventStreamError, SseError, SseEvent};

use super::{
    again::{Gone, Repeats, Verdict, Why},
    back_off::BackOff,
    body::{Peeked, beginning},
    events::{Uneventful, events_of, last_event_id, message_of},
    inputs::Wanted,
    one_way::worth_a_line,
    refetch::learnt_anew,
    refusal::refused,
    state::Request,
    wire::{Seat, Sent, Wire, pause},
};

/// What comes of a request, in order: what the server says before the answer, the answer, or why there is none.
pub(super) fn run<C: Connect>(
    wire: Arc<Wire<C>>,
    request: Request,
    key: usize,
) -> BoxStream<'static, Inbound> {
    let seat = Seat { wire: Arc::clone(&wire), key };
    wire.shared.begin(request.ordinal, request.message.bytes().len());
    let exchange = Exchange::new(wire, request, Some(seat));
    stream::unfold(exchange, |mut exchange| async move {
        let inbound = exchange.next().await?;
        Some((inbound, exchange))
    })
    .boxed()
}

pub(super) struct Exchange<C: Connect> {
    pub(super) wire: Arc<Wire<C>>,
    pub(super) request: Request,
    /// What was asked at first, when the server wanted input and the request is another one now.
    pub(super) original: Option<Message>,
    /// How often it was.
    pub(super) rounds: usize,
    pub(super) stage: Stage<C::Body>,
    pub(super) sent: Sent,
    pub(super) repeats: Repeats,
    last_event_id: Option<HeaderValue>,
    retry: Option<Duration>,
    /// How often in a row its stream was taken up again without an event.
    resumed: usize,
    back_off: BackOff,
    uneventful: Uneventful,
    /// Given up as soon as the request has ended. The lane's own requests have none.
    seat: Option<Seat<C>>,
    /// Nobody but the lane has asked.
    pub(super) own: bool,
    /// The HTTP error with which it was last refused.
    pub(super) status: Option<StatusCode>,
}

pub(super) enum Stage<B> {
    Waiting,
    Events(Box<EventStream<Peeked<B>>>, Instant),
    /// The server seems to have forgotten the session. If it has, the request is sent in another one.
    Doubtful(Verdict, Gone),
    /// The tool that is called may have changed: if it has, it is called in the new way.
    Refetching(Inbound),
    /// The server wants input before it answers. The answer is for the caller if there is none.
    Asking(Box<Wanted>, Inbound),
    /// The server wants to be left alone for so long.
    Busy(Duration),
    /// The body had a message, which was no answer: this remains to be said.
    Failing(ExchangeError),
    Over,
}

impl<C: Connect> Exchange<C> {
    fn new(wire: Arc<Wire<C>>, request: Request, seat: Option<Seat<C>>) -> Self {
        Self {
            wire,
            request,
            original: None,
            rounds: 0,
            stage: Stage::Waiting,
            sent: Sent::default(),
            repeats: Repeats::default(),
            last_event_id: None,
            retry: None,
            resumed: 0,
            back_off: BackOff::new(RESUME_CAP),
            uneventful: Uneventful::default(),
            own: seat.is_none(),
            seat,
            status: None,
        }
    }

    /// A request of the lane's own. It is driven by whoever made it, and takes nobody's place.
    pub(super) fn own(wire: Arc<Wire<C>>, message: Message) -> Self {
        let modern = is_modern(&message);
        Self::new(wire, Request { message, route: Route::LANE, modern, ordinal: 0 }, None)
    }

    /// Whether a message answers it.
    pub(super) fn asked_for(&self, message: &Message) -> bool {
        matches!(message.kind(), Kind::Result | Kind::Error) && message.id() == self.request.message.id()
    }

    /// The HTTP error with which it was refused, whatever else the server says.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.status
    }

    pub(super) async fn next(&mut self) -> Option<Inbound> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Waiting => {
                    let posted = self.wire.post(&self.request.message, &mut self.sent).await;
                    let answered = match posted {
                        Ok((head, body)) => self.answered(head, body).await,
                        // A connection that was kept may have been closed by the server in the meantime.
                        Err(ExchangeError::NotConnected { .. }) if self.repeats.first(Why::Connection) => {
                            self.stage = Stage::Waiting;
                            continue;
                        }
                        Err(error) => Err(error),
                    };
                    match answered {
                        Ok(Some(inbound)) => return Some(inbound),
                        Ok(None) => {}
                        Err(error) => return self.failed(error),
                    }
                }
                Stage::Events(mut events, since) => {
                    let next = events.event().await;
                    self.last_event_id = last_event_id(&events).or(self.last_event_id.take());
                    self.retry = events.retry().or(self.retry);
                    match next {
                        Ok(Some(event)) => {
                            self.resumed = 0;
                            self.stage = Stage::Events(events, since);
                            if let Some(inbound) = self.event(event) {
                                return Some(inbound);
                            }
                            self.uneventful.one_more().await;
                        }
                        Err(EventStreamError::Event { source, .. }) => {
                            self.stage = Stage::Events(events, since);
                            if let Some(inbound) = self.lost_event(source) {
                                return Some(inbound);
                            }
                            self.uneventful.one_more().await;
                        }
                        Ok(None) => {
                            self.back_off.lasted(since.elapsed());
                            let ended = "the event stream ended without the answer";
                            self.resume(self.wire.broken(ended)).await;
                        }
                        Err(EventStreamError::Body(error)) => {
                            self.back_off.lasted(since.elapsed());
                            self.resume(error).await;
                        }
                        Err(_) => self.stage = Stage::Events(events, since),
                    }
                }
                Stage::Doubtful(verdict, gone) => {
                    let session = self.sent.session;
                    self.wire.shared.lose_session(session, gone == Gone::Perhaps);
                    if self.wire.shared.renewed(session).await {
                        self.stage = Stage::Waiting;
                        continue;
                    }
                    match verdict {
                        Ok(inbound) => {
                            self.end();
                            return Some(inbound);
                        }
                        Err(error) => return self.failed(error),
                    }
                }
                Stage::Refetching(answer) => {
                    if learnt_anew(Arc::clone(&self.wire), self.request.message.clone()).await {
                        self.stage = Stage::Waiting;
                        continue;
                    }
                    self.end();
                    return Some(answer);
                }
                Stage::Asking(mut wanted, answer) => {
                    if let Some(question) = wanted.question() {
                        self.stage = Stage::Asking(wanted, answer);
                        return Some(Inbound::Frame(question.bytes().clone()));
                    }
                    let original = self.original.get_or_insert_with(|| self.request.message.clone());
                    self.rounds += 1;
                    let next = wanted.answered(original, self.rounds).await;
                    let most = self.wire.options.limits.max_message_bytes;
                    let Some(next) = next.filter(|next| next.bytes().len() <= most) else {
                        tracing::warn!(peer = %self.wire.peer, "the handler has no answer for the server, or one that is too large");
                        self.end();
                        return Some(answer);
                    };
                    self.request.message = next;
                    self.repeats = Repeats::default();
                    self.stage = Stage::Waiting;
                }
                Stage::Busy(after) => {
                    pause(after).await;
                    self.stage = Stage::Waiting;
                }
                Stage::Failing(error) => return self.failed(error),
                Stage::Over => {
                    self.seat = None;
                    return None;
                }
            }
        }
    }

    fn failed(&mut self, error: ExchangeError) -> Option<Inbound> {
        self.seat = None;
        Some(Inbound::Failed { route: self.request.route, error })
    }

    /// The answer has come: nothing that follows counts, and the exchange is closed.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Over;
        self.seat = None;
    }

    /// Reads the head of the response, and all of its body unless it is a stream.
    async fn answered(
        &mut self,
        head: response::Parts,
        body: C::Body,
    ) -> Result<Option<Inbound>, ExchangeError> {
        let limits = &self.wire.options.limits;
        let answer = HttpAnswer::classify(head.status, head.headers.get(http::header::CONTENT_TYPE), true);
        if let HttpAnswer::Refused(status) = answer {
            let mut body = body;
            let body = beginning(&mut body, limits.max_error_body_bytes).await.unwrap_or_default();
            return self.turned_down(status, &head.headers, body).await;
        }
        if self.is(method::INITIALIZE) {
            self.wire.shared.open_session(head.headers.get(header::SESSION_ID).and_then(SessionId::parse));
        }
        let (kind, body) = Peeked::look(&head.headers, body).await?;
        if kind == BodyKind::Events {
            self.listen(body);
            return Ok(None);
        }
        let mut body = body.whole(&head.headers, limits.max_message_bytes, &self.wire.peer).await?;
        if body.starts_with(BYTE_ORDER_MARK) {
            body.advance(BYTE_ORDER_MARK.len());
        }
        if body.trim_ascii().is_empty() && answer == HttpAnswer::Accepted && self.in_session() {
            // It may still be answered on another stream of the session; if not, the call has its deadline.
            self.wire.shared.accepted(self.request.route);
            return Ok(None);
        }
        self.whole(body, &head)
    }

    pub(super) fn is(&self, method: &str) -> bool {
        self.request.message.method() == method
    }

    pub(super) fn in_session(&self) -> bool {
        !self.request.modern && !self.is(method::INITIALIZE)
    }

    fn listen(&mut self, body: Peeked<C::Body>) {
        // An ordinary request has the deadlines of its call, and the server need not say anything before the answer.
        let idle = self.wire.options.timeouts.sse_idle.filter(|_| self.is(method::SUBSCRIPTIONS_LISTEN));
        self.stage = Stage::Events(Box::new(events_of(&self.wire, body, idle)), Instant::now());
    }

    /// A whole body: a message, or a batch.
    fn whole(&mut self, body: Bytes, head: &response::Parts) -> Result<Option<Inbound>, ExchangeError> {
        let (peer, shown) = (Arc::clone(&self.wire.peer), body.clone());
        let no_answer = || refused(&peer, head.status, &head.headers, &shown);
        let inbound = match parse_any(body.clone(), &self.limits()) {
            Ok(Parsed::Single(message)) => {
                if self.is_answer(&message) {
                    return self.answer(message);
                }
                if self.asks_out_of_turn(&message) {
                    return Err(no_answer());
                }
                Inbound::Frame(body)
            }
            // Only one legacy revision has batches; a modern client would not read one.
            Ok(Parsed::Batch(messages)) if !self.request.modern => {
                if self.has_answer(&messages) {
                    self.end();
                    return Ok(Some(Inbound::Frame(body)));
                }
                Inbound::Frame(body)
            }
            // Malformed, but meant as the answer: the link says what is wrong with it.
            Err(error) if error.is_response() && error.id() == self.request.message.id() => {
                self.end();
                return Ok(Some(Inbound::Frame(body)));
            }
            Ok(Parsed::Batch(_)) | Err(_) => return Err(no_answer()),
        };
        self.stage = Stage::Failing(no_answer());
        Ok(Some(inbound))
    }

    /// A modern server that sends a request: nobody is asked, and nobody answers (2026-07-28, basic/patterns/mrtr).
    fn asks_out_of_turn(&self, message: &Message) -> bool {
        let asks = self.request.modern && message.kind() == Kind::Request;
        if asks {
            let count = self.wire.shared.count_lost();
            if worth_a_line(count) {
                tracing::warn!(peer = %self.wire.peer, count, "a modern server sends a request, which is dropped");
            }
        }
        asks
    }

    pub(super) fn limits(&self) -> EnvelopeLimits {
        EnvelopeLimits {
            max_message_bytes: self.wire.options.limits.max_message_bytes,
            ..EnvelopeLimits::default()
        }
    }

    /// Whether a message answers this request. That of `initialize` says what is spoken from here on.
    fn is_answer(&self, message: &Message) -> bool {
        let answers = match message.kind() {
            Kind::Result => message.id() == self.request.message.id(),
            Kind::Error => message.id().is_none() || message.id() == self.request.message.id(),
            Kind::Request | Kind::Notification => false,
        };
        if answers && self.is(method::INITIALIZE) {
            let result = message.result();
            let agreed = result.as_ref().and_then(|result| result.deserialize::<Agreed<'_>>().ok());
            if let Some(revision) = agreed.and_then(|agreed| Revision::parse(&agreed.protocol_version)) {
                self.wire.shared.negotiated(revision);
            }
        }
        answers
    }

    /// Whether a batch has the answer. An error in it that names no request can be about any of its siblings.
    fn has_answer(&self, messages: &[Result<Message, EnvelopeError>]) -> bool {
        messages.iter().flatten().any(|message| message.id().is_some() && self.is_answer(message))
    }

    /// What an event says, if it says anything.
    fn event(&mut self, event: SseEvent) -> Option<Inbound> {
        let inbound = message_of(event)?;
        let Inbound::Frame(frame) = inbound else { return Some(inbound) };
        let answered = match parse_any(frame.clone(), &self.limits()) {
            Ok(Parsed::Single(message)) if self.is_answer(&message) => {
                // There is nothing after it.
                return self.answer(message).unwrap_or_default();
            }
            Ok(Parsed::Single(message)) if self.asks_out_of_turn(&message) => return None,
            Ok(Parsed::Single(_)) => false,
            Ok(Parsed::Batch(_)) if self.request.modern => return None,
            Ok(Parsed::Batch(messages)) => !self.request.modern && self.has_answer(&messages),
            Err(error) => error.is_response() && error.id() == self.request.message.id(),
        };
        if answered {
            self.end();
        }
        Some(Inbound::Frame(frame))
    }

    /// An event that could not be taken: if it can have been the answer, the request has failed.
    fn lost_event(&mut self, lost: SseError) -> Option<Inbound> {
        let (size, head, tail) = match lost {
            SseError::EventTooLarge { size, head, tail } => (size, head, tail),
            SseError::FieldTooLarge { field: "id", limit, .. } => {
                let reason = format!(
                    "an event that may have been the answer was passed over: its `id` is longer than {limit} bytes"
                );
                self.stage = Stage::Over;
                return self.failed(self.wire.broken(reason));
            }
            lost => {
                tracing::debug!(peer = %self.wire.peer, %lost, "passed over an event");
                return None;
            }
        };
        let limits = EnvelopeLimits { max_message_bytes: head.len(), ..EnvelopeLimits::default() };
        let says_method = head.windows(METHOD_KEY.len()).any(|window| window == METHOD_KEY);
        let cut = Message::parse(head.clone(), &limits).err();
        if size.exact && says_method && cut.is_some_and(|cut| !cut.is_response()) {
            return Some(Inbound::Rejected(Rejected::TooLarge { size, head, tail }));
        }
        self.stage = Stage::Over;
        self.failed(ExchangeError::TooLarge { peer: Arc::clone(&self.wire.peer), source: size })
    }

    /// Takes a legacy stream up again behind the last event, if the server has given that a name
    /// (2025-11-25, basic/transports, "Resumability and Redelivery").
    async fn resume(&mut self, mut error: ExchangeError) {
        let (session, _) = self.wire.shared.session();
        let resumable =
            self.in_session() && session.revision.is_none_or(|revision| revision.rules().resumability);
        let mut missing = 0;
        while resumable && self.resumed < RESUMES && missing < MISSES {
            let Some(last) = self.last_event_id.clone() else { break };
            self.resumed += 1;
            pause(self.back_off.pause(self.retry)).await;
            // Another session knows nothing of the stream.
            if self.wire.shared.session().1 != self.sent.session {
                break;
            }
            match self.wire.get(Some(&last), &mut self.sent).await {
                Ok((head, body)) => {
                    let looked = match head.status.is_success() {
                        true => Peeked::look(&head.headers, body).await,
                        false => Err(refused(&self.wire.peer, head.status, &head.headers, b"")),
                    };
                    match looked {
                        Ok((BodyKind::Events, body)) => return self.listen(body),
                        Ok((BodyKind::Json, _)) => break,
                        Err(ExchangeError::Refused { status, .. }) => {
                            if status == StatusCode::NOT_FOUND && self.sent.named {
                                // The request may have been executed, so it is not sent again.
                                self.wire.shared.lose_session(self.sent.session, true);
                            }
                            let reason = format!("{error}, and cannot be resumed: HTTP status {status}");
                            error = self.wire.broken(reason);
                            break;
                        }
                        Err(broken) => error = broken,
                    }
                }
                // The request has reached the server long ago: that this GET has not must not look like that.
                Err(lost) => {
                    missing += usize::from(!lost.was_sent());
                    error = self.wire.broken(lost.to_string());
                }
            }
        }
        self.stage = Stage::Failing(error);
    }
}

/// What of the result of `initialize` this lane has to know.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agreed<'a> {
    #[serde(borrow)]
    protocol_version: std::borrow::Cow<'a, str>,
}

/// How often in a row a stream is taken up again that gives no event.
const RESUMES: usize = 5;

/// How often it is tried where there is nobody to connect to: whoever calls a server that is gone wants to know.
const MISSES: usize = 2;

/// The longest pause before a stream is taken up again, on which a call waits.
const RESUME_CAP: Duration = Duration::from_secs(5);

/// Some servers begin their JSON with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const METHOD_KEY: &[u8] = b"\"method\"";
