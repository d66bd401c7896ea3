//! Limits and timeouts of a relay.

use std::{sync::Arc, time::Duration};

use towpath_jsonrpc::Deadlines;
use towpath_link::{LinkEnd, LinkLimits, LinkTimeouts};

/// What a relay says to those who wait, when the other side is lost.
pub type Explain = Arc<dyn Fn(&LinkEnd) -> String + Send + Sync>;

/// How a relay works.
#[derive(Clone)]
#[non_exhaustive]
pub struct RelayOptions {
    /// What either side may make the relay hold.
    pub limits: RelayLimits,
    /// How long it waits.
    pub timeouts: RelayTimeouts,
    /// What the clients of a lost upstream are told, in the message and in `data.explanation` of their errors.
    /// Default: how the connection ended, with what its lane knows of it. For a child process that includes the end of
    /// what it wrote to stderr; where that is none of the clients' business, say less.
    pub explain: Explain,
}

/// What either side may make a relay hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayLimits {
    /// The limits of the side that asks; see [`LinkLimits`].
    pub incoming: LinkLimits,
    /// The limits of the side that is asked; see [`LinkLimits`].
    pub outgoing: LinkLimits,
    /// How many bytes of notifications about one request may wait for a side that reads slowly; and how many bytes of
    /// notifications that are about no request, in each direction. Default: 2 MiB.
    ///
    /// At the limit that one request fails (−32600, `data.reason` = `"limit_reached"`) and is cancelled on the other
    /// side; a notification that is about no request is dropped, and traced. One message may be larger. Worst case: so
    /// many bytes for each request in flight.
    pub max_waiting_note_bytes: usize,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            incoming: LinkLimits::default(),
            outgoing: LinkLimits::default(),
            max_waiting_note_bytes: 2 << 20,
        }
    }
}

/// How long a relay waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayTimeouts {
    /// How long a request may take on the other side, in either direction. Default: 10 min. `None`: for ever.
    ///
    /// At the limit it fails (−32603, `data.reason` = `"timed_out"`), and is cancelled on the other side. Subscriptions
    /// have no deadline.
    pub request: Option<Duration>,
    /// How long `initialize` may take. Default: 30 s. `None`: as long as any other request.
    ///
    /// At the limit it fails in the same way (`data.setting` = `"initialize"`), but is not cancelled, which the protocol
    /// forbids: whoever waits for it may leave, and the server ends with its lane.
    pub initialize: Option<Duration>,
    /// How long what runs may go on after the side that asks has closed its direction, and how long its last answers may
    /// take to be written after the side that is asked is lost. Default: 30 s.
    ///
    /// At the limit what still runs is cancelled on the other side, and both lanes are closed.
    pub finish: Duration,
    /// How long the last bytes to either side may take to be written, once nothing runs any more. Default: 2 s.
    ///
    /// At the limit they are dropped with the lane.
    pub close: Duration,
}

impl Default for RelayTimeouts {
    fn default() -> Self {
        Self {
            request: Some(Duration::from_secs(600)),
            initialize: Some(Duration::from_secs(30)),
            finish: Duration::from_secs(30),
            close: Duration::from_secs(2),
        }
    }
}

impl RelayTimeouts {
    /// For the link of the side that asks.
    pub(crate) fn incoming(&self) -> LinkTimeouts {
        self.link(self.finish)
    }

    /// For the link of the side that is asked. Once it has closed its direction nothing can come of what it asked
    /// itself, and everybody else has waited long enough.
    pub(crate) fn outgoing(&self) -> LinkTimeouts {
        self.link(Duration::ZERO)
    }

    fn link(&self, finish: Duration) -> LinkTimeouts {
        let mut timeouts = LinkTimeouts::default();
        timeouts.call = Deadlines { idle: None, total: self.request };
        // The request on the other side has its deadline; beyond that, a handler gives what came of it to a lane that is
        // read, or that fails.
        timeouts.handler = self.request.map(|request| request.saturating_add(self.finish.max(MARGIN)));
        timeouts.finish = finish;
        timeouts.close = self.close;
        timeouts
    }
}

/// How much later than the deadline of the request on the other side its handler is given up.
const MARGIN: Duration = Duration::from_secs(1);

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            limits: RelayLimits::default(),
            timeouts: RelayTimeouts::default(),
            explain: Arc::new(|end| end.to_string()),
        }
    }
}

impl std::fmt::Debug for RelayOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayOptions")
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
