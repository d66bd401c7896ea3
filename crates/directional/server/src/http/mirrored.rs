//! The arguments of tools that `Mcp-Param-*` headers mirror, for a server that knows its tools' schemas.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use towpath_jsonrpc::{Member, Message};
use towpath_mcp::{Fault, HeaderParams, method, tool_arguments};

/// Tells what of a tool's arguments is mirrored.
#[derive(Clone)]
pub(super) struct HeaderParamsHook(pub(super) Arc<HeaderParamsFn>);

type HeaderParamsFn = dyn Fn(&str) -> Option<Arc<HeaderParams>> + Send + Sync;

impl HeaderParamsHook {
    /// Compares the headers of a modern request with its arguments, if it calls a tool that has such.
    pub(super) fn check(&self, headers: &HeaderMap, message: &Message) -> Result<(), Fault> {
        if message.method() != method::TOOLS_CALL {
            return Ok(());
        }
        let params = message.string(Member::Name).and_then(|tool| (self.0)(&tool));
        match params.filter(|params| !params.is_empty()) {
            Some(params) => params.check(headers, tool_arguments(message)?.as_ref()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HeaderParamsHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderParamsHook")
    }
}
