//! Where lanes come from, when others open them.

use std::{future::Future, sync::Arc};

use crate::{Lane, LaneError};

/// A place at which peers open lanes: a listening socket.
///
/// How many lanes it admits is its own to bound; each carries its permit, and gives it back when it is gone.
pub trait Listen: Send + 'static {
    /// What a peer opens.
    type Lane: Lane;

    /// The next lane.
    ///
    /// What concerns one peer, or passes (too many open files), is the listener's own affair: it goes on, without
    /// spinning. It takes no lane that it does not return.
    ///
    /// # Errors
    ///
    /// [`LaneError`] when the listener is over for good.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    fn accept(&mut self) -> impl Future<Output = Result<Self::Lane, LaneError>> + Send;

    /// Where it listens, for messages: `tcp 127.0.0.1:4000`, `unix /run/mcp.sock`.
    fn local(&self) -> Arc<str>;
}

/// A listener has as many lanes as it may; what a newcomer is refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many connections: {limit} are open (setting: max_connections)")]
pub struct ConnectionLimit {
    /// How many it may have at once: `max_connections` of the listener.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_the_limit_and_its_setting() {
        let text = ConnectionLimit { limit: 7 }.to_string();
        assert!(text.contains("7 are open") && text.contains("max_connections"), "{text}");
    }
}
