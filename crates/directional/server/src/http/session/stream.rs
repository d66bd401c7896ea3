//! The responses of a session: one answer, or an event stream.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};
use towpath_jsonrpc::Id;
use towpath_mcp::{Fault, Rules};
use towpath_raw::{Frame, Route};
use towpath_sse::{write_event, write_priming_event, write_retry};

use super::{EventId, Opening, StreamId, StreamReader, Taken};
use crate::http::{
    body::{after, comment_line},
    reply::{Answer, event},
};

/// An event stream of a session. Dropped, the client has gone; its request runs on.
pub(in crate::http) struct SessionStream {
    /// Dropped as soon as nothing more is wanted of it: a client that comes back needs not wait for this connection.
    from: Option<StreamReader>,
    /// The request to be answered when the session ends before it; none for a batch, nor for a GET.
    request: Option<(Id, &'static Rules)>,
    ready: VecDeque<Bytes>,
    comment: Option<Duration>,
    next_comment: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How the response to a POST begins.
pub(in crate::http) enum First {
    /// With its answer.
    Answer(Frame),
    /// With something before it, or with nothing for too long.
    Stream(Option<(Frame, Option<EventId>)>),
    /// With nothing: the rest is for whoever comes back.
    Closed(Duration),
    /// It was cancelled.
    Nothing,
    /// The session has ended.
    Ended(Fault),
}

impl StreamReader {
    /// How the response begins.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what came stays there.
    pub(in crate::http) async fn first(&mut self, stream_after: Option<Duration>) -> First {
        let until = after(stream_after);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        std::future::poll_fn(|cx| {
            match self.poll_taken(cx) {
                Poll::Ready(Taken::Message { frame, .. }) if frame.is_last() => {
                    return Poll::Ready(First::Answer(frame));
                }
                Poll::Ready(Taken::Message { frame, id }) => {
                    return Poll::Ready(First::Stream(Some((frame, id))));
                }
                Poll::Ready(Taken::Close(retry)) => return Poll::Ready(First::Closed(retry)),
                Poll::Ready(Taken::Gap { .. }) => return Poll::Ready(First::Stream(None)),
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
    pub(in crate::http) async fn answer(mut self) -> Option<Frame> {
        loop {
            match self.first(None).await {
                First::Answer(frame) => return Some(frame),
                First::Stream(_) => {}
                First::Closed(_) | First::Nothing | First::Ended(_) => return None,
            }
        }
    }
}

impl SessionStream {
    /// The response to a POST, from its first message on.
    pub(in crate::http) fn of_post(
        reader: StreamReader,
        first: Option<(Frame, Option<EventId>)>,
        comment: Option<Duration>,
        request: Option<(Id, &'static Rules)>,
    ) -> Self {
        let unnumbered = first.as_ref().filter(|(_, id)| id.is_none()).map(|(frame, _)| frame);
        let opening = reader.begin_stream(unnumbered);
        let mut stream = Self::begun(reader, opening.prime, first.is_some(), comment);
        stream.request = request;
        if let Some((frame, id)) = first {
            stream.push(frame, id.or(opening.first));
        }
        stream
    }

    /// The response to a POST that is over before it says anything.
    pub(in crate::http) fn closed(reader: StreamReader, retry: Duration) -> Self {
        let opening = reader.begin_stream(None);
        let mut stream = Self::begun(reader, opening.prime, false, None);
        stream.close(retry);
        stream
    }

    /// What a GET opens.
    pub(in crate::http) fn of_get(
        reader: StreamReader,
        opening: &Opening,
        comment: Option<Duration>,
    ) -> Self {
        Self::begun(reader, opening.prime, false, comment)
    }

    /// The rest of a stream.
    pub(in crate::http) fn resumed(
        reader: StreamReader,
        comment: Option<Duration>,
        request: Option<(Id, &'static Rules)>,
    ) -> Self {
        let mut stream = Self::begun(reader, None, false, comment);
        stream.request = request;
        stream
    }

    fn begun(reader: StreamReader, prime: Option<EventId>, speaks: bool, comment: Option<Duration>) -> Self {
        let mut ready = VecDeque::new();
        match (prime, reader.polls()) {
            (Some(id), Some(retry)) => {
                let mut out = BytesMut::with_capacity(96);
                write_retry(&mut out, retry);
                // One event of both, which some clients want.
                out.truncate(out.len().saturating_sub(1));
                write_priming_event(&mut out, &id.to_string());
                ready.push_back(out.freeze());
            }
            // A first byte, at once.
            _ if !speaks => ready.push_back(comment_line()),
            _ => {}
        }
        Self { from: Some(reader), request: None, ready, comment, next_comment: None, timer: None }
    }

    pub(in crate::http) fn is_over(&self) -> bool {
        self.from.is_none() && self.ready.is_empty()
    }

    pub(in crate::http) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.next_comment = None;
                return Poll::Ready(Some(piece));
            }
            let Some(reader) = &mut self.from else { return Poll::Ready(None) };
            match reader.poll_taken(cx) {
                Poll::Ready(taken) => {
                    self.take(taken);
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

    fn take(&mut self, taken: Taken) {
        match taken {
            Taken::Message { frame, id } => self.push(frame, id),
            Taken::Gap { id, was_live } => {
                self.ready.push_back(gap(id));
                let Some(reader) = &self.from else { return };
                let listens = matches!(reader.stream(), StreamId::Get(_));
                // One that falls behind again and again is better off at its own pace.
                if let Some(retry) = reader.polls().filter(|_| listens && was_live) {
                    self.close(retry);
                }
            }
            Taken::Close(retry) => self.close(retry),
            Taken::Nothing => self.from = None,
            Taken::Ended(fault) => match self.request.take() {
                Some((id, rules)) => self.push(cut(&id, &fault, rules), None),
                None => self.from = None,
            },
        }
    }

    fn close(&mut self, retry: Duration) {
        let mut out = BytesMut::with_capacity(32);
        write_retry(&mut out, retry);
        self.ready.push_back(out.freeze());
        self.from = None;
    }

    fn push(&mut self, frame: Frame, id: Option<EventId>) {
        if frame.is_last() {
            self.from = None;
        }
        let id = id.map(|id| id.to_string());
        let pieces = event(id.as_deref(), frame.into_segments());
        self.ready.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }
}

/// Something is missing here. Not a message: clients pass over events of other types.
fn gap(id: Option<EventId>) -> Bytes {
    let mut out = BytesMut::with_capacity(96);
    let id = id.map(|id| id.to_string());
    write_event(&mut out, id.as_deref(), Some("gap"), br#"{"reason":"events_lost"}"#);
    out.freeze()
}

/// The answer to a request whose session has ended.
fn cut(id: &Id, fault: &Fault, rules: &Rules) -> Frame {
    let answer = Frame::from(Answer::fault(Some(id), fault, rules).into_message());
    // On any route: the lane itself has no last frame.
    answer.on(Route::new(1)).last()
}
