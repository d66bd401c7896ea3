//! A new session in the place of one that the server has forgotten (2025-11-25, basic/transports, "Session Management").

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream, stream::BoxStream};
use http::StatusCode;
use tokio::time::{Instant, timeout_at};
use towpath_jsonrpc::{Message, code};
use towpath_raw::{Connect, ExchangeError, Inbound};

use super::{
    again::is_about_the_session,
    exchange::Exchange,
    one_way::{self, OneWay, Then},
    state::own_limits,
    wire::Wire,
};

/// Opens another session, if need be: the one at a time of its lane. What the server says in the meantime is passed on;
/// the answers are not, since nobody in front of the lane has asked.
///
/// The handshake is the one of the lane's own beginning, word for word, and so are the subscriptions: their ids are free
/// in the new session, and no later request will have them.
pub(super) fn run<C: Connect>(
    wire: Arc<Wire<C>>,
    suspected: bool,
    opening: Message,
) -> BoxStream<'static, Inbound> {
    let until = Instant::now() + wire.options.timeouts.renew.min(FAR);
    let first = match Message::parse(Bytes::from_static(PING), &own_limits()) {
        Ok(ping) if suspected => Step::Pinging(Box::new(Exchange::own(Arc::clone(&wire), ping))),
        _ => Step::opening(&wire, &opening),
    };
    let renewal = Renewal { over: Over(Arc::clone(&wire)), wire, opening, until, step: first };
    stream::unfold(renewal, |mut renewal| async move {
        let inbound = renewal.next().await?;
        Some((inbound, renewal))
    })
    .boxed()
}

struct Renewal<C: Connect> {
    /// Dropped with it.
    #[allow(dead_code, reason = "it is there to be dropped")]
    over: Over<C>,
    wire: Arc<Wire<C>>,
    opening: Message,
    until: Instant,
    step: Step<C>,
}

enum Step<C: Connect> {
    Pinging(Box<Exchange<C>>),
    Opening(Box<Exchange<C>>),
    Opened,
    Subscribing(Option<Box<Exchange<C>>>, VecDeque<Message>),
    Done,
}

impl<C: Connect> Step<C> {
    fn opening(wire: &Arc<Wire<C>>, opening: &Message) -> Self {
        wire.shared.open_another();
        Step::Opening(Box::new(Exchange::own(Arc::clone(wire), opening.clone())))
    }
}

/// Whoever waits is told, whatever becomes of the renewal.
struct Over<C: Connect>(Arc<Wire<C>>);

impl<C: Connect> Drop for Over<C> {
    fn drop(&mut self) {
        self.0.shared.end_renewal();
    }
}

/// What came of one of its own exchanges.
enum Came {
    Aside(Inbound),
    Answer(Message),
    Nothing(ExchangeError),
}

impl<C: Connect> Renewal<C> {
    async fn next(&mut self) -> Option<Inbound> {
        let until = self.until;
        match timeout_at(until, self.go_on()).await {
            Ok(inbound) => inbound,
            Err(_) => {
                let after = self.wire.options.timeouts.renew;
                tracing::warn!(peer = %self.wire.peer, ?after, "no new session in time (setting: renew)");
                None
            }
        }
    }

    async fn go_on(&mut self) -> Option<Inbound> {
        loop {
            match &mut self.step {
                Step::Pinging(ping) => match came(&self.wire, ping).await {
                    Came::Aside(inbound) => return Some(inbound),
                    Came::Answer(answer) if !denies(&answer, ping.status()) => self.step = Step::Done,
                    Came::Answer(_) | Came::Nothing(ExchangeError::Refused { status: 400 | 404, .. }) => {
                        self.step = Step::opening(&self.wire, &self.opening);
                    }
                    Came::Nothing(error) => {
                        tracing::debug!(peer = %self.wire.peer, %error, "whether the session lives is not known");
                        self.step = Step::Done;
                    }
                },
                Step::Opening(initialize) => match came(&self.wire, initialize).await {
                    Came::Aside(inbound) => return Some(inbound),
                    Came::Answer(answer) if answer.error().is_none() => self.step = Step::Opened,
                    Came::Answer(answer) => {
                        let error = answer.error().map(|error| error.to_string()).unwrap_or_default();
                        tracing::warn!(peer = %self.wire.peer, %error, "the server opens no new session");
                        self.step = Step::Done;
                    }
                    Came::Nothing(error) => {
                        tracing::warn!(peer = %self.wire.peer, %error, "the server opens no new session");
                        self.step = Step::Done;
                    }
                },
                Step::Opened => {
                    if let Ok(message) = Message::parse(Bytes::from_static(INITIALIZED), &own_limits()) {
                        let then = Then::Ungate;
                        one_way::post(Arc::clone(&self.wire), OneWay { message, ordinal: 0, then }).await;
                    }
                    self.step = Step::Subscribing(None, self.wire.shared.subscriptions());
                }
                Step::Subscribing(Some(subscribe), rest) => match came(&self.wire, subscribe).await {
                    Came::Aside(inbound) => return Some(inbound),
                    Came::Answer(answer) if answer.error().is_none() => {
                        self.step = Step::Subscribing(None, std::mem::take(rest));
                    }
                    Came::Answer(_) | Came::Nothing(_) => {
                        tracing::warn!(peer = %self.wire.peer, "a resource is not subscribed in the new session");
                        self.step = Step::Subscribing(None, std::mem::take(rest));
                    }
                },
                Step::Subscribing(None, rest) => {
                    let next = rest.pop_front().map(|next| Exchange::own(Arc::clone(&self.wire), next));
                    self.step = match next {
                        Some(next) => Step::Subscribing(Some(Box::new(next)), std::mem::take(rest)),
                        None => Step::Done,
                    };
                }
                Step::Done => return None,
            }
        }
    }
}

/// The next thing that an exchange has to say.
async fn came<C: Connect>(wire: &Wire<C>, exchange: &mut Exchange<C>) -> Came {
    // It is large, and inside of another one.
    match exchange.next().boxed().await {
        Some(Inbound::Failed { error, .. }) => Came::Nothing(error),
        Some(Inbound::Frame(frame)) => match Message::parse(frame.clone(), &own_limits()) {
            Ok(message) if exchange.asked_for(&message) => Came::Answer(message),
            _ => Came::Aside(Inbound::Frame(frame)),
        },
        Some(other) => Came::Aside(other),
        None => Came::Nothing(wire.broken("there was no answer")),
    }
}

/// Whether the answer to a ping says that there is no such session. One that knows no ping has one.
fn denies(answer: &Message, status: Option<StatusCode>) -> bool {
    let unknown = answer.error().is_some_and(|error| error.code == code::METHOD_NOT_FOUND);
    let refused = matches!(status, Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND));
    is_about_the_session(answer) || refused && !unknown
}

const PING: &[u8] = br#"{"jsonrpc":"2.0","id":"towpath-ping","method":"ping"}"#;

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Beyond it no clock reckons.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
