//! A body in memory: a bounded queue of chunks whose end is told apart from its breaking off.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_LENGTH};
use tokio::sync::mpsc;
use towpath_raw::{Chunks, ChunksExt, ExchangeError, MessageTooLarge, TaskScope};

use super::broken;

/// What is written into a body. A channel that closes without an end or an error is a body that broke off.
#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End,
    Failed(ExchangeError),
}

pub(super) fn channel(
    writer: &'static str,
    chunks: usize,
    limit: Option<usize>,
    head: &HeaderMap,
) -> (Writer, MemoryBody) {
    let declared = head.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let (give, take) = mpsc::channel(chunks.max(2));
    let body = MemoryBody { writer, take, declared, limit, seen: 0, ended: None, _owner: None };
    (Writer { give }, body)
}

/// The end of a body that chunks are put into.
#[derive(Debug)]
pub(super) struct Writer {
    give: mpsc::Sender<Piece>,
}

impl Writer {
    /// Puts a whole body in, at once: there is always room for a chunk and the end.
    pub(super) fn finish(self, body: Bytes) {
        if !body.is_empty() {
            let _ = self.give.try_send(Piece::Chunk(body));
        }
        let _ = self.give.try_send(Piece::End);
    }

    /// Takes chunks out of `body` until it ends, or until nobody reads any more; then `body` is dropped at once.
    pub(super) async fn pump(self, mut body: impl Chunks) {
        loop {
            let chunk = {
                let mut closed = pin!(self.give.closed());
                let mut chunk = pin!(body.chunk());
                poll_fn(|cx| match closed.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => chunk.as_mut().poll(cx).map(Some),
                })
                .await
            };
            let piece = match chunk {
                None => return,
                Some(Ok(Some(chunk))) => Piece::Chunk(chunk),
                Some(Ok(None)) => Piece::End,
                Some(Err(error)) => Piece::Failed(error),
            };
            let last = !matches!(piece, Piece::Chunk(_));
            if self.give.send(piece).await.is_err() || last {
                return;
            }
        }
    }
}

/// The body of a request or a response in memory. Dropped before its end, it closes the exchange.
#[derive(Debug)]
pub struct MemoryBody {
    writer: &'static str,
    take: mpsc::Receiver<Piece>,
    declared: Option<usize>,
    limit: Option<usize>,
    seen: usize,
    ended: Option<Result<(), ExchangeError>>,
    _owner: Option<TaskScope>,
}

impl MemoryBody {
    /// Whoever holds the body holds these tasks.
    pub(super) fn keep(&mut self, tasks: TaskScope) {
        self._owner = Some(tasks);
    }

    pub(super) fn close(&mut self) {
        self.take.close();
    }

    fn count(&mut self, chunk: &Bytes) -> Result<(), ExchangeError> {
        self.seen += chunk.len();
        match (self.limit, self.declared) {
            (Some(limit), _) if self.seen > limit => Err(ExchangeError::TooLarge {
                peer: self.writer.into(),
                source: MessageTooLarge { limit, seen: self.seen, exact: false },
            }),
            (_, Some(declared)) if self.seen > declared => Err(self.not_as_declared(declared)),
            _ => Ok(()),
        }
    }

    fn end(&self) -> Result<(), ExchangeError> {
        match self.declared {
            Some(declared) if self.seen != declared => Err(self.not_as_declared(declared)),
            _ => Ok(()),
        }
    }

    fn not_as_declared(&self, declared: usize) -> ExchangeError {
        broken(self.writer, format!("{declared} bytes were declared, and {} came", self.seen))
    }
}

impl Chunks for MemoryBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(ended.clone().map(|()| None));
        }
        let ended = match ready!(self.take.poll_recv(cx)) {
            Some(Piece::Chunk(chunk)) => match self.count(&chunk) {
                Ok(()) => return Poll::Ready(Ok(Some(chunk))),
                Err(error) => Err(error),
            },
            Some(Piece::End) => self.end(),
            Some(Piece::Failed(error)) => Err(broken(self.writer, error.to_string())),
            None => Err(broken(self.writer, format!("the body was cut after {} bytes", self.seen))),
        };
        // Nothing more is wanted, and the writer is to know it.
        self.take.close();
        self.ended = Some(ended.clone());
        Poll::Ready(ended.map(|()| None))
    }
}
