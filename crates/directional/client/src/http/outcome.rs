//! What comes of a request: its answer, or a refusal, or another try.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use towpath_jsonrpc::{ErrorObject, Kind, Member, Message, encode};
use towpath_mcp::{
    code::{UNSUPPORTED_VERSION, is_modern},
    method,
};
use towpath_raw::{Connect, ExchangeError, Inbound};

use super::{
    again::{Gone, Verdict, Why, busy, is_about_the_session, refused_session},
    exchange::{Exchange, Stage},
    refusal::{error_in, refused},
};

impl<C: Connect> Exchange<C> {
    /// An HTTP error. Something may be done about it, and the request be sent again; else it is what comes of it.
    pub(super) async fn turned_down(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Option<Inbound>, ExchangeError> {
        self.status = Some(status);
        let longest = self.wire.options.timeouts.retry_after;
        if let Some(after) = busy(status, headers, longest)
            && !self.opens()
            && self.repeats.first(Why::Busy)
        {
            self.stage = Stage::Busy(after);
            return Ok(None);
        }
        if !self.repeats.has(Why::Caller) && self.wire.may_repeat(status, headers, &self.sent).await {
            self.repeats.first(Why::Caller);
            self.stage = Stage::Waiting;
            return Ok(None);
        }
        let said = error_in(&body);
        let gone = refused_session(status, said.as_ref(), &self.request.message, &self.sent);
        let verdict = self.refused(status, headers, body);
        if let (Some(error), Ok(_)) = (said.as_ref().and_then(Message::error), &verdict)
            && self.heed(&error)
        {
            self.stage = Stage::Refetching(verdict?);
            return Ok(None);
        }
        self.unless_gone(verdict, gone)
    }

    /// What an error of a modern server says beside what it says to whoever asked.
    fn heed(&mut self, error: &ErrorObject) -> bool {
        if !self.request.modern || self.own {
            return false;
        }
        if error.code == UNSUPPORTED_VERSION {
            self.wire.forget_era();
        }
        self.wire.tools.may_be_out_of_date(&self.request.message, error) && self.repeats.first(Why::Headers)
    }

    /// What comes of the request, unless it can be sent in another session.
    fn unless_gone(
        &mut self,
        verdict: Verdict,
        gone: Option<Gone>,
    ) -> Result<Option<Inbound>, ExchangeError> {
        match gone.filter(|_| self.in_session() && !self.own) {
            Some(gone) if self.repeats.first(Why::Session) => {
                self.stage = Stage::Doubtful(verdict, gone);
                Ok(None)
            }
            _ => {
                if verdict.is_ok() {
                    self.end();
                }
                verdict.map(Some)
            }
        }
    }

    /// An HTTP error: what the server says in JSON-RPC counts more than the status.
    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Inbound, ExchangeError> {
        let said = error_in(&body).filter(|error| match (error.id(), error.error()) {
            (Some(id), _) if Some(id) != self.request.message.id() => false,
            // With its id it is an answer; but one about who asks, and how often, says nothing about the server.
            (Some(_), Some(error)) if self.opens() && ABOUT_THE_CALLER.contains(&status) => {
                is_modern(error.code)
            }
            (Some(_), _) => true,
            // Without an id it may be about the connection. Whoever opens one has to know the status, then; only what a
            // modern server says is clear by itself.
            (None, Some(error)) if self.opens() => is_modern(error.code),
            (None, _) => !ABOUT_THE_CALLER.contains(&status),
        });
        match said {
            Some(error) => Ok(Inbound::Frame(self.addressed(error))),
            None => Err(refused(&self.wire.peer, status, headers, &body)),
        }
    }

    fn opens(&self) -> bool {
        self.is(method::INITIALIZE) || self.is(method::SERVER_DISCOVER)
    }

    /// An answer with the id that was asked with: an error may have none, and there is only one that it can be for.
    pub(super) fn addressed(&self, message: Message) -> Bytes {
        let Some(id) = self.asked().id().filter(|id| message.id() != Some(*id)) else {
            return message.bytes().clone();
        };
        let mut out = BytesMut::with_capacity(message.bytes().len() + 32);
        match message.error() {
            _ if encode::replace_id(&mut out, &message, id) => {}
            Some(error) => {
                out.clear();
                encode::error(&mut out, Some(id), &error);
            }
            None => return message.bytes().clone(),
        }
        out.freeze()
    }

    /// The answer has come, as far as it is one.
    pub(super) fn answer(&mut self, message: Message) -> Result<Option<Inbound>, ExchangeError> {
        let gone = (self.sent.named && is_about_the_session(&message)).then_some(Gone::Perhaps);
        if self.answers_inputs()
            && let Some(wanted) = self.wire.inputs.wanted(self.asked(), &message)
        {
            let answer = Inbound::Frame(self.addressed(message));
            self.stage = Stage::Asking(Box::new(wanted), answer);
            return Ok(None);
        }
        if message.kind() == Kind::Result {
            self.learn();
        }
        if message.error().is_some_and(|error| self.heed(&error)) {
            self.stage = Stage::Refetching(Inbound::Frame(self.addressed(message)));
            return Ok(None);
        }
        let frame = if self.wire.tools.learns_from(&self.request.message) {
            let told = self.wire.options.on_bad_tool.as_ref();
            self.wire.tools.learn(&self.request.message, &message, told)
        } else {
            self.addressed(message)
        };
        self.unless_gone(Ok(Inbound::Frame(frame)), gone)
    }

    /// What was asked at first.
    fn asked(&self) -> &Message {
        self.original.as_ref().unwrap_or(&self.request.message)
    }

    fn answers_inputs(&self) -> bool {
        let options = &self.wire.options;
        self.request.modern && options.answers_inputs && self.rounds < options.limits.max_input_rounds
    }

    /// What there would be to do again in another session.
    fn learn(&self) {
        let (request, shared) = (&self.request.message, &self.wire.shared);
        if !self.in_session() || self.own {
            return;
        }
        match (request.method(), request.string(Member::Uri)) {
            (method::RESOURCES_SUBSCRIBE, Some(uri)) => {
                let most = self.wire.options.limits.max_subscriptions;
                if !shared.subscribed(&uri, request, most) {
                    tracing::warn!(
                        peer = %self.wire.peer, most,
                        "a subscription that a new session would not have (setting: max_subscriptions)"
                    );
                }
            }
            (method::RESOURCES_UNSUBSCRIBE, Some(uri)) => shared.unsubscribed(&uri),
            _ => {}
        }
    }
}

/// Statuses that are about who asks and how often, not about the message.
const ABOUT_THE_CALLER: [StatusCode; 4] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];
