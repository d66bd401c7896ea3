//! Tasks that belong to a value.

use std::{future::Future, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{Level, Mutex, Operation, Timeout};

/// A set of tasks with one owner: dropped, it stops them all.
///
/// Making one spawns nothing and needs no runtime, and neither does dropping it. [`TaskScope::token`] is
/// cancelled first in every ending, so that tasks that listen to it can end by themselves.
#[derive(Debug)]
pub struct TaskScope {
    token: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

/// What a drain left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How many tasks had to be cut.
    pub cut: usize,
    /// The deadline, if it passed.
    pub timeout: Option<Timeout>,
}

impl TaskScope {
    /// A scope without tasks.
    pub fn new() -> Self {
        Self {
            token: CancellationToken::new(),
            tasks: Mutex::new(Level::Handler, "TaskScope::tasks", JoinSet::new()),
        }
    }

    /// Starts a task that belongs to this scope.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        // What has ended is taken out here, so that a long-lived scope does not grow.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Cancelled when the scope is about to end.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How many tasks have not been seen to end.
    pub fn len(&self) -> usize {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }

    /// Whether every task has ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels the token, waits for the tasks to end by themselves, and cuts those that have not at the
    /// deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the tasks that are left are stopped at once.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.token.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let ended = timeout(deadline, async { while tasks.join_next().await.is_some() {} }).await;
        let cut = tasks.len();
        tasks.shutdown().await;
        Drained {
            cut,
            timeout: ended.err().map(|_| Timeout { operation: Operation::Drain, after: deadline }),
        }
    }
}

impl Default for TaskScope {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TaskScope {
    fn drop(&mut self) {
        // The JoinSet stops the tasks; the token tells those that watch it from elsewhere.
        self.token.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dropped_scope_stops_its_tasks() {
        let (held, mut released) = oneshot::channel::<()>();
        let scope = TaskScope::new();
        scope.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        assert_eq!(scope.len(), 1);
        drop(scope);
        let ended = timeout(Duration::from_secs(5), &mut released).await;
        assert!(ended.expect("the task outlived its scope").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_the_willing_and_cuts_the_rest() {
        let scope = TaskScope::new();
        let token = scope.token().clone();
        scope.spawn(async move { token.cancelled().await });
        scope.spawn(pending());
        let within = timeout(Duration::from_secs(60), scope.drain(Duration::from_secs(3)));
        let drained = within.await.expect("the drain hung");
        assert_eq!(drained.cut, 1);
        assert_eq!(
            drained.timeout,
            Some(Timeout { operation: Operation::Drain, after: Duration::from_secs(3) })
        );
        assert!(scope.is_empty());
    }

    #[tokio::test]
    async fn ended_tasks_are_not_kept() {
        let scope = TaskScope::new();
        for _ in 0..100 {
            let (done, end) = oneshot::channel::<()>();
            scope.spawn(async move { drop(done) });
            let _ = timeout(Duration::from_secs(5), end).await.expect("the task did not run");
            tokio::task::yield_now().await;
        }
        assert!(scope.len() <= 1);
    }
}
