//! A process of the server that is lost, told to whoever operates the bridge. Clients are not told why.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use towpath::{
    LinkEnd,
    raw::{Inbound, LaneError},
};

use crate::{
    child::Seen,
    exit::{Failure, Status},
    explain::Ended,
    watch::Watch,
};

/// Looks at the lane of a process, and says on stderr that it has ended before anybody has ended it.
pub(crate) struct Loss {
    program: String,
    seen: Seen,
    inherits: bool,
    /// Whether losses are told already; before that, whoever starts the server explains it.
    is_known: Arc<AtomicBool>,
    /// Whether it has sent a message.
    has_spoken: AtomicBool,
    /// Whether its end is no news: it was told, or is wanted.
    is_over: AtomicBool,
}

impl Loss {
    pub(super) fn new(program: String, seen: Seen, inherits: bool, is_known: Arc<AtomicBool>) -> Self {
        let (has_spoken, is_over) = Default::default();
        Self { program, seen, inherits, is_known, has_spoken, is_over }
    }

    fn tell(&self, end: &LinkEnd) {
        if !self.is_known.load(Relaxed) || self.is_over.swap(true, Relaxed) {
            return;
        }
        let ended = Ended::of(end, Some(&self.seen));
        let pid = self.seen.child().map(|child| child.pid()).unwrap_or_default();
        let cause = format!("process {pid} of `{}` is lost: {ended}", self.program);
        let failure = Failure::new(Status::Lost, cause);
        // One that has worked needs no advice on how to start it.
        let failure = if self.has_spoken.load(Relaxed) {
            failure
        } else {
            failure.with_hint(ended.hint(self.inherits))
        };
        failure.warn();
    }
}

impl Watch for Loss {
    fn came(&self, inbound: &Inbound) {
        self.seen.came(inbound);
        match inbound {
            Inbound::Frame(_) => self.has_spoken.store(true, Relaxed),
            Inbound::End(end) => self.tell(&LinkEnd::PeerClosed(end.clone())),
            _ => {}
        }
    }

    fn failed(&self, error: &LaneError) {
        self.tell(&LinkEnd::Failed(error.clone()));
    }

    fn closing(&self) {
        self.is_over.store(true, Relaxed);
    }
}
