//! Two lanes, joined.

use towpath_link::{Link, LinkEnd};
use towpath_raw::Lane;

use crate::{RelayOptions, side::Side};

/// How a relay ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayEnd {
    /// Whose end was the reason for the other's.
    pub first: RelaySide,
    /// How the side that asks ended.
    pub incoming: LinkEnd,
    /// How the side that is asked ended.
    pub outgoing: LinkEnd,
    /// How many requests of the side that asks were dropped without an answer when it ended:
    /// [`finish`](crate::RelayTimeouts::finish) was over, or its lane had failed.
    pub unanswered: u64,
}

/// The sides of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelaySide {
    /// The client, or whoever else asks.
    Incoming,
    /// The server behind.
    Outgoing,
}

impl RelayEnd {
    /// How the side ended that ended first.
    pub fn reason(&self) -> &LinkEnd {
        match self.first {
            RelaySide::Incoming => &self.incoming,
            RelaySide::Outgoing => &self.outgoing,
        }
    }
}

/// Joins a client's lane to a server's, and says how that ended.
///
/// Everything is passed on as it came, `initialize` and `ping` too; what the relay changes are ids and progress tokens, since
/// it uses its own on the way to the server. When the client closes its direction, what runs may still be answered;
/// then the server's lane is closed. When the server is lost, each waiting request gets an error that says so, and the
/// client's lane is closed.
///
/// Both lanes are driven by the returned future; no task is spawned.
///
/// # Cancel safety
///
/// Dropped, both lanes end at once: requests in flight get no answer, and what was not written is lost.
pub async fn relay<I, O>(incoming: I, outgoing: O, options: RelayOptions) -> RelayEnd
where
    I: Lane<Source: Unpin, Sink: Unpin>,
    O: Lane<Source: Unpin, Sink: Unpin>,
{
    let [(from_client, server), (from_server, client)] = Side::pair(&options);
    let RelayOptions { limits, timeouts, .. } = options;
    let (mut incoming, client_peer) = Link::new(incoming, from_client, limits.incoming, timeouts.incoming());
    let (mut outgoing, server_peer) = Link::new(outgoing, from_server, limits.outgoing, timeouts.outgoing());
    server.set(server_peer.clone());
    client.set(client_peer.clone());
    // Both links are polled each time, and are driven on by whichever arm is taken: a link is a future that keeps its state.
    let (first, incoming, outgoing) = tokio::select! {
        end = &mut incoming => {
            // What ran has ended or was cut; what is queued is still written.
            server_peer.close(timeouts.close);
            (RelaySide::Incoming, end, outgoing.await)
        }
        end = &mut outgoing => {
            client_peer.close(timeouts.finish);
            (RelaySide::Outgoing, incoming.await, end)
        }
    };
    RelayEnd { first, incoming, outgoing, unanswered: client_peer.stats().requests_cut }
}
