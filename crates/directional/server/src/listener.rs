//! Serving every lane of a listener.

use std::{sync::Arc, time::Duration};

use tokio::select;
use tokio_util::sync::CancellationToken;
use towpath_link::Link;
use towpath_raw::{Lane, LaneError, Listen, TaskScope};

use crate::{
    Handler, Server,
    hub::{LaneSeat, ServedLane},
    lane::LaneService,
};

impl<H: Handler> Server<H> {
    /// Serves every lane that a listener gives, until [`Server::drain`] is called and they have ended; then the answer
    /// is `Ok`.
    ///
    /// Each lane is a task that belongs to this future. How one ends, by a panic too, concerns no other, and is traced.
    /// How many there may be at once is the listener's to bound. A drain closes the listener at once, and a server that
    /// was drained before takes none.
    ///
    /// ```
    /// use towpath_raw::{Lane, LaneError, Listen};
    /// use towpath_server::{Handler, Server};
    ///
    /// async fn run<H: Handler>(
    ///     server: Server<H>,
    ///     listener: impl Listen<Lane: Lane<Source: Unpin, Sink: Unpin>>,
    ///     stop: impl Future<Output = ()>,
    /// ) -> Result<(), LaneError> {
    ///     let end = async {
    ///         stop.await;
    ///         server.drain(std::time::Duration::from_secs(30)).await
    ///     };
    ///     tokio::join!(server.serve_listener(listener), end).0
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What the listener failed with, for good. Its lanes are asked to end first, and have
    /// [`LinkTimeouts::finish`](crate::LinkTimeouts) for it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it closes the listener and ends all lanes, as [`Server::serve`] does.
    pub async fn serve_listener<L>(&self, mut listener: L) -> Result<(), LaneError>
    where
        L: Listen<Lane: Lane<Source: Unpin, Sink: Unpin>>,
    {
        let seat = self.core.hub.listen();
        // Dropped with this future, it ends them all.
        let lanes = TaskScope::new();
        let failed = CancellationToken::new();
        let end = loop {
            // Both arms are cancel safe: an accept that is not ready has taken no lane. A drain goes first, so that a
            // crowd of newcomers does not delay it.
            let accepted = select! {
                biased;
                () = seat.stop().cancelled() => break Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(lane) => {
                    let (server, stop, failed) = (self.clone(), seat.stop().clone(), failed.clone());
                    lanes.spawn(async move { server.serve_accepted(lane, stop, failed).await });
                }
                Err(error) => break Err(error),
            }
        };
        let local = listener.local();
        drop(listener);
        if let Err(error) = &end {
            tracing::error!(%local, %error, "the listener has failed");
            failed.cancel();
        }
        lanes.drain(Duration::MAX).await;
        end
    }

    /// Serves one lane of a listener, which may stop or fail meanwhile.
    async fn serve_accepted<L>(&self, lane: L, stop: CancellationToken, failed: CancellationToken)
    where
        L: Lane<Source: Unpin, Sink: Unpin>,
    {
        let (mut link, seat) = self.admit(lane);
        // A drain stops the listener, then looks which lanes there are: this one came too late to be seen, or will be.
        if stop.is_cancelled() {
            seat.peer().close(Duration::ZERO);
        }
        // Both arms are cancel safe: a link that is polled on goes on. Its end goes first.
        let end = select! {
            biased;
            end = &mut link => end,
            () = failed.cancelled() => {
                seat.peer().close(self.core.timeouts.finish);
                link.await
            }
        };
        tracing::debug!(peer = %seat.peer().name(), ?end, "a lane has ended");
    }

    /// Puts a lane to work, and among those that are served.
    pub(crate) fn admit<L>(&self, lane: L) -> (Link<L, LaneService<H>>, LaneSeat)
    where
        L: Lane<Source: Unpin, Sink: Unpin>,
    {
        let service = LaneService::new(Arc::clone(&self.core));
        let conversation = service.conversation();
        let (limits, timeouts) = (self.core.limits.clone(), self.core.timeouts.clone());
        let (link, peer) = Link::with_pool(lane, service, limits, timeouts, self.core.buffers.clone());
        (link, self.core.hub.serve(ServedLane { peer, conversation }))
    }
}
