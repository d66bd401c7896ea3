//! How a service is set up.

use std::sync::Arc;

use http::request::Parts;
use towpath_http::{BodyBudget, BodyLimits, BodyTimeouts};
use towpath_mcp::{HeaderParams, HttpGate, SessionId};

use super::{
    EndpointLimits, EndpointTimeouts, EventStore, Principal, ReplayLimits, mirrored::HeaderParamsHook,
    principal::PrincipalHook, replay::Replay,
};

/// How an [`HttpService`](super::HttpService) is set up. The default is for clients of this machine: its
/// [`HttpGate`] lets nobody else in.
#[derive(Clone, Debug, Default)]
#[must_use = "settings do nothing until a service is made with them"]
pub struct EndpointSettings {
    pub(super) limits: EndpointLimits,
    pub(super) timeouts: EndpointTimeouts,
    pub(super) gate: HttpGate,
    pub(super) strict_media_types: bool,
    pub(super) path: Option<String>,
    pub(super) budget: Option<BodyBudget>,
    pub(super) replay: Replay,
    pub(super) principal: Option<PrincipalHook>,
    pub(super) header_params: Option<HeaderParamsHook>,
    pub(super) gzip: bool,
}

impl EndpointSettings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What clients may make the service hold.
    pub fn limits(mut self, limits: EndpointLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long the service waits.
    pub fn timeouts(mut self, timeouts: EndpointTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// From which origins, and under which host names, it may be asked.
    pub fn gate(mut self, gate: HttpGate) -> Self {
        self.gate = gate;
        self
    }

    /// Whether a POST must have the `Accept` and the `Content-Type` that the specification asks of clients; else 406
    /// and 415. By default one that leaves them out is served.
    pub fn strict_media_types(mut self, strict: bool) -> Self {
        self.strict_media_types = strict;
        self
    }

    /// The one path that is served; others get 404. By default every path is, for a service that is mounted.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The budget of bodies that are being read, which several services may share. By default the service has one of
    /// its own, of 64 MiB, or of the largest message if that is more. Of its `max_body_bytes` and the envelope's
    /// `max_message_bytes` the lower one counts.
    pub fn body_budget(mut self, budget: BodyBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// How much each session keeps of the events that it has sent, so that a client that lost a stream can go on with it
    /// (`Last-Event-ID`). With `None` events have no ids, and streams cannot be resumed.
    pub fn replay(mut self, limits: impl Into<Option<ReplayLimits>>) -> Self {
        self.replay = limits.into().map_or(Replay::Off, Replay::Ring);
        self
    }

    /// Keeps the events of sessions elsewhere: `make` makes the store of each.
    pub fn event_stores(
        mut self,
        make: impl Fn(&SessionId) -> Box<dyn EventStore> + Send + Sync + 'static,
    ) -> Self {
        self.replay = Replay::Stores(Arc::new(make));
        self
    }

    /// Tells who makes a request, from its head: by an extension, say, that a layer in front has put there when it had
    /// checked the credentials. A session is only known to the principal that has opened it; others get 404. By default
    /// all requests are made by nobody in particular.
    pub fn principal(
        mut self,
        principal: impl Fn(&Parts) -> Option<Principal> + Send + Sync + 'static,
    ) -> Self {
        self.principal = Some(PrincipalHook(Arc::new(principal)));
        self
    }

    /// Tells which arguments of a tool `Mcp-Param-*` headers mirror, by its name: what [`HeaderParams::of_schema`] has read
    /// from its `inputSchema`. A modern `tools/call` of such a tool, over HTTP, is refused when the headers say something
    /// else than the arguments (−32020, status 400), or when readers could differ in what the arguments say (−32600). By
    /// default those headers are not looked at.
    pub fn header_params(
        mut self,
        params: impl Fn(&str) -> Option<Arc<HeaderParams>> + Send + Sync + 'static,
    ) -> Self {
        self.header_params = Some(HeaderParamsHook(Arc::new(params)));
        self
    }

    /// Whether bodies travel compressed, where the client does so or asks for it: requests are unpacked as they are read,
    /// within the limits of what comes out; JSON answers of up to 1 MiB are compressed, event streams never are. Default:
    /// no, and a compressed request gets 415.
    ///
    /// The size of a compressed answer tells something of what is in it: where an answer holds a secret together with
    /// something that an attacker chooses, leave it off.
    #[cfg(feature = "gzip")]
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    pub(super) fn budget(&self) -> BodyBudget {
        if let Some(budget) = &self.budget {
            return budget.clone();
        }
        let defaults = BodyLimits::default();
        let largest = self.limits.envelope.max_message_bytes;
        let budget = defaults.budget_bytes.max(largest);
        let limits = defaults.with_max_body_bytes(largest).with_budget_bytes(budget);
        match BodyBudget::new(limits) {
            Ok(budget) => budget,
            Err(error) => unreachable!("a budget that holds the largest body: {error}"),
        }
    }

    pub(super) fn body_timeouts(&self) -> BodyTimeouts {
        BodyTimeouts::default().with_body_read(self.timeouts.body_read)
    }
}
