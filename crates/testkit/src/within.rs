//! Deadlines for tests: what hangs fails, and says where.

use std::{
    future::Future,
    panic::{Location, resume_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use tokio::time::timeout;

/// How long [`within`] waits: far longer than any test that does not hang.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// Waits for a future, at most [`DEFAULT_DEADLINE`].
///
/// # Panics
///
/// When it takes longer. The text names the caller.
///
/// # Cancel safety
///
/// As the future's own.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    within_for(DEFAULT_DEADLINE, future)
}

/// Waits for a future, at most `after` of tokio's time, so that a paused clock makes it quick.
///
/// # Panics
///
/// When it takes longer. The text names the caller.
///
/// # Cancel safety
///
/// As the future's own.
#[track_caller]
pub fn within_for<F: Future>(after: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match timeout(after, future).await {
            Ok(output) => output,
            Err(_) => panic!("hung: the future at {caller} was not ready within {after:?}"),
        }
    }
}

/// Runs something that blocks on a thread of its own, and waits at most `after` for it.
///
/// # Panics
///
/// When it takes longer: the text names the caller, and the thread is left behind, since a thread cannot be
/// stopped from outside. A panic in `work` goes on in the caller.
#[track_caller]
pub fn run_within<T: Send + 'static>(after: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let caller = Location::caller();
    let (done, when_done) = mpsc::sync_channel::<()>(1);
    let worker = thread::spawn(move || {
        // Dropped at the end, be it by a panic.
        let _done = done;
        work()
    });
    if when_done.recv_timeout(after) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("hung: the work at {caller} was not done within {after:?}");
    }
    match worker.join() {
        Ok(output) => output,
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        panic::catch_unwind,
    };

    use super::*;

    fn text(panic: Box<dyn std::any::Any + Send>) -> String {
        panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()))
            .unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_hangs_panics_and_names_its_caller() {
        assert_eq!(within(ready(7)).await, 7);
        let start = tokio::time::Instant::now();
        let hung = tokio::spawn(within(pending::<()>())).await.expect_err("it ended");
        assert!(start.elapsed() >= DEFAULT_DEADLINE);
        let text = text(hung.into_panic());
        assert!(text.contains("within.rs") && text.contains("30s"), "{text}");
    }

    #[test]
    fn work_that_hangs_panics_and_work_that_panics_goes_on_panicking() {
        assert_eq!(run_within(DEFAULT_DEADLINE, || 7), 7);
        let (_held, never) = mpsc::channel::<()>();
        let hung = catch_unwind(|| run_within(Duration::from_millis(10), move || never.recv().is_ok()));
        assert!(text(hung.expect_err("it ended")).contains("within.rs"));
        let own = catch_unwind(|| run_within(DEFAULT_DEADLINE, || panic!("its own")));
        assert_eq!(text(own.expect_err("it ended")), "its own");
    }
}
