//! What has changed, and who wants to know.

use std::{collections::BTreeSet, sync::Arc};
#[cfg(feature = "http")]
use std::{future::Future, sync::Weak, time::Duration};

#[cfg(feature = "http")]
use futures_util::future::join_all;
use slab::Slab;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use towpath_link::Peer;
use towpath_mcp::{Change, Filter, Subscription};
use towpath_raw::{Level, Mutex};

#[cfg(feature = "http")]
use crate::http::Drains;
use crate::lane::Conversation;

/// Tells all subscribers, in both eras, that something has changed. Clones tell the same subscribers.
///
/// Nothing is queued: a subscriber that is slow learns once that something changed, however often it did.
#[derive(Clone, Debug)]
pub struct Publisher {
    hub: Arc<Hub>,
}

impl Publisher {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// The list of tools has changed.
    pub fn tools_changed(&self) {
        self.hub.publish(Change::Tools);
    }

    /// The list of prompts has changed.
    pub fn prompts_changed(&self) {
        self.hub.publish(Change::Prompts);
    }

    /// The list of resources has changed.
    pub fn resources_changed(&self) {
        self.hub.publish(Change::Resources);
    }

    /// This resource has changed; the URI is compared as it is written.
    pub fn resource_updated(&self, uri: &str) {
        self.hub.publish(Change::Resource(uri));
    }

    /// How many listen, in both eras.
    pub fn listeners(&self) -> usize {
        self.hub.table.lock().listeners.len()
    }
}

/// Everybody who listens, and every lane that is served.
#[derive(Debug)]
pub(crate) struct Hub {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    listeners: Slab<Arc<Listener>>,
    lanes: Slab<ServedLane>,
    listening: Slab<Listening>,
    /// Whether no more listeners are taken.
    is_drained: bool,
    /// The HTTP endpoints that were made, as long as they are there.
    #[cfg(feature = "http")]
    endpoints: Vec<Weak<dyn Drains>>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("listeners", &self.listeners)
            .field("lanes", &self.lanes)
            .field("listening", &self.listening)
            .finish_non_exhaustive()
    }
}

/// A lane that is served.
#[derive(Clone, Debug)]
pub(crate) struct ServedLane {
    pub(crate) peer: Peer,
    pub(crate) conversation: Arc<Conversation>,
}

/// A listener whose lanes are served.
#[derive(Clone, Debug, Default)]
struct Listening {
    stop: CancellationToken,
    over: CancellationToken,
}

/// Why a server that drains ends a subscription.
pub(crate) const DRAINING: &str = "the server is shutting down";

/// One subscription: its marks, and a bell for whoever sends them on.
#[derive(Debug)]
pub(crate) struct Listener {
    marks: Mutex<Marks>,
    changed: Notify,
}

/// What a listener has not been told yet.
#[derive(Debug)]
pub(crate) enum Marks {
    /// `subscriptions/listen`.
    Modern(Subscription),
    /// A legacy session; which resources it wants, the session knows.
    Legacy(LegacyMarks),
}

/// The marks of a legacy session. Only what the session is subscribed to is kept, so the session's own limit bounds the
/// URIs.
#[derive(Debug)]
pub(crate) struct LegacyMarks {
    pub(crate) kinds: [bool; 3],
    uris: BTreeSet<Box<str>>,
    /// What the server has declared to tell.
    declared: Filter,
    max_uris: usize,
    conversation: Arc<Conversation>,
}

/// A place among the listeners, given up on drop.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    key: usize,
    listener: Arc<Listener>,
}

/// A place among the lanes, given up on drop.
pub(crate) struct LaneSeat {
    hub: Arc<Hub>,
    key: usize,
    peer: Peer,
}

/// A place among the listeners of lanes, given up on drop.
pub(crate) struct ListenSeat {
    hub: Arc<Hub>,
    key: usize,
    listening: Listening,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { table: Mutex::new(Level::SessionRegistry, "Hub::table", Table::default()) }
    }

    pub(crate) fn join(self: &Arc<Self>, marks: Marks) -> Seat {
        let listener = Arc::new(Listener {
            marks: Mutex::new(Level::Session, "Listener::marks", marks),
            changed: Notify::new(),
        });
        let key = self.table.lock().listeners.insert(Arc::clone(&listener));
        Seat { hub: Arc::clone(self), key, listener }
    }

    pub(crate) fn serve(self: &Arc<Self>, lane: ServedLane) -> LaneSeat {
        let peer = lane.peer.clone();
        let key = self.table.lock().lanes.insert(lane);
        LaneSeat { hub: Arc::clone(self), key, peer }
    }

    pub(crate) fn listen(self: &Arc<Self>) -> ListenSeat {
        let listening = Listening::default();
        let mut table = self.table.lock();
        if table.is_drained {
            listening.stop.cancel();
        }
        let key = table.listening.insert(listening.clone());
        drop(table);
        ListenSeat { hub: Arc::clone(self), key, listening }
    }

    /// Has the listeners take no more lanes, now and later, and gives what tells that each is over.
    pub(crate) fn stop_listening(&self) -> Vec<CancellationToken> {
        let mut table = self.table.lock();
        table.is_drained = true;
        let listening: Vec<_> = table.listening.iter().map(|(_, one)| one.clone()).collect();
        drop(table);
        listening.iter().for_each(|one| one.stop.cancel());
        listening.into_iter().map(|one| one.over).collect()
    }

    /// An endpoint that is to be drained with the server.
    #[cfg(feature = "http")]
    pub(crate) fn add_endpoint(&self, endpoint: Weak<dyn Drains>) {
        let mut table = self.table.lock();
        table.endpoints.retain(|endpoint| endpoint.strong_count() > 0);
        table.endpoints.push(endpoint);
    }

    /// Begins to drain the endpoints, and gives the wait for their end: whether all of it was by itself.
    #[cfg(feature = "http")]
    pub(crate) fn drain_endpoints(&self, deadline: Duration) -> impl Future<Output = bool> + use<> {
        let endpoints: Vec<_> = self.table.lock().endpoints.iter().filter_map(Weak::upgrade).collect();
        endpoints.iter().for_each(|endpoint| endpoint.begin(deadline));
        let ended = endpoints.into_iter().map(move |endpoint| endpoint.ended(deadline));
        let all = join_all(ended);
        async move { all.await.into_iter().all(|ended| ended) }
    }

    /// The lanes that are served now.
    pub(crate) fn lanes(&self) -> Vec<ServedLane> {
        self.table.lock().lanes.iter().map(|(_, lane)| lane.clone()).collect()
    }

    fn publish(&self, change: Change<'_>) {
        self.each(|marks| match marks {
            Marks::Modern(subscription) => subscription.mark(change),
            Marks::Legacy(marks) => marks.mark(change),
        });
    }

    /// Ends all modern subscriptions: each client is told, then answered.
    pub(crate) fn end_subscriptions(&self, reason: &str) {
        self.each(|marks| {
            marks.end(reason);
            true
        });
    }

    /// Changes all listeners, one lock at a time, and rings where there is something new.
    fn each(&self, mut change: impl FnMut(&mut Marks) -> bool) {
        let listeners: Vec<_> =
            self.table.lock().listeners.iter().map(|(_, listener)| Arc::clone(listener)).collect();
        for listener in listeners {
            let news = change(&mut listener.marks.lock());
            if news {
                listener.changed.notify_one();
            }
        }
    }
}

impl Marks {
    /// Ends a modern subscription; a legacy session goes on to its own end.
    pub(crate) fn end(&mut self, reason: &str) {
        if let Marks::Modern(subscription) = self {
            subscription.end(Some(reason));
        }
    }
}

impl LegacyMarks {
    pub(crate) fn new(declared: Filter, max_uris: usize, conversation: Arc<Conversation>) -> Self {
        Self { kinds: [false; 3], uris: BTreeSet::new(), declared, max_uris, conversation }
    }

    fn mark(&mut self, change: Change<'_>) -> bool {
        let (kind, declared) = match change {
            Change::Tools => (0, self.declared.tools),
            Change::Prompts => (1, self.declared.prompts),
            Change::Resources => (2, self.declared.resources),
            Change::Resource(uri) => return self.mark_uri(uri),
        };
        declared && self.kinds.get_mut(kind).is_some_and(|dirty| !std::mem::replace(dirty, true))
    }

    fn mark_uri(&mut self, uri: &str) -> bool {
        let endpoint = self.conversation.endpoint();
        let session = endpoint.session();
        if self.uris.contains(uri) || !session.is_subscribed(uri) {
            return false;
        }
        if self.uris.len() >= self.max_uris {
            // Marks outlive their subscriptions until they are told; a client that comes and goes would pile them up.
            self.uris.retain(|uri| session.is_subscribed(uri));
        }
        self.uris.insert(uri.into())
    }

    /// The next resource to tell of, if it is still wanted.
    pub(crate) fn pop_uri(&mut self) -> Option<Box<str>> {
        while let Some(uri) = self.uris.pop_first() {
            if self.conversation.endpoint().session().is_subscribed(&uri) {
                return Some(uri);
            }
        }
        None
    }
}

impl Seat {
    /// Looks at the marks.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Marks) -> R) -> R {
        look(&mut self.listener.marks.lock())
    }

    /// Waits until something may have changed since the last look.
    pub(crate) async fn changed(&self) {
        self.listener.changed.notified().await;
    }
}

impl LaneSeat {
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl ListenSeat {
    /// Cancelled when no more lanes are to be taken.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.listening.stop
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.table.lock().listeners.try_remove(self.key);
    }
}

impl Drop for LaneSeat {
    fn drop(&mut self) {
        self.hub.table.lock().lanes.try_remove(self.key);
    }
}

impl Drop for ListenSeat {
    fn drop(&mut self) {
        self.hub.table.lock().listening.try_remove(self.key);
        self.listening.over.cancel();
    }
}
