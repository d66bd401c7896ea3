//! What the handles of a supervised server and the task behind them share.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Death, Restarts, SupervisionState, Unavailable};
use crate::Client;

pub(super) struct Shared {
    status: watch::Sender<Status>,
    /// Cancelled when the supervision is to end.
    pub(super) closing: CancellationToken,
    /// Cancelled when it has ended.
    pub(super) over: CancellationToken,
}

struct Status {
    peer: Arc<str>,
    state: SupervisionState,
    last_death: Option<Death>,
    /// There in the state `Up` only.
    current: Option<Current>,
}

/// A client, and the number of its server.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) client: Client,
    pub(super) start: u64,
}

/// What somebody waits for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// One that was started after this one; 0: any.
    pub(super) after: u64,
    pub(super) until: Option<Instant>,
    /// Whether to wait even for a server that is left alone.
    pub(super) patient: bool,
}

impl Shared {
    pub(super) fn new(peer: Arc<str>) -> Self {
        let state = SupervisionState::Starting { attempt: 1 };
        Self {
            status: watch::Sender::new(Status { peer, state, last_death: None, current: None }),
            closing: CancellationToken::new(),
            over: CancellationToken::new(),
        }
    }

    pub(super) fn state(&self) -> SupervisionState {
        self.status.borrow().state.clone()
    }

    pub(super) fn last_death(&self) -> Option<Death> {
        self.status.borrow().last_death.clone()
    }

    pub(super) fn peer(&self) -> Arc<str> {
        Arc::clone(&self.status.borrow().peer)
    }

    /// Sees every state from now on, but for those that are over before it looks.
    pub(super) fn states(&self) -> States {
        let status = self.status.subscribe();
        let is_last = status.borrow().state.is_last();
        States { status, is_last }
    }

    /// Waits for a client. Cancel safe: nothing is taken by waiting.
    pub(super) async fn client(&self, wanted: Wanted) -> Result<Current, Unavailable> {
        let since = Instant::now();
        let mut status = self.status.subscribe();
        loop {
            {
                let now = status.borrow_and_update();
                if let Some(current) = now.usable(wanted.after) {
                    return Ok(current.clone());
                }
                let hopeless = match &now.state {
                    SupervisionState::CrashLoop { .. } => !wanted.patient,
                    SupervisionState::Finished { .. } | SupervisionState::Closed => true,
                    _ => false,
                };
                if hopeless {
                    return Err(now.unavailable(since));
                }
            }
            let changed = match wanted.until {
                Some(until) => timeout_at(until, status.changed()).await,
                None => Ok(status.changed().await),
            };
            // There is no end of changes while `self` is there.
            if changed.is_err() {
                let now = status.borrow();
                // It may have come up at the last moment.
                return now.usable(wanted.after).cloned().ok_or_else(|| now.unavailable(since));
            }
        }
    }

    /// Tells everybody where the server stands.
    pub(super) fn publish(&self, restarts: &Restarts, client: Option<&Client>) {
        let state = restarts.state();
        let peer = client.map_or_else(|| self.peer(), |client| Arc::clone(client.peer().name()));
        trace(&peer, &state);
        let current = client.map(|client| Current { client: client.clone(), start: restarts.starts() });
        let status = Status { peer, state, last_death: restarts.last_death().cloned(), current };
        // What it was is dropped after the change: with the last clone of a client ends its lane.
        let _before = self.status.send_replace(status);
    }

    /// Tells everybody that there will be no server any more.
    pub(super) fn publish_closed(&self) {
        let (peer, last_death) = (self.peer(), self.last_death());
        if !matches!(self.state(), SupervisionState::Closed) {
            trace(&peer, &SupervisionState::Closed);
        }
        let status = Status { peer, state: SupervisionState::Closed, last_death, current: None };
        let _before = self.status.send_replace(status);
    }
}

impl Status {
    /// The client of a server that was started after this one, unless it has been lost since.
    fn usable(&self, after: u64) -> Option<&Current> {
        let current = self.current.as_ref()?;
        (current.start > after && current.client.peer().ended().is_none()).then_some(current)
    }

    fn unavailable(&self, since: Instant) -> Unavailable {
        let now = Instant::now();
        let again_in = match &self.state {
            SupervisionState::BackingOff { until, .. } | SupervisionState::CrashLoop { until, .. } => {
                Some(until.saturating_duration_since(now.into_std()))
            }
            _ => None,
        };
        Unavailable {
            peer: Arc::clone(&self.peer),
            state: self.state.clone(),
            reason: self.last_death.clone(),
            waited: now.saturating_duration_since(since),
            again_in,
        }
    }
}

/// The states that a supervised server goes through: [`Supervised::states`](crate::Supervised::states).
pub struct States {
    status: watch::Receiver<Status>,
    /// Nothing follows the state that was seen last.
    is_last: bool,
}

impl States {
    /// Waits for the next state; those that were over before anybody looked are left out. `None` after
    /// [`SupervisionState::Closed`] and [`SupervisionState::Finished`], which no other follows.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no state.
    pub async fn next(&mut self) -> Option<SupervisionState> {
        if self.is_last {
            return None;
        }
        self.status.changed().await.ok()?;
        let state = self.status.borrow_and_update().state.clone();
        self.is_last = state.is_last();
        Some(state)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").finish_non_exhaustive()
    }
}

/// So much later; `None`: beyond all time.
pub(super) fn later(after: Duration) -> Option<Instant> {
    Instant::now().checked_add(after)
}

fn trace(peer: &str, state: &SupervisionState) {
    let left = |until: &std::time::Instant| until.saturating_duration_since(Instant::now().into_std());
    match state {
        SupervisionState::Starting { attempt } => tracing::info!(peer, attempt, "the server is started"),
        SupervisionState::Up { starts, .. } => tracing::info!(peer, starts, "the server is up"),
        SupervisionState::BackingOff { until, reason } => {
            tracing::warn!(peer, %reason, again_in = ?left(until), "the server is lost");
        }
        SupervisionState::CrashLoop { until, reason } => {
            tracing::error!(peer, %reason, again_in = ?left(until), "the server is lost too often, and left alone");
        }
        SupervisionState::Finished { reason } => {
            tracing::info!(peer, %reason, "the server has ended as it should, and is not started again");
        }
        SupervisionState::Closed => tracing::info!(peer, "the server is supervised no more"),
    }
}
