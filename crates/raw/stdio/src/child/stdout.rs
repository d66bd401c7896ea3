//! A child's stdout, which ends soon after the child has exited, whoever else holds it.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Sleep,
};

use super::explain::ExitWatch;
use crate::pipe::PipeReader;

/// Our end of a child's stdout.
///
/// A process that the child has left behind may hold the other end, and then the system never tells that it ends.
#[derive(Debug)]
pub(super) struct Stdout {
    pipe: PipeReader,
    exit: ExitWatch,
    drain_after_exit: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The child lives, as far as is known.
    Alive,
    /// It has exited. What was in the pipe then is `owed`: its own last words are among it, and are read even if that
    /// takes longer.
    Draining {
        owed_bytes: usize,
        until: Pin<Box<Sleep>>,
    },
    Ended,
}

impl Stdout {
    pub(super) fn new(pipe: PipeReader, exit: ExitWatch, drain_after_exit: Duration) -> Self {
        Self { pipe, exit, drain_after_exit, state: State::Alive }
    }

    /// Nothing can be read now: whether that is the end.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Alive) {
            ready!(self.exit.poll_known(cx));
            self.drain();
        }
        if let State::Draining { owed_bytes, until } = &mut self.state {
            // What was written since the read was tried, or could not be read because the task's turn is over. The pipe
            // wakes us for it.
            *owed_bytes = self.pipe.unread_bytes().min(*owed_bytes);
            if *owed_bytes > 0 {
                return Poll::Pending;
            }
            ready!(until.as_mut().poll(cx));
        }
        self.state = State::Ended;
        Poll::Ready(())
    }

    fn drain(&mut self) {
        let until = Box::pin(tokio::time::sleep(self.drain_after_exit));
        self.state = State::Draining { owed_bytes: self.pipe.unread_bytes(), until };
    }
}

impl AsyncRead for Stdout {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.state, State::Alive) && this.exit.is_known() {
            this.drain();
        }
        if let State::Draining { owed_bytes: 0, until } = &mut this.state
            && until.as_mut().poll(cx).is_ready()
        {
            this.state = State::Ended;
        }
        if matches!(this.state, State::Ended) {
            return Poll::Ready(Ok(()));
        }
        let held = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.pipe).poll_read(cx, buf) {
            if let State::Draining { owed_bytes, .. } = &mut this.state {
                *owed_bytes = owed_bytes.saturating_sub(buf.filled().len() - held);
            }
            return Poll::Ready(read);
        }
        ready!(this.poll_ended(cx));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::OwnedFd, sync::Arc};

    use rustix::{
        fs::{OFlags, fcntl_setfl},
        pipe::{PipeFlags, pipe_with},
    };
    use tokio::{io::AsyncReadExt, sync::watch};

    use super::*;
    use crate::child::{ChildExit, ChildStatus};

    const DRAIN: Duration = Duration::from_secs(7);
    const MOMENT: Duration = Duration::from_millis(2);

    /// A child's stdout, its other end, and who tells that the child has exited.
    fn stdout(drain_after_exit: Duration) -> (Stdout, OwnedFd, impl FnOnce()) {
        let (ours, others) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        fcntl_setfl(&ours, OFlags::NONBLOCK).expect("it is ours");
        let sender = watch::Sender::new(None);
        let exit = ExitWatch::new(sender.subscribe());
        let tell = move || {
            let exit = ChildExit::new(ChildStatus::Code(3), DRAIN, String::new());
            sender.send_replace(Some(Arc::new(exit)));
        };
        (Stdout::new(PipeReader::new(ours), exit, drain_after_exit), others, tell)
    }

    async fn read(stdout: &mut Stdout, most: usize) -> String {
        let mut buffer = vec![0; most];
        let read = stdout.read(&mut buffer);
        let read = tokio::time::timeout(DRAIN * 10, read).await.expect("it hung").expect("it is open");
        String::from_utf8(buffer[..read].to_vec()).expect("text")
    }

    fn write(other: &OwnedFd, text: &str) {
        assert_eq!(rustix::io::write(other, text.as_bytes()), Ok(text.len()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_before_the_exit_is_read_however_late() {
        for drain_after_exit in [Duration::ZERO, DRAIN] {
            let (mut stdout, other, tell_exit) = stdout(drain_after_exit);
            write(&other, "abcdef");
            tell_exit();
            assert_eq!(read(&mut stdout, 2).await, "ab");
            tokio::time::advance(DRAIN * 2).await;
            write(&other, "later");
            assert_eq!(read(&mut stdout, 3).await, "cde");
            assert_eq!(read(&mut stdout, 1).await, "f");
            assert_eq!(read(&mut stdout, 9).await, "", "it goes on");
            assert_eq!(read(&mut stdout, 9).await, "", "it begins again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_write_is_read_until_the_drain_is_over() {
        let (mut stdout, other, tell_exit) = stdout(DRAIN);
        let reading = tokio::spawn(async move {
            let first = read(&mut stdout, 9).await;
            (first, stdout)
        });
        tokio::task::yield_now().await;
        tell_exit();
        // It sees the exit, and its time begins.
        tokio::task::yield_now().await;
        tokio::time::advance(DRAIN - MOMENT).await;
        write(&other, "late");
        let (first, mut stdout) = reading.await.expect("no panic");
        assert_eq!(first, "late");
        tokio::time::advance(MOMENT).await;
        write(&other, "too late");
        assert_eq!(read(&mut stdout, 9).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_without_end_lasts_until_nobody_holds_it() {
        let (mut stdout, other, tell_exit) = stdout(Duration::MAX);
        tell_exit();
        write(&other, "a");
        assert_eq!(read(&mut stdout, 9).await, "a");
        tokio::time::advance(DRAIN * 1000).await;
        write(&other, "b");
        assert_eq!(read(&mut stdout, 9).await, "b");
        drop(other);
        assert_eq!(read(&mut stdout, 9).await, "");
    }
}
