//! The stream on which a legacy server says what belongs to no request
//! (2025-11-25, basic/transports, "Listening for Messages from the Server").

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use tokio::time::{Instant, timeout};
use towpath_mcp::BodyKind;
use towpath_raw::{Connect, ExchangeError, Inbound, Operation, Rejected, Timeout};
use towpath_sse::{EventStream, EventStreamError, SseError};

use super::{
    back_off::BackOff,
    events::{Uneventful, events_of, last_event_id, message_of},
    refusal::retry_after,
    wire::{Sent, Wire, pause},
};

/// The messages of the standalone stream, for as long as the server has one.
pub(super) fn run<C: Connect>(wire: Arc<Wire<C>>) -> BoxStream<'static, Inbound> {
    let standalone = Standalone {
        first: Some(First(Arc::clone(&wire))),
        wire,
        events: None,
        last_event_id: None,
        retry: None,
        back_off: BackOff::new(LONGEST_PAUSE),
        uneventful: Uneventful::default(),
    };
    stream::unfold(standalone, |mut standalone| async move {
        let inbound = standalone.next().await?;
        Some((inbound, standalone))
    })
    .boxed()
}

struct Standalone<C: Connect> {
    /// Until it was tried to open it.
    first: Option<First<C>>,
    wire: Arc<Wire<C>>,
    events: Option<(EventStream<C::Body>, Instant)>,
    last_event_id: Option<HeaderValue>,
    retry: Option<Duration>,
    back_off: BackOff,
    uneventful: Uneventful,
}

/// What else there is to send waits until this is dropped.
struct First<C: Connect>(Arc<Wire<C>>);

impl<C: Connect> Drop for First<C> {
    fn drop(&mut self) {
        self.0.shared.heard();
    }
}

/// What came of opening the stream.
enum Opened {
    Yes,
    /// Not now: try again, not sooner than the server says.
    NotNow(Option<Duration>),
    /// The server has none.
    Never,
}

impl<C: Connect> Standalone<C> {
    async fn next(&mut self) -> Option<Inbound> {
        loop {
            let Some((events, since)) = &mut self.events else {
                match self.open_first().await {
                    Opened::Yes => {}
                    Opened::NotNow(least) => pause(self.back_off.pause(least.or(self.retry))).await,
                    Opened::Never => return None,
                }
                continue;
            };
            let next = events.event().await;
            self.last_event_id = last_event_id(events).or(self.last_event_id.take());
            self.retry = events.retry().or(self.retry);
            match next {
                Ok(Some(event)) => {
                    if let Some(inbound) = message_of(event) {
                        return Some(inbound);
                    }
                    self.uneventful.one_more().await;
                }
                Err(EventStreamError::Event {
                    source: SseError::EventTooLarge { size, head, tail }, ..
                }) => {
                    return Some(Inbound::Rejected(Rejected::TooLarge { size, head, tail }));
                }
                Err(EventStreamError::Event { source, .. }) => {
                    tracing::debug!(peer = %self.wire.peer, %source, "passed over an event");
                    self.uneventful.one_more().await;
                }
                Ok(None) | Err(_) => {
                    self.back_off.lasted(since.elapsed());
                    self.events = None;
                    pause(self.back_off.pause(self.retry)).await;
                }
            }
        }
    }

    /// Opens it. The first time everything else waits for it, but not for long: some servers send no head before they
    /// have something to say.
    async fn open_first(&mut self) -> Opened {
        let first = self.first.take();
        let listen_first = self.wire.options.timeouts.listen_first;
        let mut open = pin!(self.open());
        if first.is_some()
            && let Ok(opened) = timeout(listen_first, &mut open).await
        {
            return opened;
        }
        drop(first);
        open.await
    }

    async fn open(&mut self) -> Opened {
        let mut sent = Sent::default();
        let get = self.wire.get(self.last_event_id.as_ref(), &mut sent);
        // Some servers send no head before they have something to say: until then it is as silent as a stream.
        let opened = match self.wire.options.timeouts.sse_idle {
            Some(after) => timeout(after, get).await.unwrap_or_else(|_| {
                let source = Timeout { operation: Operation::ReceiveIdle, after };
                Err(ExchangeError::Timeout { peer: Arc::clone(&self.wire.peer), source })
            }),
            None => get.await,
        };
        let (head, body) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(peer = %self.wire.peer, %error, "the standalone stream is not open");
                return Opened::NotNow(None);
            }
        };
        let status = head.status;
        if self.wire.may_repeat(status, &head.headers, &sent).await {
            return Opened::NotNow(None);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() && status != NOT_IMPLEMENTED {
            return Opened::NotNow(retry_after(&head.headers));
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(BodyKind::of);
        if status != StatusCode::OK || kind != Some(BodyKind::Events) {
            if status == StatusCode::NOT_FOUND && sent.named {
                // Some servers have no other status for a stream that they do not have.
                self.wire.shared.lose_session(sent.session, true);
            }
            tracing::debug!(peer = %self.wire.peer, %status, "the server has no standalone stream");
            return Opened::Never;
        }
        let events = events_of(&self.wire, body, self.wire.options.timeouts.sse_idle);
        self.events = Some((events, Instant::now()));
        Opened::Yes
    }
}

const NOT_IMPLEMENTED: StatusCode = StatusCode::NOT_IMPLEMENTED;

/// The longest pause before the stream is opened again, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
