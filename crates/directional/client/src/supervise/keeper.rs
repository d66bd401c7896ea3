//! The task that has a server started, and started again.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep_until, timeout};
use towpath_link::CallError;
use towpath_mcp::Preference;
use towpath_raw::{Operation, Timeout};

use super::{Death, Restarts, SupervisionState, Upstream, shared::Shared};
use crate::{Client, ClientBuilder, ClientHandler, ConnectError, connect};

/// Keeps a server: it alone opens lanes to it.
pub(super) struct Keeper<U, H> {
    upstream: U,
    /// What every client is made of: who it says it is, what it can do and who answers stay the same.
    builder: ClientBuilder<H>,
    shared: Arc<Shared>,
    restarts: Restarts,
    current: Option<Client>,
    question: Question,
}

impl<U: Upstream, H: ClientHandler> Keeper<U, H> {
    pub(super) fn new(
        upstream: U,
        mut builder: ClientBuilder<H>,
        shared: Arc<Shared>,
        restarts: Restarts,
    ) -> Self {
        // Nobody reads what a handler would still answer to a server that is gone.
        builder.link_timeouts.finish = Duration::ZERO;
        let question = Question::new(builder.preference);
        Self { upstream, builder, shared, restarts, current: None, question }
    }

    /// Runs until the supervision is closed, or the server has ended as it should.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the lane is, and whoever waits is told.
    pub(super) async fn keep(mut self) {
        let closing = self.shared.closing.clone();
        tokio::select! {
            // Dropping the second arm gives up a pause, or a lane that is being opened; a client is kept.
            biased;
            () = closing.cancelled() => {}
            () = self.run() => return,
        }
        self.shared.publish_closed();
        if let Some(client) = &self.current {
            client.close().await;
        }
        self.current = None;
    }

    async fn run(&mut self) {
        loop {
            while !self.restarts.poll_start(Instant::now().into_std()) {
                let Some(until) = self.restarts.poll_timeout() else { return };
                sleep_until(until.into()).await;
            }
            self.shared.publish(&self.restarts, None);
            let (death, succeeded) = match self.start().await {
                Ok(client) => self.serve(client).await,
                Err(death) => (death, false),
            };
            self.restarts.handle_death(Instant::now().into_std(), death, succeeded);
            self.shared.publish(&self.restarts, None);
            self.current = None;
        }
    }

    /// Opens a lane, and agrees on what is spoken.
    async fn start(&mut self) -> Result<Client, Death> {
        let after = self.builder.supervision_timeouts.open;
        // It is not ours, and a panic in it would look like a supervision that was closed.
        let opening = AssertUnwindSafe(async { self.upstream.open().await }).catch_unwind();
        let lane = match timeout(after, opening).await {
            Ok(Ok(opened)) => opened.map_err(Death::NotOpened)?,
            Ok(Err(_)) => {
                let panicked = io::Error::other("`Upstream::open` panicked");
                return Err(Death::NotOpened(Arc::new(panicked)));
            }
            Err(_) => return Err(Death::Timeout(Timeout { operation: Operation::Connect, after })),
        };
        self.builder.preference = self.question.preference;
        let connected = connect::connect(&self.builder, lane).await;
        self.question.handle_answer(connected.as_ref().err());
        connected.map_err(|error| Death::NotConnected(Arc::new(error)))
    }

    /// Lets everybody use a client until its server is lost.
    async fn serve(&mut self, client: Client) -> (Death, bool) {
        self.restarts.handle_up(Instant::now().into_std());
        self.shared.publish(&self.restarts, Some(&client));
        let peer = client.peer().clone();
        self.current = Some(client);
        let end = peer.closed().await;
        let succeeded = self.upstream.is_success(&end);
        (Death::Ended(end), succeeded)
    }
}

impl<U, H> Drop for Keeper<U, H> {
    fn drop(&mut self) {
        if let Some(client) = &self.current {
            // Others may hold a clone of it, but the server is ours.
            client.peer().close(Duration::ZERO);
        }
        if !matches!(self.restarts.state(), SupervisionState::Finished { .. }) {
            self.shared.publish_closed();
        }
        self.shared.over.cancel();
    }
}

/// Whether the next server is asked what it speaks. There are legacy servers that die of the question.
struct Question {
    wanted: Preference,
    preference: Preference,
    has_answered: bool,
    died_of_it: u32,
}

impl Question {
    fn new(wanted: Preference) -> Self {
        Self { wanted, preference: wanted, has_answered: false, died_of_it: 0 }
    }

    /// It may have died of it a moment later, in the handshake that followed.
    ///
    /// A server that has never answered is taken at its first word, one that has must die of the question twice. Who
    /// fails without having been asked is asked again: the server may be another one by now.
    fn handle_answer(&mut self, error: Option<&ConnectError>) {
        match error {
            None => (self.has_answered, self.died_of_it) = (true, 0),
            Some(ConnectError::Lost(CallError::Closed { .. })) if self.preference == Preference::Auto => {
                self.died_of_it += 1;
                if self.died_of_it > u32::from(self.has_answered) {
                    tracing::debug!("the server is not asked what it speaks, the next time");
                    self.preference = Preference::LegacyOnly;
                }
            }
            Some(_) => (self.preference, self.died_of_it) = (self.wanted, 0),
        }
    }
}
