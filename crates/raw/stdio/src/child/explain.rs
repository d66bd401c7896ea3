//! What the halves of a lane know of the child's exit.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use towpath_raw::Explanation;

use super::ChildExit;

/// Where the exit is told, once.
pub(super) type Exit = watch::Receiver<Option<Arc<ChildExit>>>;

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for the exit.
pub(super) async fn exited(mut exit: Exit) -> Option<Arc<ChildExit>> {
    exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone())
}

/// Sees the exit while a half waits for something else.
pub(super) struct ExitWatch {
    exit: Exit,
    waiting: Option<Waiting>,
}

impl ExitWatch {
    /// The receiver must not have seen the exit.
    pub(super) fn new(exit: Exit) -> Self {
        Self { exit, waiting: None }
    }

    /// Whether the child has exited: one look at a number, for it is asked at every read and write.
    pub(super) fn is_known(&self) -> bool {
        self.exit.has_changed().unwrap_or(true)
    }

    pub(super) fn poll_known(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let exit = &self.exit;
        let waiting = self.waiting.get_or_insert_with(|| {
            let exit = exited(exit.clone());
            Box::pin(async move { drop(exit.await) })
        });
        ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(())
    }
}

/// Waits a little for the exit that explains the end of a direction.
pub(super) struct Explain {
    exit: Exit,
    after: Duration,
    waiting: Option<Waiting>,
}

impl Explain {
    pub(super) fn new(exit: Exit, after: Duration) -> Self {
        Self { exit, after, waiting: None }
    }

    pub(super) fn now(&self) -> Option<Explanation> {
        self.exit.borrow().clone().map(|exit| exit as Explanation)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Explanation>> {
        if let Some(explanation) = self.now() {
            return Poll::Ready(Some(explanation));
        }
        if self.after.is_zero() {
            return Poll::Ready(None);
        }
        let (exit, after) = (&self.exit, self.after);
        let waiting = self.waiting.get_or_insert_with(|| {
            let exit = exited(exit.clone());
            Box::pin(async move { drop(timeout(after, exit).await) })
        });
        ready!(waiting.as_mut().poll(cx));
        // Whoever asks again after the deadline gets what is known then.
        self.after = Duration::ZERO;
        self.waiting = None;
        Poll::Ready(self.now())
    }
}

impl fmt::Debug for ExitWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitWatch").field("is_known", &self.is_known()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explain").field("after", &self.after).finish_non_exhaustive()
    }
}
