//! All sessions of a service. It hands out handles, never guards.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use towpath_mcp::{Fault, SessionId};
use towpath_raw::{Level, Mutex};

use super::Session;
use crate::http::Principal;

/// The sessions that are open, by their ids.
#[derive(Debug)]
pub(in crate::http) struct Registry {
    table: Mutex<HashMap<SessionId, Arc<Session>>>,
    permits: Arc<Semaphore>,
    max_sessions: usize,
    /// How many sessions each principal has, or is about to have.
    shares: Mutex<HashMap<Principal, usize>>,
    max_sessions_per_principal: usize,
    /// A session was opened where there was none.
    opened: Notify,
}

/// A place among the sessions, kept by the task of the session: dropped, the session has ended.
#[derive(Debug)]
pub(in crate::http) struct Seat {
    registry: Weak<Registry>,
    session: Arc<Session>,
    _room: Room,
}

/// Room for one session, of its principal, too.
#[derive(Debug)]
pub(in crate::http) struct Room {
    registry: Weak<Registry>,
    principal: Option<Principal>,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    pub(in crate::http) fn new(max_sessions: usize, max_sessions_per_principal: usize) -> Arc<Self> {
        let max_sessions = max_sessions.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Arc::new(Self {
            table: Mutex::new(Level::SessionRegistry, "Registry::table", HashMap::new()),
            permits: Arc::new(Semaphore::new(max_sessions)),
            max_sessions,
            shares: Mutex::new(Level::SessionRegistry, "Registry::shares", HashMap::new()),
            max_sessions_per_principal,
            opened: Notify::new(),
        })
    }

    /// Room for one session more, if there is any.
    pub(in crate::http) fn room(
        self: &Arc<Self>,
        principal: Option<&Principal>,
        retry_after: Duration,
    ) -> Result<Room, Fault> {
        let full = |what, setting| Fault::Overloaded { what, setting, retry_after: Some(retry_after) };
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| full("too many sessions are open", "max_sessions"))?;
        if let Some(principal) = principal {
            let mut shares = self.shares.lock();
            let share = shares.get(principal).copied().unwrap_or_default();
            if share >= self.max_sessions_per_principal {
                return Err(full("this principal has too many sessions open", "max_sessions_per_principal"));
            }
            shares.insert(principal.clone(), share + 1);
        }
        Ok(Room { registry: Arc::downgrade(self), principal: principal.cloned(), _permit: permit })
    }

    /// A place for a session that nobody can find yet.
    pub(in crate::http) fn seat(self: &Arc<Self>, session: Arc<Session>, room: Room) -> Seat {
        Seat { registry: Arc::downgrade(self), session, _room: room }
    }

    /// From here on the session can be found.
    pub(in crate::http) fn register(&self, session: Arc<Session>) {
        let first = {
            let mut table = self.table.lock();
            table.insert(session.id().clone(), Arc::clone(&session));
            table.len() == 1
        };
        // Its end looks for it here, and may have come too early to find it.
        if session.has_ended() {
            self.remove(session.id());
        }
        if first {
            self.opened.notify_one();
        }
    }

    /// The session of this id, if it is this principal's.
    pub(in crate::http) fn find(
        &self,
        id: &SessionId,
        principal: Option<&Principal>,
    ) -> Result<Arc<Session>, Fault> {
        let session = self.table.lock().get(id).cloned();
        session.filter(|session| session.principal() == principal).ok_or(Fault::SessionUnknown)
    }

    /// Takes a session out, so that nobody finds it any more.
    pub(in crate::http) fn remove(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.table.lock().remove(id)
    }

    pub(in crate::http) fn all(&self) -> Vec<Arc<Session>> {
        self.table.lock().values().cloned().collect()
    }

    pub(in crate::http) fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Waits until no session is left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(in crate::http) async fn all_gone(&self) {
        let all = u32::try_from(self.max_sessions).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
    }

    /// Ends sessions that are idle for so long; the one mechanism for all of them. It looks when the next one can be
    /// due, but not more often than 16 times in that time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(in crate::http) async fn expire(registry: Weak<Self>, idle: Duration) {
        loop {
            let Some(strong) = registry.upgrade() else { return };
            let now = Instant::now();
            let mut due: Option<Instant> = None;
            let sessions = strong.all();
            for session in &sessions {
                // A time that no clock reaches never comes.
                let Some(at) = session.idle_since().unwrap_or(now).checked_add(idle) else { return };
                if at <= now {
                    // Something may have come since the look; then it is due again after the shortest wait.
                    if session.end_idle(now, idle) {
                        strong.remove(session.id());
                    } else {
                        due = Some(now);
                    }
                } else {
                    due = Some(due.map_or(at, |due| due.min(at)));
                }
            }
            drop(sessions);
            match due {
                Some(at) => {
                    drop(strong);
                    sleep_until(at.max(now + (idle / 16).max(SHORTEST_WAIT))).await;
                }
                None => strong.opened.notified().await,
            }
        }
    }
}

/// However short the time is, looking takes a part of it only.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Drop for Room {
    fn drop(&mut self) {
        let (Some(registry), Some(principal)) = (self.registry.upgrade(), &self.principal) else { return };
        let mut shares = registry.shares.lock();
        match shares.get_mut(principal) {
            Some(share) if *share > 1 => *share -= 1,
            _ => {
                shares.remove(principal);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.remove(self.session.id());
        }
    }
}
