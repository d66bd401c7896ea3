//! Legacy sessions: what is kept between the requests of one client (2025-11-25, basic/transports, "Session Management").

mod lane;
mod registry;
mod state;
mod stream;

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use towpath_link::Peer;
use towpath_mcp::{Fault, Revision, Rules, SessionId};
use towpath_raw::{Frame, Inbound, Level, Mutex, Route};

use super::closing::Closing;
pub(super) use lane::SessionLane;
pub(super) use registry::Registry;
use state::State;
pub(super) use state::{SessionBounds, Taken};
pub(super) use stream::{First, SessionStream};

/// One session, as the requests that belong to it see it. Its link is run by a task of the service.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    name: Arc<str>,
    /// Taken while the link holds its own lock, of the level before.
    state: Mutex<State>,
    peer: OnceLock<Peer>,
    revision: OnceLock<Revision>,
}

/// The response to one POST, while it is awaited or read. Dropped, the client has gone: its request runs on, and
/// what still comes of it is dropped and counted; nothing is kept to be replayed.
#[derive(Debug)]
pub(super) struct PostReader {
    session: Arc<Session>,
    number: u64,
}

/// The stream of a session, while it is read.
#[derive(Debug)]
pub(super) struct GetReader {
    session: Arc<Session>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    pub(super) fn new(id: SessionId, bounds: SessionBounds, closing: Arc<Closing>) -> Arc<Self> {
        let state = State::new(bounds, Instant::now(), closing);
        Arc::new(Self {
            name: Arc::from(format!("HTTP session {id:?}")),
            id,
            state: Mutex::new(Level::Handler, "Session::state", state),
            peer: OnceLock::new(),
            revision: OnceLock::new(),
        })
    }

    pub(super) fn id(&self) -> &SessionId {
        &self.id
    }

    /// The handle to the link, once it is there.
    pub(super) fn join(&self, peer: Peer) {
        let _ = self.peer.set(peer);
    }

    /// What `initialize` has agreed on.
    pub(super) fn agree(&self, revision: Revision) {
        let _ = self.revision.set(revision);
    }

    pub(super) fn rules(&self) -> &'static Rules {
        self.revision.get().copied().unwrap_or(Revision::LATEST_LEGACY).rules()
    }

    /// Takes messages that are answered: one request, or a batch with requests in it.
    pub(super) fn post(
        self: &Arc<Self>,
        body: Bytes,
        requests: usize,
        permit: OwnedSemaphorePermit,
    ) -> Result<PostReader, Fault> {
        let number = self.change(|state, wakers| state.post(body, requests, permit, wakers))?;
        Ok(PostReader { session: Arc::clone(self), number })
    }

    /// Takes messages that are not answered.
    pub(super) fn tell(&self, body: Bytes) -> Result<(), Fault> {
        self.change(|state, wakers| state.tell(Inbound::Frame(body), wakers))
    }

    /// Opens the stream of the session, in place of the one that was open.
    pub(super) fn get(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<GetReader, Fault> {
        let number = self.change(|state, wakers| state.open_get(wakers))?;
        Ok(GetReader { session: Arc::clone(self), number, _permit: permit })
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

    /// Since when the session is idle; `None` while it is not.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.state.lock().idle_since()
    }

    /// Changes the state, then wakes whom it concerns.
    fn change<R>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> R) -> R {
        let mut wakers = Vec::new();
        let outcome = change(&mut self.state.lock(), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        outcome
    }
}

impl PostReader {
    /// What comes on this response next.
    pub(super) fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<Taken> {
        self.session.change(|state, wakers| state.poll_post(self.number, cx, wakers))
    }
}

impl GetReader {
    fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.session.change(|state, _| state.poll_get(self.number, cx))
    }
}

impl Drop for PostReader {
    fn drop(&mut self) {
        self.session.change(|state, wakers| state.reader_gone(self.number, wakers));
    }
}

impl Drop for GetReader {
    fn drop(&mut self) {
        self.session.change(|state, _| state.close_get(self.number));
    }
}

/// The routes of POSTs have the highest bit set, so that none of them can be taken for that of a call of ours.
const POSTS: u64 = 1 << 63;

fn post_route(number: u64) -> Route {
    Route::new(POSTS | number)
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
            };
            let session = Session::new(SessionId::from_entropy([1; 32]), bounds, Arc::default());
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
