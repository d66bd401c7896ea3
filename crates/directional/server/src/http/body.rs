//! The body of a response.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use towpath_sse::write_comment;

use super::{
    modern::{Run, Step},
    session::SessionStream,
};

/// The body of a response: whole, or an event stream that goes on until the answer.
///
/// An event stream of a modern exchange owns the handler: dropped, the request is cancelled.
pub struct ResponseBody {
    kind: Kind,
}

enum Kind {
    Whole([Bytes; 3]),
    Modern(Box<ModernStream>),
    Session(Box<SessionStream>),
}

pub(super) struct ModernStream {
    run: Option<Run>,
    ready: VecDeque<Bytes>,
    comment: Option<Duration>,
    next_comment: Option<Instant>,
}

impl ResponseBody {
    pub(super) fn empty() -> Self {
        Self::whole([Bytes::new(), Bytes::new(), Bytes::new()])
    }

    pub(super) fn whole(segments: [Bytes; 3]) -> Self {
        Self { kind: Kind::Whole(segments) }
    }

    /// What it is, if it is whole and of at most so many bytes.
    #[cfg(feature = "gzip")]
    pub(super) fn into_whole(self, max_bytes: usize) -> Result<[Bytes; 3], Self> {
        match self.kind {
            Kind::Whole(segments) if segments.iter().map(Bytes::len).sum::<usize>() <= max_bytes => {
                Ok(segments)
            }
            kind => Err(Self { kind }),
        }
    }

    pub(super) fn session(stream: SessionStream) -> Self {
        Self { kind: Kind::Session(Box::new(stream)) }
    }

    /// An event stream that begins with `first`, or with a comment, and goes on with `run`.
    pub(super) fn modern(run: Option<Run>, first: Vec<Bytes>, comment: Option<Duration>) -> Self {
        let mut ready: VecDeque<Bytes> = first.into();
        ready.retain(|piece| !piece.is_empty());
        if ready.is_empty() {
            ready.push_back(comment_line());
        }
        Self { kind: Kind::Modern(Box::new(ModernStream { run, ready, comment, next_comment: None })) }
    }
}

/// A comment without text: a sign of life.
pub(super) fn comment_line() -> Bytes {
    let mut out = BytesMut::with_capacity(4);
    write_comment(&mut out, "");
    out.freeze()
}

/// So long from now.
pub(super) fn after(time: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(time?)
}

impl ModernStream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.next_comment = None;
                return Poll::Ready(Some(piece));
            }
            let Some(run) = &mut self.run else { return Poll::Ready(None) };
            if self.next_comment.is_none() {
                self.next_comment = after(self.comment);
            }
            let step = match run.poll_step(cx, self.next_comment) {
                Poll::Ready(step) => step,
                Poll::Pending => return Poll::Pending,
            };
            match step {
                Step::Events(events) => self.ready.push_back(events),
                Step::Tick => self.ready.push_back(comment_line()),
                Step::Answer { said, answer } => {
                    self.run = None;
                    let pieces = std::iter::once(said).chain(answer.into_event());
                    self.ready.extend(pieces.filter(|piece| !piece.is_empty()));
                }
            }
        }
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for ResponseBody {
    fn from(whole: Bytes) -> Self {
        Self::whole([whole, Bytes::new(), Bytes::new()])
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut self.kind {
            Kind::Whole(segments) => {
                let next = segments.iter_mut().find(|segment| !segment.is_empty());
                Poll::Ready(next.map(std::mem::take))
            }
            Kind::Modern(stream) => stream.poll_piece(cx),
            Kind::Session(stream) => stream.poll_piece(cx),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(segments) => segments.iter().all(Bytes::is_empty),
            Kind::Modern(stream) => stream.run.is_none() && stream.ready.is_empty(),
            Kind::Session(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(segments) => SizeHint::with_exact(segments.iter().map(|s| s.len() as u64).sum()),
            Kind::Modern(_) | Kind::Session(_) => SizeHint::default(),
        }
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Whole(_) => "Whole",
            Kind::Modern(_) | Kind::Session(_) => "EventStream",
        };
        f.debug_tuple("ResponseBody").field(&kind).finish()
    }
}
