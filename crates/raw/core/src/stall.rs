//! Notices a peer that takes no byte.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Measures how long nothing was taken while something waits; every sink has one.
///
/// It costs nothing while the peer keeps up: the timer exists only from the first write that waits, and is
/// moved rather than made again.
#[derive(Debug)]
pub struct StallWatch {
    after: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl StallWatch {
    /// A watch that runs out after `after`; `None`: never.
    pub fn new(after: Option<Duration>) -> Self {
        Self { after, timer: None, armed: false }
    }

    /// The peer has taken something, or there is nothing to take.
    pub fn progress(&mut self) {
        self.armed = false;
    }

    /// Call it when a write waits: ready with the deadline once nothing was taken for that long.
    pub fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(after) = self.after else { return Poll::Pending };
        let timer = match &mut self.timer {
            Some(timer) => {
                if !self.armed {
                    timer.as_mut().reset(Instant::now() + after);
                }
                timer
            }
            none => none.insert(Box::pin(sleep(after))),
        };
        self.armed = true;
        timer.as_mut().poll(cx).map(|()| after)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_restarts_the_watch_and_silence_ends_it() {
        let second = Duration::from_secs(1);
        let mut watch = StallWatch::new(Some(second));
        let start = Instant::now();
        for _ in 0..3 {
            let almost = second * 9 / 10;
            let waited = tokio::time::timeout(almost, poll_fn(|cx| watch.poll_stalled(cx))).await;
            assert!(waited.is_err(), "it ran out although the peer kept taking bytes");
            watch.progress();
        }
        let stalled = tokio::time::timeout(second * 2, poll_fn(|cx| watch.poll_stalled(cx))).await;
        assert_eq!(stalled, Ok(second));
        assert!(start.elapsed() >= second * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_deadline_never_stalls() {
        let mut watch = StallWatch::new(None);
        let wait = poll_fn(|cx| watch.poll_stalled(cx));
        assert!(tokio::time::timeout(Duration::from_secs(1 << 20), wait).await.is_err());
    }
}
