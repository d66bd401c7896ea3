//! What a link does with what the peer asks.

use futures_util::future::BoxFuture;
use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_mcp::Fault;
use towpath_raw::Skipped;

use crate::{Context, ResultDress};

/// The side of a link that answers the peer. The driver calls it inline, and never waits for it.
///
/// What it returns runs in the driver's own task: polled once at once, then kept in the link's set until it
/// ends or the peer no longer wants it. Work that keeps a processor busy belongs into a task of its own.
pub trait Service: Send + 'static {
    /// Whether this side answers requests at all. A modern client must not: what comes is dropped and counted.
    fn answers(&self) -> bool {
        true
    }

    /// A request of the peer.
    fn request(&mut self, message: Message, context: Context) -> Admission;

    /// A notification that is not about a request in flight.
    fn notification(&mut self, message: Message, context: Context) -> Errand {
        let _ = (message, context);
        Errand::Nothing
    }

    /// Whether the peer may send several messages in one array, at this point of the conversation.
    fn takes_batches(&self) -> bool {
        false
    }

    /// The error that the peer gets for what is wrong on the level of the link. `None`: it gets nothing.
    fn reply_to_fault(&self, fault: &Fault) -> Option<ErrorObject>;

    /// Bytes that were no message were passed over. What it does must not block: the link reads on when it returns.
    /// A panic is counted, and harms nothing else.
    fn skipped(&mut self, skipped: &Skipped) {
        let _ = skipped;
    }
}

/// What becomes of a request.
pub enum Admission {
    /// A handler runs, under the link's handler deadline; `subscriptions/listen` for as long as the peer wants it.
    Run(BoxFuture<'static, Reply>),
    /// The answer is there.
    Now(Reply),
}

/// What becomes of a notification.
pub enum Errand {
    /// It is done.
    Nothing,
    /// A handler runs; the link does not end politely before it has.
    Run(BoxFuture<'static, ()>),
    /// Something runs beside, for as long as the link lives.
    Background(BoxFuture<'static, ()>),
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Success: a JSON value, and what the era adds to it.
    Result(RawJson, ResultDress),
    /// Failure.
    Error(ErrorObject),
}

impl Reply {
    /// A result to which nothing is added.
    pub fn plain(result: RawJson) -> Self {
        Reply::Result(result, ResultDress::default())
    }
}
