//! What the two halves share: the session, what waits to be sent, and which exchanges are open.
//!
//! One lock around pure state, held for a few instructions: nobody is woken, and no exchange dropped, under it.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    task::{Context, Waker},
};

use futures_util::future::AbortHandle;
use slab::Slab;
use tokio::sync::Notify;
use towpath_jsonrpc::{EnvelopeLimits, Message};
use towpath_mcp::{Revision, SessionHeaders, SessionId, method};
use towpath_raw::{ExchangeError, Level, Mutex, Route};

/// A request on its way.
pub(super) struct Request {
    pub(super) message: Message,
    pub(super) route: Route,
    pub(super) modern: bool,
    pub(super) ordinal: u64,
}

/// What becomes of a cancellation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// The server need not know: it has not got the request, or sees its stream close, or has answered.
    Silently,
    /// The server is told; then the exchange of the request with this ordinal is closed.
    Told(u64),
    /// The server is told, and no exchange is open: it has taken the request, to answer on another stream.
    Accepted,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Told whenever what a request waits for may have come: a new session, or that there is none.
    settled: Notify,
}

/// How far a new session is that takes the place of one that the server has forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Renewal {
    #[default]
    None,
    /// To be begun: with a ping, if it is only suspected that the old one is gone.
    Wanted {
        suspected: bool,
    },
    /// The server is asked whether the old one is gone. It may well be there.
    Asking,
    Opening,
}

#[derive(Default)]
struct State {
    session: SessionHeaders,
    /// How many sessions were opened.
    generation: u64,
    renewal: Renewal,
    /// How the session was opened, to open another.
    opening: Option<Message>,
    /// The resources that are subscribed in the session, and how.
    subscribed: BTreeMap<Box<str>, Message>,
    /// Requests that wait for their turn, in order.
    requests: VecDeque<Request>,
    /// Requests whose exchange is open.
    exchanges: Slab<Exchange>,
    /// Requests of a session that were taken without an answer, the oldest forgotten at [`ACCEPTED`].
    accepted: VecDeque<Route>,
    /// Requests that were not sent, to be reported.
    failed: VecDeque<(Route, ExchangeError)>,
    /// Set while `notifications/initialized` is on its way: what comes after it waits.
    gated: bool,
    /// The standalone stream is to be opened.
    listen: bool,
    standalone: Option<AbortHandle>,
    /// Set by the end of either half.
    closed: bool,
    queued_bytes: usize,
    begun: u64,
    /// How many POSTs of notifications and answers have failed.
    lost: u64,
    source: Option<Waker>,
    sink: Option<Waker>,
}

struct Exchange {
    /// Of the request: a place is used again, this is not.
    ordinal: u64,
    route: Route,
    modern: bool,
    /// `server/discover`: nobody waits for it once the legacy handshake has begun.
    probe: bool,
    abort: AbortHandle,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(Level::Handler, "HttpLane::state", State::default()),
            settled: Notify::new(),
        }
    }

    pub(super) fn register_source(&self, cx: &Context<'_>) {
        register(&mut self.state.lock().source, cx);
    }

    pub(super) fn register_sink(&self, cx: &Context<'_>) {
        register(&mut self.state.lock().sink, cx);
    }

    /// Queues a request for the source, which sends it.
    pub(super) fn push(&self, request: Request) {
        let initialize = request.message.method() == method::INITIALIZE;
        let (source, stale) = {
            let mut state = self.state.lock();
            state.queued_bytes += request.message.bytes().len();
            if initialize {
                state.opening = Some(request.message.clone());
                state.subscribed.clear();
            }
            state.requests.push_back(request);
            let stale: Vec<_> = state
                .exchanges
                .iter()
                .filter(|(_, exchange)| initialize && exchange.probe)
                .map(|(_, exchange)| exchange.abort.clone())
                .collect();
            (state.source.take(), stale)
        };
        stale.iter().for_each(AbortHandle::abort);
        wake(source);
    }

    /// A request that cannot be sent.
    pub(super) fn fail(&self, route: Route, error: ExchangeError) {
        let source = {
            let mut state = self.state.lock();
            state.failed.push_back((route, error));
            state.source.take()
        };
        wake(source);
    }

    pub(super) fn next_failed(&self) -> Option<(Route, ExchangeError)> {
        self.state.lock().failed.pop_front()
    }

    /// The next request that may be sent, with its place among those in flight, where `abort` closes it.
    pub(super) fn next_request(&self, most: usize, abort: AbortHandle) -> Option<(Request, usize)> {
        let mut state = self.state.lock();
        if !state.may_start(most) {
            return None;
        }
        let request = state.requests.pop_front()?;
        let key = state.exchanges.insert(Exchange {
            ordinal: request.ordinal,
            route: request.route,
            modern: request.modern,
            probe: request.message.method() == method::SERVER_DISCOVER,
            abort,
        });
        Some((request, key))
    }

    pub(super) fn may_start(&self, most: usize) -> bool {
        self.state.lock().may_start(most)
    }

    /// The exchange in this place has ended.
    pub(super) fn finish(&self, key: usize) {
        let (source, sink) = {
            let mut state = self.state.lock();
            state.exchanges.try_remove(key);
            // Whoever waits behind it may go now.
            let source = if state.requests.is_empty() { None } else { state.source.take() };
            (source, state.sink.take())
        };
        wake(source);
        wake(sink);
    }

    /// Closes the exchange of the request with this ordinal, if it still is open.
    pub(super) fn abort(&self, ordinal: u64) {
        let abort = {
            let state = self.state.lock();
            let mut open = state.exchanges.iter();
            open.find(|(_, exchange)| exchange.ordinal == ordinal).map(|(_, exchange)| exchange.abort.clone())
        };
        abort.iter().for_each(AbortHandle::abort);
    }

    /// The request on this route is no longer wanted.
    pub(super) fn cancel(&self, route: Route) -> Cancelled {
        let abort = {
            let mut state = self.state.lock();
            if let Some(at) = state.requests.iter().position(|request| request.route == route)
                && let Some(request) = state.requests.remove(at)
            {
                state.queued_bytes = state.queued_bytes.saturating_sub(request.message.bytes().len());
                return Cancelled::Silently;
            }
            let found = state.exchanges.iter().find(|(_, exchange)| exchange.route == route);
            match found {
                Some((_, exchange)) if exchange.modern => exchange.abort.clone(),
                Some((_, exchange)) => return Cancelled::Told(exchange.ordinal),
                None => {
                    let Some(at) = state.accepted.iter().position(|accepted| *accepted == route) else {
                        return Cancelled::Silently;
                    };
                    state.accepted.remove(at);
                    return Cancelled::Accepted;
                }
            }
        };
        abort.abort();
        Cancelled::Silently
    }

    /// The request on this route may be answered on another stream of its session.
    pub(super) fn accepted(&self, route: Route) {
        let mut state = self.state.lock();
        if state.accepted.len() == ACCEPTED {
            state.accepted.pop_front();
        }
        state.accepted.push_back(route);
    }

    /// How many requests wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().requests.len()
    }

    /// A message was taken that the sink sends by itself.
    pub(super) fn queued(&self, bytes: usize) {
        self.state.lock().queued_bytes += bytes;
    }

    /// A message is handed to the connector.
    pub(super) fn begin(&self, ordinal: u64, bytes: usize) {
        let sink = {
            let mut state = self.state.lock();
            state.queued_bytes = state.queued_bytes.saturating_sub(bytes);
            // Those that wait at a limit are counted with later ones that do not: to be taken for sent is the safe side.
            state.begun = state.begun.max(ordinal);
            state.sink.take()
        };
        wake(sink);
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.state.lock().queued_bytes
    }

    pub(super) fn begun(&self) -> u64 {
        self.state.lock().begun
    }

    pub(super) fn gate(&self) {
        self.state.lock().gated = true;
    }

    pub(super) fn is_gated(&self) -> bool {
        self.state.lock().waits()
    }

    /// `notifications/initialized` was answered, or has failed. Accepted, what comes after it waits on, for the standalone
    /// stream: a server that asks its client on that one, while it handles a request, would ask nobody before.
    pub(super) fn ungate(&self, accepted: bool) {
        let wakers = {
            let mut state = self.state.lock();
            state.gated = accepted;
            state.listen |= accepted;
            [state.source.take(), state.sink.take()]
        };
        wakers.into_iter().for_each(wake);
        self.settled.notify_waiters();
    }

    /// The standalone stream is open, or will not be for a while.
    pub(super) fn heard(&self) {
        let wakers = {
            let mut state = self.state.lock();
            state.gated = false;
            [state.source.take(), state.sink.take()]
        };
        wakers.into_iter().for_each(wake);
        self.settled.notify_waiters();
    }

    /// Whether the standalone stream is to be opened now.
    pub(super) fn wants_to_listen(&self) -> bool {
        self.state.lock().listen
    }

    /// The standalone stream is opened; `abort` closes it.
    pub(super) fn listens(&self, abort: AbortHandle) {
        let before = {
            let mut state = self.state.lock();
            state.listen = false;
            state.standalone.replace(abort)
        };
        before.iter().for_each(AbortHandle::abort);
    }

    /// Whether there was a handshake.
    pub(super) fn is_legacy(&self) -> bool {
        self.state.lock().opening.is_some()
    }

    /// The session, and which one of this lane it is.
    pub(super) fn session(&self) -> (SessionHeaders, u64) {
        let state = self.state.lock();
        (state.session.clone(), state.generation)
    }

    /// The server has forgotten the session of this generation, or seems to have.
    pub(super) fn lose_session(&self, generation: u64, suspected: bool) {
        let source = {
            let mut state = self.state.lock();
            if state.closed || state.generation != generation || state.opening.is_none() {
                return;
            }
            match &mut state.renewal {
                renewal @ (Renewal::None | Renewal::Wanted { suspected: true }) => {
                    *renewal = Renewal::Wanted { suspected };
                }
                // A ping that is on its way finds it out.
                Renewal::Wanted { .. } | Renewal::Asking | Renewal::Opening => return,
            }
            state.source.take()
        };
        wake(source);
    }

    /// Whether a renewal is to be begun now, and how the session was opened.
    pub(super) fn begin_renewal(&self) -> Option<(bool, Message)> {
        let mut state = self.state.lock();
        let Renewal::Wanted { suspected } = state.renewal else { return None };
        let opening = state.opening.clone()?;
        state.renewal = if suspected { Renewal::Asking } else { Renewal::Opening };
        Some((suspected, opening))
    }

    pub(super) fn wants_renewal(&self) -> bool {
        matches!(self.state.lock().renewal, Renewal::Wanted { .. })
    }

    /// What was suspected is so: nothing more is sent in the old session.
    pub(super) fn open_another(&self) {
        self.state.lock().renewal = Renewal::Opening;
    }

    /// The renewal has ended, in whatever way.
    pub(super) fn end_renewal(&self) {
        let wakers = {
            let mut state = self.state.lock();
            state.renewal = Renewal::None;
            [state.source.take(), state.sink.take()]
        };
        wakers.into_iter().for_each(wake);
        self.settled.notify_waiters();
    }

    /// Waits until nothing is under way, and says whether there is another session than the one of this generation.
    pub(super) async fn renewed(&self, generation: u64) -> bool {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let state = self.state.lock();
                if state.closed {
                    return false;
                }
                if state.renewal == Renewal::None && !state.gated {
                    return state.generation != generation;
                }
            }
            settled.await;
        }
    }

    /// The subscription of a resource was accepted.
    pub(super) fn subscribed(&self, uri: &str, message: &Message, most: usize) -> bool {
        let mut state = self.state.lock();
        let room = state.subscribed.len() < most || state.subscribed.contains_key(uri);
        if room {
            state.subscribed.insert(uri.into(), message.clone());
        }
        room
    }

    pub(super) fn unsubscribed(&self, uri: &str) {
        self.state.lock().subscribed.remove(uri);
    }

    pub(super) fn subscriptions(&self) -> VecDeque<Message> {
        self.state.lock().subscribed.values().cloned().collect()
    }

    /// A server answers `initialize`: whatever session there was before, this is the one that counts.
    pub(super) fn open_session(&self, id: Option<SessionId>) {
        self.state.lock().session = SessionHeaders { session: id, revision: None };
    }

    /// The server has agreed: from here on there is another session.
    pub(super) fn negotiated(&self, revision: Revision) {
        let mut state = self.state.lock();
        state.session.revision = Some(revision);
        state.generation += 1;
    }

    /// A POST of a notification or an answer has failed; how many have.
    pub(super) fn count_lost(&self) -> u64 {
        let mut state = self.state.lock();
        state.lost += 1;
        state.lost
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// The half that reads is gone: nothing can be answered any more.
    pub(super) fn source_gone(&self) {
        let sink = {
            let mut state = self.state.lock();
            state.closed = true;
            state.requests.clear();
            state.queued_bytes = 0;
            state.sink.take()
        };
        wake(sink);
    }

    /// The end: no exchange goes on. Gives the session, for whoever ends it with the server.
    pub(super) fn close(&self) -> SessionHeaders {
        let (aborts, session, wakers) = {
            let mut state = self.state.lock();
            state.closed = true;
            state.listen = false;
            state.requests.clear();
            state.failed.clear();
            state.queued_bytes = 0;
            let aborts: Vec<_> = state
                .exchanges
                .iter()
                .map(|(_, exchange)| exchange.abort.clone())
                .chain(state.standalone.clone())
                .collect();
            (aborts, std::mem::take(&mut state.session), [state.source.take(), state.sink.take()])
        };
        aborts.iter().for_each(AbortHandle::abort);
        wakers.into_iter().for_each(wake);
        self.settled.notify_waiters();
        session
    }
}

/// How many requests are remembered that a server has taken without an answer, in case they are cancelled.
const ACCEPTED: usize = 1024;

impl State {
    /// Whether what is to be sent has to wait for a session.
    fn waits(&self) -> bool {
        self.gated || matches!(self.renewal, Renewal::Wanted { suspected: false } | Renewal::Opening)
    }

    fn may_start(&self, most: usize) -> bool {
        !self.closed && !self.waits() && !self.requests.is_empty() && self.exchanges.len() < most
    }
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        slot => *slot = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Limits for what this side has made itself: its size was checked, and what else it is is its sender's business.
pub(super) fn own_limits() -> EnvelopeLimits {
    EnvelopeLimits {
        max_message_bytes: usize::MAX,
        max_meta_members: usize::MAX,
        max_envelope_members: usize::MAX,
        max_batch: 0,
    }
}
