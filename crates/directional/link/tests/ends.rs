//! What the end of a link says, when the two directions of its lane do not know the same.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod support;

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use support::script;
use towpath_link::{Link, LinkEnd, LinkLimits, LinkTimeouts};
use towpath_raw::{End, Explanation, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError};
use towpath_testkit::within;

/// A lane over which one request comes, and then nothing goes either way any more.
struct Dying {
    read: Option<Explanation>,
    written: Option<Explanation>,
}

struct Source(VecDeque<Bytes>, End);

struct Sink(LaneError);

impl Lane for Dying {
    type Source = Source;
    type Sink = Sink;

    fn peer(&self) -> Arc<str> {
        "the dying".into()
    }

    fn split(self) -> (Source, Sink) {
        let request = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"echo"}"#);
        let end = End { truncated_bytes: 7, explanation: self.read.clone() };
        let closed = LaneError::Closed { peer: self.peer(), explanation: self.written };
        (Source([request].into(), end), Sink(closed))
    }
}

impl FrameSource for Source {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        let next = self.0.pop_front().map(Inbound::Frame);
        Poll::Ready(Ok(next.unwrap_or_else(|| Inbound::End(self.1.clone()))))
    }
}

impl FrameSink for Sink {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, _: Frame) -> Result<(), LaneError> {
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        Poll::Ready(Err(self.0.clone()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        self.poll_flush(cx)
    }

    fn queued_bytes(&self) -> usize {
        1
    }

    fn frames_begun(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn a_link_ends_with_the_explanation_of_whichever_direction_has_one() {
    let why = |text: &str| Some(Arc::new(io::Error::other(text.to_owned())) as Explanation);
    for (read, written, told) in [
        (why("read"), None, Some("read")),
        (None, why("written"), Some("written")),
        (why("read"), why("written"), Some("read")),
        (None, None, None),
    ] {
        let (script, _seen) = script();
        let lane = Dying { read, written };
        let (link, _peer) = Link::new(lane, script, LinkLimits::default(), LinkTimeouts::default());
        let LinkEnd::PeerClosed(end) = within(link).await else { panic!("the peer has closed: {told:?}") };
        assert_eq!(end.explanation.map(|why| why.to_string()).as_deref(), told);
        assert_eq!(end.truncated_bytes, 7, "what else is known is not lost");
    }
}
