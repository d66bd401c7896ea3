//! A child as a lane, and the handle to its process.

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use towpath_raw::{End, Frame, FrameSink, FrameSource, Inbound, Lane, LaneError};

use super::{
    ChildCommand, ChildExit,
    explain::{ExitWatch, Explain, exited},
    stdin::Stdin,
    stdout::Stdout,
    tree::{Order, Shared},
};
use crate::{
    io::{LineSink, LineSource},
    pipe::{PipeReader, PipeWriter},
};

/// The stdin and stdout of a child process as a lane, from [`ChildCommand::spawn`].
///
/// # The end
///
/// The process, and every process of its group, belongs to both halves of the lane and to every
/// [`ChildHandle`]. When the last of them is dropped, one thread of this process, which needs no runtime, ends
/// the group: its stdin is closed by then; after [`exit_after_stdin_close`] it gets SIGTERM (or another signal:
/// [`ChildCommand::ends_with`]), after [`exit_after_terminate`] SIGKILL, and then its leader is reaped. When the child
/// exits by itself, what it has started and left behind gets SIGTERM at once, and SIGKILL after the same time.
///
/// A process that leaves the group (`setsid`) has left the tree. It may hold the child's stdin and stdout all the same:
/// the lane does not wait for it. When the child has exited, a send fails at once, and the source gives what there is
/// and ends after [`drain_after_exit`](crate::ChildTimeouts::drain_after_exit).
///
/// Other code of this process must not take the news of the child's exit: see
/// [`ChildStatus::Unknown`](crate::ChildStatus::Unknown).
///
/// [`exit_after_stdin_close`]: crate::ChildTimeouts::exit_after_stdin_close
/// [`exit_after_terminate`]: crate::ChildTimeouts::exit_after_terminate
///
/// # Example
///
/// ```
/// use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane};
/// use towpath_stdio::ChildCommand;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lane = ChildCommand::new("cat").spawn()?;
/// let (mut source, mut sink) = lane.split();
/// sink.send(Frame::from(bytes::Bytes::from("{\"id\":1}"))).await?;
/// assert!(matches!(source.receive().await?, Inbound::Frame(frame) if frame == "{\"id\":1}"));
/// sink.close().await?;
/// let Inbound::End(end) = source.receive().await? else { panic!("it goes on") };
/// assert!(end.explanation.is_some_and(|why| why.to_string().contains("exited with status 0")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChildLane {
    source: ChildSource,
    sink: ChildSink,
    handle: ChildHandle,
}

impl ChildLane {
    pub(super) fn new(shared: Arc<Shared>, stdin: OwnedFd, stdout: OwnedFd, options: &ChildCommand) -> Self {
        let handle = ChildHandle { owner: Arc::new(Owner(shared)) };
        let exit = &handle.owner.0.exit;
        let timeouts = &options.child_timeouts;
        let explain = || Explain::new(exit.subscribe(), timeouts.explain_after_eof);
        let stdin = Stdin::new(PipeWriter::new(stdin), ExitWatch::new(exit.subscribe()));
        let exit_watch = ExitWatch::new(exit.subscribe());
        let stdout = Stdout::new(PipeReader::new(stdout), exit_watch, timeouts.drain_after_exit);
        let peer = &handle.owner.0.peer;
        Self {
            source: ChildSource {
                lines: LineSource::new(stdout, peer.clone(), &options.limits),
                end: None,
                explain: explain(),
                _owner: handle.owner.clone(),
            },
            sink: ChildSink {
                lines: LineSink::new(stdin, peer.clone(), &options.limits, &options.timeouts),
                explain: explain(),
                _owner: handle.owner.clone(),
            },
            handle,
        }
    }

    /// A handle to the process, which keeps it alive as the halves of the lane do.
    pub fn handle(&self) -> ChildHandle {
        self.handle.clone()
    }
}

impl Lane for ChildLane {
    type Source = ChildSource;
    type Sink = ChildSink;

    fn peer(&self) -> Arc<str> {
        self.handle.owner.0.peer.clone()
    }

    fn max_message_bytes(&self) -> usize {
        self.source.lines.max_message_bytes
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        (self.source, self.sink)
    }
}

/// A child process, as long as it is of interest to somebody.
#[derive(Clone, Debug)]
pub struct ChildHandle {
    owner: Arc<Owner>,
}

impl ChildHandle {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.owner.0.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How the child exited, once it has.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it can be asked again, by anybody.
    pub async fn exit(&self) -> ChildExit {
        exited(self.owner.0.exit.subscribe()).await.map_or_else(
            // The sender is held by this handle.
            || ChildExit::new(super::ChildStatus::Unknown, Duration::ZERO, String::new()),
            |exit| (*exit).clone(),
        )
    }

    /// How the child exited, if it has.
    pub fn try_exit(&self) -> Option<ChildExit> {
        self.owner.0.exit.borrow().as_deref().cloned()
    }

    /// The end of what the child has written to stderr so far: at most 8 lines and 2 KiB, made printable. When it has
    /// exited, the same text as in [`ChildExit`].
    pub fn stderr_tail(&self) -> String {
        match &*self.owner.0.exit.borrow() {
            Some(exit) => exit.stderr_tail.clone(),
            None => self.owner.0.tail.text(),
        }
    }

    /// Ends the child and its group politely, with the signal of [`ChildCommand::ends_with`], and with SIGKILL after
    /// [`exit_after_terminate`](crate::ChildTimeouts::exit_after_terminate). It does not wait.
    pub fn terminate(&self) {
        self.owner.0.order(Order::Terminate);
    }

    /// Kills the child and its group. It does not wait.
    pub fn kill(&self) {
        self.owner.0.order(Order::Kill);
    }
}

/// The last of them that is dropped ends the tree.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.order(Order::End);
    }
}

/// What a child writes to its stdout.
#[derive(Debug)]
pub struct ChildSource {
    lines: LineSource<Stdout>,
    end: Option<End>,
    explain: Explain,
    // After the pipe: fields drop in order.
    _owner: Arc<Owner>,
}

impl FrameSource for ChildSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Ok(Inbound::End(end.clone())));
        }
        let inbound = ready!(self.lines.poll_frame(cx));
        if let Ok(Inbound::End(end)) = inbound {
            let explanation = ready!(self.explain.poll(cx));
            let end = self.end.insert(End { explanation, ..end });
            return Poll::Ready(Ok(Inbound::End(end.clone())));
        }
        Poll::Ready(inbound)
    }
}

/// What a child reads from its stdin.
#[derive(Debug)]
pub struct ChildSink {
    lines: LineSink<Stdin>,
    explain: Explain,
    // After the pipe: fields drop in order.
    _owner: Arc<Owner>,
}

impl ChildSink {
    fn poll_explained(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<Result<(), LaneError>>,
    ) -> Poll<Result<(), LaneError>> {
        match ready!(result) {
            Err(LaneError::Closed { peer, explanation: None }) => {
                let explanation = ready!(self.explain.poll(cx));
                Poll::Ready(Err(LaneError::Closed { peer, explanation }))
            }
            result => Poll::Ready(result),
        }
    }
}

impl FrameSink for ChildSink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let ready = self.lines.poll_ready(cx);
        self.poll_explained(cx, ready)
    }

    fn start_send(&mut self, frame: Frame) -> Result<(), LaneError> {
        self.lines.start_send(frame).map_err(|error| match error {
            LaneError::Closed { peer, explanation: None } => {
                LaneError::Closed { peer, explanation: self.explain.now() }
            }
            error => error,
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let flushed = self.lines.poll_flush(cx);
        self.poll_explained(cx, flushed)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let closed = self.lines.poll_close(cx);
        self.poll_explained(cx, closed)
    }

    fn queued_bytes(&self) -> usize {
        self.lines.queued_bytes()
    }

    fn frames_begun(&self) -> u64 {
        self.lines.frames_begun()
    }
}
