//! What an application implements.

use std::future::Future;

use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_mcp::Filter;

use crate::{Context, Notification, Request};

/// What an application implements to be served.
///
/// Handlers run concurrently, in the task of their lane: each is polled where its request was read, and goes on
/// when what it waits for is there. One that keeps a processor busy holds up its lane; see
/// [`Execution::Spawned`](crate::Execution). One that panics answers its own request with an internal error, and
/// harms nothing else. When its request is cancelled, the future is dropped.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request with a JSON object, or an error.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the peer cancels, when it takes longer than the handler deadline, and when the
    /// lane ends; [`Context::cancel_reason`] says which, also to a guard in the future itself.
    fn request(
        &self,
        request: Request,
        context: Context,
    ) -> impl Future<Output = Result<RawJson, ErrorObject>> + Send;

    /// Takes a notification that is about no request in flight. By default nothing happens.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the lane ends.
    fn notification(&self, notification: Notification, context: Context) -> impl Future<Output = ()> + Send {
        let _ = (notification, context);
        async {}
    }

    /// Decides which part of a subscription is honoured: of `offered`, which is what was both asked for and
    /// declared in the server's capabilities. By default all of it.
    ///
    /// # Cancel safety
    ///
    /// As [`Handler::request`].
    fn listen(
        &self,
        offered: Filter,
        context: Context,
    ) -> impl Future<Output = Result<Filter, ErrorObject>> + Send {
        let _ = context;
        async { Ok(offered) }
    }
}
