//! What keeps the events of sessions.

use std::{fmt, sync::Arc};

use towpath_mcp::SessionId;

use super::session::{EventStore, ReplayLimits, ReplayRing};

/// Where the events of sessions are kept.
#[derive(Clone)]
pub(super) enum Replay {
    Off,
    Ring(ReplayLimits),
    Stores(Arc<MakeStore>),
}

pub(super) type MakeStore = dyn Fn(&SessionId) -> Box<dyn EventStore> + Send + Sync;

impl Replay {
    /// The store of a session that begins.
    pub(super) fn store(&self, id: &SessionId) -> Option<Box<dyn EventStore>> {
        match self {
            Replay::Off => None,
            Replay::Ring(limits) => Some(Box::new(ReplayRing::new(limits.clone()))),
            Replay::Stores(make) => Some(make(id)),
        }
    }
}

impl Default for Replay {
    fn default() -> Self {
        Replay::Ring(ReplayLimits::default())
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replay::Off => f.write_str("Off"),
            Replay::Ring(limits) => limits.fmt(f),
            Replay::Stores(_) => f.write_str("Stores"),
        }
    }
}
