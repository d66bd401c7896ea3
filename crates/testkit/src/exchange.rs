//! The two sides of HTTP in memory.

mod body;

use std::{fmt, future::Future, sync::Arc};

use bytes::Bytes;
use http::{request, response};
use tokio::sync::{mpsc, oneshot};
use towpath_raw::{Accept, Arrival, Chunks, Connect, ExchangeError, TaskScope};

pub use body::MemoryBody;

/// What an exchange in memory may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryHttpLimits {
    /// The largest body of a request, in bytes. Default: 16 MiB.
    ///
    /// A larger one fails on the server's side with [`ExchangeError::TooLarge`], before the chunk that goes over
    /// is given out.
    pub max_request_body_bytes: usize,
    /// The largest body of a response, in bytes. Default: `None`, no limit, for streams that never end.
    ///
    /// A larger one fails on the client's side in the same way.
    pub max_response_body_bytes: Option<usize>,
    /// How many chunks of a body wait for its reader. Default: 16. At least 2.
    ///
    /// At the limit the writer's body is not polled. Worst case: this many chunks of the size that the writer
    /// makes, in each direction of each exchange.
    pub queued_chunks: usize,
    /// How many exchanges wait to be accepted. Default: 64. At least 1.
    ///
    /// At the limit [`Connect::exchange`] waits.
    pub queued_exchanges: usize,
}

impl Default for MemoryHttpLimits {
    fn default() -> Self {
        Self {
            max_request_body_bytes: 16 << 20,
            max_response_body_bytes: None,
            queued_chunks: 16,
            queued_exchanges: 64,
        }
    }
}

impl MemoryHttpLimits {
    /// The same limits with another [`MemoryHttpLimits::max_request_body_bytes`].
    #[must_use]
    pub fn with_max_request_body_bytes(mut self, bytes: usize) -> Self {
        self.max_request_body_bytes = bytes;
        self
    }

    /// The same limits with another [`MemoryHttpLimits::max_response_body_bytes`].
    #[must_use]
    pub fn with_max_response_body_bytes(mut self, bytes: Option<usize>) -> Self {
        self.max_response_body_bytes = bytes;
        self
    }

    /// The same limits with another [`MemoryHttpLimits::queued_chunks`].
    #[must_use]
    pub fn with_queued_chunks(mut self, chunks: usize) -> Self {
        self.queued_chunks = chunks.max(2);
        self
    }

    /// The same limits with another [`MemoryHttpLimits::queued_exchanges`].
    #[must_use]
    pub fn with_queued_exchanges(mut self, exchanges: usize) -> Self {
        self.queued_exchanges = exchanges.max(1);
        self
    }
}

/// A client's and a server's side of HTTP that are connected to each other, with the default limits.
///
/// ```
/// use towpath_raw::{Accept, Arrival, ChunksExt, Connect};
/// use towpath_testkit::memory_http;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (client, mut server) = memory_http();
/// tokio::spawn(async move {
///     while let Some(arrival) = server.accept().await {
///         let (head, ()) = http::Response::new(()).into_parts();
///         arrival.respond(head, Some(bytes::Bytes::from_static(b"hello")));
///     }
/// });
/// let (head, ()) = http::Request::new(()).into_parts();
/// let (head, mut body) = client.exchange(head, bytes::Bytes::new()).await.unwrap();
/// assert_eq!(head.status, 200);
/// assert_eq!(body.chunk().await.unwrap().unwrap(), "hello");
/// assert!(body.chunk().await.unwrap().is_none());
/// # }
/// ```
pub fn memory_http() -> (MemoryConnect, MemoryAccept) {
    memory_http_with(MemoryHttpLimits::default())
}

/// As [`memory_http`], with limits.
pub fn memory_http_with(limits: MemoryHttpLimits) -> (MemoryConnect, MemoryAccept) {
    let (open, opened) = mpsc::channel(limits.queued_exchanges.max(1));
    let server = MemoryAccept { opened, answers: Arc::new(TaskScope::new()) };
    (MemoryConnect { limits, open }, server)
}

/// The client's side; see [`memory_http`]. Clones reach the same server.
#[derive(Clone, Debug)]
pub struct MemoryConnect {
    limits: MemoryHttpLimits,
    open: mpsc::Sender<Opened>,
}

/// What a client sends to open an exchange.
#[derive(Debug)]
struct Opened {
    head: request::Parts,
    body: MemoryBody,
    answer: oneshot::Sender<(response::Parts, MemoryBody)>,
    limits: MemoryHttpLimits,
}

impl MemoryConnect {
    /// As [`Connect::exchange`], with a body that yields as it goes: one that stalls, or that breaks off, say.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::exchange`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the exchange is abandoned: the server sees a broken body, or that nobody waits for its answer.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: a task takes the chunks out of the body.
    pub async fn exchange_streamed(
        &self,
        head: request::Parts,
        body: impl Chunks + 'static,
    ) -> Result<(response::Parts, MemoryBody), ExchangeError> {
        let (writer, reader) = self.request_body(&head);
        let pump = TaskScope::new();
        pump.spawn(writer.pump(body));
        let (head, mut body) = self.open(head, reader).await?;
        body.keep(pump);
        Ok((head, body))
    }

    fn request_body(&self, head: &request::Parts) -> (body::Writer, MemoryBody) {
        let limit = Some(self.limits.max_request_body_bytes);
        body::channel(CLIENT, self.limits.queued_chunks, limit, &head.headers)
    }

    async fn open(
        &self,
        head: request::Parts,
        body: MemoryBody,
    ) -> Result<(response::Parts, MemoryBody), ExchangeError> {
        let (answer, answered) = oneshot::channel();
        let opened = Opened { head, body, answer, limits: self.limits.clone() };
        self.open.send(opened).await.map_err(|_| ExchangeError::NotConnected {
            peer: SERVER.into(),
            reason: "nobody accepts there".into(),
        })?;
        answered.await.map_err(|_| broken(SERVER, "the server dropped it without an answer"))
    }
}

impl Connect for MemoryConnect {
    type Body = MemoryBody;

    fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> impl Future<Output = Result<(response::Parts, MemoryBody), ExchangeError>> + Send {
        let (writer, reader) = self.request_body(&head);
        writer.finish(body);
        self.open(head, reader)
    }
}

/// The server's side; see [`memory_http`]. Dropped, it breaks the exchanges that it has accepted.
#[derive(Debug)]
pub struct MemoryAccept {
    opened: mpsc::Receiver<Opened>,
    answers: Arc<TaskScope>,
}

impl Accept for MemoryAccept {
    type Arrival = MemoryArrival;

    async fn accept(&mut self) -> Option<MemoryArrival> {
        let Opened { head, body, answer, limits } = self.opened.recv().await?;
        Some(MemoryArrival { head, body, answer, limits, answers: Arc::downgrade(&self.answers) })
    }
}

/// An exchange that a [`MemoryConnect`] opened. Dropped without an answer, it is broken.
pub struct MemoryArrival {
    head: request::Parts,
    body: MemoryBody,
    answer: oneshot::Sender<(response::Parts, MemoryBody)>,
    limits: MemoryHttpLimits,
    answers: std::sync::Weak<TaskScope>,
}

impl MemoryArrival {
    /// Waits until the client has given up waiting for an answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn abandoned(&mut self) {
        self.answer.closed().await;
    }
}

impl Arrival for MemoryArrival {
    type Body = MemoryBody;

    fn head(&self) -> &request::Parts {
        &self.head
    }

    fn body(&mut self) -> &mut MemoryBody {
        &mut self.body
    }

    /// Answers, and has a task of the [`MemoryAccept`] take the chunks out of the body. It panics outside a tokio
    /// runtime.
    fn respond(self, head: response::Parts, body: impl Chunks + 'static) {
        // With the server gone there is nobody to own the task; the client sees a broken exchange.
        let Some(answers) = self.answers.upgrade() else { return };
        let limit = self.limits.max_response_body_bytes;
        let (writer, reader) = body::channel(SERVER, self.limits.queued_chunks, limit, &head.headers);
        if self.answer.send((head, reader)).is_ok() {
            let mut request = self.body;
            answers.spawn(async move {
                writer.pump(body).await;
                // Held until here: a client that is still sending its body must not see it refused.
                request.close();
            });
        }
    }
}

impl fmt::Debug for MemoryArrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryArrival").field("head", &self.head).finish_non_exhaustive()
    }
}

fn broken(peer: &str, reason: impl Into<Arc<str>>) -> ExchangeError {
    ExchangeError::Broken { peer: peer.into(), reason: reason.into() }
}

const CLIENT: &str = "memory (client)";
const SERVER: &str = "memory (server)";

#[cfg(test)]
mod tests;
