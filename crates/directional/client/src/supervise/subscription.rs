//! Being told of changes by one server after another.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, timeout_at};
use towpath_link::CallError;
use towpath_mcp::Filter;

use super::{
    Supervised, SupervisedListenError,
    shared::{Shared, Wanted, later},
};
use crate::{Event, ListenError, Subscription};

/// What a supervised subscription tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisedEvent {
    /// Something has changed.
    Changed(Event),
    /// The subscription was lost, and is open again, mostly at another server: anything may have changed in between and
    /// is to be read again.
    Reopened,
}

/// A stream of changes that outlives its server: it is opened again at each that follows, and says so with
/// [`SupervisedEvent::Reopened`].
///
/// It works while [`SupervisedSubscription::next`] is awaited and holds what a [`Subscription`] does: nothing piles up
/// while nobody looks. It holds the supervised server, too.
///
/// # Cancel safety
///
/// Dropped, it ends as a [`Subscription`] does.
#[must_use = "a subscription ends when it is dropped"]
pub struct SupervisedSubscription {
    supervised: Supervised,
    filter: Filter,
    honoured: Filter,
    /// The number of the server that it is open at, or was.
    start: u64,
    stage: Stage,
    since: Instant,
    /// How often in a row the server has ended it soon, though it lived on.
    quick_ends: u32,
    random: fastrand::Rng,
}

enum Stage {
    Open(Subscription),
    /// Kept here, so that a dropped wait does not begin anew.
    Opening(BoxFuture<'static, Result<(Subscription, u64), Failure>>),
    Ended,
}

enum Failure {
    /// There will be no server any more.
    Over,
    /// This server was lost meanwhile.
    Lost(u64),
    Refused(ListenError),
}

impl SupervisedSubscription {
    pub(super) async fn open(
        supervised: &Supervised,
        filter: &Filter,
    ) -> Result<Self, SupervisedListenError> {
        let until = later(supervised.inner.wait);
        let mut after = 0;
        loop {
            let wanted = Wanted { after, until, patient: false };
            let current = supervised.inner.shared.client(wanted).await?;
            match current.client.listen(filter).await {
                Ok(subscription) => {
                    return Ok(Self {
                        supervised: supervised.clone(),
                        filter: filter.clone(),
                        honoured: subscription.honoured().clone(),
                        start: current.start,
                        stage: Stage::Open(subscription),
                        since: Instant::now(),
                        quick_ends: 0,
                        random: fastrand::Rng::new(),
                    });
                }
                // Listening twice does no harm.
                Err(ListenError::Call(CallError::Closed { .. })) => after = current.start,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the server agreed to tell, the last that was asked: the next one may agree to something else.
    pub fn honoured(&self) -> &Filter {
        &self.honoured
    }

    /// The next change, for as long as it takes: also over crash loops. `None` when the supervision was closed, or has
    /// ended because its server has.
    ///
    /// A server that ends the subscription and lives on is asked again after a pause of the
    /// [`RestartPolicy`](crate::RestartPolicy).
    ///
    /// # Errors
    ///
    /// The server that follows refused; the subscription has ended then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no event, and what was begun to open the subscription again is gone on with.
    pub async fn next(&mut self) -> Result<Option<SupervisedEvent>, ListenError> {
        loop {
            match &mut self.stage {
                Stage::Open(subscription) => {
                    let pause = match subscription.next().await {
                        Ok(Some(event)) => return Ok(Some(SupervisedEvent::Changed(event))),
                        Err(CallError::Closed { .. }) => None,
                        // The server has ended it, and may well live on.
                        Ok(None) | Err(_) => Some(self.pause()),
                    };
                    self.open_again(pause);
                }
                Stage::Opening(opening) => match opening.await {
                    Ok((subscription, start)) => {
                        self.honoured = subscription.honoured().clone();
                        self.stage = Stage::Open(subscription);
                        (self.start, self.since) = (start, Instant::now());
                        return Ok(Some(SupervisedEvent::Reopened));
                    }
                    Err(Failure::Lost(start)) => {
                        self.start = start;
                        self.open_again(None);
                    }
                    Err(Failure::Over) => self.stage = Stage::Ended,
                    Err(Failure::Refused(error)) => {
                        self.stage = Stage::Ended;
                        return Err(error);
                    }
                },
                Stage::Ended => return Ok(None),
            }
        }
    }

    /// Ends the subscription, and waits until a legacy server has been told.
    ///
    /// # Errors
    ///
    /// How a legacy server refused.
    ///
    /// # Cancel safety
    ///
    /// As [`Subscription::close`].
    pub async fn close(self) -> Result<(), CallError> {
        match self.stage {
            Stage::Open(subscription) => subscription.close().await,
            Stage::Opening(_) | Stage::Ended => Ok(()),
        }
    }

    fn pause(&mut self) -> Duration {
        let policy = &self.supervised.inner.policy;
        let lasted = self.since.elapsed() >= policy.quick;
        self.quick_ends = if lasted { 1 } else { self.quick_ends.saturating_add(1) };
        policy.pause(self.quick_ends, &mut self.random)
    }

    /// At the next server; after the pause, at the same one as well.
    fn open_again(&mut self, pause: Option<Duration>) {
        let shared = Arc::clone(&self.supervised.inner.shared);
        self.stage = Stage::Opening(open(shared, self.filter.clone(), self.start, pause).boxed());
    }
}

async fn open(
    shared: Arc<Shared>,
    filter: Filter,
    after: u64,
    pause: Option<Duration>,
) -> Result<(Subscription, u64), Failure> {
    let mut wanted = Wanted { after, until: None, patient: true };
    let mut another = None;
    if let Some(until) = pause.and_then(later) {
        another = timeout_at(until, shared.client(wanted)).await.ok();
        wanted.after = after.saturating_sub(1);
    }
    let current = match another {
        Some(current) => current,
        None => shared.client(wanted).await,
    };
    let current = current.map_err(|_| Failure::Over)?;
    match current.client.listen(&filter).await {
        Ok(subscription) => Ok((subscription, current.start)),
        Err(ListenError::Call(CallError::Closed { .. })) => Err(Failure::Lost(current.start)),
        Err(error) => Err(Failure::Refused(error)),
    }
}

impl std::fmt::Debug for SupervisedSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupervisedSubscription").field("honoured", &self.honoured).finish_non_exhaustive()
    }
}
