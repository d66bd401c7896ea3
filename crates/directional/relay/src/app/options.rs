//! How a server behind HTTP is started, spoken to, and started again.

use std::{sync::Arc, time::Duration};

use towpath_client::RestartPolicy;
use towpath_link::LinkEnd;
use towpath_mcp::Implementation;

use crate::RelayOptions;

/// How a [`RelayApp`](crate::RelayApp) works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppOptions {
    /// Limits and timeouts of what is passed on. Its `incoming` limits are those of legacy sessions; modern exchanges have
    /// those of the HTTP service. `outgoing.calls` bounds the modern requests of all clients together.
    ///
    /// Its `explain` says no more by default than that the connection was lost: clients over HTTP are not told what a
    /// program wrote to its stderr.
    pub relay: RelayOptions,
    /// How long the server may take to be started and to say what it speaks. Default: 30 s.
    ///
    /// At the limit a start has failed: whoever waits for it gets an error (−32603, `data.reason` =
    /// `"upstream_not_started"`).
    pub start: Duration,
    /// How many subscriptions of modern clients may be open at the server at once. Default: 4,096.
    ///
    /// At the limit a further one gets 503 with `Retry-After` (−32603, `data.reason` = `"overloaded"`). Each is one of
    /// `relay.limits.outgoing.calls.max_in_flight`, 8,192 here by default: with a bound that leaves none for anything else,
    /// other requests wait. Worst case: the memory of so many calls.
    pub max_subscriptions: usize,
    /// When the shared lane is opened again after it was lost: at the first request for which the policy allows it.
    ///
    /// Requests that come during its pauses wait; those that come after too many quick deaths get 503 (−32603,
    /// `data.reason` = `"overloaded"`) with `Retry-After`.
    pub restart: RestartPolicy,
    /// Who the server is told is asking, when it is asked what it speaks.
    pub info: Implementation,
}

impl Default for AppOptions {
    fn default() -> Self {
        let mut relay =
            RelayOptions { explain: Arc::new(|end| briefly(end).to_owned()), ..RelayOptions::default() };
        relay.limits.outgoing.calls.max_in_flight = 8192;
        Self {
            relay,
            start: Duration::from_secs(30),
            max_subscriptions: 4096,
            restart: RestartPolicy::default(),
            info: Implementation::new("towpath", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What anybody may know of how a connection ended.
fn briefly(end: &LinkEnd) -> &'static str {
    match end {
        LinkEnd::PeerClosed(_) => "it has closed the connection",
        LinkEnd::Failed(_) => "the connection to it has failed",
        _ => "the connection to it was closed",
    }
}
