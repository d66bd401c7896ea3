//! Legacy sessions: what is kept between the requests of one client (2025-11-25, basic/transports, "Session Management").

mod event;
mod lane;
mod listening;
mod log;
mod registry;
mod response;
mod ring;
mod state;
mod stream;

use std::{
    sync::{Arc, OnceLock, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use towpath_jsonrpc::Id;
use towpath_link::Peer;
use towpath_mcp::{Fault, Revision, Rules, SessionId, TraceContext};
use towpath_raw::{Frame, Inbound, Level, Mutex, Route};

use super::{Principal, closing::Closing};
pub(super) use event::EventId;
pub use event::{EventStore, StoredEvent, StreamId};
pub(super) use lane::SessionLane;
use log::{Cursor, Log};
pub(super) use registry::Registry;
pub(super) use response::unknown_event;
pub use ring::{ReplayLimits, ReplayRing};
use state::State;
pub(super) use state::{SessionBounds, Taken};
pub(super) use stream::{First, SessionStream};

/// One session, as the requests that belong to it see it. Its link is run by a task of the service.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    name: Arc<str>,
    /// To anybody else it does not exist.
    principal: Option<Principal>,
    /// Taken while the link holds its own lock, of the level before.
    state: Mutex<State>,
    peer: OnceLock<Peer>,
    revision: OnceLock<Revision>,
}

/// One stream of a session, while it is awaited or read. Dropped, the client has gone: its request runs on, and what
/// still comes of it is kept for whoever comes back, or dropped and counted.
#[derive(Debug)]
pub(super) struct StreamReader {
    session: Arc<Session>,
    stream: StreamId,
    place: Place,
    /// Of a stream that a GET opened or resumed.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Where a reader stands.
#[derive(Debug)]
enum Place {
    /// On a stream that goes on, as the so many-eth of its readers.
    Open(u64),
    /// On one that is over, of which something is kept.
    Over(Cursor),
}

/// What a POST asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// How many requests are in it.
    pub(super) count: usize,
    /// The id of the one request.
    pub(super) id: Option<Id>,
    /// Those of a batch.
    pub(super) batch: Vec<Id>,
    /// What its head says.
    pub(super) trace: Option<Box<TraceContext>>,
}

impl Asked {
    pub(super) fn one(id: Option<Id>, trace: Option<Box<TraceContext>>) -> Self {
        Self { count: 1, id, batch: Vec::new(), trace }
    }

    pub(super) fn batch(count: usize, batch: Vec<Id>, trace: Option<Box<TraceContext>>) -> Self {
        Self { count, id: None, batch, trace }
    }
}

/// How an event stream begins.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Of the event that says nothing, and can be gone on from.
    pub(super) prime: Option<EventId>,
    /// Of its first message.
    pub(super) first: Option<EventId>,
}

/// What a session is made with.
pub(super) struct SessionSetup {
    pub(super) id: SessionId,
    pub(super) principal: Option<Principal>,
    pub(super) bounds: SessionBounds,
    /// `None`: its streams cannot be resumed.
    pub(super) store: Option<Box<dyn EventStore>>,
    /// Tells its events from those of other sessions.
    pub(super) tag: u32,
    pub(super) closing: Arc<Closing>,
}

/// The event streams of a legacy session, and the requests that they answer, for whatever serves it.
#[derive(Clone, Debug)]
pub struct SessionStreams {
    session: Weak<Session>,
    /// Kept here, so that it is known to what outlives the session.
    principal: Option<Principal>,
}

impl SessionStreams {
    /// Closes the response of the request that came on this route, before its answer: the client comes back for it after
    /// `retry`, or after [`EndpointTimeouts::stream_retry`](super::EndpointTimeouts::stream_retry). Whether it is closed:
    /// only clients of revisions that poll (2025-11-25) are left, and only while somebody reads the response.
    pub fn close(&self, route: Route, retry: Option<Duration>) -> bool {
        let (Some(session), Some(number)) = (self.session.upgrade(), post_number(route)) else {
            return false;
        };
        session.change(|state, wakers| state.close_stream(number, retry, wakers))
    }

    /// Whose session it is.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// The trace that the head of the request says which came on this route; none once it has been answered.
    pub fn trace(&self, route: Route) -> Option<TraceContext> {
        let (session, number) = (self.session.upgrade()?, post_number(route)?);
        session.change(|state, _| state.posts.get(&number)?.asked.trace.as_deref().cloned())
    }
}

impl Session {
    pub(super) fn new(setup: SessionSetup) -> Arc<Self> {
        let SessionSetup { id, principal, bounds, store, tag, closing } = setup;
        let state = State::new(bounds, Log::new(store, tag), Instant::now(), closing);
        Arc::new(Self {
            name: Arc::from(format!("HTTP session {id:?}")),
            id,
            principal,
            state: Mutex::new(Level::Handler, "Session::state", state),
            peer: OnceLock::new(),
            revision: OnceLock::new(),
        })
    }

    pub(super) fn id(&self) -> &SessionId {
        &self.id
    }

    pub(super) fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    pub(super) fn streams(self: &Arc<Self>) -> SessionStreams {
        SessionStreams { session: Arc::downgrade(self), principal: self.principal.clone() }
    }

    /// The handle to the link, once it is there.
    pub(super) fn join(&self, peer: Peer) {
        let _ = self.peer.set(peer);
    }

    /// What `initialize` has agreed on.
    pub(super) fn agree(&self, revision: Revision) {
        let _ = self.revision.set(revision);
        self.change(|state, _| state.log.agree(revision.rules()));
    }

    pub(super) fn rules(&self) -> &'static Rules {
        self.revision.get().copied().unwrap_or(Revision::LATEST_LEGACY).rules()
    }

    /// Takes messages that are answered: one request, or a batch with requests in it.
    pub(super) fn post(
        self: &Arc<Self>,
        body: Bytes,
        asked: Asked,
        permit: OwnedSemaphorePermit,
    ) -> Result<StreamReader, Fault> {
        let number = self.change(|state, wakers| state.post(body, asked, permit, wakers))?;
        Ok(self.reader(StreamId::Post(number), Place::Open(0), None))
    }

    /// Takes messages that are not answered.
    pub(super) fn tell(&self, body: Bytes) -> Result<(), Fault> {
        self.change(|state, wakers| state.tell(Inbound::Frame(body), wakers))
    }

    /// Opens the stream of the session, in place of the one that was open.
    pub(super) fn get(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(StreamReader, Opening), Fault> {
        let (number, generation, opening) = self.change(|state, wakers| state.open_get(wakers))?;
        Ok((self.reader(StreamId::Get(number), Place::Open(generation), Some(permit)), opening))
    }

    /// Goes on with a stream after this event, in place of the connection that held it; and the request that it is to
    /// answer.
    pub(super) fn resume(
        self: &Arc<Self>,
        last: &EventId,
        permit: OwnedSemaphorePermit,
    ) -> Result<(StreamReader, Option<Id>), Fault> {
        let (place, id) = self.change(|state, wakers| state.resume(last, wakers))?;
        Ok((self.reader(last.stream, place, Some(permit)), id))
    }

    fn reader(
        self: &Arc<Self>,
        stream: StreamId,
        place: Place,
        permit: Option<OwnedSemaphorePermit>,
    ) -> StreamReader {
        StreamReader { session: Arc::clone(self), stream, place, _permit: permit }
    }

    /// Ends the session: what is in flight is dropped.
    pub(super) fn end(&self, why: Fault) {
        self.change(|state, wakers| state.end(why, wakers));
        if let Some(peer) = self.peer.get() {
            peer.close(Duration::ZERO);
        }
    }

    /// Ends the session if it has been idle for so long; whether it has.
    pub(super) fn end_idle(&self, now: Instant, idle: Duration) -> bool {
        let ended = self.change(|state, wakers| {
            let over = state.idle_since().is_some_and(|since| now.saturating_duration_since(since) >= idle);
            if over {
                state.end(Fault::SessionUnknown, wakers);
            }
            over
        });
        if let Some(peer) = self.peer.get().filter(|_| ended) {
            peer.close(Duration::ZERO);
        }
        ended
    }

    /// Asks the link to end within `grace`. What is cut then hears why.
    pub(super) fn drain(&self, grace: Duration) {
        self.change(|state, _| state.drain());
        if let Some(peer) = self.peer.get() {
            peer.close(grace);
        }
    }

    /// How many of its requests were dropped at its end.
    pub(super) fn cuts(&self) -> u64 {
        self.peer.get().map_or(0, |peer| peer.stats().requests_cut)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().has_ended()
    }

    /// Since when the session is idle; `None` while it is not. What its store holds for too long goes.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.log.expire();
        state.idle_since()
    }

    /// Changes the state, then wakes whom it concerns.
    fn change<R>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> R) -> R {
        let mut wakers = Vec::new();
        let outcome = change(&mut self.state.lock(), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        outcome
    }
}

impl StreamReader {
    /// What comes on this stream next.
    pub(super) fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Taken> {
        let stream = self.stream;
        self.session.change(|state, wakers| match (&mut self.place, stream) {
            (Place::Open(reader), StreamId::Post(number)) => state.poll_post(number, *reader, cx, wakers),
            (Place::Open(reader), StreamId::Get(number)) => state.poll_get(number, *reader, cx),
            (Place::Over(cursor), _) => {
                Poll::Ready(state.log.missed(stream, None, cursor).unwrap_or(Taken::Nothing))
            }
        })
    }

    /// The response becomes an event stream, which begins with this message if there is any.
    pub(super) fn begin_stream(&self, first: Option<&Frame>) -> Opening {
        match self.stream {
            StreamId::Post(number) => self.session.change(|state, _| state.begin_stream(number, first)),
            StreamId::Get(_) => Opening::default(),
        }
    }

    /// How long a client that is sent away is to stay away; `None` if none is.
    pub(super) fn polls(&self) -> Option<Duration> {
        let state = self.session.state.lock();
        state.log.polls().then_some(state.bounds.stream_retry)
    }

    pub(super) fn stream(&self) -> StreamId {
        self.stream
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let Place::Open(reader) = self.place else { return };
        self.session.change(|state, wakers| match self.stream {
            StreamId::Post(number) => state.reader_gone(number, reader, wakers),
            StreamId::Get(number) => state.close_get(number, reader),
        });
    }
}

impl State {
    fn resume(&mut self, last: &EventId, wakers: &mut Vec<Waker>) -> Result<(Place, Option<Id>), Fault> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        if !self.log.is_own(last) || last.number > self.log.last() {
            return Err(unknown_event());
        }
        match last.stream {
            StreamId::Get(number) => {
                let reader = self.resume_get(number, last.number, wakers)?;
                Ok((Place::Open(reader), None))
            }
            StreamId::Post(number) if self.posts.contains_key(&number) => {
                let (reader, id) = self.resume_post(number, last.number, wakers)?;
                Ok((Place::Open(reader), id))
            }
            stream if self.log.knows(stream) => Ok((Place::Over(Cursor::at(last.number)), None)),
            _ => Err(unknown_event()),
        }
    }
}

/// The routes of POSTs have the highest bit set, so that none of them can be taken for that of a call of ours.
const POSTS: u64 = 1 << 63;

fn post_route(number: u64) -> Route {
    Route::new(POSTS | number)
}

/// The number of the POST that this is the route of.
fn post_number(route: Route) -> Option<u64> {
    route.number().filter(|number| number & POSTS != 0).map(|number| number & !POSTS)
}

/// What a frame of the link belongs to.
enum Belongs {
    /// To the response of this POST.
    Post(u64),
    /// To a call of ours that belongs to no request.
    Call,
    /// To no exchange.
    Lane,
}

fn belongs(frame: &Frame) -> Belongs {
    match frame.route().number() {
        Some(number) if number & POSTS != 0 => Belongs::Post(number & !POSTS),
        Some(_) => Belongs::Call,
        None => {
            let [head, ..] = frame.segments();
            let call = head.starts_with(REQUEST) || head.starts_with(CANCELLED);
            if call { Belongs::Call } else { Belongs::Lane }
        }
    }
}

/// How a link begins a request, and the cancellation of one.
const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const CANCELLED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/cancelled""#;

#[cfg(test)]
mod tests {
    use towpath_testkit::within;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_that_got_a_message_since_the_look_is_not_ended_as_idle() {
        within(async {
            let bounds = SessionBounds {
                max_requests: 1,
                max_inbox_bytes: 1024,
                max_unread_event_bytes: 1024,
                max_queue_bytes: 1024,
                reader_stall: Duration::from_secs(1),
                retry_after: Duration::from_secs(1),
                stream_retry: Duration::from_secs(1),
                cancel_after_disconnect: None,
            };
            let session = Session::new(SessionSetup {
                id: SessionId::from_entropy([1; 32]),
                principal: None,
                bounds,
                store: None,
                tag: 1,
                closing: Arc::default(),
            });
            let idle = Duration::from_secs(60);
            tokio::time::advance(idle).await;
            let now = Instant::now();
            assert!(session.idle_since().is_some_and(|since| since + idle <= now), "it is due");
            session.tell(Bytes::from_static(b"{}")).expect("it is open");
            assert!(!session.end_idle(now, idle));
            assert!(session.tell(Bytes::from_static(b"{}")).is_ok());
        })
        .await;
    }
}
