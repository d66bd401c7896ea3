//! From a URI to a client.

use std::sync::Arc;

use http::{StatusCode, Uri};
use tokio::time::Instant;
use towpath_mcp::{Preference, suggests_http_sse};
use towpath_raw::{Connect, ExchangeError, Lane, LaneLimits};
use towpath_sse::{SseLane, SseLaneTimeouts};

use super::{HttpLane, HttpOptions};
use crate::{Client, ClientBuilder, ClientHandler, ConnectError, connect::Started};

/// Streamable HTTP in the era that the server speaks; where it refuses `initialize` as a server of 2024-11-05 would,
/// HTTP+SSE (2025-11-25, basic/transports, "Backwards Compatibility").
pub(crate) async fn connect<H, C>(
    mut builder: ClientBuilder<H>,
    connect: Arc<C>,
    uri: Uri,
    options: HttpOptions,
) -> Result<Client, ConnectError>
where
    H: ClientHandler,
    C: Connect,
{
    let began = Instant::now();
    let lane = HttpLane::new(Arc::clone(&connect), uri.clone(), options.clone());
    let started = Started::new(&builder, lane);
    let refused = match started.open(&builder).await {
        Ok(server) => return Ok(started.into_client(&builder, server)),
        Err(error) if suggests_older(&error) => error,
        Err(error) => return Err(error),
    };
    drop(started);
    let whole = builder.timeouts.handshake;
    builder.timeouts.handshake = whole.saturating_sub(began.elapsed());
    builder.preference = Preference::LegacyOnly;
    // There may be no such stream either: then what the address was asked for first is what is wrong with it.
    let Some(lane) = older(&builder, connect, uri, options).await else { return Err(refused) };
    builder.timeouts.handshake = whole.saturating_sub(began.elapsed());
    crate::connect::connect(&builder, Boxed(lane)).await.map_err(|mut error| {
        if let ConnectError::Timeout { source, .. } = &mut error {
            // What was left of it is nobody's setting.
            source.after = whole;
        }
        error
    })
}

/// With these statuses `server/discover` leads on to `initialize`, so it was that which was refused.
fn suggests_older(error: &ConnectError) -> bool {
    let ConnectError::Exchange(ExchangeError::Refused { status, .. }) = error else { return false };
    StatusCode::from_u16(*status).is_ok_and(suggests_http_sse)
}

async fn older<H, C: Connect>(
    builder: &ClientBuilder<H>,
    connect: Arc<C>,
    uri: Uri,
    options: HttpOptions,
) -> Option<SseLane<C>> {
    let limits = LaneLimits::default().with_max_message_bytes(options.limits.max_message_bytes);
    let timeouts = SseLaneTimeouts::default()
        .with_handshake(Some(builder.timeouts.handshake))
        .with_write_stall(Some(options.timeouts.post));
    match SseLane::connect(connect, uri, options.headers, &limits, &timeouts).await {
        Ok(lane) => Some(lane),
        Err(error) => {
            tracing::debug!(%error, "the server speaks no HTTP+SSE either");
            None
        }
    }
}

/// A lane whose halves can be moved, whatever bodies they hold.
struct Boxed<L>(L);

impl<L: Lane> Lane for Boxed<L> {
    type Source = Box<L::Source>;
    type Sink = Box<L::Sink>;

    fn peer(&self) -> Arc<str> {
        self.0.peer()
    }

    fn max_message_bytes(&self) -> usize {
        self.0.max_message_bytes()
    }

    fn split(self) -> (Self::Source, Self::Sink) {
        let (source, sink) = self.0.split();
        (Box::new(source), Box::new(sink))
    }
}
