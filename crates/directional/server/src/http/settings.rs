//! How a service is set up.

use towpath_http::{BodyBudget, BodyLimits, BodyTimeouts};
use towpath_mcp::HttpGate;

use super::{EndpointLimits, EndpointTimeouts};

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
