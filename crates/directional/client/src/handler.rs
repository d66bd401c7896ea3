//! What a client answers a legacy server, and what it is told.

use std::future::Future;

use towpath_jsonrpc::{ErrorObject, Message, RawJson, code};
use towpath_link::Context;

/// What a client answers a server that asks for sampling, elicitation or roots, and what it is told beside calls and
/// subscriptions: log messages, above all. A modern server asks by answering a call with what it wants; over HTTP, the
/// call is then made again with what the handler says.
pub trait ClientHandler: Send + Sync + 'static {
    /// Answers a request of the server with a JSON object, or an error. By default no method is known.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the server cancels, when it takes longer than the handler deadline, and when the
    /// connection ends.
    fn request(
        &self,
        request: Message,
        context: Context,
    ) -> impl Future<Output = Result<RawJson, ErrorObject>> + Send {
        let _ = context;
        let error = ErrorObject::new(
            code::METHOD_NOT_FOUND,
            format!(
                "this client does not answer `{}`",
                request.method().chars().take(64).collect::<String>()
            ),
        );
        async { Err(error) }
    }

    /// Takes a notification that is about no call. By default nothing happens.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the connection ends.
    fn notification(&self, notification: Message, context: Context) -> impl Future<Output = ()> + Send {
        let _ = (notification, context);
        async {}
    }
}

/// Answers no request but `ping`, and listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHandler;

impl ClientHandler for NoHandler {}
