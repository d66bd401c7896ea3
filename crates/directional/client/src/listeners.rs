//! Who wants to know of changes on a legacy session, where notifications name no subscription.

use std::{collections::BTreeSet, sync::Arc};

use slab::Slab;
use tokio::sync::Notify;
use towpath_mcp::{Change, Filter};
use towpath_raw::{Level, Mutex};

use crate::Event;

/// All subscriptions of a client to a legacy server.
pub(crate) struct Listeners {
    table: Mutex<Slab<Listener>>,
}

/// One of them: no queue, but a flag for each kind and each URI that it asked for.
struct Listener {
    filter: Filter,
    kinds: [bool; 3],
    uris: BTreeSet<Box<str>>,
    changed: Arc<Notify>,
}

/// A place among the listeners, given up on drop.
pub(crate) struct Seat {
    shared: Arc<crate::lane::Shared>,
    key: usize,
    changed: Arc<Notify>,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self { table: Mutex::new(Level::SessionRegistry, "Listeners::table", Slab::new()) }
    }

    pub(crate) fn mark(&self, change: Change<'_>) {
        for (_, listener) in self.table.lock().iter_mut() {
            listener.mark(change);
        }
    }
}

impl Listeners {
    /// Whether anybody wants to know of this resource.
    pub(crate) fn want(&self, uri: &str) -> bool {
        self.table.lock().iter().any(|(_, listener)| listener.filter.uris.contains(uri))
    }
}

impl Listener {
    fn mark(&mut self, change: Change<'_>) {
        let (kind, wanted) = match change {
            Change::Tools => (0, self.filter.tools),
            Change::Prompts => (1, self.filter.prompts),
            Change::Resources => (2, self.filter.resources),
            Change::Resource(uri) => {
                if self.filter.uris.contains(uri) && self.uris.insert(uri.into()) {
                    self.changed.notify_one();
                }
                return;
            }
        };
        if let Some(dirty) = self.kinds.get_mut(kind)
            && wanted
            && !std::mem::replace(dirty, true)
        {
            self.changed.notify_one();
        }
    }

    fn next(&mut self) -> Option<Event> {
        let events = [Event::ToolsChanged, Event::PromptsChanged, Event::ResourcesChanged];
        for (dirty, event) in self.kinds.iter_mut().zip(events) {
            if std::mem::take(dirty) {
                return Some(event);
            }
        }
        self.uris.pop_first().map(|uri| Event::ResourceUpdated(uri.into_string()))
    }
}

impl Seat {
    pub(crate) fn take(shared: &Arc<crate::lane::Shared>, filter: Filter) -> Self {
        let changed = Arc::new(Notify::new());
        let listener =
            Listener { filter, kinds: [false; 3], uris: BTreeSet::new(), changed: Arc::clone(&changed) };
        let key = shared.listeners.table.lock().insert(listener);
        Self { shared: Arc::clone(shared), key, changed }
    }

    /// Waits for the next change. Cancel safe: a change that is not given is still marked.
    pub(crate) async fn next(&self) -> Event {
        loop {
            let next = self.shared.listeners.table.lock().get_mut(self.key).and_then(Listener::next);
            match next {
                Some(event) => return event,
                None => self.changed.notified().await,
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.listeners.table.lock().try_remove(self.key);
    }
}
