//! A lane of which the test holds the other side: it says what is received, exchanges and their failures included, and
//! sees each frame as it was given to the sink.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use towpath_raw::{End, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError, LaneLimits, Level, Mutex};

/// A lane and the script that it plays: a lane that is made of exchanges, say, which no pipe in memory is.
///
/// Each direction holds [`LaneLimits::write_queue_frames`]; the other limits do not apply. A frame that was sent counts
/// as begun.
///
/// ```
/// use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, Route};
/// use towpath_testkit::scripted_lane;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towpath_raw::LaneError> {
/// let (lane, mut script) = scripted_lane(LaneLimits::default());
/// let (mut source, mut sink) = lane.split();
/// assert!(script.give(Inbound::Routed(Route::new(7), "{}".into())).await);
/// let Inbound::Routed(route, question) = source.receive().await? else { panic!("not what was given") };
/// sink.send(Frame::from(question).on(route).last()).await?;
/// let answer = script.take().await.expect("a frame");
/// assert!(answer.route() == Route::new(7) && answer.is_last());
/// # Ok(())
/// # }
/// ```
pub fn scripted_lane(limits: LaneLimits) -> (ScriptedLane, LaneScript) {
    let desk = Arc::new(Desk {
        most_frames: limits.write_queue_frames,
        state: Mutex::new(Level::Handler, "scripted::Desk::state", State::default()),
    });
    let lane = ScriptedLane {
        source: ScriptedSource { desk: Arc::clone(&desk) },
        sink: ScriptedSink { desk: Arc::clone(&desk), sent: 0 },
    };
    (lane, LaneScript { desk })
}

/// The lane of [`scripted_lane`].
#[derive(Debug)]
pub struct ScriptedLane {
    source: ScriptedSource,
    sink: ScriptedSink,
}

/// The receiving half of a [`ScriptedLane`].
#[derive(Debug)]
pub struct ScriptedSource {
    desk: Arc<Desk>,
}

/// The sending half of a [`ScriptedLane`].
#[derive(Debug)]
pub struct ScriptedSink {
    desk: Arc<Desk>,
    sent: u64,
}

/// The other side of a [`ScriptedLane`]. Dropped, it closes both directions.
#[derive(Debug)]
pub struct LaneScript {
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    most_frames: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    given: Direction<Inbound>,
    sent: Direction<Frame>,
}

#[derive(Debug)]
struct Direction<T> {
    queue: VecDeque<T>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Either side is gone.
    closed: bool,
}

impl<T> Default for Direction<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), reader: None, writer: None, closed: false }
    }
}

impl<T> Direction<T> {
    /// The next one, and whoever waits for its room; `None` at the end.
    fn poll_take(&mut self, cx: &Context<'_>) -> Poll<(Option<T>, Option<Waker>)> {
        match self.queue.pop_front() {
            Some(next) => Poll::Ready((Some(next), self.writer.take())),
            None if self.closed => Poll::Ready((None, None)),
            None => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_room(&mut self, cx: &Context<'_>, most: usize) -> Poll<()> {
        if self.closed || self.queue.len() < most {
            return Poll::Ready(());
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn close(&mut self) -> [Option<Waker>; 2] {
        self.closed = true;
        [self.reader.take(), self.writer.take()]
    }
}

/// Called when no lock is held.
fn wake(wakers: impl IntoIterator<Item = Option<Waker>>) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}

impl LaneScript {
    /// Lets the lane receive this, once it has room; false when nobody receives any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped before there was room, nothing was given.
    pub async fn give(&self, inbound: Inbound) -> bool {
        let mut inbound = Some(inbound);
        poll_fn(|cx| {
            let (taken, reader) = {
                let mut state = self.desk.state.lock();
                if state.given.poll_room(cx, self.desk.most_frames).is_pending() {
                    return Poll::Pending;
                }
                let taken = !state.given.closed;
                state.given.queue.extend(inbound.take().filter(|_| taken));
                (taken, state.given.reader.take())
            };
            wake([reader]);
            Poll::Ready(taken)
        })
        .await
    }

    /// The next frame that was sent; `None` when no more can come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no frame.
    pub async fn take(&mut self) -> Option<Frame> {
        poll_fn(|cx| {
            let taken = self.desk.state.lock().sent.poll_take(cx);
            taken.map(|(frame, writer)| {
                wake([writer]);
                frame
            })
        })
        .await
    }
}

impl Drop for LaneScript {
    fn drop(&mut self) {
        let wakers = {
            let mut state = self.desk.state.lock();
            [state.given.close(), state.sent.close()]
        };
        wake(wakers.into_iter().flatten());
    }
}

impl Lane for ScriptedLane {
    type Source = ScriptedSource;
    type Sink = ScriptedSink;

    fn peer(&self) -> Arc<str> {
        "script".into()
    }

    fn split(self) -> (ScriptedSource, ScriptedSink) {
        (self.source, self.sink)
    }
}

impl FrameSource for ScriptedSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        let taken = self.desk.state.lock().given.poll_take(cx);
        taken.map(|(inbound, writer)| {
            wake([writer]);
            Ok(inbound.unwrap_or_else(|| Inbound::End(End::default())))
        })
    }
}

impl Drop for ScriptedSource {
    fn drop(&mut self) {
        let wakers = self.desk.state.lock().given.close();
        wake(wakers);
    }
}

impl ScriptedSink {
    fn closed(&self) -> LaneError {
        LaneError::Closed { peer: "script".into(), explanation: None }
    }
}

impl FrameSink for ScriptedSink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let mut state = self.desk.state.lock();
        let closed = state.sent.closed;
        state
            .sent
            .poll_room(cx, self.desk.most_frames)
            .map(|()| if closed { Err(self.closed()) } else { Ok(()) })
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        let reader = {
            let mut state = self.desk.state.lock();
            if state.sent.closed {
                return Err(self.closed());
            }
            state.sent.queue.push_back(frame);
            state.sent.reader.take()
        };
        self.sent += 1;
        wake([reader]);
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let wakers = self.desk.state.lock().sent.close();
        wake(wakers);
        Poll::Ready(Ok(()))
    }

    fn queued_bytes(&self) -> usize {
        0
    }

    fn frames_begun(&self) -> u64 {
        self.sent
    }
}

impl Drop for ScriptedSink {
    fn drop(&mut self) {
        let wakers = self.desk.state.lock().sent.close();
        wake(wakers);
    }
}

#[cfg(test)]
mod tests {
    use towpath_raw::{FrameSinkExt, FrameSourceExt};

    use super::*;
    use crate::within;

    fn one_frame() -> (ScriptedSource, ScriptedSink, LaneScript) {
        let mut limits = LaneLimits::default();
        limits.write_queue_frames = 1;
        let (lane, script) = scripted_lane(limits);
        let (source, sink) = lane.split();
        (source, sink, script)
    }

    fn frame(text: &'static str) -> Frame {
        Frame::from(bytes::Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_full_direction_waits_until_it_is_read() {
        let (_source, mut sink, mut script) = one_frame();
        within(sink.send(frame("1"))).await.unwrap();
        let second = tokio::spawn(async move { sink.send(frame("2")).await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        for text in ["1", "2"] {
            assert_eq!(within(script.take()).await.unwrap().into_bytes(), text);
        }
        within(second).await.unwrap().unwrap();
        assert!(within(script.take()).await.is_none(), "the sink is gone");
    }

    #[tokio::test]
    async fn either_side_sees_that_the_other_is_gone() {
        let (mut source, mut sink, script) = one_frame();
        assert!(within(script.give(Inbound::Frame("last".into()))).await);
        drop(script);
        assert!(matches!(within(source.receive()).await, Ok(Inbound::Frame(_))));
        assert!(matches!(within(source.receive()).await, Ok(Inbound::End(_))));
        assert!(matches!(within(sink.send(frame("x"))).await, Err(LaneError::Closed { .. })));
        let (source, _sink, script) = one_frame();
        drop(source);
        assert!(!within(script.give(Inbound::Frame("to nobody".into()))).await);
    }
}
