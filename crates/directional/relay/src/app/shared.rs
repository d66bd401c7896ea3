//! The lane that the modern requests of all clients share, and its next one when it is lost.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};
use towpath_client::{Client, Death, Preference, Restarts, SupervisionState, Upstream};
use towpath_jsonrpc::ErrorObject;
use towpath_link::{LinkEnd, Phase};
use towpath_mcp::Fault;

use super::{AppOptions, start};
use crate::{Explain, fault};

/// The shared lane, as the requests see it.
pub(super) struct Shared {
    status: watch::Sender<Status>,
    /// Somebody waits for a lane.
    wanted: Notify,
    subscriptions: Arc<Semaphore>,
    explain: Explain,
}

#[derive(Default)]
struct Status {
    /// How often a lane was opened, or tried to be.
    starts: u64,
    state: State,
    /// Nobody looks after the lane any more.
    abandoned: bool,
}

#[derive(Default)]
enum State {
    /// There is none; the next request has one opened.
    #[default]
    Down,
    /// One is being opened.
    Starting,
    Up(Client),
    /// The last try to open one has failed.
    Failed,
    /// It was lost too often: nothing is tried before that time.
    Refusing {
        until: Instant,
    },
    /// Nobody opens one any more.
    Over,
}

impl Shared {
    pub(super) fn new(options: &AppOptions) -> Self {
        let subscriptions = options.max_subscriptions.min(Semaphore::MAX_PERMITS);
        Self {
            status: watch::Sender::new(Status::default()),
            wanted: Notify::new(),
            subscriptions: Arc::new(Semaphore::new(subscriptions)),
            explain: Arc::clone(&options.relay.explain),
        }
    }

    /// How often a lane was opened, or tried to be.
    pub(super) fn starts(&self) -> u64 {
        self.status.borrow().starts
    }

    pub(super) fn explain(&self) -> &Explain {
        &self.explain
    }

    /// Whether a request may be tried now.
    pub(super) fn admit(&self) -> Result<(), Fault> {
        let State::Refusing { until } = self.status.borrow().state else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        Err(Fault::Overloaded {
            what: "the upstream server ends again and again",
            setting: "max_quick_deaths",
            retry_after: Some(left),
        })
    }

    /// Room for one subscription more, if there is any.
    pub(super) fn subscription(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.subscriptions).try_acquire_owned().map_err(|_| Fault::Overloaded {
            what: "too many subscriptions are open at the upstream server",
            setting: "max_subscriptions",
            retry_after: Some(RETRY_AFTER),
        })
    }

    /// The client of the shared lane; one is opened if there is none, by whoever asks first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the lane is opened all the same.
    pub(super) async fn client(&self) -> Result<Client, ErrorObject> {
        let mut status = self.status.subscribe();
        let before = {
            let now = status.borrow();
            // A start that has begun is waited for as well as one that is still to come.
            now.starts - u64::from(matches!(now.state, State::Starting))
        };
        loop {
            let wanted = {
                let now = status.borrow_and_update();
                match &now.state {
                    State::Up(client) if client.peer().ended().is_none() => return Ok(client.clone()),
                    State::Failed | State::Refusing { .. } if now.starts > before => {
                        return Err(not_started());
                    }
                    State::Refusing { until } if *until > Instant::now() => return Err(not_started()),
                    State::Over => return Err(not_started()),
                    // Nobody will see that it has ended.
                    State::Up(_) if now.abandoned => return Err(not_started()),
                    // Its keeper will see that it has ended.
                    State::Up(_) | State::Starting => false,
                    State::Down | State::Failed | State::Refusing { .. } => true,
                }
            };
            if wanted {
                self.wanted.notify_one();
            }
            if status.changed().await.is_err() {
                return Err(not_started());
            }
        }
    }

    fn set(&self, state: State) {
        // What it was is dropped after the change.
        let _before = self.status.send_replace(Status { starts: self.starts(), state, abandoned: false });
    }

    fn begin(&self) {
        let _before = self.status.send_replace(Status {
            starts: self.starts() + 1,
            state: State::Starting,
            abandoned: false,
        });
    }

    /// Whether anybody waits; who has asked may have gone since.
    fn is_wanted(&self) -> bool {
        self.status.receiver_count() > 0
    }
}

/// What a client that is turned away for lack of room is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn not_started() -> ErrorObject {
    fault::upstream("upstream_not_started", "it could not be started", Phase::NotSent)
}

/// Keeps the shared lane: it alone opens one.
pub(super) struct Keeper<U> {
    upstream: Arc<U>,
    shared: Arc<Shared>,
    options: AppOptions,
    /// When the next start may begin.
    restarts: Restarts,
}

impl<U: Upstream> Keeper<U> {
    pub(super) fn new(upstream: Arc<U>, shared: Arc<Shared>, options: AppOptions) -> Self {
        let mut restarts = Restarts::new(options.restart.clone());
        restarts.poll_start(Instant::now().into_std());
        shared.begin();
        Self { upstream, shared, options, restarts }
    }

    /// Runs for as long as anybody could want a lane, from the first one on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lane is.
    pub(super) async fn keep(mut self, first: Client) {
        self.serve(first).await;
        loop {
            self.shared.wanted.notified().await;
            if !self.shared.is_wanted() || self.shared.admit().is_err() {
                continue;
            }
            while !self.restarts.poll_start(Instant::now().into_std()) {
                // One that has ended as it should is not started again.
                let Some(until) = self.restarts.poll_timeout() else { return };
                sleep_until(until.into()).await;
            }
            self.shared.begin();
            match start::connect(&*self.upstream, &self.options, Preference::ModernOnly).await {
                Ok(client) => self.serve(client).await,
                Err(error) => {
                    tracing::error!(%error, "the upstream server could not be started again");
                    self.died(State::Failed, error.into(), false);
                }
            }
        }
    }

    /// Lets everybody use a lane until it ends.
    async fn serve(&mut self, client: Client) {
        self.restarts.handle_up(Instant::now().into_std());
        let peer = client.peer().clone();
        self.shared.set(State::Up(client));
        let end: LinkEnd = peer.closed().await;
        tracing::warn!(peer = %peer.name(), %end, "the upstream server is lost");
        let succeeded = self.upstream.is_success(&end);
        self.died(State::Down, Death::Ended(end), succeeded);
    }

    /// It came to nothing, or to an end.
    fn died(&mut self, otherwise: State, reason: Death, succeeded: bool) {
        self.restarts.handle_death(Instant::now().into_std(), reason, succeeded);
        self.shared.set(match self.restarts.state() {
            SupervisionState::CrashLoop { until, .. } => State::Refusing { until: until.into() },
            SupervisionState::Finished { .. } => State::Over,
            _ => otherwise,
        });
    }
}

impl<U> Drop for Keeper<U> {
    fn drop(&mut self) {
        let is_up = matches!(self.shared.status.borrow().state, State::Up(_));
        // What is in flight on a lane goes on as long as its response does; who waits for another waits for nothing.
        if is_up {
            self.shared.status.send_modify(|status| status.abandoned = true);
        } else {
            self.shared.set(State::Over);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use towpath_mcp::Implementation;
    use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
    use towpath_testkit::{MemoryLane, memory_pair, within};

    use super::*;

    const DISCOVERED: &str = r#"{"jsonrpc":"2.0","id":0,"result":
        {"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}}"#;

    #[tokio::test]
    async fn a_lane_that_has_ended_and_that_nobody_keeps_is_waited_for_by_nobody() {
        let (near, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
        let connecting = Client::builder(&Implementation::new("test", "1.0.0"))
            .preference(Preference::ModernOnly)
            .connect(near);
        let (mut source, mut sink) = far.split();
        let answering = async {
            let Ok(Inbound::Frame(asked)) = source.receive().await else { panic!("it is asked") };
            let asked = towpath_jsonrpc::Message::parse(asked, &Default::default()).expect("JSON");
            let id = asked.id().expect("an id").to_string();
            let answer = DISCOVERED.replace("\n", " ").replacen("\"id\":0", &format!("\"id\":{id}"), 1);
            sink.send(Frame::from(Bytes::from(answer))).await.expect("it reads");
        };
        let (client, ()) = within(async { tokio::join!(connecting, answering) }).await;
        let client = client.expect("it connects");
        drop((source, sink));
        within(client.peer().closed()).await;
        let shared = Arc::new(Shared::new(&AppOptions::default()));
        let never = || async { Err::<MemoryLane, _>(Arc::new(std::io::Error::other("never")) as _) };
        let keeper = Keeper::new(Arc::new(never), Arc::clone(&shared), AppOptions::default());
        shared.set(State::Up(client));
        let waiting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.client().await.is_err() }
        });
        tokio::task::yield_now().await;
        drop(keeper);
        assert!(within(waiting).await.expect("no panic"), "there is none");
        assert!(within(shared.client()).await.is_err(), "nor will there be");
    }
}
