//! The responses of a session: one answer, or an event stream.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};
use towpath_jsonrpc::Id;
use towpath_mcp::{Fault, Rules};
use towpath_raw::Frame;

use super::{GetReader, PostReader, Taken};
use crate::http::{
    body::{after, comment_line},
    reply::{Answer, event},
};

/// An event stream of a session. Dropped, the client has gone; its request runs on.
pub(in crate::http) struct SessionStream {
    from: From,
    ready: VecDeque<Bytes>,
    over: bool,
    comment: Option<Duration>,
    next_comment: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

enum From {
    /// A POST, and the request to be answered when the session ends before it; none for a batch.
    Post(PostReader, Option<(Id, &'static Rules)>),
    Get(GetReader),
}

/// How the response to a POST begins.
pub(in crate::http) enum First {
    /// With its answer.
    Answer(Frame),
    /// With something before it, or with nothing for too long.
    Stream(Option<Frame>),
    /// It was cancelled.
    Nothing,
    /// The session has ended.
    Ended(Fault),
}

impl PostReader {
    /// How the response begins.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what came stays there.
    pub(in crate::http) async fn first(&self, stream_after: Option<Duration>) -> First {
        let until = after(stream_after);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        std::future::poll_fn(|cx| {
            match self.poll_taken(cx) {
                Poll::Ready(Taken::Frame(frame)) if frame.is_last() => {
                    return Poll::Ready(First::Answer(frame));
                }
                Poll::Ready(Taken::Frame(frame)) => return Poll::Ready(First::Stream(Some(frame))),
                Poll::Ready(Taken::Nothing) => return Poll::Ready(First::Nothing),
                Poll::Ready(Taken::Ended(fault)) => return Poll::Ready(First::Ended(fault)),
                Poll::Pending => {}
            }
            let Some(until) = until else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            timer.as_mut().poll(cx).map(|()| First::Stream(None))
        })
        .await
    }

    /// The answer, whatever comes before it; `None` when there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what came before is of no interest.
    pub(in crate::http) async fn answer(&self) -> Option<Frame> {
        loop {
            match self.first(None).await {
                First::Answer(frame) => return Some(frame),
                First::Stream(_) => {}
                First::Nothing | First::Ended(_) => return None,
            }
        }
    }
}

impl SessionStream {
    pub(in crate::http) fn of_post(
        reader: PostReader,
        first: Option<Frame>,
        comment: Option<Duration>,
        request: Option<(Id, &'static Rules)>,
    ) -> Self {
        Self::new(From::Post(reader, request), first, comment)
    }

    pub(in crate::http) fn of_get(reader: GetReader, comment: Option<Duration>) -> Self {
        Self::new(From::Get(reader), None, comment)
    }

    fn new(from: From, first: Option<Frame>, comment: Option<Duration>) -> Self {
        let mut stream =
            Self { from, ready: VecDeque::new(), over: false, comment, next_comment: None, timer: None };
        match first {
            Some(frame) => stream.push(frame),
            None => stream.ready.push_back(comment_line()),
        }
        stream
    }

    pub(in crate::http) fn is_over(&self) -> bool {
        self.over && self.ready.is_empty()
    }

    pub(in crate::http) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.next_comment = None;
                return Poll::Ready(Some(piece));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let taken = match &mut self.from {
                From::Post(reader, request) => reader.poll_taken(cx).map(|taken| match taken {
                    Taken::Frame(frame) => Some(frame),
                    Taken::Nothing => None,
                    Taken::Ended(fault) => request.take().map(|(id, rules)| cut(&id, &fault, rules)),
                }),
                From::Get(reader) => reader.poll_taken(cx),
            };
            match taken {
                Poll::Ready(Some(frame)) => {
                    self.push(frame);
                    continue;
                }
                Poll::Ready(None) => {
                    self.over = true;
                    continue;
                }
                Poll::Pending => {}
            }
            if self.next_comment.is_none() {
                self.next_comment = after(self.comment);
            }
            let Some(next) = self.next_comment else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.ready.push_back(comment_line());
        }
    }

    fn push(&mut self, frame: Frame) {
        self.over |= frame.is_last();
        let pieces = event(frame.into_segments());
        self.ready.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }
}

/// The answer to a request whose session has ended.
fn cut(id: &Id, fault: &Fault, rules: &Rules) -> Frame {
    Frame::from(Answer::fault(Some(id), fault, rules).into_message()).last()
}
