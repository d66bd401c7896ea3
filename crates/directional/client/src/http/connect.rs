//! From a URI to a client.

use std::{sync::Arc, time::Duration};

use http::{StatusCode, Uri};
use tokio::time::Instant;
use towpath_mcp::{Era, Preference, suggests_http_sse};
use towpath_raw::{Connect, ExchangeError, Lane, LaneLimits};
use towpath_sse::{SseLane, SseLaneTimeouts};

use super::{HttpLane, HttpOptions};
use crate::{Client, ClientBuilder, ClientHandler, ConnectError, connect::Started};

/// Connects, in the era that the server is known to speak if it is known; where that turns out to be wrong, as if
/// nothing had been known (2026-07-28, basic/versioning).
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
    let cache = options.era_cache.clone();
    let known = cache.as_ref().and_then(|cache| cache.era(&uri));
    let (began, whole) = (Instant::now(), builder.timeouts.handshake);
    if let (Preference::Auto, Some(cache), Some(era)) = (builder.preference, &cache, known) {
        builder.preference = match era {
            Era::Modern => Preference::ModernOnly,
            Era::Legacy => Preference::LegacyOnly,
        };
        let opened = attempt(&mut builder, Arc::clone(&connect), uri.clone(), options.clone()).await;
        match opened {
            Err(error) if is_about_the_era(&error) => {
                tracing::debug!(%error, ?era, "the server does not speak what it was known to speak");
                cache.forget(&uri);
            }
            opened => return opened,
        }
        builder.preference = Preference::Auto;
        builder.timeouts.handshake = whole.saturating_sub(began.elapsed());
    }
    let client =
        attempt(&mut builder, connect, uri.clone(), options).await.map_err(|error| of_whole(error, whole))?;
    if let Some(cache) = &cache {
        cache.learn(&uri, client.server().revision.era());
    }
    Ok(client)
}

/// Whether a failure may come of the wrong assumption about the era.
fn is_about_the_era(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Incompatible { .. } | ConnectError::Handshake { .. })
        || suggests_older(error)
}

/// Streamable HTTP in the era that the server speaks; where it refuses `initialize` as a server of 2024-11-05 would,
/// HTTP+SSE (2025-11-25, basic/transports, "Backwards Compatibility").
async fn attempt<H, C>(
    builder: &mut ClientBuilder<H>,
    connect: Arc<C>,
    uri: Uri,
    options: HttpOptions,
) -> Result<Client, ConnectError>
where
    H: ClientHandler,
    C: Connect,
{
    let began = Instant::now();
    let lane = HttpLane::new(
        Arc::clone(&connect),
        uri.clone(),
        HttpOptions { answers_inputs: true, ..options.clone() },
    );
    let started = Started::new(builder, lane).answering_inputs();
    let refused = match started.open(builder).await {
        Ok(server) => return Ok(started.into_client(builder, server)),
        Err(error) if suggests_older(&error) => error,
        Err(error) => return Err(error),
    };
    drop(started);
    let whole = builder.timeouts.handshake;
    builder.timeouts.handshake = whole.saturating_sub(began.elapsed());
    builder.preference = Preference::LegacyOnly;
    // There may be no such stream either: then what the address was asked for first is what is wrong with it.
    let Some(lane) = older(builder, connect, uri, options).await else { return Err(refused) };
    builder.timeouts.handshake = whole.saturating_sub(began.elapsed());
    crate::connect::connect(builder, Boxed(lane)).await.map_err(|error| of_whole(error, whole))
}

/// An error with the deadline that is somebody's setting: what was left of it is nobody's.
fn of_whole(mut error: ConnectError, whole: Duration) -> ConnectError {
    if let ConnectError::Timeout { source, .. } = &mut error {
        source.after = whole;
    }
    error
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
