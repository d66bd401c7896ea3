//! What the head of a request says that concerns its handler.

use http::HeaderMap;
use towpath_mcp::TraceContext;

use super::Principal;

/// Who sent a message, and the trace that its head says it belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) principal: Option<Principal>,
    /// In a box, since most have none.
    pub(crate) trace: Option<Box<TraceContext>>,
}

impl Caller {
    pub(super) fn read(headers: &HeaderMap, principal: Option<Principal>) -> Self {
        let trace = TraceContext::of_headers(headers);
        Self { principal, trace: (!trace.is_empty()).then(|| Box::new(trace)) }
    }
}
