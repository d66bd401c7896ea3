//! How a handler, or whoever works for it, learns that its request is no longer wanted.

#[cfg(feature = "http")]
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use towpath_link::{CancelReason, Cancellation as LinkCancellation};

/// Tells when a request is no longer wanted, and why. Clones tell the same; it may outlive the handler.
#[derive(Clone, Debug)]
pub struct Cancellation {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Link(LinkCancellation),
    #[cfg(feature = "http")]
    Exchange(Arc<CancelCell>),
}

/// The reason why an exchange is no longer wanted, and a token that is cancelled after it was set.
#[cfg(feature = "http")]
#[derive(Debug, Default)]
pub(crate) struct CancelCell {
    reason: OnceLock<CancelReason>,
    token: CancellationToken,
}

#[cfg(feature = "http")]
impl CancelCell {
    pub(crate) fn set(&self, reason: CancelReason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }
}

impl Cancellation {
    pub(crate) fn of_link(cancellation: LinkCancellation) -> Self {
        Self { source: Source::Link(cancellation) }
    }

    #[cfg(feature = "http")]
    pub(crate) fn of_exchange(cell: Arc<CancelCell>) -> Self {
        Self { source: Source::Exchange(cell) }
    }

    /// Why the request is no longer wanted; `None` while it is.
    pub fn reason(&self) -> Option<&CancelReason> {
        match &self.source {
            Source::Link(cancellation) => cancellation.reason(),
            #[cfg(feature = "http")]
            Source::Exchange(cell) => cell.reason.get(),
        }
    }

    /// The same as a token, for code that takes one.
    pub fn token(&self) -> &CancellationToken {
        match &self.source {
            Source::Link(cancellation) => cancellation.token(),
            #[cfg(feature = "http")]
            Source::Exchange(cell) => &cell.token,
        }
    }

    /// Waits until the request is no longer wanted. A request that is answered was wanted to its end: then it
    /// waits for ever, so use it beside the work.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) -> &CancelReason {
        self.token().cancelled().await;
        self.reason().unwrap_or(&CancelReason::LinkEnded)
    }
}
