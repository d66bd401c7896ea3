//! A lane that ends when it is told to: nothing more is taken from it, and what was taken may still be answered.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::watch;
use towpath::raw::{End, FrameSource, Inbound, Lane, LaneError};

/// A lane, and whether it is to end.
pub(super) struct Until<L> {
    lane: L,
    over: watch::Receiver<bool>,
}

impl<L> Until<L> {
    /// The lane ends when `over` says so, or when nobody can say it any more.
    pub(super) fn new(lane: L, over: watch::Receiver<bool>) -> Self {
        Self { lane, over }
    }
}

impl<L: Lane<Source: Unpin>> Lane for Until<L> {
    type Source = UntilSource<L::Source>;
    type Sink = L::Sink;

    fn peer(&self) -> Arc<str> {
        self.lane.peer()
    }

    fn max_message_bytes(&self) -> usize {
        self.lane.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let (source, sink) = self.lane.split();
        let mut over = self.over;
        let over = Box::pin(async move { drop(over.wait_for(|over| *over).await) });
        (UntilSource { source, over: Some(over) }, sink)
    }
}

/// What comes on a lane until it is to end.
pub(super) struct UntilSource<S> {
    source: S,
    /// Ready when it is to end; none after that.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S: FrameSource + Unpin> FrameSource for UntilSource<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        let is_over = self.over.as_mut().is_none_or(|over| over.as_mut().poll(cx).is_ready());
        if is_over {
            self.over = None;
            return Poll::Ready(Ok(Inbound::End(End::default())));
        }
        self.source.poll_frame(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncWriteExt, duplex, split},
        time::timeout,
    };
    use towpath::{IoLane, raw::FrameSourceExt};

    use super::*;

    #[tokio::test]
    async fn a_lane_gives_what_comes_until_it_is_to_end() {
        let work = async {
            let (here, mut there) = duplex(1 << 10);
            let (reader, writer) = split(here);
            let lane = IoLane::new(reader, writer, "there", Default::default(), Default::default());
            let (over, told) = watch::channel(false);
            let (mut source, _sink) = Until::new(lane, told).split();
            there.write_all(b"{\"id\":1}\n").await.unwrap();
            assert!(matches!(source.receive().await, Ok(Inbound::Frame(frame)) if frame == "{\"id\":1}"));
            let (ended, _) = tokio::join!(source.receive(), async { over.send_replace(true) });
            assert!(matches!(ended, Ok(Inbound::End(_))), "{ended:?}");
            there.write_all(b"{\"id\":2}\n").await.unwrap();
            assert!(matches!(source.receive().await, Ok(Inbound::End(_))), "nothing more is taken");
        };
        timeout(Duration::from_secs(60), work).await.unwrap();
    }
}
