//! Where lanes to a server come from.

use std::{future::Future, sync::Arc};

use towpath_link::LinkEnd;
use towpath_raw::{Explanation, Lane};

/// Where lanes to a server come from: a program to be started, say, or a socket to be connected to.
///
/// A closure that gives a future of a lane is one, too.
pub trait Upstream: Send + Sync + 'static {
    /// One conversation with the server. What belongs to it, such as a child process, ends when it is dropped.
    type Lane: Lane<Source: Unpin, Sink: Unpin>;

    /// Opens a lane. It is given up when it takes too long: see
    /// [`SupervisionTimeouts::open`](crate::SupervisionTimeouts::open); relays have a setting of their own.
    ///
    /// # Errors
    ///
    /// Why there is none: for logs and for whoever waits on this side. To a supervised server a panic is an error, too.
    ///
    /// # Cancel safety
    ///
    /// Dropped when it takes too long, or when nobody waits for it any more: what it has begun ends then.
    fn open(&self) -> impl Future<Output = Result<Self::Lane, Explanation>> + Send;

    /// What the server is called in errors and logs, as long as no lane has told its name.
    fn name(&self) -> Arc<str> {
        Arc::from("the server")
    }

    /// Whether a server that has ended so has ended as it should: see
    /// [`RestartPolicy::restart_on_success`](crate::RestartPolicy::restart_on_success). By default that is an end of the
    /// lane between two messages for which nobody has an explanation; who starts a program knows its exit code.
    fn is_success(&self, end: &LinkEnd) -> bool {
        matches!(end, LinkEnd::PeerClosed(end) if end.truncated_bytes == 0 && end.explanation.is_none())
    }
}

impl<F, R, L> Upstream for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<L, Explanation>> + Send,
    L: Lane<Source: Unpin, Sink: Unpin>,
{
    type Lane = L;

    fn open(&self) -> impl Future<Output = Result<L, Explanation>> + Send {
        self()
    }
}
