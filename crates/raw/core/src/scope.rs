//! Tasks that belong to a value.

mod slot;

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use self::slot::{Empty, Slot};
use crate::{Level, Mutex, Operation, Timeout};

/// A set of tasks with one owner: dropped, it stops them all.
///
/// Making one spawns nothing and needs no runtime, and neither does dropping it: what a task holds is dropped with
/// the scope, on the spot, even when the runtime is idle or gone. [`TaskScope::token`] is cancelled first in every
/// ending, so that tasks that listen to it can end by themselves.
#[derive(Debug)]
pub struct TaskScope {
    token: CancellationToken,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    /// What each task holds, as long as it does.
    slots: Vec<Weak<dyn Empty>>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("set", &self.set).finish_non_exhaustive()
    }
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
            tasks: Mutex::new(Level::Handler, "TaskScope::tasks", Tasks::default()),
        }
    }

    /// Starts a task that belongs to this scope.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let slot = Arc::new(Slot::new(task));
        let weak = Arc::downgrade(&slot);
        let mut tasks = self.tasks.lock();
        // What has ended is taken out here, so that a long-lived scope does not grow.
        while tasks.set.try_join_next().is_some() {}
        tasks.slots.retain(|slot| slot.strong_count() > 0);
        tasks.slots.push(weak);
        tasks.set.spawn(slot::run(slot));
    }

    /// Cancelled when the scope is about to end.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How many tasks have not been seen to end.
    pub fn len(&self) -> usize {
        let mut tasks = self.tasks.lock();
        while tasks.set.try_join_next().is_some() {}
        tasks.set.len()
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
        let mut tasks = std::mem::take(&mut self.tasks.lock().set);
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
        self.token.cancel();
        // Aborted, a task drops what it holds when its runtime comes round to it, which can be never.
        let slots = std::mem::take(&mut self.tasks.get_mut().slots);
        slots.iter().filter_map(Weak::upgrade).for_each(|slot| slot.empty());
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

    #[test]
    fn a_dropped_scope_drops_what_its_tasks_hold_though_the_runtime_is_idle() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let held = std::sync::Arc::new(());
        let scope = TaskScope::new();
        runtime.block_on(async {
            let held = held.clone();
            scope.spawn(async move {
                pending::<()>().await;
                drop(held);
            });
            tokio::task::yield_now().await;
        });
        assert_eq!(std::sync::Arc::strong_count(&held), 2);
        // Nobody polls the runtime any more, and it is still there.
        drop(scope);
        assert_eq!(std::sync::Arc::strong_count(&held), 1, "the task still holds it");
        drop(runtime);
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
