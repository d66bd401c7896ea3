//! How a handler, or whoever works for it, learns that its request is no longer wanted.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::CancelReason;

/// The reason why a request is no longer wanted, and a token that is cancelled after it was set.
#[derive(Debug, Default)]
pub(crate) struct CancelCell {
    reason: OnceLock<CancelReason>,
    token: CancellationToken,
}

impl CancelCell {
    pub(crate) fn set(&self, reason: CancelReason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }
}

/// Tells when a request is no longer wanted, and why. Clones tell the same; it may outlive the handler.
#[derive(Clone, Debug)]
pub struct Cancellation {
    cell: Arc<CancelCell>,
}

impl Cancellation {
    pub(crate) fn new(cell: Arc<CancelCell>) -> Self {
        Self { cell }
    }

    /// Why the request is no longer wanted; `None` while it is.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.cell.reason.get()
    }

    /// The same as a token, for code that takes one.
    pub fn token(&self) -> &CancellationToken {
        &self.cell.token
    }

    /// Waits until the request is no longer wanted. A request that is answered was wanted to its end: then it
    /// waits for ever, so use it beside the work.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) -> &CancelReason {
        self.cell.token.cancelled().await;
        self.cell.reason.get().unwrap_or(&CancelReason::LinkEnded)
    }
}
