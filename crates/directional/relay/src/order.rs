//! What goes one way keeps its order, though some of it has to wait for room.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The order of one direction: who comes waits for those who came before, and nobody waits while there is room.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    turn: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// A notification that waits for room; dropped, it waits no more.
#[derive(Debug)]
pub(crate) struct Waiting {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Order {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), waiting: Arc::default(), max_bytes }
    }

    /// Waits for its turn, in the order of the first polls.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it leaves the line.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.turn).acquire_owned().await.ok()
    }

    /// Takes room for so many bytes; `None` when too much waits already. One that comes alone always has room.
    pub(crate) fn wait(&self, bytes: usize) -> Option<Waiting> {
        let fits = |waiting: usize| {
            let sum = waiting.saturating_add(bytes);
            (waiting == 0 || sum <= self.max_bytes).then_some(sum)
        };
        self.waiting.fetch_update(Relaxed, Relaxed, fits).ok()?;
        Some(Waiting { waiting: Arc::clone(&self.waiting), bytes })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_one_alone_always_may() {
        let order = Order::new(10);
        let large = order.wait(11).expect("alone");
        assert!(order.wait(1).is_none(), "it came on top of more than the bound");
        drop(large);
        let some = order.wait(6).expect("room");
        assert!(order.wait(5).is_none());
        let rest = order.wait(4).expect("it fits exactly");
        drop((some, rest));
        assert!(order.wait(10).is_some(), "what has gone does not wait any more");
    }
}
